//! Tracking events by webhook: in any order, forged, repeated, lost; and orders that are sent by hand.

use serde_json::{Value, json};
use vitrine::shipments;
use vitrine_kit::signature::hmac_sha256;
use vitrine_sandbox::{Delivery, Fault, FaultOrder, ParcelStep, Passage, SendWebhook};

use crate::shipments::{
    HOUR, SECRET, bought, is_told_whole, labelled, order_status, paid, rest, rest_ahead, set_company, settled, shop, shop_with,
    state,
};
use crate::shop::{Answer, Shop};

const PATH: &str = "/api/webhooks/melhorenvio";

fn tag(shop: &Shop) -> String {
    bought(shop)[0].tag.clone().unwrap()
}

fn go(shop: &Shop, step: ParcelStep, how: SendWebhook) {
    shop.control().move_parcel(&tag(shop), step, how).unwrap();
}

/// The last event of that name, as it was or would have been sent.
fn told(shop: &Shop, event: &str) -> Delivery {
    shop.control().deliveries().into_iter().rfind(|d| d.event == event).expect("it was told")
}

async fn send(shop: &Shop, signature: Option<&str>, body: &str) -> Answer {
    let mut request = shop.request("POST", PATH);
    if let Some(signature) = signature {
        request = request.header("X-ME-Signature", signature);
    }
    request.body("application/json", body.to_owned()).send().await
}

fn sign(body: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(hmac_sha256(SECRET.1.as_bytes(), body.as_bytes()))
}

async fn jobs(shop: &Shop, kind: &str) -> i64 {
    shop.sql(&format!("SELECT count(*) FROM jobs WHERE kind = '{kind}'")).await
}

/// The buyer's mails, by kind.
async fn mails(shop: &Shop) -> Vec<String> {
    shop.sql("SELECT coalesce(array_agg(kind ORDER BY id), '{}') FROM messages WHERE kind LIKE 'order%'").await
}

#[actix_web::test]
async fn the_carriers_word_ships_the_order_and_delivers_it_and_each_is_mailed_once() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Twice);
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), state(&shop, &order).await.as_str()), ("shipped", "posted"));
    let number: String = shop.sql("SELECT tracking_number FROM orders").await;
    assert_eq!(Some(number.clone()), bought(&shop)[0].tracking);
    go(&shop, ParcelStep::OutForDelivery, SendWebhook::Once);
    go(&shop, ParcelStep::Deliver, SendWebhook::Twice);
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), state(&shop, &order).await.as_str()), ("delivered", "delivered"));
    assert_eq!((jobs(&shop, "mail_order_shipped").await, jobs(&shop, "mail_order_delivered").await), (1, 1));
    assert_eq!(mails(&shop).await.iter().filter(|kind| *kind == "order_shipped").count(), 1);
    assert!(shop.sql::<bool>("SELECT delivered_at >= shipped_at FROM orders").await);

    let public = shop.get(&format!("/api/orders/tracking/{number}")).await;
    let steps: Vec<&str> =
        public.body["history"].as_array().unwrap().iter().map(|s| s["description"].as_str().unwrap()).collect();
    for said in ["Etiqueta emitida, aguardando postagem", "Objeto postado", "Objeto entregue ao destinatário", "Pedido entregue"]
    {
        assert_eq!(steps.iter().filter(|step| **step == said).count(), 1, "{said}: {steps:?}");
    }
    let text = public.body.to_string();
    for person in ["Ana", "Paulista", "52998224725", "@"] {
        assert!(!text.contains(person), "{text}");
    }
    let page = shop.http.get(format!("{}/tracking/{number}", shop.url)).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Objeto entregue ao destinatário"));
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn within_a_second_an_order_is_prepared_before_its_parcel_moves() {
    let shop = shop().await;
    labelled(&shop).await;
    // Carriers' times have whole seconds, so an event may seem earlier than the order.
    const SAME_SECOND: &str = "
        UPDATE shipment_events SET happened_at = (SELECT date_trunc('second', max(at)) FROM order_history WHERE to_state = 'processing')";
    assert_eq!(shop.execute(SAME_SECOND).await, 1);
    let number: String = shop.sql("SELECT number FROM orders").await;
    let public = shop.get(&format!("/api/orders/tracking/{number}")).await;
    let steps: Vec<Value> =
        public.body["history"].as_array().unwrap().iter().map(|step| json!([step["status"], step["code"]])).collect();
    let prepared = ["pending", "paid", "processing"].map(|status| json!([status, null]));
    assert_eq!(steps, [&prepared[..], &[json!(["parcel", "generated"])]].concat());
    shop.close().await;
}

#[actix_web::test]
async fn news_in_the_wrong_order_come_out_right() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Lost);
    let posted = told(&shop, "order.posted");
    go(&shop, ParcelStep::Deliver, SendWebhook::Once);
    rest(&shop).await;
    assert_eq!(order_status(&shop, &order).await, "delivered", "delivered says posted, too");
    assert_eq!(send(&shop, Some(&sign(&posted.body)), &posted.body).await.status, 200);
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), state(&shop, &order).await.as_str()), ("delivered", "delivered"));
    assert_eq!((jobs(&shop, "mail_order_shipped").await, jobs(&shop, "mail_order_delivered").await), (0, 1));
    let codes: Vec<String> = shop.sql("SELECT array_agg(code ORDER BY happened_at, id) FROM shipment_events").await;
    assert_eq!(codes, ["generated", "posted", "delivered"]);
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn forged_news_change_nothing_and_a_probe_is_let_pass() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Lost);
    let body = told(&shop, "order.posted").body;
    let right = sign(&body);
    let before = shop.row_counts().await;
    let hex = vitrine_kit::signature::hmac_sha256_hex(SECRET.1.as_bytes(), body.as_bytes());
    for (what, signature, body) in [
        ("empty", "", body.as_str()),
        ("in hex", hex.as_str(), body.as_str()),
        ("cut short", &right[..20], body.as_str()),
        ("of another body", right.as_str(), "{}"),
        ("of a longer body", right.as_str(), &format!("{body} ")),
    ] {
        assert_eq!(send(&shop, Some(signature), body).await.status, 401, "{what}");
    }
    for body in ["", "{}", body.as_str()] {
        assert_eq!(send(&shop, None, body).await.status, 200, "their panel tries the address out");
    }
    for method in ["GET", "HEAD"] {
        let probe = shop.request(method, PATH).send().await;
        assert_eq!((probe.status, probe.bytes.as_slice()), (200, &b""[..]), "or so: {method}");
    }
    assert_eq!(shop.row_counts().await, before);
    assert_eq!(order_status(&shop, &order).await, "processing");
    let all = futures_util::future::join_all((0..5).map(|_| async { send(&shop, Some(&right), &body).await.status }));
    assert_eq!(all.await, [200; 5]);
    rest(&shop).await;
    let once: i64 = shop.sql("SELECT count(*) FROM webhook_events WHERE event = 'order.posted'").await;
    assert_eq!((once, jobs(&shop, "mail_order_shipped").await), (1, 1));
    shop.close().await;
}

#[actix_web::test]
async fn news_of_a_parcel_that_nobody_knows_are_kept_and_do_nothing() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    for body in [
        r#"{"event":"order.delivered","data":{"id":"nobody","tags":[{"tag":"no uuid"}]}}"#,
        r#"{"event":"order.delivered","data":{"id":"nobody","tags":[{"tag":"0192aaaa-0000-7000-8000-000000000001"}]}}"#,
        r#"{"strange":true}"#,
        "no JSON",
    ] {
        assert_eq!(send(&shop, Some(&sign(body)), body).await.status, 200, "{body}");
    }
    let outcomes: Vec<String> =
        shop.sql("SELECT array_agg(outcome) FROM webhook_events WHERE provider = 'melhorenvio' AND order_id IS NULL").await;
    assert_eq!(outcomes, ["unknown"; 4]);
    assert_eq!(order_status(&shop, &order).await, "processing");
    shop.close().await;
}

#[actix_web::test]
async fn a_kept_event_is_applied_again_by_an_operator_and_does_nothing_twice() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Once);
    rest(&shop).await;
    let id: uuid::Uuid = shop.sql("SELECT id FROM webhook_events WHERE event = 'order.posted'").await;
    let answer = shop.admin().await.post(&format!("/api/admin/webhooks/{id}/replay"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), jobs(&shop, "mail_order_shipped").await), ("shipped", 1));
    shop.close().await;
}

#[actix_web::test]
async fn a_parcel_whose_webhooks_were_all_lost_is_found_by_asking() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Lost);
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(order_status(&shop, &order).await, "processing", "it was heard of just now");
    shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await;
    shipments::track(&shop.app).await.unwrap();
    rest(&shop).await;
    assert_eq!(order_status(&shop, &order).await, "shipped");
    go(&shop, ParcelStep::Deliver, SendWebhook::Lost);
    shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await;
    for _ in 0..3 {
        shipments::track(&shop.app).await.unwrap();
    }
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), jobs(&shop, "mail_order_delivered").await), ("delivered", 1));
    assert_eq!(shop.control().calls_to("melhorenvio", "POST /melhorenvio/api/v2/me/shipment/tracking"), 2);
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_delivery_that_failed_is_told_to_the_shop_and_may_still_succeed() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Once);
    rest(&shop).await;
    go(&shop, ParcelStep::Return, SendWebhook::Twice);
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), state(&shop, &order).await.as_str()), ("shipped", "undelivered"));
    assert_eq!(shop.alerted().await, ["parcel-in-trouble 1"]);
    shop.control().send_parcel_webhook(&tag(&shop), "order.suspended", SendWebhook::Once).unwrap();
    rest(&shop).await;
    assert_eq!(shop.alerted().await, ["parcel-in-trouble 1", "parcel-in-trouble 1"], "each by itself");
    go(&shop, ParcelStep::Deliver, SendWebhook::Once);
    rest(&shop).await;
    assert_eq!(order_status(&shop, &order).await, "delivered");
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_label_that_was_cancelled_in_the_panel_is_told_and_bought_again_when_asked() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Cancel, SendWebhook::Once);
    rest(&shop).await;
    assert_eq!(
        (state(&shop, &order).await.as_str(), shop.alerted().await),
        ("cancelled", vec!["label-cancelled-elsewhere 1".to_owned()])
    );
    let answer = shop.admin().await.post(&format!("/api/admin/orders/{order}/label"), &json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    rest(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("generated", 1));
    shop.close().await;
}

#[actix_web::test]
async fn a_shop_without_the_secret_has_no_such_address_and_asks() {
    let shop = Shop::open().await;
    set_company(&shop).await;
    let order = labelled(&shop).await;
    assert_eq!(send(&shop, Some("x"), "{}").await.status, 404);
    go(&shop, ParcelStep::Post, SendWebhook::Once);
    shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await;
    shipments::track(&shop.app).await.unwrap();
    rest(&shop).await;
    assert_eq!(order_status(&shop, &order).await, "shipped");
    shop.close().await;
}

#[actix_web::test]
async fn an_order_that_is_sent_by_hand_needs_no_label_any_more() {
    let shop = shop().await;
    shop.control().set_label_balance(0);
    let order = paid(&shop).await;
    rest(&shop).await;
    assert_eq!(state(&shop, &order).await, "carted");
    let admin = shop.admin().await;
    let path = format!("/api/orders/{order}");
    let early = admin.patch(&format!("{path}/delivered"), &json!({})).await;
    assert_eq!((early.status, early.slug()), (409, "conflict"));
    for number in ["AA123456785BR", "AA123456799BR"] {
        let sent = admin.patch(&format!("{path}/tracking"), &json!({"tracking_number": number, "carrier": "Correios"})).await;
        assert_eq!((sent.status, &sent.body["status"]), (200, &json!("shipped")));
    }
    shop.control().set_label_balance(1_000_000);
    rest(&shop).await;
    rest_ahead(&shop).await;
    assert_eq!((state(&shop, &order).await.as_str(), bought(&shop).len()), ("cancelled", 0));
    for _ in 0..2 {
        let arrived = admin.patch(&format!("{path}/delivered"), &json!({})).await;
        assert_eq!((arrived.status, &arrived.body["status"]), (200, &json!("delivered")), "{}", arrived.body);
    }
    rest(&shop).await;
    assert_eq!(jobs(&shop, "mail_order_delivered").await, 1);
    assert_eq!(shop.customer().await.patch(&format!("{path}/delivered"), &json!({})).await.status, 403);
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn an_order_that_is_fetched_is_delivered_without_a_number() {
    let shop = shop().await;
    shop.offer_pickup().await;
    let order = paid(&shop).await;
    let arrived = shop.admin().await.patch(&format!("/api/orders/{order}/delivered"), &json!({})).await;
    assert_eq!((arrived.status, &arrived.body["status"]), (200, &json!("delivered")), "{}", arrived.body);
    rest(&shop).await;
    assert_eq!(
        (bought(&shop).len(), jobs(&shop, "mail_order_shipped").await, jobs(&shop, "mail_order_delivered").await),
        (0, 0, 1)
    );
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

#[actix_web::test]
async fn tracking_that_fails_is_tried_again() {
    let shop = shop().await;
    let order = labelled(&shop).await;
    go(&shop, ParcelStep::Post, SendWebhook::Lost);
    shop.execute("UPDATE shipments SET heard_at = now() - interval '4 hours'").await;
    shop.control().next_calls("melhorenvio", vitrine_sandbox::Fault::Status(500), 3);
    let again = shipments::track(&shop.app).await.unwrap();
    assert!(matches!(again, vitrine::jobs::Outcome::Again(at) if at < jiff::Timestamp::now() + HOUR));
    assert_eq!(order_status(&shop, &order).await, "processing");
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(order_status(&shop, &order).await, "shipped");
    settled(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn correios_are_asked_about_what_was_posted_by_hand() {
    let shop = shop_with(&[("SHIPPING_PROVIDER", "melhorenvio,correios")]).await;
    shop.execute("INSERT INTO settings (name, value) VALUES ('shipping', '{\"handling_days\": 0, \"labels\": \"by_hand\"}')")
        .await;
    let order = paid(&shop).await;
    let path = format!("/api/orders/{order}/tracking");
    let sent = shop.admin().await.patch(&path, &json!({"tracking_number": "AA123456785BR", "carrier": "Correios"})).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(order_status(&shop, &order).await, "shipped", "they do not know it yet");
    let happens = |code: &str, description: &str| {
        let passage = json!({"codigo": code, "tipo": "01", "descricao": description, "cidade": "São Paulo", "uf": "SP"});
        shop.control().pass("AA123456785BR", serde_json::from_value::<Passage>(passage).unwrap());
    };
    happens("PO", "Objeto postado");
    happens("LDI", "Objeto aguardando retirada");
    for _ in 0..2 {
        shop.execute("UPDATE orders SET tracked_at = now() - interval '4 hours'").await;
        shipments::track(&shop.app).await.unwrap();
    }
    assert_eq!(shop.alerted().await, ["parcel-in-trouble 1"]);
    happens("BDE", "Objeto entregue ao destinatário");
    shop.execute("UPDATE orders SET tracked_at = now() - interval '4 hours'").await;
    shipments::track(&shop.app).await.unwrap();
    rest(&shop).await;
    assert_eq!((order_status(&shop, &order).await.as_str(), jobs(&shop, "mail_order_delivered").await), ("delivered", 1));
    let public = shop.get("/api/orders/tracking/AA123456785BR").await;
    let places: Vec<_> = public.body["history"].as_array().unwrap().iter().filter_map(|step| step["place"].as_str()).collect();
    assert_eq!(places, ["São Paulo / SP"; 3]);
    let calls = shop.control().calls("correios");
    shop.execute("UPDATE orders SET tracked_at = now() - interval '4 hours'").await;
    shipments::track(&shop.app).await.unwrap();
    assert_eq!(shop.control().calls("correios"), calls, "what arrived is not asked about");
    is_told_whole(&shop, &order).await;
    shop.close().await;
}

/// Every answer to our own calls was lost; only webhooks came, which have no price.
#[actix_web::test]
async fn a_parcel_that_left_before_its_purchase_was_known_has_a_price_and_is_told_if_nobody_wants_it_any_more() {
    for is_wanted in [true, false] {
        let shop = shop().await;
        let order = labelled(&shop).await;
        shop.execute("UPDATE shipments SET price_cents = NULL, label_url = NULL").await;
        if !is_wanted {
            let request = shop.admin().await.request("POST", &format!("/api/orders/{order}/refund"));
            let refund = request.header("Idempotency-Key", "volta").json(&json!({"reason": "desistiu"})).send().await;
            assert_eq!(refund.status, 201, "{}", refund.body);
            shop.control().next_calls("melhorenvio", Fault::Status(503), 10); // the cancellation comes too late
            rest(&shop).await;
            shop.control().clear_faults();
        }
        go(&shop, ParcelStep::Post, SendWebhook::Once);
        rest(&shop).await;
        rest_ahead(&shop).await;
        shop.execute("UPDATE shipments SET heard_at = now() - interval '20 minutes'").await;
        shipments::track(&shop.app).await.unwrap();
        let price: Option<i64> = shop.sql("SELECT price_cents FROM shipments").await;
        assert_eq!((state(&shop, &order).await.as_str(), price), ("posted", Some(bought(&shop)[0].price_cents)));
        let expected = if is_wanted { vec![] } else { vec!["parcel-of-ended-order 1", "label-stranded 1"] };
        let is_of_order = |alert: &String| !alert.starts_with("job-dead");
        let told: Vec<String> = shop.alerted().await.into_iter().filter(is_of_order).collect();
        assert_eq!(told, expected);
        assert_eq!(shop.sql::<bool>("SELECT error IS NULL FROM shipments").await, is_wanted);
        is_told_whole(&shop, &order).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_label_that_they_will_not_show_keeps_no_other_from_its_price() {
    let shop = shop().await;
    for _ in 0..2 {
        labelled(&shop).await;
    }
    shop.execute("UPDATE shipments SET price_cents = NULL, heard_at = now() - interval '20 minutes'").await;
    let first: String = shop.sql("SELECT provider_ref FROM shipments ORDER BY id LIMIT 1").await;
    shop.execute(
        "UPDATE shipments SET heard_at = now() - interval '1 hour' WHERE id = (SELECT id FROM shipments ORDER BY id LIMIT 1)",
    )
    .await;
    let hidden = FaultOrder { provider: "melhorenvio".into(), fault: Fault::Status(403), count: 10, path_contains: Some(first) };
    shop.control().order_fault(hidden).unwrap();
    shipments::track(&shop.app).await.unwrap();
    let known: Vec<bool> = shop.sql("SELECT array_agg(price_cents IS NOT NULL ORDER BY id) FROM shipments").await;
    assert_eq!(known, [false, true]);
    shop.close().await;
}
