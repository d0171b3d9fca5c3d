use std::time::Duration;

use jsonwebtoken::Algorithm;
use reqwest::Method;
use serde_json::json;
use vitrine_sandbox::{ChargeStatus, Pay, RefundStatus, Refused, SandboxConfig};

use crate::harness::{LIMIT, ask, claims, jwt, jwt_with, payment, refund, sandbox, text};

#[actix_web::test]
async fn a_token_opens_only_when_key_algorithm_audience_and_time_are_right() {
    let client = sandbox().await;
    let secret = SandboxConfig::default().propay_incoming_secret;
    let plain_audience = {
        let mut claims = claims("propay", 60);
        claims["aud"] = json!("propay");
        claims
    };
    let without_end = json!({"aud": ["propay"]});
    for (token, status) in [
        (jwt(&claims("propay", 60), &secret), 404),
        (jwt(&plain_audience, &secret), 404),
        (jwt(&claims("propay", -20), &secret), 404), // inside the leeway
        (jwt(&claims("propay", -40), &secret), 401),
        (jwt(&claims("other", 60), &secret), 401),
        (jwt(&claims("propay", 60), "another secret"), 401),
        (jwt(&without_end, &secret), 401),
        (jwt_with(Algorithm::HS512, &claims("propay", 60), &secret), 401),
        (String::from("rubbish"), 401),
    ] {
        let call = client.call(Method::GET, "/propay/v1/payments/none").bearer_auth(token);
        let (got, answer) = ask(call).await;
        assert_eq!(got, status, "{answer}");
        assert_eq!(answer["error"]["code"], if status == 401 { "invalid_token" } else { "not_found" });
    }
    let (status, _) = ask(client.call(Method::GET, "/propay/v1/payments/none")).await;
    assert_eq!(status, 401);
    let (status, _) = ask(client.call(Method::GET, "/propay/health")).await;
    assert_eq!(status, 200);
}

#[actix_web::test]
async fn a_charge_has_every_documented_field() {
    let client = sandbox().await;
    let body = payment(18_500);
    let answer = client.create(&body).header("x-request-id", "req-1").send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["x-request-id"], "req-1");
    let charge: serde_json::Value = answer.json().await.expect("JSON");
    let id = text(&body["payment_id"]);
    for (field, value) in [
        ("payment_id", body["payment_id"].clone()),
        ("order_id", body["order_id"].clone()),
        ("status", json!("pending")),
        ("amount_cents", json!(18_500)),
        ("currency", json!("BRL")),
        ("txid", json!(id.replace('-', ""))),
        ("provider", json!("openpix")),
        ("end_to_end_id", json!(null)),
        ("paid_at", json!(null)),
        ("refunded_cents", json!(0)),
    ] {
        assert_eq!(charge[field], value, "{field}");
    }
    assert!(text(&charge["copy_paste"]).starts_with("00020101021226"));
    assert!(text(&charge["qr_code"]).starts_with("data:image/png;base64,iVBORw0KGgo"));
    let left = text(&charge["expires_at"]).parse::<jiff::Timestamp>().expect("RFC 3339");
    let left = left.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((1_780..=1_800).contains(&left), "{left}");

    let picture = client.http.get(text(&charge["qr_code_url"])).send().await.expect("an answer");
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert!(picture.bytes().await.expect("a body").starts_with(b"\x89PNG"));
}

#[actix_web::test]
async fn a_repeat_gives_the_same_charge_and_another_body_a_conflict() {
    let client = sandbox().await;
    let mut body = payment(18_500);
    let (first_status, first) = ask(client.create(&body)).await;
    let (again_status, again) = ask(client.create(&body)).await;
    assert_eq!((first_status, again_status), (201, 200));
    assert_eq!(first, again);

    body["amount_cents"] = json!(1);
    let (status, answer) = ask(client.create(&body)).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("idempotency_conflict")));
    assert_eq!(client.sandbox.control().charges().len(), 1);
    assert_eq!(client.sandbox.control().charges()[0].amount_cents, 18_500);
}

#[actix_web::test]
async fn a_bad_charge_is_refused_and_leaves_no_trace() {
    let client = sandbox().await;
    for (pointer, value, status, code) in [
        ("/amount_cents", json!(0), 422, "invalid_amount"),
        ("/amount_cents", json!(-5), 422, "invalid_amount"),
        ("/amount_cents", json!("18500"), 400, "invalid_request"),
        ("/currency", json!("USD"), 422, "invalid_request"),
        ("/expires_in", json!(0), 422, "invalid_request"),
        ("/payer/tax_id", json!("52998224724"), 422, "invalid_payer"),
        ("/payer/name", json!(" "), 422, "invalid_payer"),
        ("/payer/email", json!("ana"), 422, "invalid_payer"),
    ] {
        let mut body = payment(18_500);
        *body.pointer_mut(pointer).expect("a field") = value;
        let (got, answer) = ask(client.create(&body)).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{pointer}");
    }
    let without_key = client.propay(Method::POST, "/v1/payments").json(&payment(1));
    assert_eq!(ask(without_key).await.0, 400);
    let other_key = client.propay(Method::POST, "/v1/payments").header("idempotency-key", "other").json(&payment(1));
    assert_eq!(ask(other_key).await.0, 400);
    assert_eq!(client.sandbox.control().charges(), []);
}

#[actix_web::test]
async fn an_unpaid_charge_can_be_voided_and_a_paid_one_cannot() {
    let client = sandbox().await;
    let (unpaid, paid) = (client.charge(100).await, client.paid_charge(200).await);
    let (status, answer) = ask(client.propay(Method::DELETE, &format!("/v1/payments/{unpaid}"))).await;
    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")));
    let (status, answer) = ask(client.propay(Method::DELETE, &format!("/v1/payments/{paid}"))).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("already_paid")));
    assert_eq!(client.status_of(&paid).await, "paid");
    assert_eq!(ask(client.propay(Method::DELETE, "/v1/payments/none")).await.0, 404);
}

#[actix_web::test]
async fn a_voided_charge_is_paid_only_by_force() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let id = client.charge(100).await;
    ask(client.propay(Method::DELETE, &format!("/v1/payments/{id}"))).await;
    assert_eq!(control.pay(Pay::of(&id)), Err(Refused::NotPayable(ChargeStatus::Cancelled)));
    assert_eq!(control.pay(Pay::of(&id).force()).map(|c| c.status), Ok(ChargeStatus::Paid));
    assert_eq!(control.pay(Pay::of(&id).force()), Err(Refused::AlreadyPaid));
}

#[actix_web::test]
async fn a_charge_expires_by_itself() {
    let client = sandbox().await;
    let mut body = payment(100);
    body["expires_in"] = json!(1);
    let (_, charge) = ask(client.create(&body)).await;
    let id = text(&charge["payment_id"]);
    let control = client.sandbox.control();
    let expired = control
        .wait_for(LIMIT, |books| books.find_charge(&id).filter(|c| c.status == ChargeStatus::Expired).cloned())
        .await
        .expect("it expires");
    assert_eq!(expired.expires_at.duration_since(expired.created_at).as_secs(), 1);
    assert_eq!(client.status_of(&id).await, "expired");
    assert_eq!(control.deliveries().iter().map(|d| d.event.as_str()).collect::<Vec<_>>(), ["payment.expired"]);
    assert_eq!(control.pay(Pay::of(&id)), Err(Refused::NotPayable(ChargeStatus::Expired)));
}

#[actix_web::test]
async fn refunds_never_exceed_what_was_paid() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let id = client.paid_charge(1_000).await;

    let first = refund(400);
    let (status, answer) = ask(client.refund(&id, &first)).await;
    assert_eq!((status, &answer["status"]), (201, &json!("processing")));
    assert_eq!(text(&answer["end_to_end_id"]).len(), 32);
    assert_eq!(ask(client.refund(&id, &first)).await.0, 200);
    assert_eq!(client.status_of(&id).await, "partially_refunded");
    let path = format!("/v1/payments/{id}/refunds/{}", text(&first["refund_id"]));
    assert_eq!(ask(client.propay(Method::GET, &path)).await.1["status"], "done");

    let (status, answer) = ask(client.refund(&id, &refund(601))).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("refund_exceeds_payment")));
    assert_eq!(ask(client.refund(&id, &refund(0))).await.1["error"]["code"], "invalid_amount");
    assert_eq!(ask(client.refund(&id, &refund(600))).await.0, 201);
    assert_eq!(client.status_of(&id).await, "refunded");
    assert_eq!(control.charge(&id).map(|c| c.refunded_cents), Some(1_000));
    assert_eq!(control.refunds().len(), 2);

    let unpaid = client.charge(1_000).await;
    assert_eq!(ask(client.refund(&unpaid, &refund(1))).await.0, 409);
}

#[actix_web::test]
async fn a_failed_refund_gives_the_room_back() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let id = client.paid_charge(1_000).await;
    control.fail_refunds(1);
    assert_eq!(ask(client.refund(&id, &refund(1_000))).await.0, 201);
    assert_eq!(client.status_of(&id).await, "paid");
    assert_eq!(ask(client.refund(&id, &refund(1_000))).await.0, 201);
    assert_eq!(client.status_of(&id).await, "refunded");
    let states: Vec<_> = control.refunds().iter().map(|r| r.status).collect();
    assert_eq!(states, [RefundStatus::Failed, RefundStatus::Done]);
}

#[actix_web::test]
async fn a_payment_of_another_amount_shows_what_came() {
    let client = sandbox().await;
    let id = client.charge(1_000).await;
    client.sandbox.control().pay(Pay::of(&id).amount_cents(999)).expect("payable");
    let (_, answer) = ask(client.propay(Method::GET, &format!("/v1/payments/{id}"))).await;
    assert_eq!((&answer["status"], &answer["amount_cents"]), (&json!("paid"), &json!(999)));
    assert_eq!(text(&answer["end_to_end_id"]).len(), 32);
}

#[tokio::test]
async fn it_runs_on_plain_tokio_and_many_fit_in_one_process() {
    let (one, two) = tokio::join!(sandbox(), sandbox());
    assert_ne!(one.sandbox.addr(), two.sandbox.addr());
    let id = one.charge(100).await;
    assert_eq!(one.sandbox.control().charges().len(), 1);
    assert_eq!(two.sandbox.control().charges().len(), 0);
    let addr = one.sandbox.addr();
    one.sandbox.stop().await;
    assert!(std::net::TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_err());
    assert_eq!(two.sandbox.control().charge(&id), None);
}
