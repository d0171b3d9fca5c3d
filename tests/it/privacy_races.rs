//! A checkout and the erasure of its buyer at one moment.

use std::time::Duration;

use serde_json::{Value, json};
use vitrine::ids::UserId;

use crate::auth::{PASSWORD, signed};
use crate::privacy::{CPF, erase, put_in_cart};
use crate::shop::{Answer, Product, Shop};

/// A new person with this product in the cart, and the order to send.
async fn about_to_buy(shop: &Shop, email: &str, product: &Product) -> (Answer, Value) {
    let new = json!({"name": "Ana", "email": email, "password": PASSWORD, "cpf": CPF});
    let session = shop.post("/api/auth/register", &new).await;
    assert_eq!(session.status, 201, "{}", session.body);
    put_in_cart(shop, &session, product).await;
    let mut order: Value = shop.guest_order(&[(product, 1)], CPF).await;
    for only_guests in ["email", "name", "phone"] {
        order.as_object_mut().unwrap().remove(only_guests);
    }
    (session, order)
}

#[actix_web::test]
async fn a_checkout_that_races_with_the_erasure_leaves_no_order_of_an_erased_person() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").stock(100).create().await;
    for round in 0..5 {
        let (session, order) = about_to_buy(&shop, &format!("ana{round}@example.com"), &product).await;
        let ana: UserId = serde_json::from_value(session.body["user"]["id"].clone()).unwrap();
        let place = signed(&shop, &session, "POST", "/api/orders").json(&order).send();
        let (placed, erased) = futures_util::join!(place, erase(&shop, &session, PASSWORD));
        let open = format!(
            "SELECT count(*) FROM orders o JOIN users u ON u.id = o.user_id WHERE u.id = '{ana}' AND u.erased_at IS NOT NULL"
        );
        assert_eq!(shop.sql::<i64>(&open).await, 0, "{} {}", placed.body, erased.body);
        assert!((placed.status == 201) != (erased.status == 204), "one of them: {} {}", placed.body, erased.body);
    }
    shop.close().await;
}

/// Waits until so many statements in the shop's database wait for a lock.
async fn waiting(shop: &Shop, count: i64) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let seen = async {
        while shop.sql::<i64>(WAITING).await < count {
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it waits");
}

#[actix_web::test]
async fn an_erasure_waits_for_the_checkout_that_began_before_it_and_sees_its_order() {
    let shop = Shop::open().await;
    let product = shop.product("Camiseta").create().await;
    let (session, order) = about_to_buy(&shop, "ana@example.com", &product).await;
    // Another sale holds what a checkout locks last: its order is written, and not committed.
    let mut db = shop.app.db().await.unwrap();
    let sale = db.transaction().await.unwrap();
    sale.execute("SELECT FROM variants FOR NO KEY UPDATE", &[]).await.unwrap();
    let place = signed(&shop, &session, "POST", "/api/orders").json(&order).send();
    let erasing = async {
        waiting(&shop, 1).await;
        erase(&shop, &session, PASSWORD).await
    };
    let goes_on = async {
        waiting(&shop, 2).await;
        sale.rollback().await.unwrap();
    };
    let (placed, erased, ()) = futures_util::join!(place, erasing, goes_on);
    assert_eq!((placed.status, erased.status, erased.slug()), (201, 409, "conflict"), "{} {}", placed.body, erased.body);
    drop(db);
    shop.close().await;
}
