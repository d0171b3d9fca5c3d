use futures_util::future::join_all;
use serde_json::Value;
use wiremock::matchers::{any, header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::tests::{TOKEN, answer, correios, requests};
use super::*;

const AUTH: &str = "/token/v1/autentica/cartaopostagem";
const TRACK: &str = "/srorastro/v1/objetos";
const REFUSED: &str = r#"{"msgs":["GTW-012: Token expirado."]}"#;

/// A mock of Correios without objects, which takes every token.
async fn office() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer(200, r#"{"objetos":[]}"#)).with_priority(9).mount(&server).await;
    server
}

async fn paths(server: &MockServer) -> Vec<String> {
    requests(server).await.iter().map(|r| r.url.path().to_owned()).collect()
}

async fn read(correios: &Correios) -> Result<usize, ProviderError> {
    correios.track(&["AA123456785BR"]).await.map(|tracked| tracked.len())
}

#[tokio::test]
async fn a_token_is_kept_and_many_callers_at_once_ask_once() {
    let server = office().await;
    let slow = answer(201, TOKEN).set_delay(Duration::from_millis(100));
    Mock::given(path(AUTH)).respond_with(slow).expect(1).mount(&server).await;
    let correios = correios(&server.uri());
    let outcomes = join_all((0..20).map(|_| read(&correios))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(1)), "{outcomes:?}");
    assert_eq!(read(&correios).await, Ok(1));
    assert_eq!(paths(&server).await.len(), 1 + 21);
}

#[tokio::test]
async fn a_token_that_is_over_is_asked_for_anew() {
    let server = office().await;
    let over = TOKEN.replace("2026-07-02T11:50:58", "2026-07-01T11:50:58");
    Mock::given(path(AUTH)).respond_with(answer(201, &over)).mount(&server).await;
    let correios = correios(&server.uri());
    assert_eq!((read(&correios).await, read(&correios).await), (Ok(1), Ok(1)));
    assert_eq!(paths(&server).await, [AUTH, TRACK, AUTH, TRACK]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_a_new_one_not_at_all() {
    for status in [401, 403] {
        let server = office().await;
        let first = Mock::given(path(AUTH)).respond_with(answer(201, TOKEN)).up_to_n_times(1);
        first.mount(&server).await;
        let second = TOKEN.replace("token.1", "token.2");
        Mock::given(path(AUTH)).respond_with(answer(201, &second)).with_priority(6).mount(&server).await;
        let correios = correios(&server.uri());
        assert_eq!(read(&correios).await, Ok(1));
        let old = Mock::given(path(TRACK)).and(header("authorization", "Bearer eyJ.token.1"));
        old.respond_with(answer(status, REFUSED)).with_priority(1).mount(&server).await;
        assert_eq!(read(&correios).await, Ok(1));
        assert_eq!(paths(&server).await, [AUTH, TRACK, TRACK, AUTH, TRACK]);

        let all = Mock::given(path(TRACK)).respond_with(answer(status, REFUSED)).with_priority(1);
        all.mount(&server).await;
        let refused = ProviderError::NotAccepted {
            provider: NAME,
            code: "GTW-012".to_owned(),
            message: "GTW-012: Token expirado.".to_owned(),
        };
        assert_eq!(read(&correios).await, Err(refused));
        assert_eq!(paths(&server).await[5..], [TRACK, AUTH, TRACK], "renewed once, then it is final");
    }
}

#[tokio::test]
async fn a_wrong_access_code_is_an_error_and_nothing_else_is_sent() {
    let server = office().await;
    Mock::given(path(AUTH)).respond_with(answer(401, r#"{"msgs":["GTW-007: Credenciais inválidas."]}"#)).mount(&server).await;
    let correios = correios(&server.uri());
    let outcome = read(&correios).await;
    assert!(matches!(&outcome, Err(ProviderError::NotAccepted { code, .. }) if code == "GTW-007"), "{outcome:?}");
    assert_eq!(paths(&server).await, [AUTH]);
}

#[tokio::test]
async fn no_token_is_unavailable_and_heard_by_the_breaker() {
    let server = office().await;
    Mock::given(path(AUTH)).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let correios = correios(&server.uri());
    let away = ProviderError::Unavailable { provider: NAME, reason: "answered 503".to_owned(), retry_after_s: None };
    assert_eq!(join_all((0..5).map(|_| read(&correios))).await, vec![Err(away); 5]);
    assert_eq!(paths(&server).await, [AUTH; 3], "who waited shares the outcome");
    let failures = correios.breakers().iter().map(|breaker| breaker.snapshot().recent_failures).collect::<Vec<_>>();
    assert_eq!(failures, [0, 1], "one call, however often it was tried, and no buyer's");
}

#[tokio::test]
async fn the_contract_of_the_card_wins_over_ours() {
    for (said, contract, office) in [
        (TOKEN.replace("9912345678", "9900000001"), Some("9900000001"), Some(72)),
        (TOKEN.replace("\"9912345678\"", "9900000001").replace("72", "\"72\""), Some("9900000001"), Some(72)),
        (TOKEN.replace("contrato", "outro").replace("dr\":", "x\":"), Some("9912345678"), None),
    ] {
        let server = office_with(&said).await;
        let token = correios(&server.uri()).tokens.get(Lane::Buyer).await.expect("a token");
        assert_eq!((token.contract.as_deref(), token.office), (contract, office));
    }
}

async fn office_with(token: &str) -> MockServer {
    let server = office().await;
    Mock::given(path(AUTH)).respond_with(answer(201, token)).mount(&server).await;
    server
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let server = office_with(TOKEN).await;
    let correios = correios(&server.uri());
    assert_eq!(read(&correios).await, Ok(1));
    let printed = format!("{correios:?}");
    assert!(!printed.contains("eyJ") && !printed.contains("a-code") && !printed.contains("bG9qY"), "{printed}");
    let _: Value = serde_json::from_str(TOKEN).expect("the fixture is JSON");
}
