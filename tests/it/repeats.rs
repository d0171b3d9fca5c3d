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
