use serde_json::json;
use vitrine_kit::Email;
use wiremock::matchers::{any, body_json_string, header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const MAIL: &str = include_str!("../fixtures/email.json");
const SENT: &str = include_str!("../fixtures/sent.json");
const ERROR: &str = include_str!("../fixtures/error.json");

fn config(base_url: &str) -> ResendConfig {
    ResendConfig {
        base_url: base_url.to_owned(),
        api_key: "re_123".into(),
        timeout: Duration::from_secs(5),
        breaker: BreakerConfig::default(),
        turns: None,
    }
}

fn mail() -> OutgoingMail {
    OutgoingMail {
        idempotency_key: "order_paid/0192".to_owned(),
        id: "0192".to_owned(),
        from: "Vitrine <no-reply@shop.com.br>".to_owned(),
        to: Email::parse("ana@example.com").expect("valid"),
        subject: "Pedido 1001 confirmado".to_owned(),
        html: "<p>Obrigado!</p>".to_owned(),
        text: "Obrigado!".to_owned(),
        kind: "order_paid".to_owned(),
    }
}

/// The result of one mail, and the number of requests.
async fn sent(answer: ResponseTemplate) -> (Result<String, ProviderError>, usize) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let resend = Resend::new(config(&server.uri())).expect("a good address");
    let outcome = resend.send(&mail()).await;
    (outcome, server.received_requests().await.expect("recording is on").len())
}

fn named(status: u16, name: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"statusCode": status, "name": name, "message": "m"}))
}

fn unavailable(reason: &str, retry_after_s: Option<u64>) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s }
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn unknown(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}

#[tokio::test]
async fn a_mail_is_sent_under_its_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/resend/emails"))
        .and(header("authorization", "Bearer re_123"))
        .and(header("content-type", "application/json"))
        .and(header("idempotency-key", "order_paid/0192"))
        .and(header_exists("user-agent"))
        .and(body_json_string(MAIL))
        .respond_with(ResponseTemplate::new(200).set_body_string(SENT))
        .expect(1)
        .mount(&server)
        .await;
    let resend = Resend::new(config(&format!("{}/resend/", server.uri()))).expect("a good address");
    assert_eq!(resend.send(&mail()).await, Ok("49a3999c-0ce1-4ea6-ab68-afcd6dc2e794".to_owned()));
}

#[tokio::test]
async fn refusals_keep_their_name() {
    let missing = ResponseTemplate::new(422).set_body_string(ERROR);
    assert_eq!(sent(missing).await, (Err(rejected("missing_required_field", "Missing `to` field.")), 1));
}

#[tokio::test]
async fn a_key_or_a_domain_that_is_not_accepted_is_no_refusal_of_the_mail() {
    let not_accepted = |code: &str, message: &str| {
        Err(ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: message.to_owned() })
    };
    let names = [(401, "missing_api_key"), (403, "invalid_api_key"), (403, "suspended_api_key"), (403, "validation_error")];
    for (status, name) in names {
        assert_eq!(sent(named(status, name)).await, (not_accepted(name, "m"), 1));
    }
    assert_eq!(sent(ResponseTemplate::new(403).set_body_string("<html>")).await, (not_accepted("403", ""), 1));
}

#[tokio::test]
async fn of_the_conflicts_only_a_changed_payload_is_for_good() {
    let changed = "invalid_idempotent_request";
    assert_eq!(sent(named(409, changed)).await, (Err(rejected(changed, "m")), 1));
    for name in ["concurrent_idempotent_requests", "resource_locked", "something_new"] {
        assert_eq!(sent(named(409, name)).await, (Err(unavailable(name, Some(5))), 1));
    }
    assert_eq!(sent(ResponseTemplate::new(409)).await, (Err(unavailable("409", Some(5))), 1));
}

#[tokio::test]
async fn a_spent_quota_waits_long_and_a_rate_limit_as_long_as_they_say() {
    let limited = named(429, "rate_limit_exceeded").insert_header("retry-after", "3");
    assert_eq!(sent(limited).await, (Err(unavailable("rate_limit_exceeded", Some(3))), 1));
    for (name, wait_s) in [("daily_quota_exceeded", 21_600), ("monthly_quota_exceeded", 86_400)] {
        let spent = named(429, name).insert_header("retry-after", "3600");
        assert_eq!(sent(spent).await, (Err(unavailable(name, Some(wait_s))), 1));
        assert_eq!(sent(named(429, name)).await, (Err(unavailable(name, Some(wait_s))), 1), "nor without a retry-after");
    }
}

#[tokio::test]
async fn broken_servers_are_asked_again_under_the_same_key() {
    assert_eq!(sent(named(500, "application_error")).await, (Err(unknown("answered 500")), 3));
    assert_eq!(sent(ResponseTemplate::new(503)).await, (Err(unavailable("answered 503", None)), 3));
}

fn batch() -> Vec<OutgoingMail> {
    ["ana@example.com", "bia@example.com", "eva@example.com"]
        .map(|to| OutgoingMail { to: Email::parse(to).expect("valid"), ..mail() })
        .into()
}

/// The result of a batch of three mails.
async fn sent_batch(answer: ResponseTemplate) -> Result<BatchAnswer, ProviderError> {
    let server = MockServer::start().await;
    let path = path("/emails/batch");
    let permissive = header("x-batch-validation", "permissive");
    let keyed = header("idempotency-key", "batch/7");
    Mock::given(method("POST")).and(path).and(permissive).and(keyed).respond_with(answer).mount(&server).await;
    let resend = Resend::new(config(&server.uri())).expect("a good address");
    let outcome = resend.send_batch("batch/7", &batch()).await;
    let asked = &server.received_requests().await.expect("recording is on")[0];
    let mails: serde_json::Value = asked.body_json().expect("JSON");
    let to: Vec<&str> = mails.as_array().expect("a list").iter().filter_map(|mail| mail["to"][0].as_str()).collect();
    assert_eq!(to, ["ana@example.com", "bia@example.com", "eva@example.com"]);
    outcome
}

#[tokio::test]
async fn a_batch_gives_each_mail_its_id_though_one_of_them_is_refused() {
    let ok = |body: serde_json::Value| ResponseTemplate::new(200).set_body_json(body);
    let id = |id: &str| Some(id.to_owned());
    let all = ok(json!({"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}));
    assert_eq!(sent_batch(all).await, Ok(BatchAnswer::Taken(vec![id("a"), id("b"), id("c")])));
    let one_bad = json!({"data": [{"id": "a"}, {"id": "c"}], "errors": [{"index": 1, "message": "Invalid `to` field."}]});
    assert_eq!(sent_batch(ok(one_bad)).await, Ok(BatchAnswer::Taken(vec![id("a"), None, id("c")])));
    let too_few = ok(json!({"data": [{"id": "a"}, {"id": "c"}]}));
    assert_eq!(sent_batch(too_few).await, Err(unknown("the answer names other mails than were sent")));
}

#[tokio::test]
async fn a_batch_under_a_key_of_other_mails_was_sent_before_or_was_not() {
    assert_eq!(sent_batch(named(409, "invalid_idempotent_request")).await, Ok(BatchAnswer::Changed));
    let running = "concurrent_idempotent_requests";
    assert_eq!(sent_batch(named(409, running)).await, Err(unavailable(running, Some(5))));
    assert_eq!(sent_batch(named(422, "invalid_parameter")).await, Err(rejected("invalid_parameter", "m")));
}

/// Gives out so many turns.
#[derive(Debug)]
struct Few(std::sync::atomic::AtomicU32);

#[async_trait]
impl Turns for Few {
    async fn turn(&self, _: Duration) -> Result<(), Duration> {
        let take = |left: u32| left.checked_sub(1);
        let order = std::sync::atomic::Ordering::SeqCst;
        self.0.fetch_update(order, order, take).map(drop).map_err(|_| Duration::from_secs(1))
    }
}

#[tokio::test]
async fn each_repeat_takes_a_turn_and_without_one_there_is_none() {
    for (turns, calls) in [(0, 1), (1, 2), (9, 3)] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(named(500, "application_error")).mount(&server).await;
        let turns = Some(Arc::new(Few(turns.into())) as Arc<dyn Turns>);
        let resend = Resend::new(ResendConfig { turns, ..config(&server.uri()) }).expect("a good address");
        assert_eq!(resend.send(&mail()).await, Err(unknown("answered 500")));
        assert_eq!(server.received_requests().await.expect("recording is on").len(), calls);
    }
}

#[tokio::test]
async fn silence_and_garbage_are_unknown() {
    let garbage = ResponseTemplate::new(200).set_body_string("<html>");
    assert_eq!(sent(garbage).await, (Err(unknown("the answer makes no sense (line 1, column 1)")), 1));
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let config = ResendConfig { timeout: Duration::from_secs(1), ..config(&server.uri()) };
    let resend = Resend::new(config).expect("a good address");
    assert_eq!(resend.send(&mail()).await, Err(unknown("no answer in time")));
}
