use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vitrine_kit::pix::{ChargeStatus, PaidNews, Payer, PixNews, RefundStatus};
use vitrine_kit::refund::{Obstacle, Retry};
use vitrine_kit::{Email, Money, TaxId};
use wiremock::matchers::{any, body_json_string, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

const PAYMENT: &str = "0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f";
const REFUND: &str = "01930000-0000-7000-8000-000000000002";
const NEW_CHARGE: &str = include_str!("../fixtures/new_charge.json");
const CHARGE: &str = include_str!("../fixtures/charge.json");
const CHARGE_REFUNDED: &str = include_str!("../fixtures/charge_refunded.json");
const NEW_REFUND: &str = include_str!("../fixtures/new_refund.json");
const REFUND_ANSWER: &str = include_str!("../fixtures/refund.json");
const ERROR: &str = include_str!("../fixtures/error.json");
const PAID: &str = include_str!("../fixtures/paid.json");

fn id(text: &str) -> Uuid {
    text.parse().expect("a test writes it well")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a test writes it well")
}

fn propay(base_url: &str) -> ProPay {
    let config = ProPayConfig {
        base_url: base_url.to_owned(),
        outgoing_secret: "go-to-propay".into(),
        incoming_secret: "propay-to-go".into(),
        timeout: Duration::from_secs(5),
        breaker: BreakerConfig::default(),
    };
    ProPay::new(config).expect("a good address")
}

async fn answering(status: u16, body: &str) -> (MockServer, ProPay) {
    answering_with(ResponseTemplate::new(status).set_body_raw(body, "application/json")).await
}

async fn answering_with(answer: ResponseTemplate) -> (MockServer, ProPay) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let propay = propay(&server.uri());
    (server, propay)
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("recording is on")
}

fn new_charge() -> NewCharge {
    NewCharge {
        payment_id: id(PAYMENT),
        order_id: id("0192f0bb-0000-7000-8000-000000000001"),
        amount: Money::from_cents(18_500),
        expires_in_s: 1800,
        description: "Pedido 1001".to_owned(),
        payer: Payer {
            name: "Ana Silva".to_owned(),
            tax_id: TaxId::parse("529.982.247-25").expect("valid"),
            email: Email::parse("ana@example.com").ok(),
        },
        is_repeat: false,
    }
}

fn new_refund() -> NewRefund {
    NewRefund {
        refund_id: id(REFUND),
        payment_id: id(PAYMENT),
        end_to_end_id: None,
        payment_ref: None,
        refund_ref: None,
        amount: Money::from_cents(500),
        reason: "Produto com defeito".to_owned(),
    }
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn error(code: &str) -> String {
    json!({"error": {"code": code, "message": ""}, "request_id": "r"}).to_string()
}

#[tokio::test]
async fn a_charge_is_created_with_our_payment_id_as_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/propay/v1/payments"))
        .and(header("content-type", "application/json"))
        .and(header("idempotency-key", PAYMENT))
        .and(body_json_string(NEW_CHARGE))
        .respond_with(ResponseTemplate::new(201).set_body_string(CHARGE))
        .expect(1)
        .mount(&server)
        .await;
    let charge = propay(&format!("{}/propay", server.uri())).create_charge(&new_charge()).await.expect("created");
    let expected = Charge {
        payment_id: id(PAYMENT),
        status: ChargeStatus::Pending,
        amount: Money::from_cents(18_500),
        txid: "0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f".to_owned(),
        copy_paste: "00020126580014br.gov.bcb.pix6304ABCD".to_owned(),
        qr_code: Some("data:image/png;base64,iVBORw0KGgo=".to_owned()),
        qr_code_url: Some("https://propay.internal/qr/0192f0c1.png".to_owned()),
        expires_at: time("2026-10-01T15:30:00Z"),
        paid_at: None,
        end_to_end_id: None,
        refunded: Money::ZERO,
    };
    assert_eq!(charge, expected);
}

#[tokio::test]
async fn a_newline_behind_the_code_is_not_part_of_it() {
    let (_server, propay) = answering(200, &CHARGE.replace("6304ABCD", "6304ABCD\\n")).await;
    let charge = propay.read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
    assert_eq!(charge.copy_paste, "00020126580014br.gov.bcb.pix6304ABCD");
}

#[tokio::test]
async fn every_call_carries_a_fresh_token_for_propay_that_lives_a_minute() {
    let (server, propay) = answering(200, CHARGE).await;
    for _ in 0..2 {
        propay.read_charge(id(PAYMENT), Lane::Background).await.expect("read");
    }
    let mut jtis = Vec::new();
    for request in requests(&server).await {
        let token = request.headers["authorization"].to_str().expect("text").strip_prefix("Bearer ").expect("a bearer");
        let claims = token.split('.').nth(1).expect("three parts");
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
        let (iat, jti) = (claims["iat"].as_i64().expect("a number"), claims["jti"].as_str().expect("text"));
        assert_eq!(token, token::sign("go-to-propay", iat, jti));
        assert_eq!((&claims["aud"], claims["exp"].as_i64()), (&json!(["propay"]), Some(iat + 60)));
        assert!((Timestamp::now().as_second() - iat).abs() < 30);
        jtis.push(id(jti));
    }
    assert_ne!(jtis[0], jtis[1]);
}

#[tokio::test]
async fn a_charge_is_read_as_it_stands() {
    let (server, propay) = answering(200, CHARGE_REFUNDED).await;
    let charge = propay.read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
    assert_eq!((charge.status, charge.refunded), (ChargeStatus::PartiallyRefunded, Money::from_cents(500)));
    assert_eq!(charge.end_to_end_id.as_deref(), Some("E18236120202610011502s0266295234"));
    assert_eq!((charge.paid_at, charge.copy_paste.as_str()), (Some(time("2026-10-01T15:02:10Z")), ""));
    let request = &requests(&server).await[0];
    assert_eq!((request.method.as_str(), request.url.path()), ("GET", format!("/v1/payments/{PAYMENT}").as_str()));
}

#[tokio::test]
async fn not_found_is_none_but_only_in_their_own_words() {
    let (_server, propay) = answering(404, &error("not_found")).await;
    assert_eq!(propay.read_charge(id(PAYMENT), Lane::Background).await, Ok(None));
    assert_eq!(propay.read_refund(&new_refund()).await, Ok(None));
    let (_server, propay) = answering(404, "<html>nginx</html>").await;
    assert_eq!(propay.read_charge(id(PAYMENT), Lane::Background).await, Err(unclear("answered 404 without a word of theirs")));
}

fn not_accepted(code: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: String::new() }
}

#[tokio::test]
async fn voiding_ends_in_done_or_already_paid() {
    let cancelled = CHARGE.replace("pending", "cancelled");
    for (status, body, outcome) in [
        (200, cancelled.as_str(), Ok(Voided::Done)),
        (409, &error("already_paid"), Ok(Voided::AlreadyPaid)),
        (404, &error("not_found"), Ok(Voided::Done)),
        (403, &error("invalid_token"), Err(not_accepted("invalid_token"))),
        (401, "<html>", Err(not_accepted("401"))),
        (200, CHARGE, Err(unclear("voiding left the charge payable"))),
    ] {
        let (server, propay) = answering(status, body).await;
        assert_eq!(propay.void_charge(id(PAYMENT)).await, outcome);
        let request = &requests(&server).await[0];
        assert_eq!((request.method.as_str(), request.url.path()), ("DELETE", format!("/v1/payments/{PAYMENT}").as_str()));
    }
}

#[tokio::test]
async fn a_refund_is_made_with_our_refund_id_as_key_and_read_back() {
    let server = MockServer::start().await;
    let refunds = format!("/v1/payments/{PAYMENT}/refunds");
    Mock::given(method("POST"))
        .and(path(refunds.as_str()))
        .and(header("idempotency-key", REFUND))
        .and(body_json_string(NEW_REFUND))
        .respond_with(ResponseTemplate::new(201).set_body_string(REFUND_ANSWER))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(format!("{refunds}/{REFUND}")))
        .respond_with(ResponseTemplate::new(200).set_body_string(REFUND_ANSWER.replace("processing", "done")))
        .expect(1)
        .mount(&server)
        .await;
    let propay = propay(&server.uri());
    let mut expected = Refund {
        refund_id: id(REFUND),
        status: RefundStatus::Processing,
        amount: Money::from_cents(500),
        end_to_end_id: Some("D18236120202610011510s0266295235".to_owned()),
        said: None,
    };
    assert_eq!(propay.refund(&new_refund()).await, Ok(expected.clone()));
    expected.status = RefundStatus::Done;
    assert_eq!(propay.read_refund(&new_refund()).await, Ok(Some(expected)));
}

#[tokio::test]
async fn a_refund_that_does_not_come_about_says_whether_another_may() {
    for (code, retry) in [
        ("insufficient_balance", Retry::Later(Obstacle::Balance)),
        ("limit_exceeded", Retry::Later(Obstacle::Limit)),
        ("outside_hours", Retry::Later(Obstacle::Hours)),
        ("refund_exceeds_payment", Retry::Never),
        ("dreaming", Retry::Unsaid),
    ] {
        let body = json!({"error": {"code": code, "message": "No."}}).to_string();
        let (_server, propay) = answering(422, &body).await;
        let (provider, code, message) = (NAME, code.to_owned(), "No.".to_owned());
        let refused = ProviderError::RefundRefused { provider, code: code.clone(), message, retry };
        assert_eq!(propay.refund(&new_refund()).await, Err(refused));

        let mut body: Value = serde_json::from_str(REFUND_ANSWER).expect("JSON");
        body["status"] = json!("failed");
        body["failure_code"] = json!(code);
        let (_server, propay) = answering(200, &body.to_string()).await;
        let failed = propay.read_refund(&new_refund()).await.expect("read").expect("known");
        assert_eq!((failed.status, failed.said.as_deref()), (RefundStatus::Failed(retry), Some(code.as_str())));
    }
    let (_server, propay) = answering(200, &REFUND_ANSWER.replace("processing", "dreaming")).await;
    let unclear = propay.read_refund(&new_refund()).await.expect("read").expect("known");
    assert_eq!((unclear.status, unclear.said.as_deref()), (RefundStatus::Unclear, Some("dreaming")));
}

#[tokio::test]
async fn a_refusal_keeps_their_code_and_words() {
    let (_server, propay) = answering(422, ERROR).await;
    let expected = rejected("invalid_amount", "amount_cents must be positive");
    assert_eq!(propay.create_charge(&new_charge()).await, Err(expected));
}

#[tokio::test]
async fn busy_and_away_are_unavailable_after_the_same_key_was_tried_again() {
    for status in [502, 503, 504] {
        let (server, propay) = answering(status, &error("provider_unavailable")).await;
        let error = ProviderError::Unavailable { provider: NAME, reason: format!("answered {status}"), retry_after_s: None };
        assert_eq!(propay.create_charge(&new_charge()).await, Err(error));
        let keys: Vec<_> = requests(&server).await.iter().map(|r| r.headers["idempotency-key"].clone()).collect();
        assert_eq!(keys, [PAYMENT; 3]);
    }
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "9").set_body_string(error("rate_limited"));
    let (_server, propay) = answering_with(busy).await;
    let error = ProviderError::Unavailable { provider: NAME, reason: "rate_limited".to_owned(), retry_after_s: Some(9) };
    assert_eq!(propay.refund(&new_refund()).await, Err(error));
}

#[tokio::test]
async fn silence_and_garbage_are_unknown() {
    let (server, _) = answering_with(ResponseTemplate::new(201).set_delay(Duration::from_secs(60))).await;
    let slow = ProPay::new(ProPayConfig {
        base_url: server.uri(),
        outgoing_secret: "go-to-propay".into(),
        incoming_secret: "propay-to-go".into(),
        timeout: Duration::from_secs(1),
        breaker: BreakerConfig::default(),
    });
    let outcome = slow.expect("a good address").create_charge(&new_charge()).await;
    assert_eq!(outcome, Err(unclear("no answer in time")));

    let garbage = [
        "<html>".to_owned(),
        "{}".to_owned(),
        CHARGE.replace("BRL", "USD"),
        CHARGE.replace("pending", "dreaming"),
        CHARGE.replace("18500", "185.00"),
        CHARGE.replace(PAYMENT, REFUND),
    ];
    for body in garbage {
        let (_server, propay) = answering(201, &body).await;
        let outcome = propay.create_charge(&new_charge()).await;
        assert!(matches!(outcome, Err(ProviderError::Unknown { .. })), "{body}: {outcome:?}");
    }
}

fn delivery(body: &str, signature: Option<&str>) -> Delivery {
    let headers = signature.map(|s| ("X-Propay-Signature".to_owned(), s.to_owned()));
    Delivery::new(Bytes::from(body.to_owned()), headers.into_iter().collect(), "")
}

fn opened(body: &str) -> Notice {
    let signature = signature::hmac_sha256_hex(b"propay-to-go", body.as_bytes());
    propay("http://propay").open(&delivery(body, Some(&signature))).expect("well signed").remove(0)
}

#[test]
fn a_paid_notice_is_read_whole() {
    let news = PixNews::Paid(PaidNews {
        payment_id: id(PAYMENT),
        order_id: Some(id("0192f0bb-0000-7000-8000-000000000001")),
        txid: Some("0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f".to_owned()),
        amount: Money::from_cents(18_500),
        currency: "BRL".to_owned(),
        end_to_end_id: Some("E18236120202610011502s0266295234".to_owned()),
        paid_at: Some(time("2026-10-01T15:02:10Z")),
        created_at: Some(time("2026-10-01T15:02:11Z")),
    });
    let expected = Notice { event_id: "evt_0193".to_owned(), event: "payment.paid".to_owned(), news, body: PAID.into() };
    assert_eq!(opened(PAID), expected);
}

#[test]
fn every_event_has_its_meaning_and_strange_ones_none() {
    let news = |event: &str| {
        opened(&json!({"id": "evt_1", "event": event, "payment_id": PAYMENT, "refund_id": REFUND}).to_string()).news
    };
    assert_eq!(news("payment.expired"), PixNews::Expired { payment_id: id(PAYMENT) });
    assert_eq!(news("payment.cancelled"), PixNews::Cancelled { payment_id: id(PAYMENT) });
    assert_eq!(news("refund.done"), PixNews::RefundDone { refund_id: id(REFUND) });
    let failed =
        |retry, said: Option<&str>| PixNews::RefundFailed { refund_id: id(REFUND), retry, said: said.map(str::to_owned) };
    assert_eq!(news("refund.failed"), failed(Retry::Unsaid, None));
    assert_eq!(news("payment.dreamt"), PixNews::Other);
    assert_eq!(news("payment.paid"), PixNews::Other); // without an amount it says nothing
}

#[test]
fn a_signed_body_without_id_keeps_one_id_through_repeats() {
    let (first, again, other) = (opened("{}"), opened("{}"), opened("nonsense"));
    assert_eq!((first.news.clone(), first.event.as_str()), (PixNews::Other, "unreadable"));
    assert_eq!(first, again);
    assert_ne!(first.event_id, other.event_id);
}

#[test]
fn only_the_right_signature_opens_a_delivery() {
    const BODY: &str = r#"{"event":"payment.paid","payment_id":"0192"}"#;
    const RIGHT: &str = "e4118b84156f87eb4ed8a95f8305c5b973885097a8f91527b89b0ef980d7fba5";
    let propay = propay("http://propay");
    assert!(propay.open(&delivery(BODY, Some(RIGHT))).is_ok());
    assert!(propay.open(&delivery(BODY, Some(&format!("sha256={RIGHT}")))).is_ok());
    let wrong_key = signature::hmac_sha256_hex(b"go-to-propay", BODY.as_bytes());
    for bad in [None, Some(""), Some("sha256="), Some(&RIGHT[..40]), Some(&wrong_key), Some("zz")] {
        assert_eq!(propay.open(&delivery(BODY, bad)), Err(Forged), "{bad:?}");
    }
    assert_eq!(propay.open(&delivery(&BODY[..20], Some(RIGHT))), Err(Forged));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", propay("http://propay"));
    assert!(!shown.contains("go-to-propay") && !shown.contains("propay-to-go"), "{shown}");
}

#[tokio::test]
async fn only_what_a_buyer_waits_for_counts_for_the_buyers_breaker() {
    let (_server, propay) = answering(500, "").await;
    let failures =
        || propay.breakers().iter().map(|breaker| (breaker.name(), breaker.snapshot().recent_failures)).collect::<Vec<_>>();
    let counts = |buyers, background| vec![(NAME, buyers), ("propay background", background)];
    let _ = propay.read_charge(id(PAYMENT), Lane::Background).await;
    let _ = propay.void_charge(id(PAYMENT)).await;
    let _ = propay.refund(&new_refund()).await;
    let _ = propay.read_refund(&new_refund()).await;
    assert_eq!(failures(), counts(0, 4));
    let _ = propay.create_charge(&new_charge()).await;
    let _ = propay.read_charge(id(PAYMENT), Lane::Buyer).await;
    assert_eq!(failures(), counts(2, 4));
}
