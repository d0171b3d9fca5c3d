use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::config::PixSettings;
use vitrine_kit::signature::hmac_sha256_hex;
use vitrine_sandbox::{Pay, SendWebhook};

use crate::shop::{Answer, Customer, Shop};

const PATH: &str = "/api/webhooks/payment";
const LIMIT: Duration = Duration::from_secs(20);

/// An order with a live charge.
struct Charged {
    order: String,
    payment: String,
    txid: String,
    total: i64,
}

async fn charged(customer: &Customer<'_>) -> Charged {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    let order = placed.body["id"].as_str().unwrap().to_owned();
    let paid = customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
    assert_eq!(paid.status, 200, "{}", paid.body);
    let field = |name: &str| paid.body[name].as_str().unwrap().to_owned();
    Charged { payment: field("payment_id"), txid: field("txid"), total: placed.body["total_cents"].as_i64().unwrap(), order }
}

impl Charged {
    /// As ProPay would send it.
    fn paid(&self, event_id: &str) -> Value {
        json!({"id": event_id, "event": "payment.paid", "created_at": Timestamp::now(), "payment_id": self.payment, "order_id": self.order,
               "txid": self.txid, "amount_cents": self.total, "currency": "BRL",
               "end_to_end_id": "E18236120202610011502s0266295234", "paid_at": Timestamp::now()})
    }
}

pub fn signature(shop: &Shop, body: &str) -> String {
    let PixSettings::ProPay(propay) = &shop.app.config.pix.providers[0] else { panic!("ProPay is the default") };
    hmac_sha256_hex(propay.incoming_secret.expose_secret().as_bytes(), body.as_bytes())
}

async fn deliver(shop: &Shop, event: &Value) -> Answer {
    let body = event.to_string();
    let signature = signature(shop, &body);
    send(shop, Some(&signature), body).await
}

async fn send(shop: &Shop, signature: Option<&str>, body: String) -> Answer {
    let request = shop.request("POST", PATH);
    let request = signature.map_or(shop.request("POST", PATH), |given| request.header("X-Propay-Signature", given));
    request.body("application/json", body).send().await
}

async fn payment_status(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT payment_status FROM orders WHERE id = '{order}'")).await
}

async fn outcome(shop: &Shop, event_id: &str) -> String {
    shop.sql(&format!("SELECT outcome FROM webhook_events WHERE event_id = '{event_id}'")).await
}

#[actix_web::test]
async fn what_is_not_signed_leaves_no_trace() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let charge = charged(&ana).await;
    let body = charge.paid("evt_forged").to_string();
    let right = signature(&shop, &body);
    let other_key = hmac_sha256_hex(b"another secret", body.as_bytes());
    let before = shop.row_counts().await;
    let altered = body.replace(&charge.total.to_string(), "1");
    let attempts = [
        (None, body.clone()),
        (Some(""), body.clone()),
        (Some("sha256="), body.clone()),
        (Some(&right[..62]), body.clone()),
        (Some(other_key.as_str()), body.clone()),
        (Some("zz"), body.clone()),
        (Some(right.as_str()), altered),
        (Some(right.as_str()), format!("{body} ")),
        (Some(right.as_str()), String::new()),
    ];
    for (signature, body) in attempts {
        let answer = send(&shop, signature, body).await;
        assert_eq!((answer.status, answer.slug()), (401, "bad-signature"), "{signature:?}");
    }
    assert_eq!(shop.row_counts().await, before);
    assert_eq!(payment_status(&shop, &charge.order).await, "pending_payment");
    // The same body with a right signature is accepted.
    assert_eq!(send(&shop, Some(&right), body).await.body, json!({"received": true}));
    assert_eq!(payment_status(&shop, &charge.order).await, "paid");
    shop.close().await;
}

#[actix_web::test]
async fn the_same_event_many_times_at_once_has_one_effect() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let charge = charged(&ana).await;
    let event = charge.paid("evt_1");
    let answers = futures_util::future::join_all((0..8).map(|_| deliver(&shop, &event))).await;
    assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [200; 8]);
    let after = shop.row_counts().await;
    assert_eq!(deliver(&shop, &event).await.status, 200);
    // Another event about the same payment changes nothing either, but is kept.
    assert_eq!(deliver(&shop, &charge.paid("evt_2")).await.status, 200);
    let moved: Vec<_> =
        shop.row_counts().await.into_iter().zip(after).filter(|(now, then)| now != then).map(|(now, _)| now.0).collect();
    assert_eq!(moved, ["webhook_events"]);
    assert_eq!(outcome(&shop, "evt_2").await, "already done");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM money_movements").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn news_of_a_surplus_that_is_in_the_books_alert_nobody_again() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let charge = charged(&ana).await;
    let paid = shop.control().pay(Pay::of(&charge.order).amount_cents(123)).unwrap();
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    shop.drain_ahead(SignedDuration::from_secs(3)).await; // the books are asked, and the money goes back
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    let alerted = shop.alerted().await;
    assert_eq!(alerted, ["payment-differs 1", "surplus 1"]);
    let mut again = charge.paid("evt_again");
    (again["amount_cents"], again["end_to_end_id"]) = (json!(123), json!(paid.end_to_end_id));
    assert_eq!(deliver(&shop, &again).await.status, 200);
    assert_eq!(outcome(&shop, "evt_again").await, "already done");
    assert_eq!(shop.alerted().await, alerted);
    let mut other = charge.paid("evt_other");
    other["amount_cents"] = json!(124);
    assert_eq!(deliver(&shop, &other).await.status, 200);
    assert_eq!(outcome(&shop, "evt_other").await, "mismatch");
    assert_eq!(shop.alerted().await, ["payment-differs 2", "surplus 1"]);
    let text: String = shop.sql("SELECT text FROM alerts WHERE key LIKE 'payment-differs:%'").await;
    assert!(text.ends_with("O que já foi baixado não mudou."), "{text}");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM money_movements WHERE kind = 'capture'").await, 1);
    shop.drain_ahead(SignedDuration::from_secs(3)).await;
    shop.close().await;
}

#[actix_web::test]
async fn news_that_do_not_fit_the_charge_move_nothing() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (charge, other) = (charged(&ana).await, charged(&ana).await);
    let changes =
        [("amount_cents", json!(1)), ("currency", json!("USD")), ("order_id", json!(other.order)), ("txid", json!(other.txid))];
    for (field, value) in changes {
        let mut event = charge.paid(&format!("evt_{field}"));
        event[field] = value;
        assert_eq!(deliver(&shop, &event).await.status, 200);
        assert_eq!(outcome(&shop, &format!("evt_{field}")).await, "mismatch", "{field}");
    }
    assert_eq!(payment_status(&shop, &charge.order).await, "pending_payment");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM money_movements").await, 0);
    assert_eq!(shop.alerted().await, ["payment-differs 4"], "one for the payment");
    assert_eq!(deliver(&shop, &charge.paid("evt_right")).await.status, 200);
    assert_eq!(payment_status(&shop, &charge.order).await, "paid");
    shop.close().await;
}

#[actix_web::test]
async fn the_unknown_is_kept_for_the_operator() {
    let shop = Shop::open().await;
    let stranger =
        json!({"id": "evt_a", "event": "payment.paid", "payment_id": Uuid::now_v7(), "amount_cents": 1, "currency": "BRL"});
    let strange_type = json!({"id": "evt_b", "event": "payment.blessed"});
    for event in [&stranger, &strange_type] {
        assert_eq!(deliver(&shop, event).await.status, 200);
    }
    let noise = "not even json \u{0}";
    assert_eq!(send(&shop, Some(&signature(&shop, noise)), noise.into()).await.status, 200);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM webhook_events WHERE outcome = 'unknown' AND body = ''").await, 3);
    let admin = shop.admin().await;
    let list = admin.get("/api/admin/webhooks?outcome=unknown&limit=2").await;
    assert_eq!((list.body["total"].as_i64(), list.body["items"].as_array().unwrap().len()), (Some(3), 2));
    let next = format!("/api/admin/webhooks?outcome=unknown&limit=2&cursor={}", list.body["next_cursor"].as_str().unwrap());
    let rest = admin.get(&next).await;
    assert_eq!((rest.body["items"].as_array().unwrap().len(), &rest.body["next_cursor"]), (1, &Value::Null));
    shop.close().await;
}

#[actix_web::test]
async fn paid_beats_expired_in_any_order() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (early, late) = (charged(&ana).await, charged(&ana).await);
    let expired = |of: &Charged, id: &str| json!({"id": id, "event": "payment.expired", "created_at": Timestamp::now(), "payment_id": of.payment});
    deliver(&shop, &expired(&early, "e1")).await;
    assert_eq!(outcome(&shop, "e1").await, "applied");
    deliver(&shop, &early.paid("e2")).await;
    deliver(&shop, &late.paid("l1")).await;
    deliver(&shop, &expired(&late, "l2")).await;
    assert_eq!(outcome(&shop, "l2").await, "ignored");
    assert_eq!(payment_status(&shop, &early.order).await, "paid");
    assert_eq!(payment_status(&shop, &late.order).await, "paid");
    shop.close().await;
}

#[actix_web::test]
async fn an_old_event_is_only_a_hint() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let charge = charged(&ana).await;
    let mut event = charge.paid("evt_old");
    event["created_at"] = json!(Timestamp::now() - SignedDuration::from_hours(24 * 8));
    assert_eq!(deliver(&shop, &event).await.status, 200);
    assert_eq!(outcome(&shop, "evt_old").await, "hint");
    shop.drain().await; // the provider is asked and contradicts the webhook
    assert_eq!(payment_status(&shop, &charge.order).await, "pending_payment");
    shop.close().await;
}

#[actix_web::test]
async fn a_replayed_event_does_its_effect_once() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let charge = charged(&ana).await;
    shop.control().pay(Pay::of(&charge.order).webhook(SendWebhook::Once)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    let id: Uuid = shop.sql("SELECT id FROM webhook_events").await;
    let path = format!("/api/admin/webhooks/{id}/replay");
    assert_eq!(ana.post(&path, &json!({})).await.slug(), "forbidden");
    let answer = admin.post(&path, &json!({})).await;
    assert_eq!((answer.status, answer.body["outcome"].as_str()), (200, Some("already done")), "{}", answer.body);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM money_movements").await, 1);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM audit_log WHERE action = 'webhook.replay'").await, 1);
    assert_eq!(admin.post(&format!("/api/admin/webhooks/{}/replay", Uuid::now_v7()), &json!({})).await.slug(), "not-found");
    shop.close().await;
}

/// What the inbox has kept of all events.
async fn bodies(shop: &Shop) -> String {
    shop.sql("SELECT coalesce(string_agg(convert_from(body, 'UTF8'), ' ' ORDER BY id), '') FROM webhook_events").await
}

#[actix_web::test]
async fn of_an_event_only_what_reading_it_again_needs_is_kept_and_that_for_ninety_days() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let charge = charged(&ana).await;
    let mut event = charge.paid("evt_1");
    event["payer"] = json!({"name": "Canario Nome", "tax_id": "52998224725", "email": "canario@example.com"});
    assert_eq!(deliver(&shop, &event).await.status, 200);
    assert_eq!(payment_status(&shop, &charge.order).await, "paid");
    let kept = bodies(&shop).await;
    assert!(
        kept.contains(&charge.payment) && !kept.to_lowercase().contains("canario") && !kept.contains("52998224725"),
        "{kept}"
    );
    let id: Uuid = shop.sql("SELECT id FROM webhook_events").await;
    let path = format!("/api/admin/webhooks/{id}/replay");
    let replay = || admin.request("POST", &path).json(&json!({})).send();
    assert_eq!(replay().await.body["outcome"], "already done", "it is read again without them");

    shop.execute("UPDATE webhook_events SET received_at = now() - interval '89 days'").await;
    vitrine::purge::purge(&shop.app).await.unwrap();
    assert_eq!(bodies(&shop).await, kept);
    shop.execute("UPDATE webhook_events SET received_at = now() - interval '91 days'").await;
    vitrine::purge::purge(&shop.app).await.unwrap();
    assert_eq!((bodies(&shop).await.as_str(), outcome(&shop, "evt_1").await.as_str()), ("", "already done"));
    let listed = admin.get("/api/admin/webhooks").await.body;
    assert_eq!((&listed["items"][0]["event_id"], &listed["items"][0]["body"]), (&json!("evt_1"), &Value::Null));
    let late = replay().await;
    assert_eq!((late.status, late.slug()), (409, "conflict"));
    assert_eq!(deliver(&shop, &event).await.status, 200, "and a repeat is still one");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM webhook_events").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn events_that_name_nothing_of_ours_leave_no_body_and_not_more_than_a_hundred_rows_an_hour() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let strange = |n: u32| json!({"id": format!("evt_{n}"), "event": "payment.expired", "payment_id": Uuid::now_v7()});
    for n in 0..110 {
        assert_eq!(deliver(&shop, &strange(n)).await.status, 200);
    }
    let kept: Vec<i64> = shop.sql("SELECT ARRAY[count(*), count(*) FILTER (WHERE body = ''), count(*) FILTER (WHERE outcome = 'unknown')] FROM webhook_events").await;
    assert_eq!(kept, [100, 100, 100]);
    let charge = charged(&ana).await;
    assert_eq!(deliver(&shop, &charge.paid("evt_ours")).await.status, 200);
    assert_eq!(payment_status(&shop, &charge.order).await, "paid", "our own are always heard");
    shop.close().await;
}
