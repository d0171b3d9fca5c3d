use std::collections::BTreeSet;

use futures_util::future::join_all;
use wiremock::matchers::{any, body_string, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::tests::{PAYMENT, TOKEN, answer, bacen, config, id, requests};
use super::*;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const UNKNOWN_COB: &str = r#"{"nome":"cobranca_nao_encontrada","mensagem":"Cobrança não encontrada"}"#;

fn refused(code: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: String::new() }
}

fn second_token() -> String {
    TOKEN.replace("token.1", "token.2")
}

async fn paths(server: &MockServer) -> Vec<String> {
    requests(server).await.iter().map(|r| r.url.path().to_owned()).collect()
}

/// A bank that knows no charge, and takes whatever token.
async fn bank() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer(400, UNKNOWN_COB)).with_priority(9).mount(&server).await;
    server
}

async fn read(bacen: &Bacen) -> Result<Option<Charge>, ProviderError> {
    bacen.read_charge(id(PAYMENT), Lane::Background).await
}

#[tokio::test]
async fn a_token_is_asked_for_as_documented_and_then_kept() {
    let server = bank().await;
    Mock::given(method("POST"))
        .and(path("/oauth/token"))
        .and(header("authorization", "Basic Q2xpZW50X0lkOkNsaWVudF9TZWNyZXQ="))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string("grant_type=client_credentials"))
        .respond_with(answer(200, TOKEN))
        .expect(1)
        .mount(&server)
        .await;
    let bacen = bacen(&server.uri());
    for _ in 0..3 {
        assert_eq!(read(&bacen).await, Ok(None));
    }
    let cob = "/v2/cob/0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f";
    assert_eq!(paths(&server).await, ["/oauth/token", cob, cob, cob]);
    assert_eq!(requests(&server).await[3].headers["authorization"], "Bearer eyJ.token.1");
}

#[tokio::test]
async fn many_callers_at_once_ask_once() {
    let server = bank().await;
    let slow = answer(200, TOKEN).set_delay(Duration::from_millis(100));
    Mock::given(path("/oauth/token")).respond_with(slow).expect(1).mount(&server).await;
    let bacen = bacen(&server.uri());
    let outcomes = join_all((0..20).map(|_| read(&bacen))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(None)), "{outcomes:?}");
    assert_eq!(paths(&server).await.len(), 1 + 20);
}

#[tokio::test]
async fn who_waits_for_a_token_shares_a_failure_and_nothing_else_is_sent() {
    let server = bank().await;
    let refusal = r#"{"error":"invalid_client","error_description":"Invalid or inactive credentials"}"#;
    let slow = answer(401, refusal).set_delay(Duration::from_millis(100));
    Mock::given(path("/oauth/token")).respond_with(slow).mount(&server).await;
    let bacen = bacen(&server.uri());
    let refused = ProviderError::NotAccepted {
        provider: NAME,
        code: "invalid_client".to_owned(),
        message: "Invalid or inactive credentials".to_owned(),
    };
    let outcomes = join_all((0..20).map(|_| read(&bacen))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Err(refused.clone())), "{outcomes:?}");
    assert_eq!(paths(&server).await, ["/oauth/token"; 2]); // in both forms, once
    assert_eq!(read(&bacen).await, Err(refused)); // who comes later hears the same, and they are left alone
    assert_eq!(paths(&server).await, ["/oauth/token"; 2]);
}

#[tokio::test]
async fn a_bank_that_gives_no_token_is_unavailable_and_the_breaker_counts_it() {
    let server = bank().await;
    Mock::given(path("/oauth/token")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let bacen = bacen(&server.uri());
    let away = ProviderError::Unavailable { provider: NAME, reason: "answered 503".to_owned(), retry_after_s: None };
    assert_eq!(read(&bacen).await, Err(away));
    assert_eq!(paths(&server).await, ["/oauth/token"; 3]);
    let failures = bacen.breakers().iter().map(|breaker| breaker.snapshot().recent_failures).collect::<Vec<_>>();
    assert_eq!(failures, [0, 1], "the buyers' and the background's");
}

#[tokio::test]
async fn a_bank_that_wants_a_form_gets_one_and_is_remembered() {
    for (theirs, status) in [(FORM, 400), (JSON, 400), (JSON, 401), (JSON, 404), (JSON, 415), (JSON, 422)] {
        let server = bank().await;
        let right = Mock::given(path("/oauth/token")).and(header("content-type", theirs));
        right.respond_with(answer(200, &TOKEN.replace("3600", "0"))).mount(&server).await;
        let wrong = Mock::given(path("/oauth/token")).and(header("content-type", if theirs == FORM { JSON } else { FORM }));
        wrong.respond_with(answer(status, "")).expect(u64::from(theirs == JSON)).mount(&server).await;
        let bacen = bacen(&server.uri());
        for _ in 0..3 {
            assert_eq!(read(&bacen).await, Ok(None), "{theirs}"); // the token is over at once
        }
        let asked = requests(&server).await;
        let asked: Vec<_> =
            asked.iter().filter(|r| r.url.path() == "/oauth/token" && r.headers["content-type"] == theirs).collect();
        let body = if theirs == FORM { "grant_type=client_credentials" } else { r#"{"grant_type":"client_credentials"}"# };
        assert!(asked.len() == 3 && asked.iter().all(|r| r.body == body.as_bytes()), "{theirs}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_either_way_are_refused_and_the_form_is_tried_first_again() {
    let server = bank().await;
    Mock::given(path("/oauth/token")).respond_with(answer(400, r#"{"error":"invalid_client"}"#)).mount(&server).await;
    let impatient = BreakerConfig { cooldown: Duration::ZERO, ..BreakerConfig::default() };
    let bacen = Bacen::new(BacenConfig { breaker: impatient, ..config(&server.uri()) }).expect("good addresses");
    for _ in 0..2 {
        assert_eq!(read(&bacen).await, Err(refused("invalid_client")));
    }
    let kinds: Vec<_> = requests(&server).await.iter().map(|r| r.headers["content-type"].clone()).collect();
    assert_eq!(kinds, [FORM, JSON, FORM, JSON]);
}

#[tokio::test]
async fn of_two_refusals_the_one_that_read_the_question_is_told() {
    let busy = ProviderError::Unavailable { provider: NAME, reason: "429".to_owned(), retry_after_s: None };
    for (form, json, outcome, calls) in [
        ((415, ""), (401, r#"{"error":"invalid_client"}"#), refused("invalid_client"), 2),
        ((401, r#"{"error":"invalid_client"}"#), (415, ""), refused("invalid_client"), 2),
        ((400, r#"{"error":"invalid_scope"}"#), (415, ""), refused("invalid_scope"), 2),
        ((415, ""), (429, ""), busy.clone(), 2),
        ((403, ""), (200, TOKEN), refused("403"), 1),
        ((429, ""), (200, TOKEN), busy, 1),
    ] {
        let server = bank().await;
        for (kind, (status, body)) in [(FORM, form), (JSON, json)] {
            Mock::given(header("content-type", kind)).respond_with(answer(status, body)).mount(&server).await;
        }
        assert_eq!(read(&bacen(&server.uri())).await, Err(outcome), "{form:?} {json:?}");
        let asked = requests(&server).await.iter().map(|r| r.headers["content-type"].clone()).collect::<BTreeSet<_>>();
        assert_eq!(asked.len(), calls, "{form:?} {json:?}");
    }
}

#[tokio::test]
async fn a_token_that_they_no_longer_take_is_renewed_once() {
    let server = bank().await;
    let first = Mock::given(path("/oauth/token")).respond_with(answer(200, TOKEN));
    first.up_to_n_times(1).mount(&server).await;
    Mock::given(path("/oauth/token")).respond_with(answer(200, &second_token())).mount(&server).await;
    let old = Mock::given(header("authorization", "Bearer eyJ.token.1"));
    old.respond_with(answer(401, "")).mount(&server).await;
    let bacen = bacen(&server.uri());
    assert_eq!(read(&bacen).await, Ok(None));
    assert_eq!(read(&bacen).await, Ok(None));
    let tokens: Vec<_> = requests(&server).await.iter().map(|r| r.headers["authorization"].clone()).collect();
    let basic = "Basic Q2xpZW50X0lkOkNsaWVudF9TZWNyZXQ=";
    assert_eq!(tokens, [basic, "Bearer eyJ.token.1", basic, "Bearer eyJ.token.2", "Bearer eyJ.token.2"]);
}

#[tokio::test]
async fn a_second_401_is_a_refusal() {
    let server = MockServer::start().await;
    Mock::given(path("/oauth/token")).respond_with(answer(200, TOKEN)).mount(&server).await;
    Mock::given(any()).respond_with(answer(401, "")).mount(&server).await;
    let refused = ProviderError::NotAccepted { provider: NAME, code: "401".to_owned(), message: String::new() };
    assert_eq!(read(&bacen(&server.uri())).await, Err(refused));
    assert_eq!(paths(&server).await.len(), 4);
}

#[test]
fn a_token_lives_as_long_as_they_say() {
    for (said, seconds) in [(Some(3600), 3600), (Some(0), 0), (Some(-5), 0), (None, 300)] {
        assert_eq!(token::life(said), Duration::from_secs(seconds), "{said:?}");
    }
}

#[tokio::test]
async fn addresses_are_made_of_the_base() {
    for (base, cob, token) in [
        ("", "/v2/cob/", "/oauth/token"),
        ("/", "/cob/", "/oauth/token"),
        ("/v2", "/v2/cob/", "/oauth/token"),
        ("/v2/", "/v2/cob/", "/oauth/token"),
        ("/api/", "/api/cob/", "/api/oauth/token"),
        ("/bank/v2/", "/bank/v2/cob/", "/bank/oauth/token"),
        ("/pix/api", "/pix/api/cob/", "/pix/api/oauth/token"),
    ] {
        let server = bank().await;
        Mock::given(method("POST")).respond_with(answer(200, TOKEN)).mount(&server).await;
        assert_eq!(read(&bacen(&format!("{}{base}", server.uri()))).await, Ok(None));
        assert_eq!(paths(&server).await, [token.to_owned(), format!("{cob}0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f")]);
    }
}

#[tokio::test]
async fn a_token_server_may_be_elsewhere() {
    for tail in ["/auth/connect/token", "/token", "/token?realm=pix", "", "/"] {
        let (api, elsewhere) = (bank().await, MockServer::start().await);
        Mock::given(method("POST")).respond_with(answer(200, TOKEN)).expect(1).mount(&elsewhere).await;
        let config = BacenConfig { token_url: Some(format!("{}{tail}", elsewhere.uri())), ..config(&api.uri()) };
        assert_eq!(read(&Bacen::new(config).expect("good addresses")).await, Ok(None));
        let url = requests(&elsewhere).await[0].url.clone();
        let asked = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        assert_eq!(asked, if tail.is_empty() { "/" } else { tail });
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_looks_like_no_connection() {
    let server = bank().await; // speaks no TLS at all
    let outcome = read(&bacen(&server.uri().replace("http:", "https:"))).await;
    let Err(ProviderError::Unavailable { reason, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("could not connect"), "{reason}");
}

#[test]
fn what_cannot_work_is_refused_at_start() {
    let good = || config("https://pix.example.com");
    assert!(Bacen::new(good()).is_ok());
    for bad in [
        BacenConfig { base_url: "pix.example.com".to_owned(), ..good() },
        BacenConfig { token_url: Some("nonsense".to_owned()), ..good() },
        BacenConfig { certificate_pem: Some(b"nonsense".to_vec()), ..good() },
        BacenConfig { pix_key: String::new(), ..good() },
        BacenConfig { webhook_secret: "".into(), ..good() },
    ] {
        assert_eq!(Bacen::new(bad).expect_err("cannot work").provider, NAME);
    }
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?} {:?}", bacen("http://bank"), config("http://bank"));
    for secret in ["Client_Secret", "Q2xpZW50X0lkOkNsaWVudF9TZWNyZXQ=", "s3gredo"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
