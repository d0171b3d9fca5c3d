use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_sandbox::{ChargeStatus, Fault, Pay, RefundStatus, SandboxConfig, SendWebhook};

use crate::harness::{Client, LIMIT, Shop, Told, ask, sandbox, text};

impl Client {
    pub fn openpix(&self, method: Method, path: &str) -> RequestBuilder {
        let app_id = SandboxConfig::default().openpix_app_id;
        self.call(method, &format!("/openpix/api/v1/charge{path}")).header("authorization", app_id)
    }

    pub async fn openpix_charge(&self, cents: i64) -> String {
        let (status, answer) = ask(self.openpix(Method::POST, "").json(&new_charge(cents))).await;
        assert_eq!(status, 200, "{answer}");
        text(&answer["correlationID"])
    }

    async fn openpix_read(&self, id: &str) -> Value {
        ask(self.openpix(Method::GET, &format!("/{id}"))).await.1["charge"].clone()
    }
}

fn new_charge(cents: i64) -> Value {
    json!({
        "correlationID": Uuid::now_v7(), "value": cents, "expiresIn": 1800, "comment": "Pedido 1001",
        "customer": {"name": "Ana Silva", "taxID": "52998224725"},
        "additionalInfo": [{"key": "pedido", "value": "1001"}],
    })
}

#[actix_web::test]
async fn only_the_bare_app_id_opens() {
    let client = sandbox().await;
    let app_id = SandboxConfig::default().openpix_app_id;
    for (given, status) in [(app_id.clone(), 400), (format!("Bearer {app_id}"), 401), ("other".into(), 401)] {
        let call = client.call(Method::GET, "/openpix/api/v1/charge/none").header("authorization", given);
        let (got, answer) = ask(call).await;
        assert_eq!(got, status);
        assert!(answer["error"].is_string(), "{answer}");
    }
    assert_eq!(ask(client.call(Method::GET, "/openpix/api/v1/charge/none")).await.0, 401);
}

#[actix_web::test]
async fn a_charge_has_every_documented_field() {
    let client = sandbox().await;
    let body = new_charge(18_500);
    let (status, answer) = ask(client.openpix(Method::POST, "").json(&body)).await;
    assert_eq!(status, 200, "{answer}");
    let charge = &answer["charge"];
    assert_eq!((&answer["correlationID"], &answer["brCode"]), (&body["correlationID"], &charge["brCode"]));
    for (field, value) in [
        ("status", json!("ACTIVE")),
        ("correlationID", body["correlationID"].clone()),
        ("value", json!(18_500)),
        ("discount", json!(0)),
        ("valueWithDiscount", json!(18_500)),
        ("type", json!("DYNAMIC")),
        ("expiresIn", json!(1_800)),
        ("identifier", charge["transactionID"].clone()),
        ("additionalInfo", body["additionalInfo"].clone()),
    ] {
        assert_eq!(charge[field], value, "{field}");
    }
    assert_eq!(charge["customer"]["taxID"], json!({"taxID": "52998224725", "type": "BR:CPF"}));
    let txid = text(&charge["transactionID"]);
    let code = text(&charge["brCode"]);
    assert!(code.contains("5406185.00") && code.contains(&format!("62290525{}6304", &txid[..25])), "{code}");
    for field in ["expiresDate", "createdAt"] {
        let at = text(&charge[field]);
        assert!(at.ends_with('Z') && at.len() == "2026-10-01T15:30:00.000Z".len(), "{at}");
    }
    let picture = client.http.get(text(&charge["qrCodeImage"])).send().await.expect("an answer");
    assert!(picture.bytes().await.expect("a body").starts_with(b"\x89PNG"));
    for id in ["correlationID", "identifier", "globalID", "paymentLinkID"] {
        assert_eq!(client.openpix_read(&text(&charge[id])).await, *charge, "{id}");
    }
    let known = client.sandbox.control().charge("1001").expect("found by its order");
    assert_eq!((known.provider.as_str(), json!(known.payment_id)), ("openpix", body["correlationID"].clone()));
}

#[actix_web::test]
async fn the_same_id_again_is_refused_or_gives_the_old_charge_whatever_is_asked() {
    let client = sandbox().await;
    let mut body = new_charge(100);
    let (_, first) = ask(client.openpix(Method::POST, "").json(&body)).await;
    body["value"] = json!(999);
    let (status, answer) = ask(client.openpix(Method::POST, "").json(&body)).await;
    assert_eq!(status, 400);
    assert!(answer["error"].is_string());
    assert_eq!(ask(client.openpix(Method::POST, "?return_existing=true").json(&body)).await, (200, first));
    assert_eq!(client.sandbox.control().charges().len(), 1);
}

#[actix_web::test]
async fn a_bad_charge_is_refused_and_leaves_no_trace() {
    let client = sandbox().await;
    for (pointer, value) in [
        ("/value", json!(0)),
        ("/value", json!(-1)),
        ("/value", json!("100")),
        ("/value", json!(1.5)),
        ("/expiresIn", json!(299)),
        ("/comment", json!("x".repeat(141))),
        ("/correlationID", json!(" ")),
        ("/customer/taxID", json!("52998224724")),
        ("/customer/name", json!("")),
        ("/customer", json!({"name": "Ana Silva", "taxID": "52998224725", "email": "ana@example.com"})),
        ("/customer", json!({"name": "Ana Silva"})),
    ] {
        let mut body = new_charge(100);
        *body.pointer_mut(pointer).expect("a field") = value;
        let (status, answer) = ask(client.openpix(Method::POST, "").json(&body)).await;
        assert_eq!(status, 400, "{pointer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
    assert_eq!(client.sandbox.control().charges(), []);
}

#[actix_web::test]
async fn more_calls_than_are_allowed_in_a_second_are_refused_and_do_nothing() {
    let client = sandbox().await;
    client.sandbox.control().limit_openpix(2);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(client.openpix(Method::POST, "").json(&new_charge(100))).await.0);
    }
    assert_eq!((statuses, client.sandbox.control().charges().len()), (vec![200, 200, 429, 429], 2));
    client.sandbox.control().limit_openpix(0);
    client.openpix_charge(100).await;
}

#[actix_web::test]
async fn charges_are_listed_in_pages_the_newest_first() {
    let client = sandbox().await;
    let ids = [client.openpix_charge(1).await, client.openpix_charge(2).await, client.openpix_charge(3).await];
    client.charge(4).await; // ProPay's
    client.sandbox.control().pay(Pay::of(&ids[1])).expect("payable");
    let list = |query: &str| ask(client.openpix(Method::GET, query));
    let values = |answer: &Value| {
        let charges = answer["charges"].as_array().expect("a list").iter();
        charges.map(|charge| charge["value"].as_i64().expect("a number")).collect::<Vec<_>>()
    };
    let (_, first) = list("?skip=0&limit=2").await;
    assert_eq!(values(&first), [3, 2]);
    assert_eq!(first["pageInfo"], json!({"skip": 0, "limit": 2, "hasPreviousPage": false, "hasNextPage": true}));
    let (_, second) = list("?skip=2&limit=2").await;
    assert_eq!(values(&second), [1]);
    assert_eq!(second["pageInfo"], json!({"skip": 2, "limit": 2, "hasPreviousPage": true, "hasNextPage": false}));
    assert_eq!(values(&list("?status=COMPLETED").await.1), [2]);
    assert_eq!(values(&list("?start=2020-01-01T00:00:00Z&end=2020-12-31T00:00:00Z").await.1), [0_i64; 0]);
    assert_eq!(values(&list("?start=2020-01-01T00:00:00Z").await.1), [3, 2, 1]);
}

#[actix_web::test]
async fn an_unpaid_charge_can_be_voided_and_a_paid_one_cannot() {
    let client = sandbox().await;
    let (unpaid, paid) = (client.openpix_charge(100).await, client.openpix_charge(200).await);
    client.sandbox.control().pay(Pay::of(&paid)).expect("payable");
    let void = |id: &str| ask(client.openpix(Method::DELETE, &format!("/{id}")));
    assert_eq!(void(&unpaid).await, (200, json!({"status": "OK", "id": unpaid})));
    assert_eq!(void(&unpaid).await.0, 200);
    assert_eq!(void(&paid).await.0, 400);
    assert_eq!(void("none").await.0, 400);
    assert_eq!(client.openpix_read(&unpaid).await["status"], "EXPIRED");
    assert_eq!(client.openpix_read(&paid).await["status"], "COMPLETED");
    let statuses: Vec<_> = client.sandbox.control().charges().iter().map(|c| c.status).collect();
    assert_eq!(statuses, [ChargeStatus::Cancelled, ChargeStatus::Paid]);
}

#[actix_web::test]
async fn refunds_never_exceed_what_was_paid_and_a_repeat_is_refused() {
    let client = sandbox().await;
    let id = client.openpix_charge(1_000).await;
    let refund = |body: Value| ask(client.openpix(Method::POST, &format!("/{id}/refund")).json(&body));
    let first = json!({"correlationID": Uuid::now_v7(), "value": 400, "comment": "Troca"});
    assert_eq!(refund(first.clone()).await.0, 400); // nothing was paid
    client.sandbox.control().pay(Pay::of(&id)).expect("payable");
    let (status, answer) = refund(first.clone()).await;
    let made = &answer["refund"];
    assert_eq!((status, &made["status"], &made["value"]), (200, &json!("IN_PROCESSING"), &json!(400)));
    assert_eq!((&made["correlationID"], &made["comment"]), (&first["correlationID"], &json!("Troca")));
    assert_eq!(text(&made["endToEndId"]).len(), 32);
    assert_eq!(refund(first.clone()).await.0, 400);
    assert_eq!(refund(json!({"correlationID": Uuid::now_v7(), "value": 601})).await.0, 400);
    assert_eq!(refund(json!({"correlationID": Uuid::now_v7(), "value": 0})).await.0, 400);
    let (status, rest) = refund(json!({"correlationID": Uuid::now_v7()})).await;
    assert_eq!((status, &rest["refund"]["value"]), (200, &json!(600)));

    let (_, list) = ask(client.openpix(Method::GET, &format!("/{id}/refund"))).await;
    let seen: Vec<_> = list["refunds"].as_array().expect("a list").iter().map(|r| (&r["value"], &r["status"])).collect();
    assert_eq!(seen, [(&json!(400), &json!("CONFIRMED")), (&json!(600), &json!("CONFIRMED"))]);
    assert_eq!(client.sandbox.control().charge(&id).map(|c| c.status), Some(ChargeStatus::Refunded));
    assert_eq!(client.openpix_read(&id).await["status"], "COMPLETED");
}

/// The signatures as the documents say how to check them.
fn check_signatures(client: &Client, told: &Told) {
    let pem = client.sandbox.openpix_public_key();
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(text).expect("base64");
    let signature = STANDARD.decode(&told.headers["x-webhook-signature"]).expect("base64");
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der);
    key.verify(told.body.as_bytes(), &signature).expect("signed by RSA");
    assert!(key.verify(b"another body", &signature).is_err());

    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        SandboxConfig::default().openpix_webhook_secret.as_bytes(),
    );
    let hash = STANDARD.decode(&told.headers["x-openpix-signature"]).expect("base64");
    aws_lc_rs::hmac::verify(&key, told.body.as_bytes(), &hash).expect("signed by HMAC");
}

#[actix_web::test]
async fn news_are_told_signed_in_both_ways() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let (paid, late) = (client.openpix_charge(1_000).await, client.openpix_charge(500).await);
    let charge = control.pay(Pay::of(&paid)).expect("payable");
    assert!(control.settled(LIMIT).await);
    control.expire(&late).expect("unpaid");
    assert!(control.settled(LIMIT).await);
    for _ in 0..2 {
        let body = json!({"correlationID": Uuid::now_v7(), "value": 100});
        ask(client.openpix(Method::POST, &format!("/{paid}/refund")).json(&body)).await;
        assert!(control.settled(LIMIT).await);
        control.fail_refunds(1);
    }
    let told = shop.told();
    for one in &told {
        assert_eq!(one.path, "/api/webhooks/openpix");
        check_signatures(&client, one);
    }
    let told: Vec<Value> = told.iter().map(Told::json).collect();
    let events: Vec<String> = told.iter().map(|body| text(&body["event"])).collect();
    assert_eq!(
        events,
        [
            "OPENPIX:CHARGE_COMPLETED",
            "OPENPIX:CHARGE_EXPIRED",
            "PIX_TRANSACTION_REFUND_SENT_CONFIRMED",
            "PIX_TRANSACTION_REFUND_SENT_REJECTED"
        ]
    );
    assert_eq!((&told[0]["charge"]["status"], &told[0]["charge"]["correlationID"]), (&json!("COMPLETED"), &json!(paid)));
    assert_eq!(told[0]["pix"]["endToEndId"], json!(charge.end_to_end_id));
    assert_eq!(told[0]["charge"]["payer"]["taxID"], json!({"taxID": "52998224725", "type": "BR:CPF"}));
    assert_eq!((&told[1]["charge"]["status"], &told[1]["pix"]), (&json!("EXPIRED"), &json!(null)));
    let refunds = control.refunds();
    assert_eq!(refunds.iter().map(|r| r.status).collect::<Vec<_>>(), [RefundStatus::Done, RefundStatus::Failed]);
    assert_eq!(told[2]["refundTransaction"]["endToEndId"], json!(refunds[0].end_to_end_id));
    assert_eq!(told[3]["refundTransaction"]["status"], "REJECTED");
    assert_eq!(told[3]["originalTransaction"]["endToEndId"], json!(charge.end_to_end_id));

    let (_, key) = ask(client.call(Method::GET, "/control/openpix-public-key")).await;
    assert_eq!(key, Value::Null); // text, not JSON
    let key = client.call(Method::GET, "/control/openpix-public-key").send().await.expect("an answer");
    assert_eq!(key.text().await.expect("text"), client.sandbox.openpix_public_key());
}

#[actix_web::test]
async fn an_event_is_sent_again_by_its_common_name_or_its_own() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    let control = client.sandbox.control();
    let id = client.openpix_charge(100).await;
    control.pay(Pay::of(&id)).expect("payable");
    for name in ["payment.paid", "OPENPIX:CHARGE_COMPLETED"] {
        control.send_webhook(&id, name, SendWebhook::Once).expect("known");
    }
    assert!(control.settled(LIMIT).await);
    let told = shop.told();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|one| one.body == told[0].body));
    assert!(control.send_webhook(&id, "nonsense", SendWebhook::Once).is_err());
}

#[actix_web::test]
async fn faults_meet_it_like_the_others() {
    let client = sandbox().await;
    client.sandbox.next("openpix", Fault::DropAfterRequest);
    let body = new_charge(100);
    client.openpix(Method::POST, "?return_existing=true").json(&body).send().await.expect_err("dropped");
    assert_eq!(ask(client.openpix(Method::POST, "?return_existing=true").json(&body)).await.0, 200);
    assert_eq!(client.sandbox.control().charges().len(), 1);
    client.sandbox.next("openpix", Fault::Status(500));
    let (status, answer) = ask(client.openpix(Method::GET, "/x")).await;
    assert_eq!(status, 500);
    assert!(answer["error"].is_string());
}

#[actix_web::test]
async fn a_charge_of_one_provider_is_unknown_to_the_other() {
    let client = sandbox().await;
    let (one, other) = (client.openpix_charge(100).await, client.charge(100).await);
    assert_eq!(ask(client.openpix(Method::GET, &format!("/{other}"))).await.0, 400);
    assert_eq!(ask(client.propay(Method::GET, &format!("/v1/payments/{one}"))).await.0, 404);
}
