use serde_json::json;
use vitrine_kit::breaker::State;
use vitrine_kit::shipping::{ParcelItem, Volume};
use vitrine_kit::{Cep, Money};
use wiremock::matchers::{any, body_json_string, header, headers, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const REQUEST: &str = include_str!("../fixtures/quote_request.json");
const QUOTE: &str = include_str!("../fixtures/quote.json");
const ERROR: &str = include_str!("../fixtures/error.json");

fn config(base_url: &str) -> MelhorEnvioConfig {
    MelhorEnvioConfig {
        base_url: base_url.to_owned(),
        token: "a-token".into(),
        user_agent: "Vitrine (ops@loja.com.br)".to_owned(),
        timeout: TIMEOUT,
        label_timeout: LABEL_TIMEOUT,
        breaker: BreakerConfig::default(),
        calls_per_minute: 100_000,
    }
}

pub(super) fn broker(base_url: &str) -> MelhorEnvio {
    MelhorEnvio::new(config(base_url)).expect("a good address")
}

async fn answering(answer: ResponseTemplate) -> (MockServer, MelhorEnvio) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let broker = broker(&server.uri());
    (server, broker)
}

#[tokio::test]
async fn what_cannot_be_labelled_is_not_offered() {
    let azul = QUOTE.replace(r#""id":1,"name":"PAC""#, r#""id":15,"name":"Expresso""#);
    assert_eq!(quoted(&azul).await, Ok(vec![]));
    let azul = QUOTE.replace(r#""id":1,"name":"Correios""#, r#""id":9,"name":"Azul Cargo Express""#);
    assert_eq!(quoted(&azul).await, Ok(vec![]));
}

async fn quoted(body: &str) -> Result<Vec<FreightOption>, ProviderError> {
    let (_server, broker) = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    bare(broker.quote(&ask()).await)
}

fn ask() -> QuoteRequest {
    let item = ParcelItem {
        id: "sku-1".to_owned(),
        quantity: 2,
        weight_grams: 300,
        height_cm: 17,
        width_cm: 11,
        length_cm: 11,
        unit_price: Money::from_cents(9250),
    };
    QuoteRequest {
        from: Cep::parse("01310-100").expect("valid"),
        to: Cep::parse("20040-002").expect("valid"),
        items: vec![item],
        volumes: vec![],
    }
}

fn pac(cents: i64, days: u32) -> FreightOption {
    FreightOption {
        provider: "melhorenvio",
        carrier: "PAC".to_owned(),
        service: "Correios".to_owned(),
        service_code: "1".to_owned(),
        price: Money::from_cents(cents),
        days,
        volumes: vec![],
        answer: serde_json::Value::Null,
    }
}

/// The options without their boxes and answers.
fn bare(outcome: Result<Vec<FreightOption>, ProviderError>) -> Result<Vec<FreightOption>, ProviderError> {
    let strip = |option: FreightOption| FreightOption { volumes: vec![], answer: serde_json::Value::Null, ..option };
    outcome.map(|options| options.into_iter().map(strip).collect())
}

fn unavailable(reason: &str, retry_after_s: Option<u64>) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s }
}

#[tokio::test]
async fn a_parcel_is_asked_for_in_their_units() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v2/me/shipment/calculate"))
        .and(header("authorization", "Bearer a-token"))
        .and(headers("accept", vec!["application/json", "application/problem+json"]))
        .and(header("content-type", "application/json"))
        .and(header("user-agent", "Vitrine (ops@loja.com.br)"))
        .and(body_json_string(REQUEST))
        .respond_with(ResponseTemplate::new(200).set_body_string(QUOTE))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(bare(broker(&server.uri()).quote(&ask()).await), Ok(vec![pac(1808, 6)]));
    let sent = &server.received_requests().await.expect("recording is on")[0].body;
    let sent = String::from_utf8_lossy(sent);
    assert!(sent.contains(r#""weight":0.300,"insurance_value":92.50"#), "{sent}");
}

#[tokio::test]
async fn the_sellers_own_price_and_days_win_and_numbers_may_be_text_or_not() {
    let entry = r#"{"id":"1","name":"PAC","price":"20.00","custom_price":18.1,"delivery_time":"9","custom_delivery_time":7,"company":{"name":"Correios"}}"#;
    assert_eq!(quoted(entry).await, Ok(vec![pac(1810, 7)])); // and a single object is a list of one
    let entry = r#"[{"id":1,"name":"PAC","price":9007199254740993.01,"custom_price":null,"delivery_time":"9","company":{"name":"Correios"}}]"#;
    assert_eq!(quoted(entry).await, Ok(vec![pac(900_719_925_474_099_301, 9)])); // a float would lose it
}

#[tokio::test]
async fn an_option_keeps_its_boxes_and_what_they_said_less_the_pictures() {
    let (_server, broker) = answering(ResponseTemplate::new(200).set_body_string(QUOTE)).await;
    let [option] = broker.quote(&ask()).await.expect("an answer").try_into().expect("one");
    assert_eq!(option.volumes, [Volume { height_cm: 17, width_cm: 22, length_cm: 11, weight_grams: 600 }]);
    assert_eq!(option.answer["packages"][0]["insurance_value"], "185.00");
    assert_eq!(option.answer["company"], json!({"id": 1, "name": "Correios"}));
}

#[tokio::test]
async fn boxes_are_rounded_up_and_half_a_parcel_is_none() {
    let with = |packages: serde_json::Value| {
        json!([{"id": 1, "name": "PAC", "price": "18.08", "delivery_time": 6, "packages": packages}]).to_string()
    };
    let good = json!({"weight": 0.6001, "dimensions": {"height": "16.2", "width": 22.0, "length": 11}});
    for (packages, volumes) in [
        (json!([good]), vec![Volume { height_cm: 17, width_cm: 22, length_cm: 11, weight_grams: 601 }]),
        (json!([good, {"weight": "0.6"}]), vec![]),
        (json!([good, {"weight": "0", "dimensions": {"height": 1, "width": 1, "length": 1}}]), vec![]),
        (json!("none"), vec![]),
        (json!(null), vec![]),
    ] {
        let (_server, broker) = answering(ResponseTemplate::new(200).set_body_string(with(packages.clone()))).await;
        assert_eq!(broker.quote(&ask()).await.expect("an option all the same")[0].volumes, volumes, "{packages}");
    }
}

#[tokio::test]
async fn what_nobody_carries_is_an_empty_list() {
    let refused = json!([{"id": 3, "name": ".Package", "error": "Serviço indisponível"}]).to_string();
    assert_eq!(quoted(&refused).await, Ok(vec![]));
    assert_eq!(quoted("[]").await, Ok(vec![]));
}

#[tokio::test]
async fn a_strange_entry_is_left_out_and_an_answer_of_strange_ones_alone_is_an_error() {
    for strange in [
        json!({"id": 2, "name": "SEDEX", "price": "0.00", "delivery_time": 1}), // free by accident
        json!({"id": 2, "name": "SEDEX", "price": "-1.00", "delivery_time": 1}),
        json!({"id": 2, "name": "SEDEX", "price": "18,08", "delivery_time": 1}),
        json!({"id": 2, "name": "SEDEX", "price": "18.08"}),
        json!({"id": 2, "name": "SEDEX"}),
        json!({"message": "Sorry"}),
        json!(7),
    ] {
        let good: serde_json::Value = serde_json::from_str(QUOTE).expect("JSON");
        let mixed = json!([strange, good[0]]).to_string();
        assert_eq!(quoted(&mixed).await, Ok(vec![pac(1808, 6)]), "{mixed}");
        let error = unavailable("no entry of the answer makes sense", None);
        assert_eq!(quoted(&json!([strange]).to_string()).await, Err(error.clone()));
        assert_eq!(quoted(&strange.to_string()).await, Err(error));
    }
}

const UNAUTHORIZED: &str = r#"{"message":"This action is unauthorized."}"#;
const WORDS: &str = "This action is unauthorized.";

#[tokio::test]
async fn refusals_are_rejected_once_and_who_does_not_let_us_in_is_left_alone() {
    let invalid = "O campo from.postal_code é inválido.";
    let (server, broker) = answering(ResponseTemplate::new(422).set_body_string(ERROR)).await;
    let error = ProviderError::Rejected { provider: NAME, code: "422".to_owned(), message: invalid.to_owned() };
    assert_eq!(broker.quote(&ask()).await, Err(error));
    assert_eq!(server.received_requests().await.expect("recording is on").len(), 1);
    assert_eq!(broker.breaker().snapshot().recent_failures, 0);
    for (status, body, words) in [
        (401, r#"{"message":"Unauthenticated."}"#, "Unauthenticated."),
        (403, "<html>WAF</html>", ""),
        (403, UNAUTHORIZED, WORDS),
    ] {
        let (server, broker) = answering(ResponseTemplate::new(status).set_body_string(body)).await;
        let error = ProviderError::NotAccepted { provider: NAME, code: status.to_string(), message: words.to_owned() };
        for _ in 0..2 {
            assert_eq!(broker.quote(&ask()).await, Err(error.clone()));
        }
        assert_eq!(server.received_requests().await.expect("recording is on").len(), 1, "they are left alone");
        assert_eq!(broker.label_breaker().state(), State::Closed);
    }
}

#[tokio::test]
async fn whoever_is_busy_broken_slow_or_raving_is_unavailable() {
    let (_server, broker) = answering(ResponseTemplate::new(429).insert_header("retry-after", "7")).await;
    assert_eq!(broker.quote(&ask()).await, Err(unavailable("429", Some(7))));
    let (server, broker) = answering(ResponseTemplate::new(500)).await;
    assert_eq!(broker.quote(&ask()).await, Err(unavailable("answered 500", None)));
    assert_eq!(server.received_requests().await.expect("recording is on").len(), 3);
    let error = unavailable("the answer makes no sense (line 1, column 1)", None);
    assert_eq!(quoted("<html>").await, Err(error));
    let (server, _) = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    let slow = MelhorEnvio::new(MelhorEnvioConfig { timeout: Duration::from_secs(1), ..config(&server.uri()) });
    let outcome = slow.expect("a good address").quote(&ask()).await;
    assert_eq!(outcome, Err(unavailable("no answer in time", None))); // only asked, so nothing is unknown
}

#[tokio::test(start_paused = true)]
async fn quotes_cannot_spend_the_turns_that_labels_need() {
    let all = all_turns(CALLS_PER_MINUTE);
    let quotes = QuoteTurns::new(CALLS_PER_MINUTE, &all);
    let began = tokio::time::Instant::now();
    let (mut quoted, mut bought) = (0, 0);
    while began.elapsed() < MINUTE {
        while Turns::turn(&quotes, Duration::ZERO).await.is_ok() {
            quoted += 1;
        }
        if began.elapsed().as_secs().is_multiple_of(3) {
            all.turn(Duration::from_secs(1)).await.expect("a label waits for a second at most");
            bought += 1;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(quoted + bought <= CALLS_PER_MINUTE, "{quoted} quotes and {bought} labels");
    assert!(quoted > 150 && bought >= 18, "{quoted} quotes and {bought} labels");
}
