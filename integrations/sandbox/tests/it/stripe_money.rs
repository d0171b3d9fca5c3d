use reqwest::Method;
use serde_json::{Value, json};
use vitrine_sandbox::{ChargeStatus, DisputeStatus, Pay, RefundStatus, SandboxConfig, SendWebhook};

use crate::harness::{LIMIT, Shop, Told, ask, sandbox, text};
use crate::stripe::code;

#[actix_web::test]
async fn refunds_never_exceed_what_was_paid() {
    let client = sandbox().await;
    let id = client.paid_intent("1000").await;
    let refund = |amount: &'static str| {
        let (client, id) = (&client, &id);
        let form = vec![("payment_intent", id.as_str()), ("amount", amount), ("reason", "requested_by_customer")];
        async move { ask(client.stripe(Method::POST, "/refunds").form(&form)).await }
    };
    let (status, first) = refund("400").await;
    assert_eq!((status, &first["status"], &first["amount"]), (200, &json!("succeeded"), &json!(400)));
    assert_eq!((&first["payment_intent"], &first["object"]), (&json!(id), &json!("refund")));
    assert_eq!(client.stripe_get(&format!("/refunds/{}", text(&first["id"]))).await.1, first);
    assert_eq!(code(&refund("601").await.1), "amount_too_large");
    assert_eq!(code(&refund("0").await.1), "parameter_invalid_integer");
    let (_, rest) = client.stripe_post("/refunds", &[("charge", &text(&first["charge"])), ("metadata[refund_id]", "r-2")]).await;
    assert_eq!(rest["amount"], 600);
    let (status, answer) = refund("1").await;
    assert_eq!((status, code(&answer)), (400, &json!("charge_already_refunded")));
    let (_, list) = client.stripe_get(&format!("/refunds?payment_intent={id}")).await;
    assert_eq!(list["data"], json!([rest, first]));
    assert_eq!(client.intent_status(&id).await, "succeeded");
    let (_, attempt) = client.stripe_get(&format!("/charges/{}", text(&first["charge"]))).await;
    assert_eq!((&attempt["amount_refunded"], &attempt["refunded"]), (&json!(1_000), &json!(true)));

    let control = client.sandbox.control();
    assert_eq!(control.charge(&id).map(|c| (c.status, c.refunded_cents)), Some((ChargeStatus::Refunded, 1_000)));
    assert_eq!(control.refunds()[1].refund_id, "r-2");
    let unpaid = client.intent("500").await;
    let (status, answer) = client.stripe_post("/refunds", &[("payment_intent", &unpaid)]).await;
    assert_eq!((status, code(&answer)), (400, &json!("payment_intent_unexpected_state")));
    assert_eq!(client.stripe_post("/refunds", &[("payment_intent", "pi_none")]).await.0, 404);
    assert_eq!(client.stripe_post("/refunds", &[]).await.0, 400);
}

/// Recomputed as the document says, all but the secret read from the header.
fn check_signature(told: &Told) {
    use hmac::{Hmac, KeyInit, Mac};
    let parts: Vec<(&str, &str)> = told.headers["stripe-signature"].split(',').filter_map(|part| part.split_once('=')).collect();
    let part = |name: &str| parts.iter().find(|(known, _)| *known == name).expect(name).1;
    let sign = |secret: &str| {
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("{}.{}", part("t"), told.body).as_bytes());
        hex::encode(mac.finalize().into_bytes())
    };
    let wanted = sign(&SandboxConfig::default().stripe_webhook_secret);
    assert_eq!(part("v1"), wanted);
    assert_ne!(part("v0"), wanted);
    let age = jiff::Timestamp::now().as_second() - part("t").parse::<i64>().expect("seconds");
    assert!((0..300).contains(&age), "{age}");
}

#[actix_web::test]
async fn the_life_of_a_card_payment_is_told_signed() {
    let (client, shop) = (sandbox().await, Shop::open());
    let control = client.sandbox.control();
    control.set_shop_url(&shop.url);
    let settle = || async { assert!(control.settled(LIMIT).await) };
    let (id, other) = (client.intent("1000").await, client.intent("500").await);
    control.decline(&id, "insufficient_funds").expect("open");
    settle().await;
    control.processing(&id).expect("open");
    settle().await;
    control.pay(Pay::of(&id)).expect("open");
    settle().await;
    client.stripe_post(&format!("/payment_intents/{other}/cancel"), &[]).await;
    settle().await;
    let (_, refund) = client.stripe_post("/refunds", &[("payment_intent", &id), ("amount", "400")]).await;
    settle().await;
    control.bounce_refund(&text(&refund["id"])).expect("done");
    settle().await;
    control.dispute(&id).expect("paid");
    settle().await;
    let (status, answer) = client.stripe_post("/refunds", &[("payment_intent", &id)]).await;
    assert_eq!((status, code(&answer)), (400, &json!("charge_disputed")));
    control.close_dispute(&id, DisputeStatus::Lost).expect("open");
    settle().await;

    let told = shop.told();
    told.iter().for_each(check_signature);
    assert!(told.iter().all(|one| one.path == "/api/webhooks/stripe"));
    let events: Vec<Value> = told.iter().map(Told::json).collect();
    let mut types: Vec<String> = events.iter().map(|event| text(&event["type"])).collect();
    types[4..7].sort(); // told at the same moment, and free to overtake
    types[7..9].sort();
    types[9..11].sort();
    assert_eq!(
        types,
        [
            "payment_intent.payment_failed",
            "payment_intent.processing",
            "payment_intent.succeeded",
            "payment_intent.canceled",
            "charge.refunded",
            "refund.created",
            "refund.updated",
            "refund.failed",
            "refund.updated",
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.closed",
        ]
    );
    let object = |name: &str| {
        let found = events.iter().rev().find(|event| event["type"] == name).expect(name);
        found["data"]["object"].clone()
    };
    assert_eq!(object("payment_intent.payment_failed")["last_payment_error"]["decline_code"], "insufficient_funds");
    assert_eq!(object("payment_intent.succeeded")["amount_received"], 1_000);
    assert_eq!(
        (&object("charge.refunded")["amount_refunded"], &object("charge.refunded")["refunded"]),
        (&json!(400), &json!(false))
    );
    assert_eq!(object("refund.failed")["status"], "failed");
    assert_eq!(
        (&object("charge.dispute.closed")["status"], &object("charge.dispute.closed")["amount"]),
        (&json!("lost"), &json!(1_000))
    );
    for event in &events {
        assert!(text(&event["id"]).starts_with("evt_"));
        assert_eq!((&event["object"], &event["livemode"]), (&json!("event"), &json!(false)));
        assert_eq!(event["api_version"], "2026-09-30.endive");
        assert_eq!(client.stripe_get(&format!("/events/{}", text(&event["id"]))).await, (200, event.clone()));
    }
    let (_, list) = client.stripe_get("/events?type=refund.updated").await;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
    let charge = control.charge(&id).expect("known");
    let dispute = control.disputes().remove(0);
    assert_eq!((dispute.status, charge.refunded_cents), (DisputeStatus::Lost, 0));
    assert_eq!((dispute.amount_cents, dispute.moved_cents), (1_000, vec![-1_000]));
    assert_eq!(client.stripe_get(&format!("/disputes/{}", dispute.id)).await.1["status"], "lost");
    assert_eq!(control.refunds()[0].status, RefundStatus::Failed);
}

#[actix_web::test]
async fn each_try_of_a_webhook_is_signed_anew_over_the_same_bytes() {
    let (client, shop) = (sandbox().await, Shop::open());
    shop.answer_next(&[500]);
    client.sandbox.set_shop_url(&shop.url);
    let id = client.paid_intent("100").await;
    let control = client.sandbox.control();
    assert!(control.settled(LIMIT).await);
    control.send_webhook(&id, "payment.paid", SendWebhook::Once).expect("known");
    assert!(control.settled(LIMIT).await);
    let told = shop.told();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|one| one.body == told[0].body));
    told.iter().for_each(check_signature);
    let kept = control.deliveries();
    assert!(kept.iter().all(|delivery| !delivery.headers.contains_key("stripe-signature")));
}

#[actix_web::test]
async fn cards_are_led_over_http() {
    let client = sandbox().await;
    let id = client.intent("1000").await;
    let post = |path: &str, body: Value| ask(client.call(Method::POST, &format!("/control{path}")).json(&body));
    let of = json!({"txid": id});
    let (_, declined) = post("/decline", json!({"txid": id, "code": "expired_card"})).await;
    assert_eq!(declined["card"]["decline"]["code"], "expired_card");
    assert_eq!(post("/processing", of.clone()).await.1["card"]["stage"], "processing");
    assert_eq!(post("/action", of.clone()).await.1["card"]["stage"], "action");
    assert_eq!(post("/dispute", of.clone()).await.0, 422);
    assert_eq!(post("/pay", of.clone()).await.1["status"], "paid");
    assert_eq!(post("/decline", of.clone()).await.0, 409);
    let (_, refund) =
        client.stripe_post("/refunds", &[("payment_intent", &id), ("amount", "1"), ("metadata[refund_id]", "r-1")]).await;
    assert_eq!(refund["status"], "succeeded");
    assert_eq!(post("/refunds/bounce", json!({"refund_id": "r-1"})).await.1["status"], "failed");
    assert_eq!(post("/dispute", of.clone()).await.1["status"], "needs_response");
    assert_eq!(post("/dispute/close", json!({"txid": id, "won": true})).await.1["status"], "won");
    assert_eq!(post("/dispute/close", json!({"txid": id, "won": true})).await.0, 422);
    let pix = client.charge(100).await;
    assert_eq!(post("/decline", json!({"payment_id": pix})).await.0, 422);
    let (_, books) = ask(client.call(Method::GET, "/control/books")).await;
    assert_eq!((&books["charges"][0]["provider"], &books["refunds"][0]["status"]), (&json!("stripe"), &json!("failed")));
}
