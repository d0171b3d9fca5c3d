use serde_json::json;
use vitrine_kit::shipping::Stage;
use wiremock::matchers::{header, path, query_param};
use wiremock::{Mock, MockServer};

use super::tests::{TOKEN, answer, correios, requests};
use super::*;

const TRACKING: &str = include_str!("../fixtures/tracking.json");

async fn office(said: &str) -> (MockServer, Correios) {
    let server = MockServer::start().await;
    Mock::given(path("/token/v1/autentica/cartaopostagem")).respond_with(answer(201, TOKEN)).mount(&server).await;
    let track = Mock::given(path("/srorastro/v1/objetos"));
    let track = track.and(header("accept-language", "pt-BR")).and(query_param("resultado", "T"));
    track.respond_with(answer(200, said)).mount(&server).await;
    let correios = correios(&server.uri());
    (server, correios)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

#[tokio::test]
async fn a_history_comes_oldest_first_in_our_time_and_an_unknown_object_has_none() {
    let (server, correios) = office(TRACKING).await;
    let tracked = correios.track(&["AA000000005BR", "AA123456785BR", "AA999999995BR"]).await.expect("an answer");
    let codes: Vec<&str> = tracked.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["AA000000005BR", "AA123456785BR", "AA999999995BR"]);
    assert_eq!((tracked[0].1.len(), tracked[2].1.len()), (0, 0));
    let posted = TrackingEvent {
        code: "PO/01".to_owned(),
        description: "Objeto postado".to_owned(),
        place: Some("São Paulo / SP".to_owned()),
        happened_at: at("2026-10-02T19:20:00Z"),
        stage: Some(Stage::Posted),
    };
    let delivered = TrackingEvent {
        code: "BDE/01".to_owned(),
        description: "Objeto entregue ao destinatário".to_owned(),
        place: Some("Rio de Janeiro / RJ".to_owned()),
        happened_at: at("2026-10-08T17:02:11Z"),
        stage: Some(Stage::Delivered),
    };
    assert_eq!(tracked[1].1, [posted, delivered]);
    let asked = &requests(&server).await[1];
    let codes = asked.url.query_pairs().find(|(name, _)| name == "codigosObjetos").map(|(_, value)| value.into_owned());
    assert_eq!(codes.as_deref(), Some("AA000000005BR,AA123456785BR,AA999999995BR"));
}

#[tokio::test]
async fn more_than_fifty_objects_are_asked_for_in_turns() {
    let (server, correios) = office(r#"{"objetos":[]}"#).await;
    let codes: Vec<String> = (0..101).map(|n| format!("AA{n:09}BR")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let tracked = correios.track(&codes).await.expect("an answer");
    assert!(tracked.iter().map(|(code, _)| code.as_str()).eq(codes.iter().copied()));
    assert_eq!(requests(&server).await.len(), 1 + 3);
    assert_eq!(correios.track(&[]).await, Ok(vec![]));
    assert_eq!(requests(&server).await.len(), 1 + 3);
}

#[tokio::test]
async fn only_certain_events_move_an_order_and_a_strange_one_costs_itself() {
    let event = |code: &str, kind: &str| json!({"codigo": code, "tipo": kind, "dtHrCriado": "2026-10-02T16:20:00", "descricao": "x", "detalhe": "y"});
    let table = [
        ("PO", "01", Some(Stage::Posted)),
        ("CO", "01", Some(Stage::Posted)),
        ("RO", "01", Some(Stage::Posted)),
        ("DO", "01", Some(Stage::Posted)),
        ("OEC", "01", Some(Stage::Posted)),
        ("BDE", "01", Some(Stage::Delivered)),
        ("BDI", "01", Some(Stage::Delivered)),
        ("BDR", "01", Some(Stage::Delivered)),
        ("BDE", "20", None),
        ("BDI", "23", Some(Stage::Undelivered)),
        ("LDI", "01", Some(Stage::Undelivered)),
        ("BDE", "99", None),
        ("XX", "01", None),
    ];
    for (code, kind, stage) in table {
        let said = json!({"objetos": [{"codObjeto": "AA123456785BR", "eventos": [event(code, kind), {"codigo": 7}, 7]}]});
        let (_server, correios) = office(&said.to_string()).await;
        let tracked = correios.track(&["AA123456785BR"]).await.expect("an answer");
        let shown: Vec<_> = tracked[0].1.iter().map(|e| (e.code.as_str(), e.description.as_str(), e.stage)).collect();
        assert_eq!(shown, [(format!("{code}/{kind}").as_str(), "x: y", stage)]);
    }
}

#[tokio::test]
async fn their_refusal_is_told_by_its_code() {
    let server = MockServer::start().await;
    Mock::given(path("/token/v1/autentica/cartaopostagem")).respond_with(answer(201, TOKEN)).mount(&server).await;
    let said = r#"{"msgs":["SRO-018: Accept-Language inválido."]}"#;
    Mock::given(path("/srorastro/v1/objetos")).respond_with(answer(400, said)).mount(&server).await;
    let error = correios(&server.uri()).track(&["AA123456785BR"]).await;
    assert!(matches!(&error, Err(ProviderError::Rejected { code, .. }) if code == "SRO-018"), "{error:?}");
}
