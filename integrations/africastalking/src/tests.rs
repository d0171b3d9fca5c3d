use std::time::Duration;

use wiremock::matchers::{any, body_string, header, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const SENT: &str = include_str!("../fixtures/sent.json");
const REFUSED: &str = include_str!("../fixtures/refused.json");

fn config(base_url: &str) -> AfricasTalkingConfig {
    AfricasTalkingConfig {
        base_url: base_url.to_owned(),
        username: "sandbox".to_owned(),
        api_key: "atsk_123".into(),
        sender: None,
        webhook_secret: "token".into(),
        timeout: Duration::from_secs(5),
        breaker: BreakerConfig::default(),
    }
}

fn sms() -> OutgoingSms {
    OutgoingSms { to: Phone::parse("11999990000").expect("valid"), text: "Pedido 1001 enviado".to_owned() }
}

/// The result of one SMS, and the number of requests.
async fn sent(answer: ResponseTemplate) -> (Result<String, ProviderError>, usize) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let outcome = AfricasTalking::new(config(&server.uri())).expect("a good address").send(&sms()).await;
    (outcome, server.received_requests().await.expect("recording is on").len())
}

/// Their answer for this result.
fn answer_with(code: u16, status: &str, id: &str) -> ResponseTemplate {
    let body = SENT.replace("101", &code.to_string()).replace("Success", status).replace("ATXid_a1b2", id);
    ResponseTemplate::new(201).set_body_string(body)
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn unavailable(reason: &str, retry_after_s: Option<u64>) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s }
}

fn unknown(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}

#[tokio::test]
async fn a_text_goes_out_as_a_form_under_the_key() {
    for (status, sender, from) in [(201, None, ""), (200, Some("LOJA"), "&from=LOJA")] {
        let server = MockServer::start().await;
        let form = "username=sandbox&to=%2B5511999990000&message=Pedido+1001+enviado&bulkSMSMode=1&enqueue=1";
        Mock::given(method("POST"))
            .and(path("/at/version1/messaging"))
            .and(header("apiKey", "atsk_123"))
            .and(header("accept", "application/json"))
            .and(header("content-type", "application/x-www-form-urlencoded"))
            .and(header_exists("user-agent"))
            .and(body_string(format!("{form}{from}")))
            .respond_with(ResponseTemplate::new(status).set_body_string(SENT))
            .expect(1)
            .mount(&server)
            .await;
        let config = AfricasTalkingConfig { sender: sender.map(str::to_owned), ..config(&format!("{}/at", server.uri())) };
        let outcome = AfricasTalking::new(config).expect("a good address").send(&sms()).await;
        assert_eq!(outcome, Ok("ATXid_a1b2".to_owned()));
    }
}

#[tokio::test]
async fn processed_sent_and_queued_are_taken() {
    for (code, status) in [(100, "Processed"), (101, "Success"), (102, "Queued")] {
        assert_eq!(sent(answer_with(code, status, "ATXid_9")).await, (Ok("ATXid_9".to_owned()), 1));
    }
    let nameless = Err(unknown("it was taken, but has no id to be known by"));
    assert_eq!(sent(answer_with(101, "Success", "None")).await, (nameless, 1));
}

#[tokio::test]
async fn a_created_answer_may_still_be_a_refusal() {
    let whole = ResponseTemplate::new(201).set_body_string(REFUSED);
    assert_eq!(sent(whole).await, (Err(rejected("InvalidSenderId", "the whole request was refused")), 1));
    for (code, status) in [
        (401, "RiskHold"),
        (402, "InvalidSenderId"),
        (403, "InvalidPhoneNumber"),
        (404, "UnsupportedNumberType"),
        (406, "UserInBlacklist"),
        (407, "CouldNotRoute"),
        (409, "DoNotDisturbRejection"),
        (999, "SomethingNew"),
    ] {
        assert_eq!(sent(answer_with(code, status, "None")).await, (Err(rejected(&code.to_string(), status)), 1));
    }
    let empty = sent(answer_with(405, "InsufficientBalance", "None")).await;
    assert_eq!(empty, (Err(unavailable("the account is empty", Some(21_600))), 1));
    for (code, status) in [(500, "InternalServerError"), (501, "GatewayError"), (502, "RejectedByGateway")] {
        let reason = format!("answered {code} ({status})");
        assert_eq!(sent(answer_with(code, status, "None")).await, (Err(unavailable(&reason, None)), 1));
    }
}

fn not_accepted(code: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: String::new() }
}

#[tokio::test]
async fn a_bad_key_is_answered_in_plain_text() {
    let closed = ResponseTemplate::new(401).set_body_string("The supplied authentication is invalid");
    assert_eq!(sent(closed).await, (Err(not_accepted("http 401")), 1));
    assert_eq!(sent(ResponseTemplate::new(403).set_body_string("<html>")).await, (Err(not_accepted("http 403")), 1));
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "7");
    assert_eq!(sent(busy).await, (Err(unavailable("429", Some(7))), 1));
}

#[tokio::test]
async fn a_status_of_http_is_no_word_on_the_recipient_and_a_word_on_the_recipient_counts_under_any_status() {
    for status in [400, 404, 405, 406, 409] {
        let page = ResponseTemplate::new(status).set_body_string("<html>");
        assert_eq!(sent(page).await, (Err(rejected(&format!("http {status}"), "")), 1));
    }
    let body = SENT.replace("101", "409").replace("Success", "DoNotDisturbRejection").replace("ATXid_a1b2", "None");
    let told = ResponseTemplate::new(409).set_body_string(body);
    assert_eq!(sent(told).await, (Err(rejected("409", "DoNotDisturbRejection")), 1));
    let whole = ResponseTemplate::new(400).set_body_string(REFUSED);
    assert_eq!(sent(whole).await, (Err(rejected("InvalidSenderId", "the whole request was refused")), 1));
}

#[tokio::test]
async fn what_is_unclear_is_unknown_and_never_sent_again() {
    for status in [500, 502, 503] {
        assert_eq!(sent(ResponseTemplate::new(status)).await, (Err(unknown(&format!("answered {status}"))), 1));
    }
    let garbage = ResponseTemplate::new(201).set_body_string("<xml>");
    assert_eq!(sent(garbage).await, (Err(unknown("the answer makes no sense (line 1, column 1)")), 1));
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(201).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let config = AfricasTalkingConfig { timeout: Duration::from_secs(1), ..config(&server.uri()) };
    let outcome = AfricasTalking::new(config).expect("a good address").send(&sms()).await;
    assert_eq!(outcome, Err(unknown("no answer in time")));
    assert_eq!(server.received_requests().await.expect("recording is on").len(), 1);
}

#[test]
fn debug_hides_whom_it_is_for_and_what_it_says() {
    assert_eq!(format!("{:?}", sms()), "OutgoingSms(19 characters to +5511*****0000)");
}
