//! One Idempotency-Key from fifty connections at once: one effect and one answer; the others get the same answer or 409.

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine_sandbox::Pay;

use crate::shop::{Answer, Customer, Shop};

const TWINS: usize = 50;

async fn all_at_once(who: &Customer<'_>, path: &str, key: &str, body: &Value) -> Vec<Answer> {
    join_all((0..TWINS).map(|_| who.request("POST", path).header("Idempotency-Key", key).json(body).send())).await
}

/// All successes are the same answer, and the rest are 409. One more request gets the first answer.
async fn one_answer(who: &Customer<'_>, path: &str, key: &str, body: &Value, status: u16) -> Value {
    let answers = all_at_once(who, path, key, body).await;
    let (good, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == status);
    assert!(!good.is_empty());
    assert_eq!(good.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(), 1, "one did it");
    assert!(busy.iter().all(|answer| answer.status == 409), "{:?}", busy.iter().map(|a| a.status).collect::<Vec<_>>());
    for answer in &good {
        assert_eq!(answer.body, good[0].body);
    }
    let again = who.request("POST", path).header("Idempotency-Key", key).json(body).send().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (status, Some("true")));
    assert_eq!(again.body, good[0].body);
    good[0].body.clone()
}

#[actix_web::test]
async fn fifty_twins_of_an_order_a_payment_and_a_refund_do_each_once() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let shirt = shop.product("Camiseta").stock(10).create().await;
    let order = ana.order_for(&[(&shirt, 2)]).await;
    let placed = one_answer(&ana, "/api/orders", "pedido-1", &order, 201).await;
    assert_eq!(shop.stock(&shirt).await, 8);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, 1);

    let path = format!("/api/orders/{}", placed["id"].as_str().unwrap());
    let paid = one_answer(&ana, &format!("{path}/pay"), "pagar-1", &json!({"method": "pix"}), 200).await;
    assert_eq!(shop.control().charges().len(), 1);
    assert_eq!(shop.control().charges()[0].payment_id, paid["payment_id"].as_str().unwrap());

    shop.control().pay(Pay::of(placed["id"].as_str().unwrap())).unwrap();
    assert!(shop.control().settled(std::time::Duration::from_secs(20)).await);
    let ask = json!({"amount_cents": 100, "reason": "Avaria"});
    one_answer(&admin, &format!("{path}/refund"), "devolver-1", &ask, 201).await;
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM refunds").await, 1);
    shop.drain_ahead(jiff::SignedDuration::from_secs(3)).await;
    assert_eq!(shop.control().refunds().len(), 1);
    let other = admin.request("POST", &format!("{path}/refund")).header("Idempotency-Key", "devolver-1");
    assert_eq!(other.json(&json!({"amount_cents": 101, "reason": "Avaria"})).send().await.status, 422, "another body");
    shop.close().await;
}

/// What is kept under keys, as text.
async fn kept(shop: &Shop) -> String {
    shop.sql("SELECT string_agg(convert_from(body, 'UTF8'), ' ') FROM idempotency_keys").await
}

#[actix_web::test]
async fn the_first_answer_comes_again_to_the_byte_though_no_capability_is_kept() {
    let shop = Shop::open().await;
    let (shirt, mug) = (shop.product("Camiseta").create().await, shop.product("Caneca").create().await);
    let items = [(&shirt, 2), (&mug, 1)];
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'DEZ', 'percent', 10)").await;
    let (cart, mut order) = (shop.guest_cart(&items).await, shop.guest_order(&items, crate::shop::CPF).await);
    order["coupon"] = json!("DEZ");
    let place = || {
        let request = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart);
        request.header("Idempotency-Key", "pedido").json(&order).send()
    };
    let first = place().await;
    assert_eq!(first.status, 201, "{}", first.body);
    let token = first.body["access_token"].as_str().unwrap().to_owned();
    let in_table = kept(&shop).await;
    assert!(!in_table.contains(&token), "a copy of the table opens no order");
    assert!(in_table.len() * 3 < first.bytes.len() * 2, "{} of {} bytes are kept", in_table.len(), first.bytes.len());

    // Paying by PIX changes the price, the lines' shares of it, the method and the clock.
    let five = json!({"pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 5}}});
    assert_eq!(shop.admin().await.put("/api/admin/settings/payment_methods", &five).await.status, 200);
    let path = format!("/api/orders/{}", first.body["id"].as_str().unwrap());
    let pay = || {
        let request = shop.request("POST", &format!("{path}/pay")).header("X-Order-Token", &token);
        request.header("Idempotency-Key", "pagar").json(&json!({"method": "pix"})).send()
    };
    let paying = pay().await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    let shown = shop.request("GET", &path).header("X-Order-Token", &token).send().await.body;
    assert_ne!(shown["total_cents"], first.body["total_cents"]);
    let again = place().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(String::from_utf8(again.bytes).unwrap(), String::from_utf8(first.bytes).unwrap());

    let picture = paying.body["qr_code"].as_str().unwrap();
    assert!(picture.starts_with("data:image/png;base64,") && !kept(&shop).await.contains(picture));
    let again = pay().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.bytes, paying.bytes);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_that_waits_for_its_cart_sees_the_coupon_that_another_tab_sets_meanwhile() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").price(10_000).create().await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&shirt, 1)]).await;
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'DEZ', 'percent', 10)").await;
    let mut other_tab = shop.app.db().await.unwrap();
    let tab = other_tab.transaction().await.unwrap();
    tab.query("SELECT id FROM carts FOR UPDATE", &[]).await.unwrap();
    let other = async {
        const WAITING: &str =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while shop.sql::<i64>(WAITING).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        tab.execute("UPDATE carts SET coupon_id = (SELECT id FROM coupons)", &[]).await.unwrap();
        tab.commit().await.unwrap();
    };
    let (placed, ()) = futures_util::future::join(ana.post("/api/orders", &order), other).await;
    assert_eq!((placed.status, &placed.body["discount_cents"]), (201, &serde_json::json!(1_000)), "{}", placed.body);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM carts WHERE coupon_id IS NOT NULL").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_twin_of_an_order_is_told_at_once_though_the_first_one_waits() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&shirt, 1)]).await;
    let place = || ana.request("POST", "/api/orders").header("Idempotency-Key", "gemeos").json(&order).send();
    let mut other_tab = shop.app.db().await.unwrap();
    let tab = other_tab.transaction().await.unwrap();
    tab.query("SELECT id FROM carts FOR UPDATE", &[]).await.unwrap();
    let twin = async {
        const WAITING: &str =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while shop.sql::<i64>(WAITING).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let told =
            tokio::time::timeout(std::time::Duration::from_secs(20), place()).await.expect("while the first one still waits");
        assert_eq!((told.status, told.slug(), told.header("retry-after")), (409, "idempotency-key-in-flight", Some("1")));
        assert_eq!(shop.sql::<i64>(WAITING).await, 1, "it did not queue behind the first one");
        tab.rollback().await.unwrap();
    };
    let (first, ()) = futures_util::future::join(place(), twin).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let again = place().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_lease_is_by_the_databases_clock() {
    let shop = Shop::open().await;
    let claim = vitrine::http::idempotency::Claim { scope: "s".into(), key: "k".into(), fingerprint: vec![1] };
    assert!(claim.lease(&shop.app.db().await.unwrap()).await.unwrap().is_none());
    let exact = "SELECT lease_until = created_at + interval '15 seconds' FROM idempotency_keys";
    assert!(shop.sql::<bool>(exact).await, "both are the time at which its statement began");
    shop.execute("UPDATE idempotency_keys SET lease_until = now()").await;
    assert!(claim.lease(&shop.app.db().await.unwrap()).await.unwrap().is_none(), "it ran out: another takes over");
    assert!(shop.sql::<bool>("SELECT lease_until > now() + interval '10 seconds' FROM idempotency_keys").await);
    claim.release(&shop.app.db().await.unwrap()).await.unwrap();
    shop.close().await;
}
