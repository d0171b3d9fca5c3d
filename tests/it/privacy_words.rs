//! What people wrote about an order's money and its parcel goes with its buyer.

use std::time::Duration;

use serde_json::json;

use crate::seller::buys;
use crate::shop::{CPF, Shop};

/// Where a text of the person stands.
async fn places(shop: &Shop) -> Vec<String> {
    const FOUND: &str = "
        SELECT coalesce(array_agg(place ORDER BY place), '{}') FROM (
            SELECT 'refunds.reason' AS place, reason AS words FROM refunds
            UNION ALL SELECT 'refunds.note', note FROM refunds
            UNION ALL SELECT 'disputes.note', note FROM disputes
            UNION ALL SELECT 'shipments.error', error FROM shipments
            UNION ALL SELECT 'shipments.label_url', label_url FROM shipments) written
         WHERE words LIKE '%canario%'";
    shop.sql(FOUND).await
}

#[actix_web::test]
async fn what_was_written_about_a_refund_a_dispute_and_a_label_goes_with_the_person() {
    let shop = Shop::open().await;
    let ware = shop.ware("SKU-1", 5_000).await;
    let order = buys(&shop, &[(&ware, 1)]).await;
    shop.pays(&order).await;
    let admin = shop.admin().await;
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    for (step, body) in [("tracking", tracking), ("delivered", json!({}))] {
        assert_eq!(admin.patch(&format!("/api/orders/{order}/{step}"), &body).await.status, 200, "{step}");
    }
    let refund = json!({"reason": "canario se arrependeu"});
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &refund).await.status, 201);
    shop.drain().await;
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    shop.drain().await;
    // What a provider and another administrator wrote.
    shop.execute(
        "INSERT INTO disputes (id, payment_id, order_id, provider, provider_ref, stage, state, note, closed_at, closed_by)
         SELECT gen_random_uuid(), id, order_id, provider, 'planted', 'inquiry', 'closed', 'canario confirmou', now(), 'admin:1' FROM payments",
    )
    .await;
    shop.execute(
        "INSERT INTO shipments (id, order_id, provider, service_code, status, label_url, error)
         SELECT gen_random_uuid(), id, 'melhorenvio', '1', 'cancelled', 'https://etiqueta.example/canario', 'canario: rua inválida' FROM orders",
    )
    .await;
    shop.execute(
        "UPDATE refunds SET paid_otherwise_at = now(), paid_otherwise_by = 'admin:1', note = 'canario recebeu por TED' WHERE status = 'done'",
    )
    .await;
    let all = ["disputes.note", "refunds.note", "refunds.reason", "shipments.error", "shipments.label_url"];
    assert_eq!(places(&shop).await, all, "else its absence proves nothing");
    let erased = admin.post("/api/admin/guests/erase", &json!({"cpf": CPF})).await;
    assert_eq!((erased.status, &erased.body["orders"]), (200, &json!(1)), "{}", erased.body);
    assert_eq!(places(&shop).await, Vec::<String>::new());
    // What was planted is nothing that happened.
    shop.execute("UPDATE refunds SET paid_otherwise_at = NULL, paid_otherwise_by = NULL, note = NULL").await;
    shop.execute("DELETE FROM disputes").await;
    shop.execute("DELETE FROM shipments WHERE provider_ref IS NULL").await;
    shop.close().await;
}
