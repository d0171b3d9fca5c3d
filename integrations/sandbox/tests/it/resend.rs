use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::SandboxConfig;

use crate::harness::{Client, ask, sandbox, text};

fn post(client: &Client, path: &str, body: &Value) -> RequestBuilder {
    let call = client.call(Method::POST, &format!("/resend{path}")).json(body);
    call.bearer_auth(SandboxConfig::default().resend_api_key)
}

fn mail() -> Value {
    json!({
        "from": "Vitrine <no-reply@loja.test>", "to": ["ana@example.com"], "subject": "Pedido 1001 confirmado",
        "html": "<p>Oi</p>", "text": "Oi", "tags": [{"name": "kind", "value": "order_paid"}],
    })
}

#[actix_web::test]
async fn a_mail_is_kept_and_can_be_read() {
    let client = sandbox().await;
    let answer = post(&client, "/emails", &mail()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["ratelimit-limit"], "5");
    let id = text(&answer.json::<Value>().await.expect("JSON")["id"]);

    let read = client.call(Method::GET, &format!("/resend/emails/{id}"));
    let (status, view) = ask(read.bearer_auth(SandboxConfig::default().resend_api_key)).await;
    assert_eq!(status, 200);
    assert_eq!((&view["object"], &view["last_event"]), (&json!("email"), &json!("delivered")));
    assert_eq!((&view["to"], &view["html"]), (&json!(["ana@example.com"]), &json!("<p>Oi</p>")));
    let at = text(&view["created_at"]); // 2023-04-03 22:13:42.674981+00
    assert_eq!((at.len(), &at[10..11], &at[26..]), (29, " ", "+00"));

    let control = client.sandbox.control();
    assert_eq!(control.mails_to("ANA@example.com").len(), 1);
    assert_eq!(control.mails_to("bia@example.com").len(), 0);
    assert_eq!(control.mails()[0].tags, [("kind".to_owned(), "order_paid".to_owned())]);
}

#[actix_web::test]
async fn the_same_key_sends_once_and_another_payload_is_a_conflict() {
    let client = sandbox().await;
    let keyed = |body: &Value| post(&client, "/emails", body).header("idempotency-key", "order_paid/1");
    let (_, first) = ask(keyed(&mail())).await;
    let (status, again) = ask(keyed(&mail())).await;
    assert_eq!((status, &again), (200, &first));
    let mut other = mail();
    other["subject"] = json!("Outro");
    let (status, answer) = ask(keyed(&other)).await;
    assert_eq!((status, &answer["name"]), (409, &json!("invalid_idempotent_request")));
    assert_eq!(client.sandbox.control().mails().len(), 1);

    let without = ask(post(&client, "/emails", &mail())).await.1;
    assert_ne!(without, first);
    let long = post(&client, "/emails", &mail()).header("idempotency-key", "k".repeat(257));
    let (status, answer) = ask(long).await;
    assert_eq!((status, &answer["name"]), (400, &json!("invalid_idempotency_key")));
}

#[actix_web::test]
async fn a_refused_mail_does_not_use_its_key_up() {
    let client = sandbox().await;
    let keyed = |body: &Value| post(&client, "/emails", body).header("idempotency-key", "welcome/1");
    let mut bad = mail();
    bad["subject"] = json!("");
    assert_eq!(ask(keyed(&bad)).await.0, 422);
    assert_eq!(ask(keyed(&mail())).await.0, 200);
}

#[actix_web::test]
async fn a_bad_mail_is_refused_by_its_documented_name() {
    let client = sandbox().await;
    let cases = [
        ("from", Value::Null, 422, "missing_required_field"),
        ("to", json!([]), 422, "missing_required_field"),
        ("subject", Value::Null, 422, "missing_required_field"),
        ("to", json!("ana"), 422, "invalid_parameter"),
        ("to", json!(vec!["ana@example.com"; 51]), 422, "invalid_parameter"),
        ("tags", json!([{"name": "kind", "value": "não"}]), 422, "invalid_parameter"),
        ("attachments", json!([{"filename": "a.pdf"}]), 422, "invalid_attachment"),
        ("from", json!("Loja <loja@gmail.com>"), 403, "validation_error"),
    ];
    for (field, value, status, name) in cases {
        let mut body = mail();
        body[field] = value;
        let (got, answer) = ask(post(&client, "/emails", &body)).await;
        assert_eq!((got, &answer["name"], &answer["statusCode"]), (status, &json!(name), &json!(status)), "{field}");
    }
    let mut empty = mail();
    (empty["html"], empty["text"]) = (json!(""), Value::Null);
    assert_eq!(ask(post(&client, "/emails", &empty)).await.0, 422);
    assert_eq!(client.sandbox.control().mails(), []);
}

#[actix_web::test]
async fn the_key_opens_the_door() {
    let client = sandbox().await;
    let (status, answer) = ask(client.call(Method::POST, "/resend/emails").json(&mail())).await;
    assert_eq!((status, &answer["name"]), (401, &json!("missing_api_key")));
    let wrong = client.call(Method::POST, "/resend/emails").bearer_auth("re_other").json(&mail());
    let (status, answer) = ask(wrong).await;
    assert_eq!((status, &answer["name"]), (403, &json!("invalid_api_key")));
}

#[actix_web::test]
async fn a_batch_is_sent_completely_or_not_at_all() {
    let client = sandbox().await;
    let (status, answer) = ask(post(&client, "/emails/batch", &json!([mail(), mail()]))).await;
    assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(ask(post(&client, "/emails/batch", &json!([mail(), {}]))).await.0, 422);
    assert_eq!(client.sandbox.control().mails().len(), 2);
}

#[actix_web::test]
async fn a_permissive_batch_leaves_out_what_is_wrong_and_says_which() {
    let client = sandbox().await;
    let mut refused = mail();
    refused["to"] = json!(["ana@refused.test"]);
    let permissive = |body: &Value| post(&client, "/emails/batch", body).header("x-batch-validation", "permissive");
    let (status, answer) = ask(permissive(&json!([mail(), refused, mail()]))).await;
    assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!((&answer["errors"][0]["index"], answer["errors"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    let (status, answer) = ask(permissive(&json!([mail()]))).await;
    assert_eq!((status, &answer["errors"]), (200, &json!([])));
    assert_eq!(client.sandbox.control().mails().len(), 3);
    let odd = post(&client, "/emails/batch", &json!([mail()])).header("x-batch-validation", "loose");
    assert_eq!(ask(odd).await.0, 422);
}

#[actix_web::test]
async fn a_batch_has_one_key_and_takes_no_attachments() {
    let client = sandbox().await;
    let keyed = |body: &Value| post(&client, "/emails/batch", body).header("idempotency-key", "batch/1");
    let mut attached = mail();
    attached["attachments"] = json!([{"filename": "a.pdf", "content": "AA=="}]);
    assert_eq!(ask(keyed(&json!([mail(), attached]))).await.0, 422);
    let (status, first) = ask(keyed(&json!([mail(), mail()]))).await;
    let (_, again) = ask(keyed(&json!([mail(), mail()]))).await;
    assert_eq!((status, &again), (200, &first));
    let (status, answer) = ask(keyed(&json!([mail()]))).await;
    assert_eq!((status, &answer["name"]), (409, &json!("invalid_idempotent_request")));
    assert_eq!(client.sandbox.control().mails().len(), 2);
}

#[actix_web::test]
async fn the_test_addresses_bounce_and_complain() {
    let client = sandbox().await;
    for (to, event) in [("bounced@resend.dev", "bounced"), ("complained@resend.dev", "complained")] {
        let mut body = mail();
        body["to"] = json!(to);
        ask(post(&client, "/emails", &body)).await;
        assert_eq!(client.sandbox.control().mails_to(to)[0].last_event, event);
    }
}
