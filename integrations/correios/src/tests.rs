use proptest::prelude::*;
use serde_json::{Value, json};
use vitrine_kit::shipping::{ParcelItem, Volume};
use vitrine_kit::{Cep, Money};
use wiremock::matchers::{any, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

pub(crate) const TOKEN: &str = include_str!("../fixtures/token.json");
const PRICE_REQUEST: &str = include_str!("../fixtures/price_request.json");
const PRICE: &str = include_str!("../fixtures/price.json");
const DEADLINE_REQUEST: &str = include_str!("../fixtures/deadline_request.json");
const DEADLINE: &str = include_str!("../fixtures/deadline.json");
const ERROR: &str = include_str!("../fixtures/error.json");

pub(crate) fn config(base_url: &str) -> CorreiosConfig {
    CorreiosConfig {
        base_url: base_url.to_owned(),
        user: "loja".to_owned(),
        access_code: "a-code".into(),
        postage_card: "0067599079".to_owned(),
        contract: "9912345678".to_owned(),
        services: DEFAULT_SERVICES.map(str::to_owned).into(),
        min_box: MinBox::default(),
        timeout: TIMEOUT,
        breaker: BreakerConfig::default(),
    }
}

pub(crate) fn correios(base_url: &str) -> Correios {
    Correios::new(config(base_url)).expect("a good address")
}

pub(crate) fn answer(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(body)
}

pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("recording is on")
}

/// A mock of Correios that gives a token and these two answers.
async fn office(prices: ResponseTemplate, deadlines: ResponseTemplate) -> (MockServer, Correios) {
    let server = MockServer::start().await;
    Mock::given(path("/token/v1/autentica/cartaopostagem")).respond_with(answer(201, TOKEN)).mount(&server).await;
    Mock::given(path("/preco/v1/nacional")).respond_with(prices).mount(&server).await;
    Mock::given(path("/prazo/v1/nacional")).respond_with(deadlines).mount(&server).await;
    let correios = correios(&server.uri());
    (server, correios)
}

async fn quoted(prices: &Value, deadlines: &Value) -> Result<Vec<FreightOption>, ProviderError> {
    let (_server, correios) = office(answer(200, &prices.to_string()), answer(200, &deadlines.to_string())).await;
    correios.quote(&ask(&[MUGS])).await
}

const MUGS: Volume = Volume { height_cm: 11, width_cm: 16, length_cm: 22, weight_grams: 600 };

fn ask(volumes: &[Volume]) -> QuoteRequest {
    let item = ParcelItem {
        id: "sku-1".to_owned(),
        quantity: 2,
        weight_grams: 300,
        height_cm: 11,
        width_cm: 16,
        length_cm: 11,
        unit_price: Money::from_cents(9250),
    };
    let cep = |text| Cep::parse(text).expect("valid");
    QuoteRequest { from: cep("01310100"), to: cep("20040002"), items: vec![item], volumes: volumes.to_vec() }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn price(product: &str, n: &str, reais: &str) -> Value {
    json!({"coProduto": product, "nuRequisicao": n, "pcFinal": reais})
}

fn deadline(product: &str, n: &str, days: u32) -> Value {
    json!({"coProduto": product, "nuRequisicao": n, "prazoEntrega": days, "entregaDomiciliar": "S"})
}

/// Carrier, centavos and days of each option.
fn short(options: Result<Vec<FreightOption>, ProviderError>) -> Vec<(String, i64, u32)> {
    options.expect("options").into_iter().map(|o| (o.carrier, o.price.cents(), o.days)).collect()
}

fn refused(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn unavailable(reason: &str) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s: None }
}

fn strange() -> ProviderError {
    unavailable("no service has a price and a deadline that make sense")
}

async fn body_of(server: &MockServer, to: &str) -> Value {
    let all = requests(server).await;
    let body = &all.iter().find(|r| r.url.path() == to).expect("was called").body;
    serde_json::from_slice(body).expect("JSON")
}

#[tokio::test]
async fn a_parcel_is_asked_for_as_documented_and_a_refused_service_is_left_out() {
    let server = MockServer::start().await;
    let token = Mock::given(method("POST")).and(path("/token/v1/autentica/cartaopostagem"));
    token.and(header("authorization", "Basic bG9qYTphLWNvZGU=")).respond_with(answer(201, TOKEN)).expect(1).mount(&server).await;
    for (to, said) in [("/preco/v1/nacional", PRICE), ("/prazo/v1/nacional", DEADLINE)] {
        let asked = Mock::given(method("POST")).and(path(to)).and(header("authorization", "Bearer eyJ.token.1"));
        asked.respond_with(answer(200, said)).expect(1).mount(&server).await;
    }
    let options = correios(&server.uri()).quote(&ask(&[MUGS])).await.expect("options");
    let [pac] = &options[..] else { panic!("SEDEX is refused, Mini Envios is too small: {options:?}") };
    assert_eq!(
        (pac.provider, pac.carrier.as_str(), pac.service.as_str(), pac.service_code.as_str()),
        (NAME, "PAC", "Correios", "03298")
    );
    assert_eq!((pac.price, pac.days, &pac.volumes), (Money::from_cents(2112), 6, &vec![MUGS]));
    assert_eq!(pac.answer["prices"][0]["psCobrado"], "1000");
    assert_eq!(pac.answer["deadline"]["dataMaxima"], "2026-10-09T23:58:00");
    assert_eq!(body_of(&server, "/token/v1/autentica/cartaopostagem").await, json!({"numero": "0067599079"}));
    for (to, lines, wanted) in
        [("/preco/v1/nacional", "parametrosProduto", PRICE_REQUEST), ("/prazo/v1/nacional", "parametrosPrazo", DEADLINE_REQUEST)]
    {
        let mut sent = body_of(&server, to).await;
        for line in sent[lines].as_array_mut().expect("lines") {
            assert_eq!(line["dtEvento"], wire::date(Timestamp::now()));
            line["dtEvento"] = "01/10/2026".into();
        }
        assert_eq!(sent, parsed(wanted));
    }
}

#[tokio::test]
async fn what_no_service_takes_is_not_asked_for() {
    let (server, correios) = office(answer(500, ""), answer(500, "")).await;
    let boxes = [
        Volume { weight_grams: 30_001, ..MUGS },
        Volume { length_cm: 101, ..MUGS },
        Volume { length_cm: 100, width_cm: 60, height_cm: 41, ..MUGS },
    ];
    for large in boxes {
        assert_eq!(correios.quote(&ask(&[MUGS, large])).await, Ok(vec![]), "{large:?}");
    }
    assert_eq!(correios.quote(&ask(&[])).await, Ok(vec![]));
    assert_eq!(requests(&server).await.len(), 0);
}

#[tokio::test]
async fn each_service_is_asked_within_its_own_limits_and_insured_its_own_way() {
    let (server, correios) = office(answer(200, "[]"), answer(200, "[]")).await;
    let letter = Volume { height_cm: 1, width_cm: 5, length_cm: 9, weight_grams: 300 };
    assert_eq!(correios.quote(&ask(&[letter])).await, Err(strange()));
    let lines = body_of(&server, "/preco/v1/nacional").await["parametrosProduto"].clone();
    let shown: Vec<Value> = lines
        .as_array()
        .expect("lines")
        .iter()
        .map(|l| json!([l["coProduto"], l["servicosAdicionais"][0]["coServAdicional"], l["vlDeclarado"]]))
        .collect();
    assert_eq!(json!(shown), json!([["03298", "064", "185.00"], ["03220", "019", "185.00"], ["04227", "065", "100.00"]]));
    let box_of = |l: &Value| json!([l["comprimento"], l["largura"], l["altura"], l["psObjeto"]]);
    assert_eq!(box_of(&lines[0]), json!(["16", "11", "2", "300"]), "rounded up to the smallest box");
}

#[tokio::test]
async fn goods_of_little_worth_are_insured_anyway_and_dear_ones_up_to_the_limit() {
    for (cents, declared) in
        [(1_281, [None, None]), (1_282, [Some("25.64"), Some("25.64")]), (250_000, [Some("3000.00"), Some("5000.00")])]
    {
        let mut ask = ask(&[MUGS]);
        ask.items[0].unit_price = Money::from_cents(cents);
        let (server, correios) = office(answer(200, "[]"), answer(200, "[]")).await;
        assert_eq!(correios.quote(&ask).await, Err(strange()));
        let lines = body_of(&server, "/preco/v1/nacional").await["parametrosProduto"].clone();
        assert_eq!([lines[0]["vlDeclarado"].as_str(), lines[1]["vlDeclarado"].as_str()], declared, "{cents}");
        assert_eq!(lines[0]["servicosAdicionais"].is_null(), declared[0].is_none());
    }
}

#[tokio::test]
async fn every_box_counts_and_more_than_five_lines_are_split() {
    let light = Volume { weight_grams: 500, ..MUGS };
    let heavy = Volume { weight_grams: 5_000, ..MUGS };
    let other = Volume { weight_grams: 1_000, ..MUGS };
    let lots = |request: &Request| {
        let asked = parsed(std::str::from_utf8(&request.body).expect("text"));
        let line = |l: &Value| {
            price(
                l["coProduto"].as_str().expect("text"),
                l["nuRequisicao"].as_str().expect("text"),
                if l["psObjeto"] == "5000" { "50,00" } else { "10,00" },
            )
        };
        let answers: Vec<Value> = asked["parametrosProduto"].as_array().expect("lines").iter().map(line).collect();
        assert!(answers.len() <= 5);
        answer(200, &json!(answers).to_string())
    };
    let server = MockServer::start().await;
    Mock::given(path("/token/v1/autentica/cartaopostagem")).respond_with(answer(201, TOKEN)).mount(&server).await;
    Mock::given(path("/preco/v1/nacional")).respond_with(lots).expect(2).mount(&server).await;
    let days = json!([deadline("03298", "1", 6), deadline("03220", "2", 2)]);
    Mock::given(path("/prazo/v1/nacional")).respond_with(answer(200, &days.to_string())).expect(1).mount(&server).await;
    let options = correios(&server.uri()).quote(&ask(&[light, heavy, light, other])).await;
    assert_eq!(
        short(options),
        [("PAC".to_owned(), 8_000, 6), ("SEDEX".to_owned(), 8_000, 2)],
        "two alike are asked for once and paid twice"
    );
    let sent: Vec<Value> = requests(&server)
        .await
        .iter()
        .filter(|r| r.url.path() == "/preco/v1/nacional")
        .map(|r| parsed(std::str::from_utf8(&r.body).expect("text")))
        .collect();
    let mut numbers: Vec<String> = sent
        .iter()
        .flat_map(|b| b["parametrosProduto"].as_array().expect("lines").clone())
        .map(|l| l["nuRequisicao"].as_str().expect("text").to_owned())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn a_service_needs_a_price_for_every_box_and_a_deadline() {
    let both = json!([price("03298", "1", "1.021,12"), price("03220", "2", "40,00")]);
    let days = json!([deadline("03298", "1", 6), deadline("03220", "2", 2)]);
    assert_eq!(short(quoted(&both, &days).await), [("PAC".to_owned(), 102_112, 6), ("SEDEX".to_owned(), 4_000, 2)]);
    assert_eq!(short(quoted(&json!([both[1]]), &days).await), [("SEDEX".to_owned(), 4_000, 2)]);
    assert_eq!(short(quoted(&both, &json!([days[0]])).await), [("PAC".to_owned(), 102_112, 6)]);
    assert_eq!(quoted(&both, &json!([])).await, Err(strange()));
    for free in ["0,00", "-1,00", "21.12", "1,234,00", "10,005", ""] {
        assert_eq!(quoted(&json!([price("03298", "1", free)]), &days).await, Err(strange()), "{free}");
    }
    let unnumbered = json!([{"coProduto": "03298", "pcFinal": 21.12, "txErro": null}]);
    let text_days = json!([{"coProduto": "03298", "prazoEntrega": "6", "entregaDomiciliar": "N"}]);
    assert_eq!(short(quoted(&unnumbered, &text_days).await), [("PAC (retirar na agência)".to_owned(), 2_112, 6)]);
}

#[tokio::test]
async fn an_array_is_an_answer_whatever_the_status() {
    for status in [200, 206, 207, 400] {
        let (_server, correios) = office(answer(status, PRICE), answer(status, DEADLINE)).await;
        assert_eq!(short(correios.quote(&ask(&[MUGS])).await), [("PAC".to_owned(), 2_112, 6)], "{status}");
    }
}

#[tokio::test]
async fn a_route_without_a_service_is_no_option_and_a_mistake_of_ours_is_an_error() {
    let days = parsed(DEADLINE);
    let all = |words: &str| json!([{"coProduto": "03298", "nuRequisicao": "1", "txErro": words}, {"coProduto": "03220", "nuRequisicao": "2", "txErro": words}]);
    assert_eq!(quoted(&all("ERP-006: não atende"), &days).await, Ok(vec![]));
    for words in ["PRC-124: contrato", "ERP-054: adicional", "ERP-010: entrada"] {
        assert_eq!(quoted(&all(words), &days).await, Err(refused(&words[..7], words)));
    }
    assert_eq!(quoted(&all("fora do ar"), &days).await, Err(refused("txErro", "fora do ar")));
}

#[tokio::test]
async fn refusals_are_rejected_with_their_code_and_words() {
    let contract = "PRC-124: O contrato informado difere do contrato do token.";
    for (status, body, code, message) in [
        (400, ERROR, "PRC-124", contract),
        (404, r#"{"descricao":"Não há","causa":"ERP-010: vazio"}"#, "ERP-010", "Não há; ERP-010: vazio"),
        (422, r#"{"erros":[{"mensagem":"ruim"}]}"#, "422", "ruim"),
        (418, "<html>", "418", ""),
    ] {
        let (_server, correios) = office(answer(status, body), answer(200, DEADLINE)).await;
        assert_eq!(correios.quote(&ask(&[MUGS])).await, Err(refused(code, message)));
        assert!(correios.breakers().iter().all(|breaker| breaker.snapshot().recent_failures == 0));
    }
}

#[tokio::test]
async fn whoever_is_busy_broken_slow_or_raving_is_unavailable() {
    let busy = answer(429, "").insert_header("retry-after", "7");
    let (_server, correios) = office(busy, answer(200, DEADLINE)).await;
    let error = ProviderError::Unavailable { provider: NAME, reason: "429".to_owned(), retry_after_s: Some(7) };
    assert_eq!(correios.quote(&ask(&[MUGS])).await, Err(error));
    let (server, correios) = office(answer(502, "<html>"), answer(200, DEADLINE)).await;
    assert_eq!(correios.quote(&ask(&[MUGS])).await, Err(unavailable("answered 502")));
    assert_eq!(requests(&server).await.len(), 5, "a token, three tries, a deadline");
    let (_server, correios) = office(answer(200, "<html>"), answer(200, DEADLINE)).await;
    assert_eq!(correios.quote(&ask(&[MUGS])).await, Err(unavailable("the answer makes no sense (line 1, column 1)")));
    let (server, _) = office(answer(200, PRICE).set_delay(Duration::from_secs(60)), answer(200, DEADLINE)).await;
    let slow =
        Correios::new(CorreiosConfig { timeout: Duration::from_secs(1), ..config(&server.uri()) }).expect("a good address");
    assert_eq!(slow.quote(&ask(&[MUGS])).await, Err(unavailable("no answer in time")));
}

#[tokio::test]
async fn two_calls_at_once_do_not_keep_the_breaker_open() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).with_priority(9).mount(&server).await;
    Mock::given(path("/token/v1/autentica/cartaopostagem")).respond_with(answer(201, TOKEN)).mount(&server).await;
    let good = |to: &str, said: &str| Mock::given(path(to)).respond_with(answer(200, said).set_delay(Duration::from_millis(20)));
    good("/prazo/v1/nacional", DEADLINE).mount(&server).await;
    let bad = Mock::given(path("/preco/v1/nacional")).respond_with(answer(200, "<html>"));
    let bad = bad.up_to_n_times(1).mount_as_scoped(&server).await;
    let breaker = BreakerConfig { threshold: 1, window: Duration::from_secs(60), cooldown: Duration::from_millis(1) };
    let correios = Correios::new(CorreiosConfig { breaker, ..config(&server.uri()) }).expect("a good address");
    correios.quote(&ask(&[MUGS])).await.expect_err("garbage opens it");
    drop(bad);
    good("/preco/v1/nacional", PRICE).mount(&server).await;
    while correios.breakers()[0].state() == vitrine_kit::breaker::State::Open {
        tokio::task::yield_now().await;
    }
    let _ = correios.quote(&ask(&[MUGS])).await; // one of its two calls is the probe; the breaker refuses the other
    assert_eq!(short(correios.quote(&ask(&[MUGS])).await), [("PAC".to_owned(), 2_112, 6)]);
}

#[test]
fn a_service_that_nobody_knows_is_refused_at_the_start() {
    let error = |codes: &[&str]| {
        let services = codes.iter().map(|c| (*c).to_owned()).collect();
        Correios::new(CorreiosConfig { services, ..config("https://correios.test") }).err().map(|e| e.reason)
    };
    assert_eq!(error(&["03220", "03298"]), None);
    assert_eq!(error(&[]).as_deref(), Some("there is no service to ask for"));
    assert!(error(&["03298", "03247"]).is_some_and(|e| e.starts_with("03247 is not a service")), "a return label is no freight");
}

#[test]
fn the_day_is_brasilias() {
    let at = |text: &str| wire::date(text.parse().expect("a time"));
    assert_eq!([at("2026-10-01T02:59:59Z"), at("2026-10-01T03:00:00Z")], ["30/09/2026", "01/10/2026"]);
}

proptest! {
    #[test]
    fn a_price_reads_back_as_brazilians_write_it(cents in 0_i64..100_000_000_000) {
        let shown = Money::from_cents(cents).to_string();
        prop_assert_eq!(wire::money(shown.trim_start_matches("R$ ")), Some(Money::from_cents(cents)));
    }

    #[test]
    fn whatever_comes_breaks_nothing(body in "\\PC{0,200}") {
        let _ = (wire::items(body.as_bytes()), wire::refusal(body.as_bytes()), wire::money(&body));
    }
}
