use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use vitrine_sandbox::{DeliveryState, Pay, Refused, SandboxConfig, SendWebhook};

use crate::harness::{LIMIT, Shop, ask, refund, sandbox, text};

fn events(shop: &Shop) -> Vec<String> {
    let event = |body: &str| text(&serde_json::from_str::<Value>(body).expect("JSON")["event"]);
    shop.told().iter().map(|told| event(&told.body)).collect()
}

/// Recomputed here from the raw body, with the documented default secret.
fn signature(body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let secret = SandboxConfig::default().propay_webhook_secret;
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[actix_web::test]
async fn a_payment_is_told_signed_with_every_documented_field() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let id = client.paid_charge(18_500).await;
    assert!(client.sandbox.control().settled(LIMIT).await);
    let [told] = shop.told().try_into().expect("one webhook");
    assert_eq!(told.path, "/api/webhooks/payment");
    assert_eq!(told.signature, signature(&told.body));
    let charge = client.sandbox.control().charge(&id).expect("it exists");
    let body: Value = serde_json::from_str(&told.body).expect("JSON");
    assert!(text(&body["id"]).starts_with("evt_"));
    for (field, value) in [
        ("event", json!("payment.paid")),
        ("payment_id", json!(id)),
        ("order_id", json!(charge.order_id)),
        ("txid", json!(charge.txid)),
        ("amount_cents", json!(18_500)),
        ("currency", json!("BRL")),
        ("end_to_end_id", json!(charge.end_to_end_id)),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
    assert!(text(&body["paid_at"]).parse::<jiff::Timestamp>().is_ok());
}

#[actix_web::test]
async fn a_webhook_is_tried_until_the_shop_takes_it() {
    let (client, shop) = (sandbox().await, Shop::open());
    shop.answer_next(&[500, 401]);
    client.sandbox.set_shop_url(&shop.url);
    client.paid_charge(100).await;
    assert!(client.sandbox.control().settled(LIMIT).await);
    let [delivery] = client.sandbox.control().deliveries().try_into().expect("one");
    assert_eq!(delivery.state, DeliveryState::Delivered);
    let statuses: Vec<_> = delivery.attempts.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [Some(500), Some(401), Some(200)]);
    let told = shop.told();
    assert_eq!(told.len(), 3);
    assert!(
        told.iter().all(|one| (&one.body, &one.signature) == (&told[0].body, &told[0].signature)),
        "the same bytes each time"
    );
}

#[actix_web::test]
async fn a_webhook_is_given_up_after_the_last_try() {
    let (client, shop) = (sandbox().await, Shop::open());
    shop.answer_next(&[500; 4]);
    client.sandbox.set_shop_url(&shop.url);
    client.paid_charge(100).await;
    assert!(client.sandbox.control().settled(LIMIT).await);
    assert_eq!(client.sandbox.control().deliveries()[0].state, DeliveryState::GivenUp);
    assert_eq!(shop.told().len(), 4);
}

#[actix_web::test]
async fn webhooks_wait_for_the_shops_address() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.paid_charge(100).await;
    assert_eq!(client.sandbox.control().deliveries()[0].state, DeliveryState::Pending);
    client.sandbox.set_shop_url(&shop.url);
    assert!(client.sandbox.control().settled(LIMIT).await);
    assert_eq!(events(&shop), ["payment.paid"]);
}

#[actix_web::test]
async fn a_webhook_is_doubled_lost_or_late_as_ordered() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let pay = |id: &str, how| control.pay(Pay::of(id).webhook(how)).expect("payable");

    let lost = client.charge(100).await;
    pay(&lost, SendWebhook::Lost);
    let late = client.charge(100).await;
    let wait = Duration::from_millis(300);
    let paid_at = pay(&late, SendWebhook::Late(wait)).paid_at.expect("paid");
    let twice = client.charge(100).await;
    pay(&twice, SendWebhook::Twice);
    assert!(control.settled(LIMIT).await);

    let of = |id: &str| {
        let bodies = shop.told().into_iter().map(|told| told.body);
        bodies.filter(|body| body.contains(id)).collect::<Vec<_>>()
    };
    assert_eq!(of(&lost), Vec::<String>::new());
    assert_eq!(of(&late).len(), 1);
    let [first, second] = of(&twice).try_into().expect("two");
    assert_eq!(first, second, "the same event");
    assert_eq!(control.charge(&lost).map(|c| c.status.name()), Some("paid"));
    let sent_at = control.deliveries().iter().find(|d| d.about == late).map(|d| d.attempts[0].at);
    assert!(sent_at.expect("sent").duration_since(paid_at).unsigned_abs() >= wait);
}

#[actix_web::test]
async fn expiry_void_and_refund_are_told_too() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = client.charge(100).await;
    control.expire(&id).expect("unpaid");
    assert!(control.settled(LIMIT).await);
    let id = client.charge(100).await;
    ask(client.propay(reqwest::Method::DELETE, &format!("/v1/payments/{id}"))).await;
    assert!(control.settled(LIMIT).await);
    let id = client.paid_charge(100).await;
    assert!(control.settled(LIMIT).await);
    let back = refund(60);
    ask(client.refund(&id, &back)).await;
    assert!(control.settled(LIMIT).await);
    assert_eq!(events(&shop), ["payment.expired", "payment.cancelled", "payment.paid", "refund.done"]);
    let last: Value = serde_json::from_str(&shop.told()[3].body).expect("JSON");
    assert_eq!((&last["refund_id"], &last["amount_cents"]), (&back["refund_id"], &json!(60)));
}

#[actix_web::test]
async fn an_event_sent_again_is_the_same_event() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = client.paid_charge(100).await;
    control.send_webhook(&id, "payment.paid", SendWebhook::Once).expect("known");
    control.send_webhook(&id, "payment.expired", SendWebhook::Once).expect("known"); // a lie, signed
    assert!(control.settled(LIMIT).await);
    let mut events = events(&shop);
    events.sort();
    assert_eq!(events, ["payment.expired", "payment.paid", "payment.paid"]);
    let deliveries = control.deliveries();
    assert_eq!(deliveries[0].body, deliveries[1].body);
    let unknown = control.send_webhook("none", "payment.paid", SendWebhook::Once);
    assert_eq!(unknown.err(), Some(Refused::NotFound));
}

#[actix_web::test]
async fn a_raw_webhook_goes_out_as_written_and_shows_the_answer() {
    let (client, shop) = (sandbox().await, Shop::open());
    let control = client.sandbox.control();
    let headers = BTreeMap::from([("x-propay-signature".to_owned(), "forged".to_owned())]);
    assert!(control.send_raw("/hook", &headers, "{}".into()).await.is_err()); // no shop yet
    client.sandbox.set_shop_url(&shop.url);
    shop.answer_next(&[401]);
    let answer = control.send_raw("/hook", &headers, "{}".into()).await.expect("a shop");
    assert_eq!((answer.status, answer.body.as_str()), (Some(401), r#"{"received":false}"#));
    let told = &shop.told()[0];
    assert_eq!((told.path.as_str(), told.signature.as_str(), told.body.as_str()), ("/hook", "forged", "{}"));
}
