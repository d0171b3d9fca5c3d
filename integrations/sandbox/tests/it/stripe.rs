use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::{ChargeStatus, Fault, Pay, Refused, SandboxConfig, start};

use crate::harness::{Client, ask, config, sandbox, text};

pub type Form<'a> = &'a [(&'a str, &'a str)];

impl Client {
    pub fn stripe(&self, method: Method, path: &str) -> RequestBuilder {
        self.call(method, &format!("/stripe/v1{path}")).bearer_auth(SandboxConfig::default().stripe_secret_key)
    }

    pub async fn stripe_get(&self, path: &str) -> (u16, Value) {
        ask(self.stripe(Method::GET, path)).await
    }

    pub async fn stripe_post(&self, path: &str, form: Form<'_>) -> (u16, Value) {
        ask(self.stripe(Method::POST, path).form(form)).await
    }

    pub async fn keyed(&self, key: &str, path: &str, form: Form<'_>) -> (u16, Value) {
        ask(self.stripe(Method::POST, path).header("idempotency-key", key).form(form)).await
    }

    /// An open payment; its `pi_…`.
    pub async fn intent(&self, cents: &str) -> String {
        let (status, answer) = self.stripe_post("/payment_intents", &[("amount", cents), ("currency", "brl")]).await;
        assert_eq!(status, 200, "{answer}");
        text(&answer["id"])
    }

    pub async fn paid_intent(&self, cents: &str) -> String {
        let id = self.intent(cents).await;
        self.sandbox.control().pay(Pay::of(&id)).expect("payable");
        id
    }

    pub async fn intent_status(&self, id: &str) -> String {
        text(&self.stripe_get(&format!("/payment_intents/{id}")).await.1["status"])
    }
}

const NEW: Form<'static> = &[
    ("amount", "18500"),
    ("currency", "brl"),
    ("automatic_payment_methods[enabled]", "true"),
    ("metadata[order_id]", "0192"),
    ("metadata[payment_id]", "0193"),
    ("description", "Order 1001"),
];

pub fn code(answer: &Value) -> &Value {
    &answer["error"]["code"]
}

#[actix_web::test]
async fn only_the_secret_key_opens() {
    let client = sandbox().await;
    let path = "/stripe/v1/payment_intents/none";
    for (call, status) in [
        (client.call(Method::GET, path), 401),
        (client.call(Method::GET, path).bearer_auth("sk_test_other"), 401),
        (client.stripe(Method::GET, "/payment_intents/none"), 404),
    ] {
        let (got, answer) = ask(call).await;
        assert_eq!((got, &answer["error"]["type"]), (status, &json!("invalid_request_error")));
    }
    let answer = client.stripe(Method::GET, "/payment_intents/none").send().await.expect("an answer");
    assert!(answer.headers()["request-id"].to_str().expect("text").starts_with("req_"));
}

#[actix_web::test]
async fn a_payment_has_every_documented_field_and_stands_in_the_books_like_a_pix() {
    let client = sandbox().await;
    // As it goes over the wire: brackets bare, the rest encoded.
    let body = "amount=18500&currency=brl&automatic_payment_methods[enabled]=true&metadata[order_id]=0192\
                &metadata[payment_id]=0193&description=Order%201001";
    let call = client.stripe(Method::POST, "/payment_intents").header("content-type", "application/x-www-form-urlencoded");
    let (status, made) = ask(call.body(body)).await;
    assert_eq!(status, 200, "{made}");
    let id = text(&made["id"]);
    assert!(id.starts_with("pi_3"), "{id}");
    for (field, value) in [
        ("object", json!("payment_intent")),
        ("amount", json!(18_500)),
        ("amount_received", json!(0)),
        ("amount_capturable", json!(0)),
        ("currency", json!("brl")),
        ("status", json!("requires_payment_method")),
        ("latest_charge", json!(null)),
        ("last_payment_error", json!(null)),
        ("metadata", json!({"order_id": "0192", "payment_id": "0193"})),
        ("description", json!("Order 1001")),
        ("livemode", json!(false)),
        ("next_action", json!(null)),
        ("payment_method_types", json!(["card", "boleto", "link"])), // all that is switched on
        ("cancellation_reason", json!(null)),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert!(text(&made["client_secret"]).starts_with(&format!("{id}_secret_")));
    assert_eq!(client.stripe_get(&format!("/payment_intents/{id}")).await, (200, made));
    let alone = "allowed_payment_method_types[0]=card&amount=18500&currency=brl";
    let call = client.stripe(Method::POST, "/payment_intents").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(ask(call.body(alone)).await.1["payment_method_types"], json!(["card"]));

    let control = client.sandbox.control();
    let charge = control.charge("0193").expect("found by its payment");
    assert_eq!((charge.provider.as_str(), charge.order_id.as_str(), &charge.txid), ("stripe", "0192", &id));
    assert_eq!(control.pay(Pay::of("0192")).map(|c| c.status), Ok(ChargeStatus::Paid));
    let (_, paid) = client.stripe_get(&format!("/payment_intents/{id}?expand[]=latest_charge")).await;
    assert_eq!((&paid["status"], &paid["amount_received"]), (&json!("succeeded"), &json!(18_500)));
    let attempt = &paid["latest_charge"];
    assert_eq!((&attempt["object"], &attempt["paid"], &attempt["amount"]), (&json!("charge"), &json!(true), &json!(18_500)));
    assert_eq!(client.stripe_get(&format!("/charges/{}", text(&attempt["id"]))).await.1, *attempt);
    assert_eq!(control.pay(Pay::of("0193")), Err(Refused::AlreadyPaid));
}

#[actix_web::test]
async fn a_bad_payment_is_refused_and_leaves_no_trace() {
    let client = sandbox().await;
    let long = "x".repeat(501);
    let mut many: Vec<(String, String)> = (0..51).map(|n| (format!("metadata[k{n}]"), "v".to_owned())).collect();
    many.extend([("amount".into(), "100".into()), ("currency".into(), "brl".into())]);
    assert_eq!(ask(client.stripe(Method::POST, "/payment_intents").form(&many)).await.0, 400);
    for (extra, wanted) in [
        (("amount", "49"), json!("amount_too_small")),
        (("amount", "100000000"), json!("amount_too_large")),
        (("amount", "-5"), json!("parameter_invalid_integer")),
        (("amount", "12.5"), json!("parameter_invalid_integer")),
        (("amount", ""), json!(18_500)), // empty is none: the one before it counts
        (("currency", "xyz"), json!(null)),
        (("metadata[long]", long.as_str()), json!(null)),
        (("nonsense", "1"), json!("parameter_unknown")),
        (("receipt_email", "ana"), json!("email_invalid")),
        (("capture_method", "manual"), json!(null)),
        (("automatic_payment_methods[enabled]", "perhaps"), json!(null)),
        (("allowed_payment_method_types[]", "cash"), json!(null)),
        (("payment_method_types[]", "card"), json!("parameter_unknown")), // gone since 2026-09-30
    ] {
        let mut form = NEW.to_vec();
        form.push(extra);
        let (status, answer) = client.stripe_post("/payment_intents", &form).await;
        if wanted == json!(18_500) {
            assert_eq!((status, &answer["amount"]), (200, &wanted));
            continue;
        }
        assert_eq!((status, code(&answer)), (400, &wanted), "{extra:?}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
    }
    let (status, answer) = client.stripe_post("/payment_intents", &[("currency", "brl")]).await;
    assert_eq!((status, code(&answer), &answer["error"]["param"]), (400, &json!("parameter_missing"), &json!("amount")));
    let json_body = client.stripe(Method::POST, "/payment_intents").json(&json!({"amount": 100}));
    assert_eq!(ask(json_body).await.0, 400);
    assert_eq!(client.sandbox.control().charges().len(), 1);
}

#[actix_web::test]
async fn a_key_stands_for_one_answer() {
    let client = sandbox().await;
    let first = client.keyed("pay-1", "/payment_intents", NEW).await;
    assert_eq!(first.0, 200);
    let mut turned = NEW.to_vec();
    turned.reverse();
    assert_eq!(client.keyed("pay-1", "/payment_intents", &turned).await, first, "the order of the parts says nothing");
    let again = client.stripe(Method::POST, "/payment_intents").header("idempotency-key", "pay-1").form(NEW);
    assert_eq!(again.send().await.expect("an answer").headers()["idempotent-replayed"], "true");
    let (status, other) = client.keyed("pay-1", "/payment_intents", &[("amount", "100"), ("currency", "brl")]).await;
    assert_eq!((status, &other["error"]["type"]), (400, &json!("idempotency_error")));
    assert_eq!(client.sandbox.control().charges().len(), 1);

    // What was refused before it began is not remembered.
    let bad = [("amount", "1"), ("currency", "brl")];
    assert_eq!(client.keyed("pay-2", "/payment_intents", &bad).await.0, 400);
    assert_eq!(client.keyed("pay-2", "/payment_intents", NEW).await.0, 200);
    assert_eq!(client.keyed(&"k".repeat(256), "/payment_intents", NEW).await.0, 400);

    // A second one for the same payment is not hidden: both are in the books.
    let ids: Vec<String> = client.sandbox.control().charges().into_iter().map(|c| c.payment_id).collect();
    assert_eq!((ids.len(), ids[0].as_str(), &ids[1][..4]), (2, "0193", "pi_3"));
}

#[actix_web::test]
async fn a_500_is_remembered_and_a_503_is_not() {
    let client = sandbox().await;
    let charges = || client.sandbox.control().charges().len();
    client.sandbox.next("stripe", Fault::Status(500));
    let failed = client.keyed("pay-1", "/payment_intents", NEW).await;
    assert_eq!((failed.0, &failed.1["error"]["type"]), (500, &json!("api_error")));
    assert_eq!(client.keyed("pay-1", "/payment_intents", NEW).await, failed);
    assert_eq!(charges(), 0);

    client.sandbox.next("stripe", Fault::StatusAfterRequest(500));
    assert_eq!(client.keyed("pay-2", "/payment_intents", NEW).await.0, 500);
    assert_eq!(client.keyed("pay-2", "/payment_intents", NEW).await.0, 500);
    assert_eq!(charges(), 1, "done, though nobody says so");

    client.sandbox.next("stripe", Fault::Status(503));
    assert_eq!(client.keyed("pay-3", "/payment_intents", NEW).await.0, 503);
    assert_eq!(client.keyed("pay-3", "/payment_intents", NEW).await.0, 200);
    client.sandbox.next("stripe", Fault::Status(500));
    assert_eq!(client.stripe_get("/payment_intents").await.0, 500);
    client.sandbox.next("stripe", Fault::DropAfterRequest);
    client
        .stripe(Method::POST, "/payment_intents")
        .header("idempotency-key", "pay-4")
        .form(NEW)
        .send()
        .await
        .expect_err("dropped");
    assert_eq!(client.keyed("pay-4", "/payment_intents", NEW).await.0, 200);
    assert_eq!(charges(), 3);
}

#[actix_web::test]
async fn a_card_is_tried_without_a_browser() {
    let client = sandbox().await;
    let id = client.intent("1000").await;
    let path = format!("/payment_intents/{id}/confirm");
    let confirm = |method: &'static str| {
        let (client, path) = (&client, &path);
        async move { client.stripe_post(path, &[("payment_method", method)]).await }
    };
    let (status, answer) = confirm("pm_card_chargeDeclinedInsufficientFunds").await;
    let error = &answer["error"];
    assert_eq!((status, &error["type"], &error["code"]), (402, &json!("card_error"), &json!("card_declined")));
    assert_eq!(error["decline_code"], "insufficient_funds");
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    let (_, read) = client.stripe_get(&format!("/payment_intents/{id}")).await;
    assert_eq!(read["last_payment_error"]["decline_code"], "insufficient_funds");
    assert!(text(&read["latest_charge"]).starts_with("ch_3"));

    assert_eq!(confirm("pm_card_threeDSecure2Required").await.1["status"], "requires_action");
    assert_eq!(confirm("pm_nonsense").await.0, 404);
    let (status, paid) = confirm("pm_card_visa").await;
    assert_eq!((status, &paid["status"], &paid["last_payment_error"]), (200, &json!("succeeded"), &json!(null)));
    let (status, answer) = confirm("pm_card_visa").await;
    assert_eq!((status, code(&answer)), (400, &json!("payment_intent_unexpected_state")));
    assert_eq!(answer["error"]["payment_intent"]["id"], json!(id));

    let at_once = [("amount", "100"), ("currency", "brl"), ("confirm", "true"), ("payment_method", "pm_card_visa")];
    assert_eq!(client.stripe_post("/payment_intents", &at_once).await.1["status"], "succeeded");
    assert_eq!(client.stripe_post("/payment_intents", &at_once[..3]).await.0, 400);
    assert_eq!(client.sandbox.control().charges().len(), 2);
}

#[actix_web::test]
async fn an_open_payment_is_cancelled_for_good_and_a_paid_one_never() {
    let client = sandbox().await;
    let (open, paid, busy) = (client.intent("100").await, client.paid_intent("200").await, client.intent("300").await);
    let control = client.sandbox.control();
    control.processing(&busy).expect("open");
    let cancel = |id: String, reason: &'static str| {
        let client = &client;
        async move { client.stripe_post(&format!("/payment_intents/{id}/cancel"), &[("cancellation_reason", reason)]).await }
    };
    assert_eq!(cancel(open.clone(), "whim").await.0, 400);
    let (status, answer) = cancel(open.clone(), "abandoned").await;
    assert_eq!((status, &answer["status"], &answer["cancellation_reason"]), (200, &json!("canceled"), &json!("abandoned")));
    assert!(answer["canceled_at"].is_i64());
    for (id, is) in [(&open, "canceled"), (&paid, "succeeded"), (&busy, "processing")] {
        let (status, answer) = cancel(id.clone(), "abandoned").await;
        assert_eq!((status, code(&answer)), (400, &json!("payment_intent_unexpected_state")));
        assert_eq!(answer["error"]["payment_intent"]["status"], is);
    }
    assert_eq!(control.pay(Pay::of(&open).force()), Err(Refused::NotPayable(ChargeStatus::Cancelled)));
    assert_eq!(control.pay(Pay::of(&busy)).map(|c| c.status), Ok(ChargeStatus::Paid));
    assert!(control.expire(&paid).is_err());
}

#[actix_web::test]
async fn payments_are_listed_at_once_and_found_by_metadata_later() {
    let client = sandbox().await;
    client.stripe_post("/payment_intents", NEW).await;
    let second = client.intent("200").await;
    client.charge(300).await; // ProPay's
    let (_, list) = client.stripe_get("/payment_intents?limit=1").await;
    assert_eq!((&list["object"], &list["has_more"], &list["data"][0]["id"]), (&json!("list"), &json!(true), &json!(second)));
    let (_, rest) = client.stripe_get(&format!("/payment_intents?limit=1&starting_after={second}")).await;
    assert_eq!((&rest["has_more"], &rest["data"][0]["metadata"]["payment_id"]), (&json!(false), &json!("0193")));
    let (_, none) = client.stripe_get("/payment_intents?created[gte]=4000000000").await;
    assert_eq!(none["data"], json!([]));
    let (_, both) = client.stripe_get("/payment_intents?created%5Bgte%5D=1").await;
    assert_eq!(both["data"].as_array().map(Vec::len), Some(2));
    client.sandbox.control().pay(Pay::of(&second)).expect("open");
    let (_, wide) = client.stripe_get("/payment_intents?limit=1&expand[]=data.latest_charge").await;
    assert_eq!(wide["data"][0]["latest_charge"]["object"], "charge");
    assert_eq!(client.stripe_get("/payment_intents?limit=101").await.0, 400);
    assert_eq!(client.stripe_get("/payment_intents?starting_after=pi_none").await.0, 404);

    let query = [("query", "metadata['payment_id']:'0193'")];
    let search = |client: &Client| ask(client.stripe(Method::GET, "/payment_intents/search").query(&query));
    assert_eq!(search(&client).await.1["data"], json!([]), "it runs behind");
    let fresh = SandboxConfig { stripe_search_lag: Duration::ZERO, ..config() };
    let client = Client::new(start(fresh).await.expect("a free port"));
    client.stripe_post("/payment_intents", NEW).await;
    client.intent("200").await;
    let (_, found) = search(&client).await;
    assert_eq!((&found["object"], found["data"].as_array().map(Vec::len)), (&json!("search_result"), Some(1)));
    assert_eq!(found["data"][0]["metadata"]["payment_id"], "0193");
}
