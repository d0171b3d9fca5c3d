use serde_json::{Value, json};
use vitrine_kit::breaker::State;
use vitrine_kit::pix::{Payer, RefundStatus};
use vitrine_kit::{Email, Money, TaxId};
use wiremock::matchers::{any, body_json_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

mod read;
mod refunds;

pub(crate) const PAYMENT: &str = "0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f";
pub(crate) const REFUND: &str = "01930000-0000-7000-8000-000000000002";
pub(crate) const PIX_KEY: &str = "7f2b8c1e-3a4d-4e5f-8a9b-0c1d2e3f4a5b";
const COB: &str = "/v2/cob/0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f";
const DEVOLUCAO: &str = "/v2/pix/E12345678202610011502abcdef12345/devolucao/01930000000070008000000000000002";
const END_TO_END: &str = "E12345678202610011502abcdef12345";
const ATIVA: &str = include_str!("../fixtures/cob.json");
const PAID: &str = include_str!("../fixtures/cob_paid.json");
const NEW_COB: &str = include_str!("../fixtures/new_cob.json");
const DEVOLUCAO_ANSWER: &str = include_str!("../fixtures/devolucao.json");
const PROBLEM: &str = include_str!("../fixtures/problem.json");
const EFI_ERROR: &str = include_str!("../fixtures/efi_error.json");
pub(crate) const TOKEN: &str = include_str!("../fixtures/token.json");

pub(crate) fn id(text: &str) -> Uuid {
    text.parse().expect("a test writes it well")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a test writes it well")
}

pub(crate) fn config(base_url: &str) -> BacenConfig {
    BacenConfig {
        base_url: base_url.to_owned(),
        token_url: None,
        client_id: "Client_Id".to_owned(),
        client_secret: "Client_Secret".into(),
        certificate_pem: None,
        pix_key: PIX_KEY.to_owned(),
        webhook_secret: "s3gredo".into(),
        timeout: Duration::from_secs(5),
        breaker: BreakerConfig::default(),
    }
}

pub(crate) fn bacen(base_url: &str) -> Bacen {
    Bacen::new(config(base_url)).expect("a good address")
}

pub(crate) fn answer(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}

/// A bank that gives tokens, and to each method and path the one answer told here; to what is not told, none.
async fn bank(answers: &[(&str, &str, u16, &str)]) -> (MockServer, Bacen) {
    let server = MockServer::start().await;
    Mock::given(path("/oauth/token")).respond_with(answer(200, TOKEN)).mount(&server).await;
    for (verb, at, status, body) in answers {
        let mock = Mock::given(method(*verb)).and(path(*at)).and(header("authorization", "Bearer eyJ.token.1"));
        mock.respond_with(answer(*status, body)).mount(&server).await;
    }
    let bacen = bacen(&server.uri());
    (server, bacen)
}

/// The same answer to everything.
async fn always(status: u16, body: &str) -> (MockServer, Bacen) {
    let (server, bacen) = bank(&[]).await;
    Mock::given(any()).respond_with(answer(status, body)).with_priority(9).mount(&server).await;
    (server, bacen)
}

pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("recording is on")
}

/// Method and path of each call but the token's.
async fn calls(server: &MockServer) -> Vec<String> {
    let all = requests(server).await;
    all.iter().filter(|r| r.url.path() != "/oauth/token").map(|r| format!("{} {}", r.method, r.url.path())).collect()
}

fn new_charge() -> NewCharge {
    NewCharge {
        payment_id: id(PAYMENT),
        order_id: id("0192f0bb-0000-7000-8000-000000000001"),
        amount: Money::from_cents(18_500),
        expires_in_s: 1800,
        description: "Pedido 1001".to_owned(),
        payer: Payer {
            name: "Ana Silva".to_owned(),
            tax_id: TaxId::parse("529.982.247-25").expect("valid"),
            email: Email::parse("ana@example.com").ok(),
        },
        is_repeat: false,
    }
}

fn new_refund() -> NewRefund {
    NewRefund {
        refund_id: id(REFUND),
        payment_id: id(PAYMENT),
        end_to_end_id: Some(END_TO_END.to_owned()),
        payment_ref: None,
        refund_ref: None,
        amount: Money::from_cents(500),
        reason: "Produto com defeito".to_owned(),
    }
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn problem(kind: &str, status: u16) -> String {
    json!({"type": format!("https://pix.bcb.gov.br/api/v2/error/{kind}"), "title": "Erro", "status": status}).to_string()
}

fn efi(nome: &str) -> String {
    json!({"nome": nome, "mensagem": "Erro"}).to_string()
}

fn pending() -> Charge {
    Charge {
        payment_id: id(PAYMENT),
        status: ChargeStatus::Pending,
        amount: Money::from_cents(18_500),
        txid: "0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f".to_owned(),
        copy_paste: "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/2353c790eefb11eaadc10242ac1200025204000053039865802BR5912LOJA VITRINE6009SAO PAULO62070503***630455B0".to_owned(),
        qr_code: None,
        qr_code_url: None,
        expires_at: time("2126-10-01T15:30:00Z"),
        paid_at: None,
        end_to_end_id: None,
        refunded: Money::ZERO,
    }
}

#[tokio::test]
async fn a_charge_is_put_under_a_txid_that_is_our_payment_id() {
    let (server, bacen) = bank(&[]).await;
    Mock::given(method("PUT"))
        .and(path(COB))
        .and(header("authorization", "Bearer eyJ.token.1"))
        .and(header("content-type", "application/json"))
        .and(body_json_string(NEW_COB))
        .respond_with(answer(201, ATIVA))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(bacen.create_charge(&new_charge()).await, Ok(pending()));
    assert_eq!(calls(&server).await, [format!("PUT {COB}")]);
}

#[tokio::test]
async fn the_bank_is_not_told_who_buys_and_texts_are_cut_to_fit() {
    let (server, bacen) = bank(&[("PUT", COB, 201, ATIVA)]).await;
    let new = NewCharge { description: "a".repeat(200), ..new_charge() };
    bacen.create_charge(&new).await.expect("created");
    let sent: Value = requests(&server).await[1].body_json().expect("JSON");
    assert_eq!(sent["solicitacaoPagador"], json!("a".repeat(140)));
    for personal in ["devedor", "52998224725", "Ana Silva", "ana@example.com"] {
        assert!(!sent.to_string().contains(personal), "{sent}");
    }
}

#[tokio::test]
async fn a_repeat_reads_first_and_puts_only_what_they_do_not_know() {
    let again = NewCharge { is_repeat: true, ..new_charge() };
    let (server, bacen) = bank(&[("GET", COB, 200, ATIVA)]).await;
    assert_eq!(bacen.create_charge(&again).await, Ok(pending()));
    assert_eq!(calls(&server).await, [format!("GET {COB}")]);

    let unknown = problem("CobNaoEncontrado", 404);
    let (server, bacen) = bank(&[("GET", COB, 404, &unknown), ("PUT", COB, 201, ATIVA)]).await;
    assert_eq!(bacen.create_charge(&again).await, Ok(pending()));
    assert_eq!(calls(&server).await, [format!("GET {COB}"), format!("PUT {COB}")]);

    let (server, bacen) = bank(&[("GET", COB, 404, "<html>"), ("PUT", COB, 201, ATIVA)]).await;
    assert_eq!(bacen.create_charge(&again).await, Err(rejected("404", "")));
    assert_eq!(calls(&server).await, [format!("GET {COB}")]);
}

#[tokio::test]
async fn a_txid_that_is_taken_is_read_and_shows_its_own_amount() {
    let other = ATIVA.replace("185.00", "170.00");
    for (status, body) in [
        (409, efi("txid_duplicado")),
        (400, efi("txid_duplicado")),
        (409, "<html>".to_owned()),
        (400, problem("CobOperacaoInvalida", 400)),
    ] {
        let (server, bacen) = bank(&[("PUT", COB, status, &body), ("GET", COB, 200, &other)]).await;
        let charge = bacen.create_charge(&new_charge()).await.expect("the existing one");
        assert_eq!(charge, Charge { amount: Money::from_cents(17_000), ..pending() });
        assert_eq!(calls(&server).await, [format!("PUT {COB}"), format!("GET {COB}")]);
    }
}

#[tokio::test]
async fn a_refusal_counts_only_if_the_charge_does_not_exist() {
    let unknown = efi("cobranca_nao_encontrada");
    let (_server, bacen) = bank(&[("PUT", COB, 400, PROBLEM), ("GET", COB, 400, &unknown)]).await;
    let words = "A requisição que busca alterar ou criar uma cobrança não respeita o esquema.; \
        cob.valor.original: O campo cob.valor.original é zero";
    assert_eq!(bacen.create_charge(&new_charge()).await, Err(rejected("CobOperacaoInvalida", words)));

    let (server, bacen) = bank(&[("PUT", COB, 400, EFI_ERROR)]).await;
    let refused = rejected("valor_invalido", "Campo valor.original deve ser maior que zero");
    assert_eq!(bacen.create_charge(&new_charge()).await, Err(refused));
    assert_eq!(calls(&server).await, [format!("PUT {COB}")]);

    let (_server, bacen) = bank(&[("PUT", COB, 409, ""), ("GET", COB, 403, "<html>")]).await;
    let unclear = unclear("a charge of that txid may exist, and cannot be read");
    assert_eq!(bacen.create_charge(&new_charge()).await, Err(unclear));
}

#[tokio::test]
async fn a_put_without_a_clear_answer_is_unknown_and_not_sent_twice() {
    for status in [500, 503, 504] {
        let (server, bacen) = bank(&[("PUT", COB, status, "")]).await;
        assert_eq!(bacen.create_charge(&new_charge()).await, Err(unclear(&format!("answered {status}"))));
        assert_eq!(calls(&server).await, [format!("PUT {COB}")]);
    }
    let (server, bacen) =
        bank(&[("GET", DEVOLUCAO, 404, &problem("PixDevolucaoNaoEncontrada", 404)), ("PUT", DEVOLUCAO, 503, "")]).await;
    assert_eq!(bacen.refund(&new_refund()).await, Err(unclear("answered 503")));
    assert_eq!(calls(&server).await, [format!("GET {DEVOLUCAO}"), format!("PUT {DEVOLUCAO}")]);
}

#[tokio::test]
async fn not_found_is_none_but_only_in_their_own_words() {
    let kinds = ["NaoEncontrado", "CobNaoEncontrado", "PixNaoEncontrado", "PixDevolucaoNaoEncontrada"];
    let theirs = kinds.map(|kind| (404, problem(kind, 404)));
    let efis = ["cobranca_nao_encontrada", "pix_nao_encontrado"].map(|nome| (400, efi(nome)));
    for (status, body) in theirs.into_iter().chain(efis) {
        let (_server, bacen) = always(status, &body).await;
        assert_eq!(bacen.read_charge(id(PAYMENT), Lane::Background).await, Ok(None), "{body}");
        assert_eq!(bacen.read_refund(&new_refund()).await, Ok(None), "{body}");
        assert_eq!(bacen.refunds_of(id(PAYMENT)).await, Ok(Some(Vec::new())), "{body}");
        assert_eq!(bacen.void_charge(id(PAYMENT)).await, Ok(Voided::Done), "{body}");
    }
    for (status, body, code) in [
        (404, "<html>nginx</html>".to_owned(), "404"),
        (404, r#"{"message":"no Route matched with those values"}"#.to_owned(), "404"),
        (404, json!({"type": "about:blank", "title": "Not Found", "status": 404}).to_string(), "about:blank"),
        (410, problem("PermanentementeRemovido", 410), "PermanentementeRemovido"),
        (400, "<html>".to_owned(), "400"),
    ] {
        let (_server, bacen) = always(status, &body).await;
        let refused = |outcome| matches!(outcome, Err(ProviderError::Rejected { code: given, .. }) if given == code);
        assert!(refused(bacen.read_charge(id(PAYMENT), Lane::Background).await.map(|_| ())), "{body}");
        assert!(refused(bacen.read_refund(&new_refund()).await.map(|_| ())), "{body}");
        assert!(refused(bacen.void_charge(id(PAYMENT)).await.map(|_| ())), "{body}");
    }
}

#[tokio::test]
async fn no_access_is_no_refusal_of_a_charge() {
    let not_accepted = |code: &str| ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: String::new() };
    for (body, code) in [
        (json!({"type": "https://pix.bcb.gov.br/api/v2/error/AcessoNegado"}).to_string(), "AcessoNegado"),
        ("<html>".to_owned(), "403"),
    ] {
        let (server, bacen) = always(403, &body).await;
        assert_eq!(bacen.create_charge(&new_charge()).await, Err(not_accepted(code)));
        assert_eq!(calls(&server).await.len(), 1, "it cannot have been made");
        assert_eq!(bacen.read_charge(id(PAYMENT), Lane::Background).await, Err(not_accepted(code)));
        let states: Vec<_> = bacen.breakers().iter().map(|breaker| breaker.state()).collect();
        assert_eq!(states, [State::Open, State::Closed], "of what a buyer waits for, and of the rest");
    }
}

#[tokio::test]
async fn voiding_patches_and_reads_where_that_is_refused() {
    let removed = ATIVA.replace("ATIVA", "REMOVIDA_PELO_USUARIO_RECEBEDOR");
    let (server, bacen) = bank(&[("PATCH", COB, 200, &removed)]).await;
    assert_eq!(bacen.void_charge(id(PAYMENT)).await, Ok(Voided::Done));
    let sent: Value = requests(&server).await[1].body_json().expect("JSON");
    assert_eq!(sent, json!({"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}));

    let invalid = problem("CobOperacaoInvalida", 400);
    let unknown = problem("CobNaoEncontrado", 404);
    let late = ATIVA.replace("2126-", "2026-");
    let refused = rejected("CobOperacaoInvalida", "Erro");
    for (patch, get, outcome) in [
        ((400, invalid.as_str()), (200, PAID), Ok(Voided::AlreadyPaid)),
        ((409, &efi("status_cob_invalido")), (200, PAID), Ok(Voided::AlreadyPaid)),
        ((400, &invalid), (200, &removed), Ok(Voided::Done)),
        ((400, &invalid), (200, &late), Ok(Voided::Done)),
        ((400, &invalid), (404, &unknown), Ok(Voided::Done)),
        ((400, &invalid), (200, ATIVA), Err(refused)),
        ((200, ATIVA), (500, ""), Err(unclear("voiding left the charge payable"))),
        ((200, PAID), (500, ""), Ok(Voided::AlreadyPaid)),
    ] {
        let (_server, bacen) = bank(&[("PATCH", COB, patch.0, patch.1), ("GET", COB, get.0, get.1)]).await;
        assert_eq!(bacen.void_charge(id(PAYMENT)).await, outcome, "{patch:?} {get:?}");
    }
}

fn received(payment_id: Option<&str>, reference: &str, cents: i64, refunded: i64, paid_at: &str) -> Received {
    Received {
        payment_id: payment_id.map(id),
        reference: reference.to_owned(),
        amount: Money::from_cents(cents),
        refunded: Money::from_cents(refunded),
        paid_at: Some(time(paid_at)),
    }
}

#[tokio::test]
async fn money_received_is_read_page_by_page_and_only_our_keys() {
    let (server, bacen) = bank(&[]).await;
    for (page, body) in
        [("0", include_str!("../fixtures/received_page0.json")), ("1", include_str!("../fixtures/received_page1.json"))]
    {
        Mock::given(method("GET"))
            .and(path("/v2/pix"))
            .and(query_param("inicio", "2026-10-01T00:00:00Z"))
            .and(query_param("fim", "2026-10-02T00:00:00Z"))
            .and(query_param("paginacao.paginaAtual", page))
            .and(query_param("paginacao.itensPorPagina", "100"))
            .respond_with(answer(200, body))
            .expect(1)
            .mount(&server)
            .await;
    }
    let expected = vec![
        received(Some(PAYMENT), "0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f", 18_500, 500, "2026-10-01T15:02:00.358Z"),
        received(None, "E12345678202610011600abcdef12345", 1000, 0, "2026-10-01T16:00:00Z"),
        received(None, "caixa00000000000000000000001", 700, 0, "2026-10-01T23:59:59Z"),
    ];
    let day = (time("2026-10-01T00:00:00Z"), time("2026-10-02T00:00:00Z"));
    assert_eq!(bacen.received(day.0, day.1).await, Ok(Some(expected)));
    let (_server, bacen) = bank(&[("GET", "/v2/pix", 200, r#"{"pix":[]}"#)]).await;
    assert_eq!(bacen.received(day.0, day.1).await, Ok(Some(Vec::new())));
    let (_server, bacen) = bank(&[("GET", "/v2/pix", 400, &problem("PixConsultaInvalida", 400))]).await;
    assert_eq!(bacen.received(day.0, day.1).await, Err(rejected("PixConsultaInvalida", "Erro")));
}

#[tokio::test]
async fn garbage_is_unknown_after_a_write_and_unavailable_after_a_read() {
    for body in ["<html>", "{}", &ATIVA.replace("ATIVA", "SONHANDO"), &ATIVA.replace("\"185.00\"", "\"185,00\"")] {
        let (_server, bacen) = always(200, body).await;
        let (made, read) = (bacen.create_charge(&new_charge()).await, bacen.read_charge(id(PAYMENT), Lane::Background).await);
        assert!(matches!(made, Err(ProviderError::Unknown { .. })), "{body}: {made:?}");
        assert!(matches!(read, Err(ProviderError::Unavailable { .. })), "{body}: {read:?}");
    }
    let (_server, bacen) = always(200, &ATIVA.replace("0192f0c1aa5b", "0192f0c1aa5c")).await;
    assert_eq!(bacen.create_charge(&new_charge()).await, Err(unclear("answered about another charge")));
    let (_server, bacen) = always(200, &DEVOLUCAO_ANSWER.replace("0193", "0194")).await;
    assert_eq!(bacen.refund(&new_refund()).await, Err(unclear("answered about another refund")));
}

#[tokio::test]
async fn busy_is_unavailable() {
    let (_server, bacen) = always(429, "").await;
    let busy = ProviderError::Unavailable { provider: NAME, reason: "429".to_owned(), retry_after_s: None };
    assert_eq!(bacen.create_charge(&new_charge()).await, Err(busy.clone()));
    assert_eq!(bacen.read_charge(id(PAYMENT), Lane::Background).await, Err(busy));
}

#[tokio::test]
async fn only_what_a_buyer_waits_for_counts_for_the_buyers_breaker() {
    let (_server, bacen) = always(500, "").await;
    let failures =
        || bacen.breakers().iter().map(|breaker| (breaker.name(), breaker.snapshot().recent_failures)).collect::<Vec<_>>();
    let counts = |buyers, background| vec![(NAME, buyers), ("bacen background", background)];
    let _ = bacen.read_charge(id(PAYMENT), Lane::Background).await;
    let _ = bacen.void_charge(id(PAYMENT)).await;
    let _ = bacen.refund(&new_refund()).await;
    let _ = bacen.read_refund(&new_refund()).await;
    assert_eq!(failures(), counts(0, 4));
    let _ = bacen.create_charge(&new_charge()).await;
    let _ = bacen.read_charge(id(PAYMENT), Lane::Buyer).await;
    assert_eq!(failures(), counts(2, 4));
}
