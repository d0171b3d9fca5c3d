use serde_json::{Value, json};
use vitrine_kit::breaker::State;
use vitrine_kit::shipping::Volume;
use vitrine_kit::{Cep, Money, TaxId};
use wiremock::matchers::{any, body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::tests::broker;
use super::*;

pub(crate) const ID: &str = "9a1b7d5e-1f77-4a0c-9f13-5cf6a1a6f001";
pub(crate) const TAG: &str = "0192aaaa-0000-7000-8000-000000000001";
const CART_REQUEST: &str = include_str!("../fixtures/cart_request.json");
pub(crate) const CART: &str = include_str!("../fixtures/cart.json");
const CHECKOUT: &str = include_str!("../fixtures/checkout.json");
const TRACKING: &str = include_str!("../fixtures/tracking.json");

fn contact(name: &str, document: &str) -> Contact {
    Contact {
        name: name.into(),
        phone: Some("+5521999990000".into()),
        email: Some("ana@example.com".into()),
        document: TaxId::parse(document).expect("valid"),
        state_registration: None,
        street: "Rua A".into(),
        number: "10".into(),
        complement: Some("Apto 2".into()),
        district: "Centro".into(),
        city: "Rio de Janeiro".into(),
        state: "RJ".into(),
        cep: Cep::parse("20040002").expect("valid"),
    }
}

fn new_label() -> NewLabel {
    let shop = Contact {
        phone: Some("1133334444".into()),
        email: Some("s@shop.test".into()),
        state_registration: Some("ISENTO".into()),
        street: "Av. Paulista".into(),
        number: "1000".into(),
        complement: None,
        district: "Bela Vista".into(),
        city: "São Paulo".into(),
        state: "SP".into(),
        cep: Cep::parse("01310100").expect("valid"),
        ..contact("Loja Ltda", "11222333000181")
    };
    NewLabel {
        tag: TAG.into(),
        tag_url: "https://shop.test/orders/1".into(),
        service: "1".into(),
        agency: None,
        from: shop,
        to: contact("Ana Silva", "52998224725"),
        contents: vec![Content { name: "Mug".into(), quantity: 2, unit_price: Money::from_cents(9250) }],
        volumes: vec![Volume { height_cm: 17, width_cm: 22, length_cm: 11, weight_grams: 600 }],
        insured: Money::from_cents(18_500),
        invoice_key: Some("35261011222333000181550010000000011000000010".into()),
    }
}

pub(crate) async fn serving(verb: &str, at: &str, status: u16, body: &str) -> (MockServer, MelhorEnvio) {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_string(body);
    Mock::given(method(verb))
        .and(path(at))
        .and(header("authorization", "Bearer a-token"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let broker = broker(&server.uri());
    (server, broker)
}

pub(crate) async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.expect("recording is on").len()
}

pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn a_label_goes_into_the_cart_in_their_words_and_comes_back_with_its_price() {
    let (server, broker) = serving("POST", "/api/v2/me/cart", 201, CART).await;
    let label = broker.put_in_cart(&new_label()).await.expect("taken");
    assert_eq!((label.id.as_str(), label.protocol.as_str()), (ID, "ORD-20261002001"));
    assert_eq!((label.status, label.price), (LabelStatus::Pending, Some(Money::from_cents(1808))));
    let sent = server.received_requests().await.expect("recording is on").remove(0).body;
    assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), value(CART_REQUEST));
    let sent = String::from_utf8(sent).expect("text");
    assert!(sent.contains(r#""insurance_value":185.00"#) && sent.contains(r#""weight":0.600"#), "no float: {sent}");
}

#[tokio::test]
async fn no_letter_is_lost_on_a_label() {
    let (server, broker) = serving("POST", "/api/v2/me/cart", 201, CART).await;
    let long = format!("Ana Kr\u{30c}enková {}", "e\u{301}".repeat(60));
    let to = Contact { street: "Rua Łódź – “A”".into(), district: "Şişli".into(), ..contact(&long, "52998224725") };
    let content = |name: &str| Content { name: name.into(), quantity: 1, unit_price: Money::from_cents(100) };
    let contents = vec![content("Resistor 10 kΩ 🎁"), content("茶")];
    broker.put_in_cart(&NewLabel { to, contents, ..new_label() }).await.expect("taken");
    let sent: Value = server.received_requests().await.expect("recording is on")[0].body_json().expect("JSON");
    assert_eq!(sent["to"]["name"], format!("Ana K. {}", "é".repeat(43)), "50 characters");
    assert_eq!((&sent["to"]["address"], &sent["to"]["district"]), (&json!("Rua Lódz - \"A\""), &json!("Sisli")));
    assert_eq!((&sent["products"][0]["name"], &sent["products"][1]["name"]), (&json!("Resistor 10 kohm"), &json!("茶")));
}

#[tokio::test]
async fn without_an_invoice_the_contents_are_declared() {
    let (server, broker) = serving("POST", "/api/v2/me/cart", 201, CART).await;
    broker.put_in_cart(&NewLabel { invoice_key: None, ..new_label() }).await.expect("taken");
    let sent: Value = server.received_requests().await.expect("recording is on")[0].body_json().expect("JSON");
    assert_eq!((&sent["options"]["non_commercial"], sent["options"].get("invoice")), (&json!(true), None));
}

#[tokio::test]
async fn the_cart_is_asked_once_and_what_is_not_clear_is_unknown() {
    for answer in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(504),
        ResponseTemplate::new(201).set_body_string("<html>"),
        ResponseTemplate::new(201).set_body_string(r#"{"protocol":"ORD-1"}"#),
    ] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let outcome = broker(&server.uri()).put_in_cart(&new_label()).await;
        assert!(matches!(outcome, Err(ProviderError::Unknown { .. })), "{outcome:?}");
        assert_eq!(calls(&server).await, 1);
    }
    let (_server, broker) = serving("POST", "/api/v2/me/cart", 422, include_str!("../fixtures/error.json")).await;
    let outcome = broker.put_in_cart(&new_label()).await;
    assert!(matches!(outcome, Err(ProviderError::Rejected { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_label_of_another_account_is_refused_and_a_token_without_the_permission_is_not_accepted() {
    const UNAUTHORIZED: &str = r#"{"message":"This action is unauthorized."}"#;
    let refusing = async |status: u16, body: &str| {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string(body)).mount(&server).await;
        let broker = broker(&server.uri());
        (server, broker)
    };
    let (_server, broker) = refusing(403, UNAUTHORIZED).await;
    let words = "This action is unauthorized.";
    let rejected = |outcome: ProviderError| matches!(outcome, ProviderError::Rejected { message, .. } if message == words);
    assert!(rejected(broker.read(ID).await.expect_err("refused")));
    assert!(rejected(broker.is_cancellable(ID).await.expect_err("refused")));
    assert!(rejected(broker.cancel(ID, "why").await.expect_err("refused")));
    assert!(rejected(broker.remove_from_cart(ID).await.expect_err("refused")));
    let closed = |outcome: ProviderError| matches!(outcome, ProviderError::NotAccepted { code, .. } if code == "403");
    assert!(closed(broker.checkout(&[ID]).await.expect_err("no permission")));
    assert!(closed(broker.balance().await.expect_err("no permission")));
    assert_eq!(broker.label_breaker().state(), State::Closed, "other calls may be allowed");
    for (status, body) in [(401, r#"{"message":"Unauthenticated."}"#), (403, "<html>WAF</html>")] {
        let (_server, broker) = refusing(status, body).await;
        let refused = broker.read(ID).await.expect_err("refused");
        assert!(matches!(refused, ProviderError::NotAccepted { .. }), "{refused:?}");
        assert_eq!(broker.label_breaker().state() == State::Open, status == 401, "{body}");
    }
}

#[tokio::test]
async fn a_payment_is_sent_once_whatever_comes_back() {
    let (server, broker) = serving("POST", "/api/v2/me/shipment/checkout", 200, CHECKOUT).await;
    assert_eq!(broker.checkout(&[ID]).await, Ok(()));
    let sent: Value = server.received_requests().await.expect("recording is on")[0].body_json().expect("JSON");
    assert_eq!(sent, json!({"orders": [ID]}));
    let (server, broker) = serving("POST", "/api/v2/me/shipment/checkout", 503, "").await;
    assert!(matches!(broker.checkout(&[ID]).await, Err(ProviderError::Unknown { .. })));
    assert_eq!(calls(&server).await, 1);
    let poor = r#"{"message":"Dados inválidos.","errors":{"balance":["Saldo insuficiente."]}}"#;
    let (_server, broker) = serving("POST", "/api/v2/me/shipment/checkout", 422, poor).await;
    let message = "Dados inválidos. Saldo insuficiente.".to_owned();
    assert_eq!(broker.checkout(&[ID]).await, Err(ProviderError::Rejected { provider: NAME, code: "422".into(), message }));
}

#[tokio::test]
async fn making_and_printing_may_be_asked_again() {
    let made = json!({ID: {"status": false, "message": "Envio já gerado"}}).to_string();
    let (_server, broker) = serving("POST", "/api/v2/me/shipment/generate", 200, &made).await;
    assert_eq!(broker.generate(&[ID]).await, Ok(()), "already made is made");
    let (server, broker) = serving("POST", "/api/v2/me/shipment/generate", 500, "").await;
    assert!(broker.generate(&[ID]).await.is_err());
    assert_eq!(calls(&server).await, 3);
    let server = MockServer::start().await;
    let link = ResponseTemplate::new(200).set_body_json(json!({"url": "https://me.test/label.pdf"}));
    let asked = body_json(json!({"mode": "public", "orders": [ID]}));
    Mock::given(path("/api/v2/me/shipment/print")).and(asked).respond_with(link).mount(&server).await;
    assert_eq!(super::tests::broker(&server.uri()).print(&[ID]).await.as_deref(), Ok("https://me.test/label.pdf"));
    let (_server, broker) = serving("POST", "/api/v2/me/shipment/print", 200, r#"{"url":"javascript:alert(1)"}"#).await;
    assert!(broker.print(&[ID]).await.is_err());
}

#[tokio::test]
async fn the_state_of_labels_is_read_with_its_times_of_brasilia() {
    let (_server, broker) = serving("POST", "/api/v2/me/shipment/tracking", 200, TRACKING).await;
    let [label] = broker.track(&[ID]).await.expect("an answer").try_into().expect("one");
    assert_eq!((label.status, label.tracking.as_deref()), (LabelStatus::Delivered, Some("AA123456785BR")));
    assert_eq!(label.delivered_at.map(|at| at.to_string()).as_deref(), Some("2026-10-08T17:02:11Z"));
    let codes: Vec<String> = label.story().into_iter().map(|event| event.code).collect();
    assert_eq!(codes, ["generated", "posted", "delivered"]);
    let (_server, broker) = serving("POST", "/api/v2/me/shipment/tracking", 200, "[]").await;
    assert_eq!(broker.track(&[ID]).await, Ok(vec![]));
}

#[tokio::test]
async fn a_label_is_read_or_known_to_be_absent() {
    let (_server, broker) = serving("GET", &format!("/api/v2/me/orders/{ID}"), 200, CART).await;
    assert_eq!(broker.read(ID).await.map(|label| label.map(|l| l.status)), Ok(Some(LabelStatus::Pending)));
    let (_server, broker) = serving("GET", &format!("/api/v2/me/cart/{ID}"), 200, CART).await;
    assert!(broker.read(ID).await.expect("an answer").is_some(), "what is in the cart may be no order yet");
    let (_server, broker) = serving("GET", "/elsewhere", 200, "").await;
    assert_eq!(broker.read(ID).await, Ok(None));
}

#[tokio::test]
async fn a_label_that_is_paid_between_two_looks_is_not_taken_for_absent() {
    let server = MockServer::start().await;
    let orders = || Mock::given(path(format!("/api/v2/me/orders/{ID}")));
    orders().respond_with(ResponseTemplate::new(404)).up_to_n_times(1).mount(&server).await;
    orders().respond_with(ResponseTemplate::new(200).set_body_string(CART)).mount(&server).await;
    assert!(broker(&server.uri()).read(ID).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_label_is_given_back_where_they_let_it_go() {
    for (answer, given) in
        [(json!({ID: {"canceled": true}}), true), (json!({ID: {"canceled": false}}), false), (json!([]), false)]
    {
        let (server, broker) = serving("POST", "/api/v2/me/shipment/cancel", 200, &answer.to_string()).await;
        assert_eq!(broker.cancel(ID, "Pedido cancelado").await, Ok(given));
        let sent: Value = server.received_requests().await.expect("recording is on")[0].body_json().expect("JSON");
        assert_eq!(sent, json!({"order": {"id": ID, "reason_id": "2", "description": "Pedido cancelado"}}));
    }
    let (_server, broker) =
        serving("POST", "/api/v2/me/shipment/cancellable", 200, &json!({ID: {"cancellable": "true"}}).to_string()).await;
    assert_eq!(broker.is_cancellable(ID).await, Ok(true));
    let (_server, broker) = serving("DELETE", &format!("/api/v2/me/cart/{ID}"), 204, "").await;
    assert_eq!(broker.remove_from_cart(ID).await, Ok(()));
    assert_eq!(broker.remove_from_cart("not-there").await, Ok(()), "what is out is out");
}

#[tokio::test]
async fn the_balance_may_be_text_or_not() {
    for body in [r#"{"balance":"1234.50"}"#, r#"{"balance":1234.5,"reserved":0}"#] {
        let (_server, broker) = serving("GET", "/api/v2/me/balance", 200, body).await;
        assert_eq!(broker.balance().await, Ok(Money::from_cents(123_450)));
    }
}

#[test]
fn a_contact_shows_nobody() {
    let shown = format!("{:?}", new_label());
    for person in ["Ana", "52998224725", "Rua A", "21999990000", "ana@"] {
        assert!(!shown.contains(person), "{shown}");
    }
}
