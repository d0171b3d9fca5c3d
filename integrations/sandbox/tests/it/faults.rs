use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use vitrine_sandbox::{Fault, FaultOrder};

use crate::harness::{ask, payment, sandbox};

const READ: &str = "/v1/payments/none";

#[actix_web::test]
async fn a_status_is_answered_so_often_in_the_providers_own_words() {
    let client = sandbox().await;
    client.sandbox.control().next_calls("propay", Fault::Status(503), 2);
    for _ in 0..2 {
        let (status, answer) = ask(client.propay(Method::GET, READ)).await;
        assert_eq!((status, &answer["error"]["code"]), (503, &json!("provider_unavailable")));
    }
    assert_eq!(ask(client.propay(Method::GET, READ)).await.0, 404);
    assert_eq!(client.sandbox.control().faults(), []);
}

#[actix_web::test]
async fn a_429_says_when_to_come_back() {
    let client = sandbox().await;
    client.sandbox.next("resend", Fault::Status(429));
    let answer = client.call(Method::GET, "/resend/emails/x").send().await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    let body: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(body["name"], "rate_limit_exceeded");
}

#[actix_web::test]
async fn a_drop_before_the_request_is_a_connection_error_and_does_nothing() {
    let client = sandbox().await;
    client.sandbox.next("propay", Fault::DropBeforeRequest);
    let error = client.create(&payment(100)).send().await.expect_err("no answer");
    assert!(error.is_request() && !error.is_timeout() && error.status().is_none(), "{error:?}");
    assert_eq!(client.sandbox.control().charges(), []);
}

#[actix_web::test]
async fn a_drop_after_the_request_is_a_connection_error_and_the_deed_is_done() {
    let client = sandbox().await;
    let body = payment(100);
    client.sandbox.next("propay", Fault::DropAfterRequest);
    let error = client.create(&body).send().await.expect_err("no answer");
    assert!(error.is_request() && !error.is_timeout() && error.status().is_none(), "{error:?}");
    assert_eq!(client.sandbox.control().charges().len(), 1);
    assert_eq!(ask(client.create(&body)).await.0, 200);
}

/// Not one byte: a half answer would be another fault.
#[actix_web::test]
async fn a_dropped_connection_carried_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let client = sandbox().await;
    client.sandbox.next("viacep", Fault::DropAfterRequest);
    let mut socket = tokio::net::TcpStream::connect(client.sandbox.addr()).await.expect("it listens");
    socket.write_all(b"GET /viacep/ws/01001000/json/ HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it reads");
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await; // a reset is as good as an end
    assert_eq!(bytes, b"");
}

#[actix_web::test]
async fn a_delay_answers_late() {
    let client = sandbox().await;
    client.sandbox.next("propay", Fault::Delay(Duration::from_millis(300)));
    let began = Instant::now();
    assert_eq!(ask(client.propay(Method::GET, READ)).await.0, 404);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[actix_web::test]
async fn a_hang_runs_into_the_callers_time_limit() {
    let client = sandbox().await;
    let short = Duration::from_millis(300);
    client.sandbox.next("propay", Fault::Hang);
    let error = client.create(&payment(100)).timeout(short).send().await.expect_err("no answer");
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(client.sandbox.control().charges(), []);

    client.sandbox.next("propay", Fault::HangAfterRequest);
    let error = client.create(&payment(100)).timeout(short).send().await.expect_err("no answer");
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(client.sandbox.control().charges().len(), 1);
    client.sandbox.stop().await; // a hanging call does not hold it up
}

#[actix_web::test]
async fn garbage_is_not_json_and_a_wrong_type_is() {
    let client = sandbox().await;
    client.sandbox.next("propay", Fault::Garbage);
    let answer = client.create(&payment(100)).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let body = answer.bytes().await.expect("a body");
    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err());

    client.sandbox.next("propay", Fault::WrongType);
    let (status, body) = ask(client.create(&payment(100))).await;
    assert_eq!(status, 201);
    assert_eq!((&body["amount_cents"], &body["status"]), (&json!("seven"), &json!({"value": 7})));
    assert_eq!(client.sandbox.control().charges().len(), 2);
}

#[actix_web::test]
async fn a_fault_meets_only_its_provider_and_path() {
    let client = sandbox().await;
    let order = FaultOrder {
        provider: "propay".into(),
        fault: Fault::Status(500),
        count: 1,
        path_contains: Some("POST /propay/v1/payments".into()),
    };
    client.sandbox.control().order_fault(order.clone()).expect("a known provider");
    assert_eq!(ask(client.propay(Method::GET, READ)).await.0, 404);
    assert_eq!(ask(client.call(Method::GET, "/viacep/ws/01001000/json/")).await.0, 200);
    assert_eq!(ask(client.create(&payment(1))).await.0, 500);
    assert_eq!(ask(client.create(&payment(1))).await.0, 201);

    let unknown = FaultOrder { provider: "nobody".into(), ..order };
    assert!(client.sandbox.control().order_fault(unknown).is_err());
}

#[actix_web::test]
async fn every_call_is_counted_whatever_its_result() {
    let client = sandbox().await;
    client.sandbox.next("propay", Fault::DropAfterRequest);
    client.create(&payment(1)).send().await.expect_err("no answer");
    ask(client.propay(Method::GET, READ)).await;
    let control = client.sandbox.control();
    assert_eq!(control.calls("propay"), 2);
    assert_eq!(control.calls_to("propay", "POST /propay/v1/payments"), 1);
    assert_eq!(control.calls_to("propay", "GET /propay/v1/payments/{id}"), 1);
    assert_eq!(control.calls("resend"), 0);
    let log = control.books(|books| books.calls().map(|c| (c.fault.clone(), c.status)).collect::<Vec<_>>());
    assert_eq!(log, [(Some("drop_after".into()), None), (None, Some(404))]);
}
