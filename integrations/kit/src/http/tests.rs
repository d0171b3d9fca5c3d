use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};
use wiremock::matchers::{any, header, header_exists, headers, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::breaker::State;
use crate::trace;

mod access;

fn config(base_url: &str) -> HttpConfig {
    HttpConfig {
        provider: "propay",
        base_url: base_url.to_owned(),
        user_agent: "Vitrine (ops@loja.com.br)".to_owned(),
        timeout: Duration::from_secs(5),
        max_response_bytes: MAX_RESPONSE_BYTES,
        breaker: BreakerConfig::default(),
        background: Some("propay background"),
    }
}

fn http(base_url: &str) -> Http {
    Http::new(config(base_url)).expect("a good address")
}

async fn answering(answer: ResponseTemplate) -> (MockServer, Http) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let http = http(&server.uri());
    (server, http)
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.expect("recording is on").len()
}

fn failures(http: &Http) -> usize {
    http.breaker().snapshot().recent_failures
}

fn unknown(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: "propay", reason: reason.to_owned() }
}

fn unavailable(reason: &str, retry_after_s: Option<u64>) -> ProviderError {
    ProviderError::Unavailable { provider: "propay", reason: reason.to_owned(), retry_after_s }
}

/// Takes connections and closes each once the request is in. Answers its address.
fn dropping() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut request = [0; 4096];
            let _ = stream.and_then(|mut stream| stream.read(&mut request));
        }
    });
    format!("http://{address}")
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[tokio::test]
async fn a_call_carries_path_query_headers_body_and_request_id() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/propay/v1/payments"))
        .and(query_param("q", "a b&c"))
        .and(header("authorization", "Bearer secret"))
        .and(header("idempotency-key", "k1"))
        .and(header("user-agent", "Vitrine (ops@loja.com.br)"))
        .and(headers("accept", vec!["application/json", "application/problem+json"]))
        .and(header("content-type", "application/json"))
        .and(header("x-request-id", "req-7"))
        .and(wiremock::matchers::body_string(r#"{"a":1}"#))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"ok": true})))
        .expect(1)
        .mount(&server)
        .await;
    let call = http(&format!("{}/propay/", server.uri()))
        .post("/v1/payments")
        .query(&[("q", "a b&c")])
        .bearer("secret")
        .header("Idempotency-Key", "k1")
        .json(&json!({"a": 1}));
    let answer: Value = trace::with_request_id("req-7".to_owned(), call.send()).await.expect("answered");
    assert_eq!(answer, json!({"ok": true}));
}

#[tokio::test]
async fn work_without_a_request_id_gets_a_new_one_for_all_tries() {
    let server = MockServer::start().await;
    Mock::given(header_exists("x-request-id")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let _ = http(&server.uri()).get("/").repeatable().send_raw().await;
    let ids: Vec<String> = server
        .received_requests()
        .await
        .expect("recording is on")
        .iter()
        .map(|r| r.headers["x-request-id"].to_str().expect("text").to_owned())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0] && uuid::Uuid::parse_str(id).is_ok()), "{ids:?}");
}

#[tokio::test]
async fn a_refusal_is_rejected_with_their_code_and_is_no_failure() {
    let (server, http) = answering(ResponseTemplate::new(422).set_body_json(json!({"code": "invalid_amount"}))).await;
    let read = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(Refusal { code: body["code"].as_str()?.to_owned(), message: "m".repeat(9000) })
    };
    let error = http.post("/").repeatable().refusals(read).send::<Value>().await.expect_err("refused");
    let ProviderError::Rejected { code, message, .. } = error else { panic!("{error:?}") };
    assert_eq!((code.as_str(), message.len()), ("invalid_amount", 500));
    let error = http.post("/").send::<Value>().await.expect_err("refused");
    assert_eq!(error, ProviderError::Rejected { provider: "propay", code: "422".into(), message: String::new() });
    let answer = http.post("/").send_raw().await.expect("an answer");
    assert_eq!((answer.status, answer.is_success()), (422, false));
    assert_eq!((calls(&server).await, failures(&http)), (3, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, http) = answering(ResponseTemplate::new(302).insert_header("location", "/elsewhere")).await;
    let error = http.get("/").send::<Value>().await.expect_err("not followed");
    assert_eq!(error, ProviderError::Rejected { provider: "propay", code: "302".into(), message: String::new() });
    assert_eq!(calls(&server).await, 1);
}

#[tokio::test]
async fn a_server_error_is_unknown_after_a_write_and_unavailable_after_a_read() {
    let (server, http) = answering(ResponseTemplate::new(503)).await;
    assert_eq!(http.post("/").send::<Value>().await, Err(unknown("answered 503")));
    assert_eq!(http.get("/").send::<Value>().await, Err(unavailable("answered 503", None)));
    assert_eq!((calls(&server).await, failures(&http)), (2, 2));
}

#[tokio::test]
async fn a_post_that_only_asks_is_never_unknown() {
    let (_server, http) = answering(ResponseTemplate::new(500)).await;
    assert_eq!(http.post("/").read_only().send::<Value>().await, Err(unavailable("answered 500", None)));
}

#[tokio::test]
async fn a_repeatable_write_is_tried_three_times() {
    for (status, error) in [
        (502, unavailable("answered 502", None)),
        (503, unavailable("answered 503", None)),
        (504, unavailable("answered 504", None)),
        (500, unknown("answered 500")), // their code broke half-way, for all we know
    ] {
        let (server, http) = answering(ResponseTemplate::new(status)).await;
        assert_eq!(http.post("/").repeatable().send::<Value>().await, Err(error));
        assert_eq!((calls(&server).await, failures(&http)), (3, 1), "the breaker counts calls, not tries");
    }
}

#[tokio::test]
async fn a_repeat_that_succeeds_is_a_success() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(2).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("7")).mount(&server).await;
    let http = http(&server.uri());
    assert_eq!(http.put("/").repeatable().send::<u8>().await, Ok(7));
    assert_eq!((calls(&server).await, failures(&http)), (3, 0));
}

#[tokio::test]
async fn too_many_requests_is_unavailable_and_waited_for_only_when_short() {
    let (server, http) = answering(ResponseTemplate::new(429).insert_header("retry-after", "60")).await;
    assert_eq!(http.post("/").repeatable().send::<Value>().await, Err(unavailable("429", Some(60))));
    assert_eq!(http.post("/").send_raw().await.expect("an answer").retry_after_s(), Some(60));
    assert_eq!((calls(&server).await, failures(&http)), (2, 0));

    let (server, http) = answering(ResponseTemplate::new(429).insert_header("retry-after", "0")).await;
    assert_eq!(http.post("/").repeatable().send::<Value>().await, Err(unavailable("429", Some(0))));
    assert_eq!(calls(&server).await, 3);
}

#[tokio::test]
async fn a_status_that_means_not_now_is_tried_again_and_then_answered() {
    let (server, http) = answering(ResponseTemplate::new(409)).await;
    assert_eq!(http.post("/").repeatable().busy(&[409]).send_raw().await.expect("an answer").status, 409);
    assert_eq!(http.post("/").repeatable().send_raw().await.expect("an answer").status, 409);
    assert_eq!((calls(&server).await, failures(&http)), (3 + 1, 0));
}

#[tokio::test]
async fn their_word_on_trying_again_outweighs_the_status() {
    for (status, word, tries) in [(503, "false", 1), (429, "false", 1), (400, "true", 3), (400, "perhaps", 1), (503, "true", 3)] {
        let (server, http) = answering(ResponseTemplate::new(status).insert_header("x-retry", word)).await;
        let _ = http.post("/").repeatable().retry_header("X-Retry").send_raw().await;
        assert_eq!(calls(&server).await, tries, "{status} {word}");
    }
    let (server, http) = answering(ResponseTemplate::new(503).insert_header("x-retry", "true")).await;
    let _ = http.post("/").retry_header("X-Retry").send_raw().await; // not ours to repeat, whatever they say
    assert_eq!(calls(&server).await, 1);
}

#[tokio::test]
async fn a_kept_failure_is_answered_and_still_counts_for_the_breaker() {
    for status in [500, 503] {
        let (server, http) = answering(ResponseTemplate::new(status).insert_header("x-kept", "yes")).await;
        let answer = http.post("/").repeatable().keeps_failures().send_raw().await.expect("an answer");
        assert_eq!((answer.status, answer.header("x-kept")), (status, Some("yes")));
        assert_eq!((calls(&server).await, failures(&http)), (3, 1));
    }
}

#[tokio::test]
async fn blamed_statuses_count_for_the_breaker() {
    let (_server, http) = answering(ResponseTemplate::new(403)).await;
    let _ = http.get("/").forbidding(Forbidding::Anybody).blames(&[403]).send::<Value>().await;
    let refused = http.get("/").forbidding(Forbidding::Anybody).send::<Value>().await;
    assert!(matches!(refused, Err(ProviderError::Rejected { ref code, .. }) if code == "403"), "{refused:?}");
    assert_eq!(failures(&http), 1);
}

#[tokio::test]
async fn garbage_and_floods_are_unknown_after_a_write() {
    let (server, http) = answering(ResponseTemplate::new(200).set_body_string("<html>secret</html>")).await;
    let reason = "the answer makes no sense (line 1, column 1)";
    assert_eq!(http.post("/").repeatable().send::<Value>().await, Err(unknown(reason)));
    assert_eq!(http.get("/").send::<Value>().await, Err(unavailable(reason, None)));
    assert_eq!(http.post("/").send_raw().await.expect("an answer").read::<Value>(), Err(unknown(reason)));
    assert_eq!((calls(&server).await, failures(&http)), (3, 3));

    let (server, _) = answering(ResponseTemplate::new(200).set_body_string("x".repeat(1001))).await;
    let http = Http::new(HttpConfig { max_response_bytes: 1000, ..config(&server.uri()) }).expect("good");
    assert_eq!(http.post("/").repeatable().send_raw().await.err(), Some(unknown("the answer is larger than 1000 bytes")));
    assert_eq!((calls(&server).await, failures(&http)), (1, 1));
}

#[tokio::test]
async fn an_empty_body_reads_as_null() {
    let (_server, http) = answering(ResponseTemplate::new(204)).await;
    assert_eq!(http.delete("/").send::<()>().await, Ok(()));
}

#[tokio::test]
async fn silence_is_unknown_after_a_write_and_ends_with_the_deadline() {
    let (server, _) = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let http = Http::new(HttpConfig { timeout: Duration::from_secs(1), ..config(&server.uri()) }).expect("good");
    let started = std::time::Instant::now();
    assert_eq!(http.post("/").repeatable().send::<Value>().await, Err(unknown("no answer in time")));
    assert_eq!(http.get("/").send::<Value>().await, Err(unavailable("no answer in time", None)));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!((calls(&server).await, failures(&http)), (2, 2));
}

#[tokio::test]
async fn a_dropped_connection_is_unknown_after_a_write() {
    let http = http(&dropping());
    assert_eq!(http.post("/").send::<Value>().await, Err(unknown("the connection broke")));
    assert_eq!(http.get("/").send::<Value>().await, Err(unavailable("the connection broke", None)));
    assert_eq!(failures(&http), 2);
    assert_eq!(http.post("/").repeatable().send::<Value>().await, Err(unknown("the connection broke")));
    assert_eq!(failures(&http), 3);
}

#[tokio::test]
async fn once_lost_an_unavailable_repeat_does_not_make_it_certain() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let mut request = [0; 4096];
        let (mut first, _) = listener.accept().expect("the first try");
        let _ = first.read(&mut request);
        drop(first);
        for stream in listener.incoming() {
            let mut stream = stream.expect("another try");
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 429 Slow\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n");
        }
    });
    assert_eq!(http(&address).post("/").repeatable().send::<Value>().await, Err(unknown("answered 429")));
}

#[tokio::test]
async fn a_refused_connection_is_unavailable_and_tried_once_more_at_once() {
    let http = http(&nobody());
    let error = http.post("/").send::<Value>().await.expect_err("nobody listens");
    let ProviderError::Unavailable { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.starts_with("could not connect: "), "{reason}");
    assert_eq!(failures(&http), 1);
    assert!(http.post("/").repeatable().send::<Value>().await.is_err());
    assert_eq!(failures(&http), 2);
}

#[tokio::test]
async fn an_open_breaker_answers_at_once_and_calls_nobody() {
    let (server, http) = answering(ResponseTemplate::new(500)).await;
    for _ in 0..5 {
        let _ = http.post("/").send::<Value>().await;
    }
    let error = http.post("/").send::<Value>().await;
    assert_eq!(error, Err(unavailable("the circuit breaker is open", Some(30))));
    assert_eq!(calls(&server).await, 5);
}

#[tokio::test]
async fn after_the_cooldown_one_probe_heals_it() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("1")).mount(&server).await;
    let breaker = BreakerConfig { threshold: 1, window: Duration::from_secs(60), cooldown: Duration::ZERO };
    let http = Http::new(HttpConfig { breaker, ..config(&server.uri()) }).expect("good");
    assert_eq!(http.post("/").send::<u8>().await, Err(unknown("answered 500")));
    assert_eq!(http.breaker().state(), State::HalfOpen);
    assert_eq!(http.post("/").send::<u8>().await, Ok(1));
    assert_eq!(http.breaker().state(), State::Closed);
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_rejected_without_a_call() {
    let (server, http) = answering(ResponseTemplate::new(200)).await;
    let error = http.get("/").bearer("two\r\nlines").send::<Value>().await.expect_err("unsendable");
    assert!(matches!(error, ProviderError::Rejected { ref code, .. } if code == "unsendable"), "{error:?}");
    assert_eq!(calls(&server).await, 0);
}

#[test]
fn a_bad_address_is_refused_at_start() {
    for base_url in ["", "propay", "ftp://propay", "http://propay?x=1", "http://"] {
        assert!(Http::new(config(base_url)).is_err(), "{base_url}");
    }
}

#[test]
fn the_log_sees_no_ids() {
    assert_eq!(template("/v1/payments/0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f/refunds"), "/v1/payments/{id}/refunds");
    assert_eq!(template("/ws/01001000/json/?cpf=1"), "/ws/{id}/json/");
    assert_eq!(template("/api/v2/me/shipment/calculate"), "/api/v2/me/shipment/calculate");
}

#[tokio::test]
async fn another_address_of_a_provider_shares_its_breaker() {
    let (server, http) = answering(ResponseTemplate::new(500)).await;
    let elsewhere = http.at(&format!("{}/oauth/", server.uri())).expect("a good address");
    assert_eq!(elsewhere.post("/token").send_raw().await.expect_err("broken"), unknown("answered 500"));
    assert_eq!(server.received_requests().await.expect("recording is on")[0].url.path(), "/oauth/token");
    assert_eq!((failures(&http), failures(&elsewhere)), (1, 1));
    assert!(http.at("ftp://elsewhere").is_err());
}

#[tokio::test]
async fn what_nobody_waits_for_opens_a_breaker_of_its_own() {
    let (server, http) = answering(ResponseTemplate::new(500)).await;
    for _ in 0..5 {
        let _ = http.get("/poisoned").repeatable().lane(Lane::Background).send::<Value>().await;
    }
    assert_eq!(http.breaker_of(Lane::Background).state(), State::Open);
    assert_eq!((http.breaker().state(), failures(&http)), (State::Closed, 0));
    let error = http.get("/poisoned").lane(Lane::Background).send::<Value>().await;
    assert_eq!(error, Err(unavailable("the circuit breaker is open", Some(30))), "by the provider's name");
    let before = calls(&server).await;
    assert_eq!(http.post("/").send::<Value>().await, Err(unknown("answered 500")));
    assert_eq!(calls(&server).await, before + 1);
    assert_eq!(http.breakers().iter().map(|breaker| breaker.name()).collect::<Vec<_>>(), ["propay", "propay background"]);
    let one = Http::new(HttpConfig { background: None, ..config(&server.uri()) }).expect("good");
    assert_eq!(one.breakers().len(), 1);
    let _ = one.get("/").lane(Lane::Background).send::<Value>().await;
    assert_eq!(failures(&one), 1);
}

#[tokio::test]
async fn a_call_is_not_tried_again_once_others_have_opened_the_breaker() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(503).insert_header("retry-after", "1");
    Mock::given(path("/slow")).respond_with(slow).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let http = http(&server.uri());
    let others = async {
        for _ in 0..5 {
            let _ = http.post("/").send::<Value>().await;
        }
    };
    let (outcome, ()) = tokio::join!(http.get("/slow").repeatable().send::<Value>(), others);
    assert_eq!(outcome, Err(unavailable("answered 503", Some(1))));
    assert_eq!(calls(&server).await, 5 + 1);
}
