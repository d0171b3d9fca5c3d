//! Who is one customer to a coupon: whoever shares the account, the document or the e-mail.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::shop::{Answer, CPF, Product, Shop, cpf};

async fn coupon(shop: &Shop, most: i32) {
    let code =
        "INSERT INTO coupons (id, code, kind, value, max_uses_per_customer) VALUES (gen_random_uuid(), 'MIMO', 'fixed', 100, ";
    shop.execute(&format!("{code}{most})")).await;
}

/// A guest's cart, and the order to send from it.
async fn guest(shop: &Shop, product: &Product, document: &str, email: &str) -> (String, Value) {
    let mut order = shop.guest_order(&[(product, 1)], document).await;
    order["email"] = json!(email);
    order["coupon"] = json!("MIMO");
    (shop.guest_cart(&[(product, 1)]).await, order)
}

async fn send(shop: &Shop, (cart, order): &(String, Value)) -> Answer {
    shop.request("POST", "/api/orders").header("X-Cart-Token", cart).json(order).send().await
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

#[actix_web::test]
async fn whoever_shares_the_document_or_the_email_is_one_customer_of_a_coupon_and_gets_it_back_on_cancel() {
    let shop = Shop::open().await;
    coupon(&shop, 1).await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, other) = ("ana@example.com", "outra@example.com");
    let first = send(&shop, &guest(&shop, &shirt, CPF, ana).await).await;
    assert_eq!(first.status, 201, "{}", first.body);
    for (document, email) in [(CPF.to_owned(), other), (cpf(1), "ANA@example.com"), (CPF.to_owned(), ana)] {
        let before = shop.row_counts().await;
        let asked = guest(&shop, &shirt, &document, email).await;
        let carts = shop.row_counts().await;
        assert_ne!(before, carts);
        let refused = send(&shop, &asked).await;
        assert_eq!((refused.slug(), shop.row_counts().await), ("coupon-refused", carts), "{document} {email}");
    }
    assert_eq!(send(&shop, &guest(&shop, &shirt, &cpf(1), other).await).await.status, 201, "another customer");
    let path = format!("/api/orders/{}/cancel", first.body["id"].as_str().unwrap());
    let token = first.body["access_token"].as_str().unwrap();
    assert_eq!(shop.request("PATCH", &path).header("X-Order-Token", token).send().await.status, 200);
    assert_eq!(send(&shop, &guest(&shop, &shirt, &cpf(2), ana).await).await.status, 201, "the use is free again");
    shop.close().await;
}

#[actix_web::test]
async fn an_account_and_a_guest_with_its_email_are_one_customer_in_the_cart_too() {
    let shop = Shop::open().await;
    coupon(&shop, 2).await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order["cpf"] = json!(cpf(1));
    order["coupon"] = json!("MIMO");
    assert_eq!(ana.post("/api/orders", &order).await.status, 201);
    assert_eq!(send(&shop, &guest(&shop, &shirt, &cpf(2), &ana.email).await).await.status, 201, "the second of two");
    assert_eq!(send(&shop, &guest(&shop, &shirt, &cpf(3), &ana.email).await).await.slug(), "coupon-refused");
    let mut order = ana.order_for(&[(&shirt, 1)]).await;
    order["cpf"] = json!(cpf(4));
    order["coupon"] = json!("MIMO");
    assert_eq!(ana.post("/api/orders", &order).await.slug(), "coupon-refused");
    let in_cart = ana.post("/api/cart/coupon", &json!({"code": "MIMO"})).await;
    assert_eq!(in_cart.body["detail"], "You have already used this coupon");
    shop.close().await;
}

#[actix_web::test]
async fn an_account_that_changed_its_email_and_types_another_document_is_the_same_customer() {
    let shop = Shop::open().await;
    coupon(&shop, 1).await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let order = async |document: u32| {
        let mut order = ana.order_for(&[(&shirt, 1)]).await;
        order["cpf"] = json!(cpf(document));
        order["coupon"] = json!("MIMO");
        ana.post("/api/orders", &order).await
    };
    assert_eq!(order(1).await.status, 201);
    shop.execute(&format!("UPDATE users SET email = 'ana.nova@example.com' WHERE id = '{}'", ana.id)).await;
    assert_eq!(order(2).await.slug(), "coupon-refused");
    let in_cart = ana.post("/api/cart/coupon", &json!({"code": "MIMO"})).await;
    assert_eq!(in_cart.body["detail"], "You have already used this coupon");
    shop.close().await;
}

#[actix_web::test]
async fn orders_at_once_that_share_an_email_or_an_account_use_a_coupon_no_more_often_than_it_says() {
    let shop = Shop::open().await;
    coupon(&shop, 2).await;
    let shirt = shop.product("Camiseta").stock(100).create().await;
    let guests = join_all((0..10).map(|n| {
        let (shop, shirt) = (&shop, &shirt);
        async move { guest(shop, shirt, &cpf(n), "ana@example.com").await }
    }))
    .await;
    let answers = join_all(guests.iter().map(|guest| send(&shop, guest))).await;
    assert_eq!(statuses(&answers), [vec![201; 2], vec![409; 8]].concat());
    assert_eq!((shop.sql::<i32>("SELECT uses FROM coupons").await, shop.stock(&shirt).await), (2, 98));
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_that_frees_no_freight_is_not_spent() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    shop.offer_pickup().await;
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'FRETE', 'free_shipping', 0)").await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&shirt, 1)]).await; // the cheapest is pickup
    order["coupon"] = json!("FRETE");
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["coupon_code"], &placed.body["shipping_cents"]), (201, &Value::Null, &json!(0)));
    assert_eq!(shop.sql::<i32>("SELECT uses FROM coupons").await, 0);
    assert_eq!(shop.sql::<String>("SELECT shipping_provider FROM orders").await, "pickup");
    shop.close().await;
}
