//! Tracking by asking: one request that fails does not stop the others.

use serde_json::json;
use vitrine::shipments;
use vitrine_sandbox::{Fault, FaultOrder, ParcelStep, Passage, SendWebhook};

use crate::shipments::{bought, fault, labelled, order_status, paid, rest, shop, shop_with};

#[actix_web::test]
async fn a_batch_that_they_do_not_answer_keeps_the_parcels_behind_it_from_nothing() {
    let shop = shop().await;
    let (order, other) = (labelled(&shop).await, labelled(&shop).await);
    shop.control().move_parcel(&bought(&shop)[0].id, ParcelStep::Post, SendWebhook::Lost).unwrap();
    // As many as fit into one request, without events for longer.
    shop.execute(&format!(
        "INSERT INTO shipments (id, order_id, volume, provider, provider_ref, status, service_code, price_cents, heard_at)
         SELECT gen_random_uuid(), '{other}', n, 'melhorenvio', 'old-' || n, 'generated', '1', 1, now() - interval '5 hours' FROM generate_series(2, 51) n"
    ))
    .await;
    shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours' WHERE volume = 1").await;
    shop.control().order_fault(fault("shipment/tracking", Fault::Status(422), 1)).unwrap();
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(order_status(&shop, &order).await, "shipped");
    let silent = "SELECT count(*) FROM shipments WHERE heard_at < now() - interval '4 hours 30 minutes'";
    assert_eq!(shop.sql::<i64>(silent).await, 50);
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<i64>(silent).await, 0, "they are asked about in the next run");
    shop.execute("DELETE FROM shipments WHERE volume > 1").await;
    rest(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_price_that_is_missing_is_asked_for_though_its_parcel_was_silent_for_hours() {
    let shop = shop().await;
    labelled(&shop).await;
    let price: i64 = shop.sql("SELECT price_cents::bigint FROM shipments").await;
    shop.execute("UPDATE shipments SET price_cents = NULL, heard_at = now() - interval '4 hours'").await;
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<Option<i64>>("SELECT price_cents::bigint FROM shipments").await, Some(price));
    rest(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_batch_of_correios_that_fails_keeps_the_parcels_behind_it_from_nothing() {
    let shop = shop_with(&[("SHIPPING_PROVIDER", "melhorenvio,correios")]).await;
    shop.execute("INSERT INTO settings (name, value) VALUES ('shipping', '{\"handling_days\": 0, \"labels\": \"by_hand\"}')")
        .await;
    let mut orders = Vec::new();
    for number in ["AA123456785BR", "AA123456799BR"] {
        let order = paid(&shop).await;
        let body = json!({"tracking_number": number, "carrier": "Correios"});
        let sent = shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &body).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        orders.push(order);
    }
    let arrived =
        json!({"codigo": "BDE", "tipo": "01", "descricao": "Objeto entregue ao destinatário", "cidade": "São Paulo", "uf": "SP"});
    for number in ["AA123456785BR", "AA123456799BR"] {
        shop.control().pass(number, serde_json::from_value::<Passage>(arrived.clone()).unwrap());
    }
    // The result of one of them cannot be stored.
    shop.execute(&format!("ALTER TABLE shipment_events ADD CONSTRAINT broken CHECK (order_id <> '{}') NOT VALID", orders[0]))
        .await;
    shipments::track(&shop.app).await.unwrap();
    assert_eq!([order_status(&shop, &orders[0]).await, order_status(&shop, &orders[1]).await], ["shipped", "delivered"]);
    let asked: i64 = shop.sql("SELECT count(*) FROM orders WHERE tracked_at IS NOT NULL").await;
    assert_eq!(asked, 2, "each in its turn");
    shop.execute("ALTER TABLE shipment_events DROP CONSTRAINT broken").await;
    shop.execute("UPDATE orders SET tracked_at = now() - interval '4 hours'").await;
    let away = FaultOrder { provider: "correios".into(), fault: Fault::Status(500), count: 3, path_contains: None };
    shop.control().order_fault(away).unwrap();
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(order_status(&shop, &orders[0]).await, "shipped");
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(order_status(&shop, &orders[0]).await, "delivered");
    rest(&shop).await;
    shop.close().await;
}
