use serde_json::json;
use vitrine_kit::breaker::State;
use wiremock::matchers::{any, header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const FOUND: &str = include_str!("../fixtures/viacep.json");
const NOT_FOUND: &str = include_str!("../fixtures/viacep_unknown.json");
const SECOND: &str = include_str!("../fixtures/brasilapi.json");
const SECOND_ERROR: &str = include_str!("../fixtures/brasilapi_error.json");

fn cep(text: &str) -> Cep {
    Cep::parse(text).expect("valid")
}

fn address(cep_text: &str, street: &str, district: &str) -> Address {
    Address {
        cep: cep(cep_text),
        street: Some(street.to_owned()),
        district: Some(district.to_owned()),
        city: "São Paulo".to_owned(),
        state: "SP".to_owned(),
        ibge_city: Some("3550308".to_owned()),
    }
}

fn status(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}

/// Both sources; each has one answer for everything.
struct Sources {
    viacep: MockServer,
    brasilapi: MockServer,
    lookup: CepLookup,
}

impl Sources {
    async fn answering(first: ResponseTemplate, second: ResponseTemplate) -> Self {
        let (viacep, brasilapi) = (MockServer::start().await, MockServer::start().await);
        Mock::given(any()).respond_with(first).mount(&viacep).await;
        Mock::given(any()).respond_with(second).mount(&brasilapi).await;
        let config = CepConfig {
            viacep_url: viacep.uri(),
            brasilapi_url: Some(brasilapi.uri()),
            timeout: TIMEOUT,
            breaker: BreakerConfig::default(),
        };
        Self { viacep, brasilapi, lookup: CepLookup::new(config).expect("good addresses") }
    }

    /// The number of requests that each of them got.
    async fn asked(&self) -> (usize, usize) {
        let count = async |server: &MockServer| server.received_requests().await.expect("recording is on").len();
        (count(&self.viacep).await, count(&self.brasilapi).await)
    }
}

fn unavailable(reason: &str) -> ProviderError {
    ProviderError::Unavailable { provider: VIACEP, reason: reason.to_owned(), retry_after_s: None }
}

#[tokio::test]
async fn the_first_source_is_enough() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/cep/ws/01001000/json/"))
        .and(header_exists("user-agent"))
        .respond_with(status(200, FOUND))
        .expect(1)
        .mount(&server)
        .await;
    let config = CepConfig {
        viacep_url: format!("{}/cep", server.uri()),
        brasilapi_url: None,
        timeout: TIMEOUT,
        breaker: BreakerConfig::default(),
    };
    let lookup = CepLookup::new(config).expect("a good address");
    assert_eq!(lookup.find(&cep("01001000")).await, Ok(Some(address("01001000", "Praça da Sé", "Sé"))));
    assert_eq!(lookup.breakers().len(), 1);
}

#[tokio::test]
async fn a_small_town_has_no_street() {
    let town = json!({"cep": "18170-000", "logradouro": "", "bairro": " ", "localidade": "Piedade", "uf": "SP", "ibge": ""});
    let sources = Sources::answering(status(200, &town.to_string()), status(500, "")).await;
    let expected = Address {
        cep: cep("18170000"),
        street: None,
        district: None,
        city: "Piedade".to_owned(),
        state: "SP".to_owned(),
        ibge_city: None,
    };
    assert_eq!(sources.lookup.find(&cep("18170000")).await, Ok(Some(expected)));
}

#[tokio::test]
async fn an_unknown_cep_is_none_and_nobody_else_is_asked() {
    for body in [NOT_FOUND, r#"{"erro": true}"#] {
        let sources = Sources::answering(status(200, body), status(200, SECOND)).await;
        assert_eq!(sources.lookup.find(&cep("99999999")).await, Ok(None));
        assert_eq!(sources.asked().await, (1, 0));
    }
}

#[tokio::test]
async fn whatever_the_first_source_fails_by_the_second_is_asked_once() {
    let elsewhere = FOUND; // the address of another CEP
    for first in [
        status(500, ""),
        status(503, "<html>"),
        status(403, "<html>"),
        status(429, "slow down"),
        status(400, "<h2>Bad Request (400)</h2>"),
        status(200, "<html>"),
        status(200, "{}"),
        status(200, elsewhere),
        status(200, "").set_delay(Duration::from_secs(60)),
    ] {
        let sources = Sources::answering(first, status(200, SECOND)).await;
        let found = sources.lookup.find(&cep("05010000")).await;
        assert_eq!(found, Ok(Some(address("05010000", "Rua Caiubi", "Perdizes"))));
        assert_eq!(sources.asked().await, (1, 1));
        let asked = sources.brasilapi.received_requests().await.expect("recording is on");
        assert_eq!(asked[0].url.path(), "/api/cep/v1/05010000");
    }
}

#[tokio::test]
async fn the_second_source_may_leave_out_what_it_does_not_know() {
    let town = json!({"cep": "18170000", "state": "SP", "city": "Piedade", "neighborhood": null, "street": null, "ibge": {"city": null}});
    let sources = Sources::answering(status(500, ""), status(200, &town.to_string())).await;
    let found = sources.lookup.find(&cep("18170000")).await.expect("answered").expect("known");
    assert_eq!((found.street, found.district, found.ibge_city), (None, None, None));
}

#[tokio::test]
async fn when_both_fail_it_is_unavailable_and_never_not_found() {
    for (first, second, reason) in [
        (status(500, ""), status(404, SECOND_ERROR), "answered 500"), // its 404 proves nothing
        (status(500, ""), status(500, "{}"), "answered 500"),
        (status(200, "<html>"), status(429, "slow down"), "the answer makes no sense (line 1, column 1)"),
        (status(403, ""), status(200, "{}"), "viacep refused the request (403)"),
        (status(200, FOUND), status(200, SECOND), "the answer is not this CEP's address"),
    ] {
        let sources = Sources::answering(first, second).await;
        assert_eq!(sources.lookup.find(&cep("99999999")).await, Err(unavailable(reason)));
        assert_eq!(sources.asked().await, (1, 1));
    }
}

#[tokio::test]
async fn who_cuts_us_off_is_left_alone() {
    let sources = Sources::answering(status(403, ""), status(200, SECOND)).await;
    for _ in 0..6 {
        sources.lookup.find(&cep("05010000")).await.expect("the second knows");
    }
    assert_eq!(sources.asked().await, (5, 6));
    let states: Vec<_> = sources.lookup.breakers().iter().map(|b| (b.name(), b.state())).collect();
    assert_eq!(states, [(VIACEP, State::Open), (BRASILAPI, State::Closed)]);
}
