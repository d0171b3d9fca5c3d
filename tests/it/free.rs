//! Orders that cost nothing: paid as they are placed, without a payment, and with nothing left of them once they have ended.

use serde_json::{Value, json};
use vitrine::audit;

use crate::goods::come_back;
use crate::shop::{Customer, Shop};

async fn shop() -> Shop {
    let shop = Shop::open().await;
    shop.offer_pickup().await;
    shop.execute("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'TUDO', 'percent', 100)").await;
    shop
}

/// Places such an order; its id.
async fn free_order(shop: &Shop, ana: &Customer<'_>) -> String {
    let shirt = shop.product("Camiseta").create().await;
    let mut order = ana.order_for(&[(&shirt, 2)]).await; // the cheapest is pickup
    order["coupon"] = json!("TUDO");
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["total_cents"]), (201, &json!(0)), "{}", placed.body);
    assert_eq!(states(&placed.body), ["processing", "paid"]);
    placed.body["id"].as_str().unwrap().to_owned()
}

fn states(order: &Value) -> [&str; 2] {
    ["status", "payment_status"].map(|field| order[field].as_str().unwrap_or("?"))
}

/// What its history tells of its money.
async fn money(shop: &Shop) -> String {
    shop.sql("SELECT string_agg(to_state, ' ' ORDER BY id) FROM order_history WHERE subject = 'payment_status'").await
}

#[actix_web::test]
async fn an_order_that_cost_nothing_is_refunded_once_it_is_cancelled() {
    let shop = shop().await;
    let ana = shop.customer().await;
    let order = free_order(&shop, &ana).await;
    for _ in 0..2 {
        let cancelled = ana.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await;
        assert_eq!((cancelled.status, states(&cancelled.body)), (200, ["cancelled", "refunded"]), "{}", cancelled.body);
    }
    assert_eq!(money(&shop).await, "paid refunded");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM refunds").await, 0, "there was no money");
    // The table says so too, and where it did not, the audit.
    let db = shop.app.db().await.unwrap();
    let paid = "UPDATE orders SET payment_status = 'paid'";
    assert!(db.batch_execute(paid).await.unwrap_err().as_db_error().unwrap().constraint() == Some("orders_sound"));
    db.batch_execute(&format!("BEGIN; ALTER TABLE orders DROP CONSTRAINT orders_sound; {paid}")).await.unwrap();
    let rules: Vec<_> = audit::violations(&db).await.unwrap().into_iter().map(|violation| violation.rule).collect();
    assert!(rules.contains(&"an-orders-states-fit-together"), "{rules:?}");
    db.batch_execute("ROLLBACK").await.unwrap();
    drop(db);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_that_cost_nothing_is_refunded_once_all_of_it_came_back() {
    let shop = shop().await;
    let ana = shop.customer().await;
    let order = free_order(&shop, &ana).await;
    let fetched = shop.admin().await.patch(&format!("/api/orders/{order}/delivered"), &json!({})).await;
    assert_eq!((fetched.status, states(&fetched.body)), (200, ["delivered", "paid"]), "{}", fetched.body);
    let line: uuid::Uuid = shop.sql("SELECT id FROM order_lines").await;
    let one = json!({"reason": "uma", "restock_items": [{"line_id": line, "quantity": 1}]});
    assert_eq!(come_back(&shop, &order, &one).await.status, 201);
    assert_eq!(states(&ana.get(&format!("/api/orders/{order}")).await.body), ["delivered", "paid"], "a part is not the whole");
    assert_eq!(come_back(&shop, &order, &json!({"reason": "a outra", "restock": true})).await.status, 201);
    assert_eq!(states(&ana.get(&format!("/api/orders/{order}")).await.body), ["returned", "refunded"]);
    assert_eq!(money(&shop).await, "paid refunded");
    shop.close().await;
}
