use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use vitrine_kit::Email;
use vitrine_kit::breaker::State;
use vitrine_kit::pix::{NewRefund, Refund, RefundStatus, TheirRefund};
use wiremock::matchers::{any, body_string, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

mod amounts;
mod away;
mod cancel;
mod keys;
mod lists;
mod refunds;
mod refusals;

pub(crate) const PAYMENT: &str = "0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f";
pub(crate) const ORDER: &str = "0192f0bb-0000-7000-8000-000000000001";
pub(crate) const REFUND: &str = "01930000-0000-7000-8000-000000000002";
const INTENT: &str = include_str!("../fixtures/intent.json");
const INTENT_PAID: &str = include_str!("../fixtures/intent_paid.json");
const REFUND_ANSWER: &str = include_str!("../fixtures/refund.json");
const ERROR: &str = include_str!("../fixtures/error.json");

pub(crate) fn id(text: &str) -> Uuid {
    text.parse().expect("a test writes it well")
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

pub(crate) fn stripe(base_url: &str) -> Stripe {
    with_key(base_url, "sk_test_4eC39Hq")
}

fn with_key(base_url: &str, key: &str) -> Stripe {
    let config = StripeConfig {
        base_url: base_url.to_owned(),
        secret_key: key.into(),
        webhook_secret: "whsec_test_secret".into(),
        timeout: Duration::from_secs(5),
        // Open only in the kit's tests.
        breaker: BreakerConfig { threshold: 1000, ..BreakerConfig::default() },
    };
    Stripe::new(config).expect("a good address")
}

async fn answering(status: u16, body: &str) -> (MockServer, Stripe) {
    answering_with(ResponseTemplate::new(status).set_body_raw(body, "application/json")).await
}

async fn answering_with(answer: ResponseTemplate) -> (MockServer, Stripe) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let stripe = stripe(&server.uri());
    (server, stripe)
}

/// POSTs and GETs answered apart.
async fn answering_both(post: ResponseTemplate, get: ResponseTemplate) -> (MockServer, Stripe) {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(post).mount(&server).await;
    Mock::given(method("GET")).respond_with(get).mount(&server).await;
    let stripe = stripe(&server.uri());
    (server, stripe)
}

fn ok(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

fn list(items: &[&str]) -> ResponseTemplate {
    ok(&format!(r#"{{"object":"list","url":"/v1/x","has_more":false,"data":[{}]}}"#, items.join(",")))
}

/// A stored failure: the header says that nothing ran this time.
fn replayed(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).insert_header("idempotent-replayed", "true")
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("recording is on")
}

/// Every request as `METHOD /path?query key`, repeats of the same taken together.
async fn calls(server: &MockServer) -> Vec<String> {
    let line = |r: &Request| {
        let key = r.headers.get("idempotency-key").map_or("", |key| key.to_str().expect("text"));
        let query = r.url.query().map(|q| format!("?{q}")).unwrap_or_default();
        format!("{} {}{query} {key}", r.method, r.url.path()).trim_end().to_owned()
    };
    let mut lines: Vec<String> = requests(server).await.iter().map(line).collect();
    lines.dedup();
    lines
}

/// Looks for an intent asked for at 1790000000, less the clocks' difference.
const FIND: &str = "GET /v1/payment_intents?created[gte]=1789999700&limit=100";

fn new_intent(attempt: u32) -> NewIntent {
    NewIntent {
        payment_id: id(PAYMENT),
        order_id: id(ORDER),
        amount: Money::from_cents(18_500),
        description: Some("Pedido 1001 — São".to_owned()),
        receipt_email: Email::parse("ana+1@example.com").ok(),
        asked_at: at(1_790_000_000),
        attempt,
    }
}

fn new_refund() -> NewRefund {
    NewRefund {
        refund_id: id(REFUND),
        payment_id: id(PAYMENT),
        end_to_end_id: None,
        payment_ref: Some("pi_3Q".to_owned()),
        refund_ref: None,
        amount: Money::from_cents(500),
        reason: "Produto com defeito".to_owned(),
    }
}

fn refund() -> Refund {
    Refund {
        refund_id: id(REFUND),
        status: RefundStatus::Done,
        amount: Money::from_cents(500),
        end_to_end_id: Some("re_1".to_owned()),
        said: None,
    }
}

fn error(kind: &str, code: &str, message: &str) -> String {
    json!({"error": {"type": kind, "code": code, "message": message}}).to_string()
}

fn missing() -> String {
    error("invalid_request_error", "resource_missing", "No such payment_intent: 'pi_3Q'")
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn unavailable(reason: &str, retry_after_s: Option<u64>) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s }
}

#[tokio::test]
async fn an_intent_is_created_with_our_ids_under_our_key() {
    let server = MockServer::start().await;
    let body = format!(
        "allowed_payment_method_types[0]=card&amount=18500&currency=brl&description=Pedido+1001+%E2%80%94+S%C3%A3o\
         &metadata[order_id]={ORDER}&metadata[payment_id]={PAYMENT}&receipt_email=ana%2B1@example.com"
    );
    Mock::given(method("POST"))
        .and(path("/stripe/v1/payment_intents"))
        .and(header("authorization", "Bearer sk_test_4eC39Hq"))
        .and(header("stripe-version", "2026-09-30.endive"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(header("idempotency-key", format!("pay-{PAYMENT}-1").as_str()))
        .and(header("x-request-id", "req-7"))
        .and(body_string(body))
        .respond_with(ok(INTENT))
        .expect(2)
        .mount(&server)
        .await;
    for base_url in [format!("{}/stripe", server.uri()), format!("{}/stripe/v1/", server.uri())] {
        let stripe = stripe(&base_url);
        let created = vitrine_kit::trace::with_request_id("req-7".to_owned(), stripe.create(&new_intent(1))).await;
        let intent = created.expect("created");
        assert_eq!((intent.id.as_str(), intent.status), ("pi_3Q", IntentStatus::RequiresPaymentMethod));
        assert_eq!((intent.payment_id, intent.order_id), (Some(id(PAYMENT)), Some(id(ORDER))));
        assert_eq!((intent.amount, intent.amount_received), (Money::from_cents(18_500), Money::ZERO));
        assert_eq!((intent.currency.as_str(), intent.livemode), ("brl", Some(false)));
        assert_eq!(intent.client_secret.as_ref().expect("there").expose_secret(), "pi_3Q_secret_x");
        assert_eq!((intent.created, intent.last_error, intent.latest_charge), (Some(at(1_790_000_000)), None, None));
    }
}

#[tokio::test]
async fn the_same_intent_is_the_same_bytes_every_time() {
    let (server, stripe) = answering(200, INTENT).await;
    for _ in 0..8 {
        stripe.create(&new_intent(1)).await.expect("created"); // a map's order is another for each map
    }
    let mut bodies: Vec<_> = requests(&server).await.into_iter().map(|r| r.body).collect();
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn an_intent_without_frills_sends_amount_currency_and_ids_alone() {
    let (server, stripe) = answering(200, INTENT).await;
    stripe.create(&NewIntent { description: None, receipt_email: None, ..new_intent(1) }).await.expect("created");
    let body = format!(
        "allowed_payment_method_types[0]=card&amount=18500&currency=brl&metadata[order_id]={ORDER}&metadata[payment_id]={PAYMENT}"
    );
    assert_eq!(requests(&server).await[0].body, body.into_bytes());
}

#[tokio::test]
async fn an_answer_about_anything_else_is_unknown() {
    for (from, to) in [("18500", "1850"), ("brl", "usd"), (PAYMENT, REFUND), ("18500", "185.00"), ("18500", "\"18500\"")] {
        let (_server, stripe) = answering(200, &INTENT.replace(from, to)).await;
        let error = stripe.create(&new_intent(1)).await.expect_err("not ours");
        assert!(matches!(error, ProviderError::Unknown { .. }), "{to}: {error:?}");
    }
    let (_server, stripe) = answering(200, &INTENT.replace("\"pi_3Q\"", "\"pi_4\"")).await;
    assert_eq!(stripe.read("pi_3Q", Lane::Buyer).await.expect_err("another"), unclear("answered about another intent"));
}

#[tokio::test]
async fn an_intent_is_read_as_it_stands() {
    let (server, stripe) = answering(200, INTENT_PAID).await;
    let intent = stripe.read("pi_3Q", Lane::Buyer).await.expect("read").expect("known");
    assert_eq!((intent.status, intent.amount_received), (IntentStatus::Succeeded, Money::from_cents(18_500)));
    assert_eq!(intent.latest_charge.as_deref(), Some("ch_1"));
    assert_eq!(calls(&server).await, ["GET /v1/payment_intents/pi_3Q"]);

    let declined = r#""last_payment_error":{"code":"card_declined","decline_code":"insufficient_funds","message":"No money."}"#;
    let declined =
        INTENT.replace(r#""last_payment_error":null"#, declined).replace(r#""latest_charge":null"#, r#""latest_charge":"ch_0""#);
    let (_server, stripe) = answering(200, &declined).await;
    let intent = stripe.read("pi_3Q", Lane::Buyer).await.expect("read").expect("known");
    assert_eq!(intent.last_error.as_deref(), Some("insufficient_funds: No money."));
    assert_eq!((intent.status.is_payable(), intent.latest_charge.as_deref()), (true, Some("ch_0")));
}

#[tokio::test]
async fn words_and_shapes_that_we_do_not_know_do_no_harm() {
    let bare = r#"{"id":"pi_3Q","amount":18500,"currency":"BRL"}"#;
    let strange = json!({"id": "pi_3Q", "amount": 18500, "currency": "brl", "status": "dreaming", "metadata": null, "amount_received": null,
        "latest_charge": 7, "last_payment_error": "?", "livemode": "no", "created": "today", "client_secret": {}, "new": [1]});
    for body in [bare, &strange.to_string()] {
        let (_server, stripe) = answering(200, body).await;
        let intent = stripe.read("pi_3Q", Lane::Buyer).await.expect("read").expect("known");
        assert_eq!((intent.status, intent.currency.as_str()), (IntentStatus::Other, "brl"));
        assert_eq!((intent.payment_id, intent.livemode, intent.created, intent.latest_charge), (None, None, None, None));
        assert!(intent.client_secret.is_none() && !intent.status.is_payable());
    }
}

#[tokio::test]
async fn not_found_is_none_but_only_in_their_own_words() {
    let (_server, stripe) = answering(404, &missing()).await;
    assert!(stripe.read("pi_3Q", Lane::Buyer).await.expect("an answer").is_none());
    let known = NewRefund { refund_ref: Some("re_1".to_owned()), ..new_refund() };
    assert_eq!(stripe.read_refund(&known).await, Ok(None));
    let (_server, stripe) = answering(404, "<html>nginx</html>").await;
    assert_eq!(stripe.read("pi_3Q", Lane::Buyer).await.expect_err("a proxy's"), rejected("404", ""));
}

#[tokio::test]
async fn what_is_no_id_of_theirs_is_never_sent() {
    let (server, stripe) = answering(200, INTENT).await;
    for bad in ["", "pi/../refunds", "pi_1?x=1", "pi 1", "é"] {
        let refused = rejected("bad_id", "what we keep as their id is none");
        assert_eq!(stripe.read(bad, Lane::Buyer).await.expect_err("bad"), refused);
        assert_eq!(stripe.cancel(bad, id(PAYMENT)).await, Err(refused.clone()));
        assert_eq!(stripe.refunds_of(bad).await, Err(refused.clone()));
        let known = NewRefund { payment_ref: Some(bad.to_owned()), ..new_refund() };
        assert_eq!(stripe.refund(&known, 1).await, Err(refused.clone()));
        let known = NewRefund { refund_ref: Some(bad.to_owned()), ..new_refund() };
        assert_eq!(stripe.read_refund(&known).await, Err(refused));
    }
    assert_eq!(requests(&server).await.len(), 0);
}

fn not_accepted(code: &str, message: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

#[tokio::test]
async fn all_tries_of_a_call_have_the_same_key_and_body() {
    let server = MockServer::start().await;
    let tried = AtomicUsize::new(0);
    let respond = move |_: &Request| match tried.fetch_add(1, Ordering::SeqCst) {
        0 => ResponseTemplate::new(409),
        1 => ResponseTemplate::new(500),
        _ => ok(INTENT),
    };
    Mock::given(any()).respond_with(respond).mount(&server).await;
    stripe(&server.uri()).create(&new_intent(1)).await.expect("created");
    let mut sent: Vec<_> = requests(&server).await.into_iter().map(|r| (r.headers["idempotency-key"].clone(), r.body)).collect();
    assert_eq!(sent.len(), 3);
    sent.dedup();
    assert_eq!(sent.len(), 1);
}

#[test]
fn the_key_says_whose_money_it_moves() {
    for (key, is_live) in [
        ("sk_live_1", Some(true)),
        ("rk_live_1", Some(true)),
        ("sk_test_1", Some(false)),
        ("rk_test_1", Some(false)),
        ("pk_live_1", None),
        ("sk_live", None),
        ("sk_1", None),
        ("", None),
    ] {
        assert_eq!(with_key("http://stripe", key).is_live(), is_live, "{key}");
    }
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let (_server, stripe) = answering(200, INTENT).await;
    let shown = format!("{stripe:?} {:?}", stripe.create(&new_intent(1)).await);
    for secret in ["4eC39Hq", "whsec_test_secret", "secret_x", "ana+1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn fixtures_are_as_they_send_them() {
    for fixture in [INTENT, INTENT_PAID, REFUND_ANSWER, ERROR] {
        serde_json::from_str::<Value>(fixture).expect("JSON");
    }
}

#[tokio::test]
async fn only_what_a_buyer_waits_for_counts_for_the_buyers_breaker() {
    let (_server, stripe) = answering(500, "").await;
    let failures =
        || stripe.breakers().iter().map(|breaker| (breaker.name(), breaker.snapshot().recent_failures)).collect::<Vec<_>>();
    let counts = |buyers, background| vec![(NAME, buyers), ("stripe background", background)];
    let _ = stripe.read("pi_3Q", Lane::Background).await;
    let _ = stripe.cancel("pi_3Q", id(PAYMENT)).await;
    let _ = stripe.refunds_of("pi_3Q").await;
    let _ = stripe.disputes(at(0)).await;
    assert_eq!(failures(), counts(0, 4));
    let _ = stripe.create(&new_intent(1)).await;
    let _ = stripe.read("pi_3Q", Lane::Buyer).await;
    assert_eq!(failures(), counts(2, 4));
}
