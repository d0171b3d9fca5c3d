use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine_kit::pix::{Payer, RefundStatus};
use vitrine_kit::{Email, Money, TaxId};
use wiremock::matchers::{any, body_json_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

mod refunds;

const PAYMENT: &str = "0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f";
const REFUND: &str = "01930000-0000-7000-8000-000000000002";
const OTHER_REFUND: &str = "aafee9f5-94b3-4e3d-ab6a-416d0a1218cb";
const NEW_CHARGE: &str = include_str!("../fixtures/new_charge.json");
const CHARGE: &str = include_str!("../fixtures/charge.json");
const COMPLETED: &str = include_str!("../fixtures/charge_completed.json");
const REFUND_ANSWER: &str = include_str!("../fixtures/refund.json");
const REFUNDS: &str = include_str!("../fixtures/refunds.json");
const ERROR: &str = include_str!("../fixtures/error.json");

pub(crate) fn id(text: &str) -> Uuid {
    text.parse().expect("a test writes it well")
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a test writes it well")
}

fn config(base_url: &str) -> OpenPixConfig {
    OpenPixConfig {
        base_url: base_url.to_owned(),
        app_id: "Q2xpZW50X0lk".into(),
        webhook_secret: Some("hmac-secret-key".into()),
        public_key_pem: None,
        timeout: Duration::from_secs(5),
        calls_per_second: 100_000,
        breaker: BreakerConfig::default(),
    }
}

pub(crate) fn openpix(base_url: &str) -> OpenPix {
    OpenPix::new(config(base_url)).expect("a good address")
}

async fn answering(status: u16, body: &str) -> (MockServer, OpenPix) {
    let server = MockServer::start().await;
    on(&server, "GET", "", status, body).await;
    let openpix = openpix(&server.uri());
    (server, openpix)
}

/// Answers that method below `/api/v1/charge`; an empty tail takes every path and method.
async fn on(server: &MockServer, verb: &str, tail: &str, status: u16, body: &str) {
    let answer = ResponseTemplate::new(status).set_body_raw(body, "application/json");
    let mock = match tail {
        "" => Mock::given(any()),
        tail => Mock::given(method(verb)).and(path(format!("/api/v1/charge{tail}"))),
    };
    mock.respond_with(answer).mount(server).await;
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("recording is on")
}

async fn lines(server: &MockServer) -> Vec<String> {
    let short = |r: &Request| format!("{} {}", r.method, r.url.path().replace(PAYMENT, "{id}"));
    requests(server).await.iter().map(short).collect()
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

fn pending() -> Charge {
    Charge {
        payment_id: id(PAYMENT),
        status: ChargeStatus::Pending,
        amount: Money::from_cents(18_500),
        txid: "ea83401ed4834b3ea6f1f283b389af29".to_owned(),
        copy_paste: "00020126580014br.gov.bcb.pix6304ABCD".to_owned(),
        qr_code: None,
        qr_code_url: Some(
            "https://api.openpix.com.br/openpix/charge/brcode/image/21514a2c-0000-4000-8000-000000000001.png".to_owned(),
        ),
        expires_at: time("2026-10-01T15:30:00Z"),
        paid_at: None,
        end_to_end_id: None,
        refunded: Money::ZERO,
    }
}

#[tokio::test]
async fn a_charge_is_created_under_our_payment_id_and_an_existing_one_comes_back() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v1/charge"))
        .and(query_param("return_existing", "true"))
        .and(header("authorization", "Q2xpZW50X0lk"))
        .and(header("content-type", "application/json"))
        .and(body_json_string(NEW_CHARGE))
        .respond_with(ResponseTemplate::new(200).set_body_string(CHARGE))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(openpix(&server.uri()).create_charge(&new_charge()).await, Ok(pending()));
}

#[tokio::test]
async fn an_existing_charge_of_another_amount_shows_its_own_amount() {
    let (_server, openpix) = answering(200, &CHARGE.replace("18500", "17000")).await;
    let charge = openpix.create_charge(&new_charge()).await.expect("answered");
    assert_eq!(charge.amount, Money::from_cents(17_000));
}

#[tokio::test]
async fn a_charge_lives_five_minutes_at_least_and_a_comment_is_short() {
    let (server, openpix) = answering(200, CHARGE).await;
    let mut new = new_charge();
    (new.expires_in_s, new.description) = (60, "a".repeat(200));
    new.payer.tax_id = TaxId::parse("12.ABC.345/01DE-35").expect("valid");
    openpix.create_charge(&new).await.expect("created");
    let sent: Value = requests(&server).await[0].body_json().expect("JSON");
    assert_eq!((&sent["expiresIn"], &sent["comment"]), (&json!(300), &json!("a".repeat(140))));
    assert_eq!(sent["customer"], json!({"name": "Ana Silva", "taxID": "12ABC34501DE35"}));
}

#[tokio::test]
async fn the_code_and_the_end_are_found_where_an_older_answer_has_them() {
    let mut body: Value = serde_json::from_str(CHARGE).expect("JSON");
    let charge = body["charge"].as_object_mut().expect("an object");
    for gone in ["brCode", "expiresDate", "transactionID", "paymentMethods"] {
        charge.remove(gone);
    }
    body["brCode"] = json!("00020126580014br.gov.bcb.pix6304ABCD\r\n"); // the newline is not part of the code
    for life in [json!(1800), json!("1800")] {
        body["charge"]["expiresIn"] = life;
        let (_server, openpix) = answering(200, &body.to_string()).await;
        assert_eq!(openpix.create_charge(&new_charge()).await, Ok(pending()));
    }
}

#[tokio::test]
async fn an_empty_name_counts_as_absent() {
    let mut body: Value = serde_json::from_str(CHARGE).expect("JSON");
    body["charge"]["transactionID"] = json!("");
    let (_server, openpix) = answering(200, &body.to_string()).await;
    assert_eq!(openpix.create_charge(&new_charge()).await, Ok(pending()), "their other name for it");
}

#[tokio::test]
async fn hundreds_of_looks_keep_within_the_allowance_and_no_buyer_waits_for_them() {
    let (server, _) = answering(200, CHARGE).await;
    let paced = OpenPix::new(OpenPixConfig { calls_per_second: 20, ..config(&server.uri()) }).expect("a good address");
    let began = Instant::now();
    let new = new_charge();
    let looks = join_all((0..13).map(|_| paced.read_charge(id(PAYMENT), Lane::Background)));
    let (looks, made) = tokio::join!(looks, paced.create_charge(&new));
    assert!(looks.iter().all(Result::is_ok) && made.is_ok());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let place = requests(&server).await.iter().position(|r| r.method.as_str() == "POST");
    assert!(place.is_some_and(|place| place < 3), "{place:?}");
}

#[tokio::test]
async fn an_unpaid_charge_takes_one_call_to_read() {
    for (theirs, ours) in [("ACTIVE", ChargeStatus::Pending), ("EXPIRED", ChargeStatus::Expired)] {
        let (server, openpix) = answering(200, &CHARGE.replace("ACTIVE", theirs)).await;
        let charge = openpix.read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
        assert_eq!(charge, Charge { status: ours, ..pending() });
        assert_eq!(lines(&server).await, ["GET /api/v1/charge/{id}"]);
    }
}

#[tokio::test]
async fn a_paid_charge_is_read_with_what_went_back_of_it() {
    let all = REFUNDS.replace("500", "18500");
    for (refunds, status, refunded) in [
        (r#"{"refunds":[]}"#, ChargeStatus::Paid, 0),
        (REFUNDS, ChargeStatus::PartiallyRefunded, 500),
        (all.as_str(), ChargeStatus::Refunded, 18_500),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &format!("/{PAYMENT}"), 200, COMPLETED).await;
        on(&server, "GET", &format!("/{PAYMENT}/refund"), 200, refunds).await;
        let charge = openpix(&server.uri()).read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
        assert_eq!((charge.status, charge.refunded), (status, Money::from_cents(refunded)));
        assert_eq!(charge.paid_at, Some(time("2026-10-01T15:02:10Z")));
        assert_eq!(charge.end_to_end_id.as_deref(), Some("E18236120202610011502s0266295234"));
    }
}

#[tokio::test]
async fn a_payment_counts_even_where_its_refunds_may_not_be_read() {
    let server = MockServer::start().await;
    on(&server, "GET", &format!("/{PAYMENT}"), 200, COMPLETED).await;
    on(&server, "GET", &format!("/{PAYMENT}/refund"), 403, "<html>").await;
    let charge = openpix(&server.uri()).read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
    assert_eq!(charge.status, ChargeStatus::Paid);
}

fn not_accepted(code: &str, message: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

#[tokio::test]
async fn not_found_is_none_but_only_in_their_own_words() {
    let (_server, openpix) = answering(400, r#"{"error":"Cobrança não encontrada"}"#).await;
    assert_eq!(openpix.read_charge(id(PAYMENT), Lane::Background).await, Ok(None));
    assert_eq!(openpix.read_refund(&new_refund()).await, Ok(None));
    assert_eq!(openpix.void_charge(id(PAYMENT)).await, Ok(Voided::Done));
    assert_eq!(openpix.refunds_of(id(PAYMENT)).await, Ok(Some(Vec::new())));
    for (status, body, error) in [
        (400, "<html>Bad Request</html>", rejected("400", "")),
        (404, "<html>nginx</html>", rejected("404", "")),
        (404, r#"{"error":"Not Found"}"#, rejected("404", "Not Found")),
        (401, r#"{"errors":[{"message":"appID inválido"}]}"#, not_accepted("401", "appID inválido")),
        (403, "<html>", not_accepted("403", "")),
    ] {
        let (_server, openpix) = answering(status, body).await;
        assert_eq!(openpix.read_charge(id(PAYMENT), Lane::Background).await, Err(error.clone()), "{status} {body}");
        assert_eq!(openpix.void_charge(id(PAYMENT)).await, Err(error), "{status} {body}");
    }
}

#[tokio::test]
async fn voiding_reads_first_and_deletes_only_what_can_be_paid() {
    let expired = CHARGE.replace("ACTIVE", "EXPIRED");
    for (read, outcome, calls) in
        [(CHARGE, Voided::Done, 2), (expired.as_str(), Voided::Done, 1), (COMPLETED, Voided::AlreadyPaid, 1)]
    {
        let server = MockServer::start().await;
        on(&server, "GET", &format!("/{PAYMENT}"), 200, read).await;
        on(&server, "DELETE", &format!("/{PAYMENT}"), 200, r#"{"status":"OK","id":"x"}"#).await;
        assert_eq!(openpix(&server.uri()).void_charge(id(PAYMENT)).await, Ok(outcome));
        let both = ["GET /api/v1/charge/{id}", "DELETE /api/v1/charge/{id}"];
        assert_eq!(lines(&server).await, both[..calls]);
    }
}

#[tokio::test]
async fn a_refused_void_is_settled_by_reading_again() {
    for (then, outcome) in [
        ((200, COMPLETED), Ok(Voided::AlreadyPaid)),
        ((400, ERROR), Ok(Voided::Done)),
        ((200, CHARGE), Err(rejected("400", "O valor da cobrança deve ser maior que zero"))),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(200).set_body_string(CHARGE))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        on(&server, "GET", &format!("/{PAYMENT}"), then.0, then.1).await;
        on(&server, "DELETE", &format!("/{PAYMENT}"), 400, ERROR).await;
        assert_eq!(openpix(&server.uri()).void_charge(id(PAYMENT)).await, outcome);
    }
}

#[tokio::test]
async fn an_answer_about_another_charge_or_refund_is_unclear() {
    let (_server, openpix) = answering(200, &CHARGE.replace(PAYMENT, REFUND)).await;
    assert_eq!(openpix.create_charge(&new_charge()).await, Err(unclear("answered about another charge")));
    let server = MockServer::start().await;
    on(&server, "GET", &format!("/{PAYMENT}/refund"), 200, r#"{"refunds":[]}"#).await;
    on(&server, "POST", &format!("/{PAYMENT}/refund"), 200, &REFUND_ANSWER.replace(REFUND, OTHER_REFUND)).await;
    let outcome = self::openpix(&server.uri()).refund(&new_refund()).await;
    assert_eq!(outcome, Err(unclear("answered about another refund")));
}

#[tokio::test]
async fn their_400_on_a_create_is_a_refusal_whatever_its_text() {
    let (server, openpix) = answering(400, ERROR).await;
    let refused = rejected("400", "O valor da cobrança deve ser maior que zero");
    assert_eq!(openpix.create_charge(&new_charge()).await, Err(refused));
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_create_without_a_clear_answer_is_sent_again_in_the_same_words() {
    let (server, openpix) = answering(500, "").await;
    assert_eq!(openpix.create_charge(&new_charge()).await, Err(unclear("answered 500")));
    let sent = requests(&server).await;
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|r| r.url.query() == Some("return_existing=true") && r.body == sent[0].body));
}

#[tokio::test]
async fn busy_is_unavailable() {
    let (_server, openpix) = answering(429, "<html>").await;
    let busy = ProviderError::Unavailable { provider: NAME, reason: "429".to_owned(), retry_after_s: None };
    assert_eq!(openpix.create_charge(&new_charge()).await, Err(busy.clone()));
    assert_eq!(openpix.read_charge(id(PAYMENT), Lane::Background).await, Err(busy));
}

#[tokio::test]
async fn silence_and_garbage_are_unknown() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let impatient = OpenPix::new(OpenPixConfig { timeout: Duration::from_secs(1), ..config(&server.uri()) });
    let outcome = impatient.expect("a good address").create_charge(&new_charge()).await;
    assert_eq!(outcome, Err(unclear("no answer in time")));
    for body in ["<html>", "{}", &CHARGE.replace("ACTIVE", "DREAMING"), &CHARGE.replace("18500", "185.5")] {
        let (_server, openpix) = answering(200, body).await;
        let outcome = openpix.create_charge(&new_charge()).await;
        assert!(matches!(outcome, Err(ProviderError::Unknown { .. })), "{body}: {outcome:?}");
    }
}

#[tokio::test]
async fn money_received_is_read_charge_by_charge() {
    let (server, openpix) = answering(200, "{}").await;
    assert_eq!(openpix.received(time("2026-10-01T00:00:00Z"), time("2026-10-02T00:00:00Z")).await, Ok(None));
    assert_eq!(requests(&server).await.len(), 0);
}

#[test]
fn a_public_key_that_is_none_is_refused_at_start() {
    for pem in ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
        let config = OpenPixConfig { public_key_pem: Some(pem.to_owned()), ..config("http://openpix") };
        assert_eq!(OpenPix::new(config).expect_err(pem).provider, NAME);
    }
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?} {:?}", openpix("http://openpix"), config("http://openpix"));
    assert!(!shown.contains("hmac-secret-key") && !shown.contains("Q2xpZW50X0lk"), "{shown}");
}

#[tokio::test]
async fn only_what_a_buyer_waits_for_counts_for_the_buyers_breaker() {
    let (_server, openpix) = answering(500, "").await;
    let failures =
        || openpix.breakers().iter().map(|breaker| (breaker.name(), breaker.snapshot().recent_failures)).collect::<Vec<_>>();
    let counts = |buyers, background| vec![(NAME, buyers), ("openpix background", background)];
    let _ = openpix.read_charge(id(PAYMENT), Lane::Background).await;
    let _ = openpix.void_charge(id(PAYMENT)).await;
    let _ = openpix.refund(&new_refund()).await;
    let _ = openpix.read_refund(&new_refund()).await;
    assert_eq!(failures(), counts(0, 4));
    let _ = openpix.create_charge(&new_charge()).await;
    let _ = openpix.read_charge(id(PAYMENT), Lane::Buyer).await;
    assert_eq!(failures(), counts(2, 4));
}
