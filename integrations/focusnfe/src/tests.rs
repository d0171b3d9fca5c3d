use serde_json::{Value, json};
use vitrine_kit::AccessKey;
use vitrine_kit::breaker::State;
use wiremock::matchers::{any, body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::samples::{CNPJ, KEY, REFERENCE, simples};

const PROCESSING: &str = include_str!("../fixtures/processing.json");
const AUTHORIZED: &str = include_str!("../fixtures/authorized.json");
const SCHEMA_ERROR: &str = include_str!("../fixtures/schema_error.json");

fn config(base_url: &str) -> FocusNfeConfig {
    FocusNfeConfig {
        base_url: base_url.to_owned(),
        token: "a-token".into(),
        cnpj: Cnpj::parse(CNPJ).expect("valid"),
        environment: Environment::Homologation,
        webhook_secret: "a-word".into(),
        timeout: Duration::from_secs(2),
        calls_per_minute: 100_000,
        breaker: BreakerConfig::default(),
    }
}

fn focus(base_url: &str) -> FocusNfe {
    FocusNfe::new(config(base_url)).expect("a good address")
}

fn answer(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(body)
}

fn refusal(code: &str) -> String {
    json!({"codigo": code, "mensagem": "Não"}).to_string()
}

/// Mocks GET of the note, and one other method.
async fn answering(get: ResponseTemplate, verb: &str, other: ResponseTemplate) -> (MockServer, FocusNfe) {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path(format!("/v2/nfe/{REFERENCE}"))).respond_with(get).mount(&server).await;
    Mock::given(method(verb)).respond_with(other).mount(&server).await;
    let focus = focus(&server.uri());
    (server, focus)
}

async fn posts(server: &MockServer) -> usize {
    server.received_requests().await.expect("recording is on").iter().filter(|r| r.method.as_str() == "POST").count()
}

fn authorized() -> SeenNfe {
    let folder = "/arquivos_desenvolvimento/11222333000181/202610";
    SeenNfe {
        key: Some(AccessKey::parse(KEY).expect("right")),
        number: Some("123".to_owned()),
        series: Some("1".to_owned()),
        code: Some("100".to_owned()),
        message: Some("Autorizado o uso da NF-e".to_owned()),
        danfe: Some(format!("{folder}/DANFEs/{KEY}.pdf")),
        xml: Some(format!("{folder}/XMLs/{KEY}-nfe.xml")),
        authorized_at: Some("2026-10-01T15:00:05Z".parse().expect("a time")),
        ..SeenNfe::bare(REFERENCE, NfeState::Authorized)
    }
}

fn note(fields: Value) -> String {
    let mut note: Value = serde_json::from_str(AUTHORIZED).expect("JSON");
    for (name, value) in fields.as_object().expect("fields") {
        note[name] = value.clone();
    }
    note.to_string()
}

#[tokio::test]
async fn an_invoice_is_handed_over_under_its_reference() {
    let server = MockServer::start().await;
    let body: Value = serde_json::from_str(include_str!("../fixtures/note_simples.json")).expect("JSON");
    Mock::given(method("POST"))
        .and(path("/v2/nfe"))
        .and(query_param("ref", REFERENCE))
        .and(header("authorization", "Basic YS10b2tlbjo=")) // a-token:
        .and(body_json(body))
        .respond_with(answer(202, PROCESSING))
        .expect(1)
        .mount(&server)
        .await;
    let seen = focus(&server.uri()).emit(&simples()).await;
    assert_eq!(seen, Ok(SeenNfe::bare(REFERENCE, NfeState::Processing)));
}

#[tokio::test]
async fn what_is_there_already_is_answered_as_it_is() {
    for code in ["nfe_autorizada", "em_processamento", "already_processed", "pending_operation"] {
        let (_server, focus) = answering(answer(200, AUTHORIZED), "POST", answer(422, &refusal(code))).await;
        assert_eq!(focus.emit(&simples()).await, Ok(authorized()), "{code}");
    }
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer(201, AUTHORIZED)).mount(&server).await;
    assert_eq!(focus(&server.uri()).emit(&simples()).await, Ok(authorized()), "at once, where their state allows it");
}

#[tokio::test]
async fn without_an_answer_it_is_looked_up_and_else_left_open() {
    let (_server, focus) = answering(answer(200, AUTHORIZED), "POST", answer(500, "")).await;
    assert_eq!(focus.emit(&simples()).await, Ok(authorized()));
    let (_server, focus) = answering(answer(404, &refusal("nao_encontrado")), "POST", answer(500, "")).await;
    assert!(matches!(focus.emit(&simples()).await, Err(ProviderError::Unknown { .. })));
    let (_server, focus) = answering(answer(404, &refusal("nao_encontrado")), "POST", answer(202, "{\"status\":\"pa")).await;
    assert!(matches!(focus.emit(&simples()).await, Err(ProviderError::Unknown { .. })));
    // An earlier rejection says nothing about this try.
    let rejected = note(json!({"status": "erro_autorizacao", "status_sefaz": "598"}));
    let (_server, focus) = answering(answer(200, &rejected), "POST", answer(500, "")).await;
    assert!(matches!(focus.emit(&simples()).await, Err(ProviderError::Unknown { .. })));
    // A refusal without a code may be that of a repeat.
    let (_server, focus) = answering(answer(200, AUTHORIZED), "POST", answer(422, "{\"codigo\":{\"value\":7}}")).await;
    assert_eq!(focus.emit(&simples()).await, Ok(authorized()));
    let (_server, focus) = answering(answer(404, &refusal("nao_encontrado")), "POST", answer(422, "\u{1f4a5}")).await;
    assert!(matches!(focus.emit(&simples()).await, Err(ProviderError::Unknown { .. })));
    let (_server, focus) = answering(answer(404, &refusal("nao_encontrado")), "POST", answer(503, "")).await;
    assert!(matches!(focus.emit(&simples()).await, Err(ProviderError::Unavailable { .. })));
}

#[tokio::test]
async fn a_wrong_field_is_the_invoices_state_and_names_it() {
    let (_server, focus) = answering(answer(404, ""), "POST", answer(422, SCHEMA_ERROR)).await;
    let message = "Erro na validação do Schema XML; codigo_ncm: não é um NCM; municipio_destinatario: é obrigatório";
    let rejected = SeenNfe {
        code: Some("erro_validacao_schema".to_owned()),
        message: Some(message.to_owned()),
        ..SeenNfe::bare(REFERENCE, NfeState::Rejected)
    };
    assert_eq!(focus.emit(&simples()).await, Ok(rejected));
}

#[tokio::test]
async fn what_is_wrong_with_the_account_is_the_calls_failure() {
    for (status, code) in [(400, "certificado_vencido"), (422, "permissao_negada")] {
        let (_server, focus) = answering(answer(404, ""), "POST", answer(status, &refusal(code))).await;
        assert_eq!(focus.emit(&simples()).await, Err(rejected(ACCOUNT_REFUSED, &format!("{code}: Não"))));
        assert_eq!(focus.breaker().state(), State::Closed);
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_closes_the_way_for_all_and_a_file_that_is_not_given_for_none() {
    for (status, body, code) in [(401, refusal("permissao_negada"), "permissao_negada"), (403, "<html>".to_owned(), "403")] {
        let (_server, focus) = answering(answer(404, ""), "POST", answer(status, &body)).await;
        let refused = focus.emit(&simples()).await;
        assert!(matches!(&refused, Err(ProviderError::NotAccepted { code: given, .. }) if given == code), "{refused:?}");
        assert_eq!(focus.breaker().state(), State::Open);
    }
    let (_server, focus) = answering(answer(404, ""), "GET", answer(403, "<html>")).await;
    let seen = SeenNfe { danfe: Some("/arquivos/a.pdf".to_owned()), ..SeenNfe::bare(REFERENCE, NfeState::Authorized) };
    assert!(matches!(focus.download(&seen, Document::Danfe).await, Err(ProviderError::NotAccepted { .. })));
    assert_eq!(focus.breaker().state(), State::Closed);
}

#[tokio::test]
async fn states_are_read_and_a_strange_one_is_waited_for() {
    for (status, state) in [
        ("processando_autorizacao", NfeState::Processing),
        ("autorizado", NfeState::Authorized),
        ("erro_cancelamento", NfeState::Authorized),
        ("erro_autorizacao", NfeState::Rejected),
        ("denegado", NfeState::Denied),
        ("cancelado", NfeState::Cancelled),
        ("contingencia_offline", NfeState::Processing),
    ] {
        let (_server, focus) = answering(answer(200, &note(json!({"status": status}))), "POST", answer(500, "")).await;
        assert_eq!(focus.find(REFERENCE).await.map(|seen| seen.map(|seen| seen.state)), Ok(Some(state)), "{status}");
    }
    let rejected = json!({"status": "erro_autorizacao", "status_sefaz": "598", "mensagem_sefaz": "Razão Social errada",
                          "chave_nfe": null, "numero": null});
    let (_server, focus) = answering(answer(200, &note(rejected)), "POST", answer(500, "")).await;
    let seen = focus.find(REFERENCE).await.expect("read").expect("there");
    assert_eq!((seen.code.as_deref(), seen.message.as_deref()), (Some("598"), Some("Razão Social errada")));
}

#[tokio::test]
async fn only_their_own_words_say_that_they_never_got_it() {
    let (_server, focus) = answering(answer(404, &refusal("nao_encontrado")), "POST", answer(500, "")).await;
    assert_eq!(focus.find(REFERENCE).await, Ok(None));
    let (_server, focus) = answering(answer(404, "<h1>Not Found</h1>"), "POST", answer(500, "")).await;
    assert!(matches!(focus.find(REFERENCE).await, Err(ProviderError::Unavailable { .. })));
    assert!(matches!(focus.find("../nfe").await, Err(ProviderError::Rejected { .. })));
}

#[tokio::test]
async fn an_authorised_invoice_without_a_right_key_of_ours_is_not_believed() {
    for (key, why) in [
        ("NFe35261011222333000181550010000001231481516234", "wrong digit"),
        ("NFe35261012ABC34501DE35550010000001231481516234", "another company's"),
        ("NFe33261011222333000181650020000000071102030405", "an NFC-e"),
        ("", "none"),
    ] {
        let (_server, focus) = answering(answer(200, &note(json!({"chave_nfe": key}))), "POST", answer(500, "")).await;
        assert!(matches!(focus.find(REFERENCE).await, Err(ProviderError::Unknown { .. })), "{why}");
    }
    let (_server, focus) = answering(answer(200, &note(json!({"ref": "another"}))), "POST", answer(500, "")).await;
    assert!(matches!(focus.find(REFERENCE).await, Err(ProviderError::Unknown { .. })));
}

#[tokio::test]
async fn a_spent_allowance_is_waited_for_by_all() {
    let spent = answer(429, "").insert_header("Rate-Limit-Reset", "42");
    let (server, focus) = answering(answer(200, AUTHORIZED), "POST", spent).await;
    let unavailable = |error: ProviderError| match error {
        ProviderError::Unavailable { retry_after_s, .. } => retry_after_s,
        error => panic!("{error:?}"),
    };
    assert_eq!(unavailable(focus.emit(&simples()).await.expect_err("refused")), Some(42));
    let before = posts(&server).await;
    let wait = unavailable(focus.emit(&simples()).await.expect_err("held back"));
    assert!((40..=42).contains(&wait.expect("known")), "{wait:?}");
    assert_eq!(posts(&server).await, before, "nothing was sent");
}

#[tokio::test]
async fn a_cancelled_invoice_is_cancelled_once_or_twice() {
    let cancelled = note(json!({"status": "cancelado", "status_sefaz": "135", "caminho_xml_cancelamento": "/a/can.xml"}));
    for delete in [
        answer(200, r#"{"status":"cancelado","status_sefaz":"135","caminho_xml_cancelamento":"/a/can.xml"}"#),
        answer(400, &refusal("nfe_cancelada")),
        answer(422, r#"{"status":"erro_cancelamento","status_sefaz":"573","mensagem_sefaz":"Duplicidade de evento"}"#),
    ] {
        let (_server, focus) = answering(answer(200, &cancelled), "DELETE", delete).await;
        match focus.cancel(REFERENCE, "Desistência do comprador").await {
            Ok(Cancellation::Cancelled(seen)) => {
                assert_eq!((seen.state, seen.cancellation_xml.as_deref()), (NfeState::Cancelled, Some("/a/can.xml")));
            }
            other => panic!("{other:?}"),
        }
    }
    // The read fails: the answer itself tells enough.
    let delete = answer(200, r#"{"status":"cancelado","caminho_xml_cancelamento":"/a/can.xml"}"#);
    let (_server, focus) = answering(answer(500, ""), "DELETE", delete).await;
    let seen = SeenNfe { cancellation_xml: Some("/a/can.xml".into()), ..SeenNfe::bare(REFERENCE, NfeState::Cancelled) };
    assert_eq!(focus.cancel(REFERENCE, "Desistência do comprador").await, Ok(Cancellation::Cancelled(seen)));
}

#[tokio::test]
async fn too_late_is_refused_and_an_authority_that_is_away_is_not() {
    let late = r#"{"status":"erro_cancelamento","status_sefaz":"501","mensagem_sefaz":"Prazo de cancelamento superior"}"#;
    let (server, focus) = answering(answer(200, AUTHORIZED), "DELETE", answer(200, late)).await;
    let refused = Cancellation::Refused { code: "501".into(), message: "Prazo de cancelamento superior".into() };
    assert_eq!(focus.cancel(REFERENCE, "  Desistência   do comprador ").await, Ok(refused));
    let sent = &server.received_requests().await.expect("recording is on")[0].body;
    assert_eq!(String::from_utf8_lossy(sent), r#"{"justificativa":"Desistência do comprador"}"#);

    let away = r#"{"status":"erro_cancelamento","status_sefaz":"108","mensagem_sefaz":"Serviço paralisado"}"#;
    let (_server, focus) = answering(answer(200, AUTHORIZED), "DELETE", answer(200, away)).await;
    let outcome = focus.cancel(REFERENCE, "Desistência do comprador").await;
    assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "{outcome:?}");

    let (_server, focus) = answering(answer(200, PROCESSING), "DELETE", answer(422, &refusal("nfe_nao_autorizada"))).await;
    let outcome = focus.cancel(REFERENCE, "Desistência do comprador").await;
    assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "it may still be authorised: {outcome:?}");
    assert!(matches!(focus.cancel(REFERENCE, "curta").await, Err(ProviderError::Rejected { .. })));
}

fn letter(sequence: u16) -> Correction {
    Correction {
        reference: REFERENCE.to_owned(),
        key: AccessKey::parse(KEY).expect("right"),
        environment: Environment::Homologation,
        sequence,
        text: "O complemento do endereço é Apto 2.".to_owned(),
    }
}

#[tokio::test]
async fn a_correction_letter_that_exists_is_not_sent_again() {
    // The number may come as text.
    let sent =
        json!({"numero_carta_correcao": "1", "caminho_pdf_carta_correcao": "/c/1.pdf", "caminho_xml_carta_correcao": "/c/1.xml"});
    let done = note(sent);
    let (server, focus) = answering(answer(200, &done), "POST", answer(200, &done)).await;
    let accepted = Corrected::Accepted { pdf: Some("/c/1.pdf".into()), xml: Some("/c/1.xml".into()) };
    assert_eq!(focus.correct(&letter(1)).await, Ok(accepted.clone()));
    assert_eq!(posts(&server).await, 0);
    let (server, focus) = answering(answer(200, AUTHORIZED), "POST", answer(200, &done)).await;
    assert_eq!(focus.correct(&letter(1)).await, Ok(accepted));
    assert_eq!(posts(&server).await, 1);
    let no = r#"{"status":"erro_autorizacao","status_sefaz":"594","mensagem_sefaz":"nSeqEvento maior que o permitido"}"#;
    let (_server, focus) = answering(answer(200, AUTHORIZED), "POST", answer(200, no)).await;
    let refused = Corrected::Refused { code: "594".into(), message: "nSeqEvento maior que o permitido".into() };
    assert_eq!(focus.correct(&letter(2)).await, Ok(refused));
}

#[tokio::test]
async fn files_come_from_below_their_address_and_whole() {
    let server = MockServer::start().await;
    let xml = format!("<nfeProc><infNFe Id=\"NFe{KEY}\"/></nfeProc>");
    let (danfe_path, xml_path) = (authorized().danfe.expect("there"), authorized().xml.expect("there"));
    Mock::given(path(xml_path)).respond_with(answer(200, &xml)).mount(&server).await;
    Mock::given(path(danfe_path)).respond_with(answer(200, "{\"status\":\"pa")).mount(&server).await;
    let focus = focus(&server.uri());
    assert_eq!(focus.download(&authorized(), Document::Xml).await, Ok(Some(Bytes::from(xml))));
    let cut = focus.download(&authorized(), Document::Danfe).await;
    assert!(matches!(cut, Err(ProviderError::Unavailable { .. })), "{cut:?}");
    assert_eq!(focus.download(&authorized(), Document::CancellationXml).await, Ok(None));
    let gone = SeenNfe { danfe: Some("/elsewhere.pdf".to_owned()), ..authorized() };
    assert_eq!(focus.download(&gone, Document::Danfe).await, Ok(None));
    for path in ["https://evil.test/a.pdf", "//evil.test/a.pdf", "/a/../../b", "/a?b=c", "/a b", "a.pdf", "/%2e%2e/a"] {
        let seen = SeenNfe { danfe: Some(path.to_owned()), ..authorized() };
        let outcome = focus.download(&seen, Document::Danfe).await;
        assert!(matches!(outcome, Err(ProviderError::Rejected { .. })), "{path}");
    }
}

fn delivery(headers: &[(&str, &str)], query: &str, body: &str) -> Delivery {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Delivery::new(Bytes::from(body.to_owned()), headers, query)
}

#[tokio::test]
async fn only_who_knows_the_word_is_listened_to() {
    let focus = focus("http://127.0.0.1:9");
    let notice = FiscalNotice {
        event_id: format!("{REFERENCE}:autorizado:100:123"),
        event: "nfe.autorizado".to_owned(),
        reference: Some(REFERENCE.to_owned()),
    };
    for good in [delivery(&[("x-focus-token", "a-word")], "", AUTHORIZED), delivery(&[], "a=b&token=a%2Dword", AUTHORIZED)] {
        assert_eq!(focus.open(&good), Ok(vec![notice.clone()]));
    }
    for forged in [
        delivery(&[], "", AUTHORIZED),
        delivery(&[("x-focus-token", "")], "", AUTHORIZED),
        delivery(&[("x-focus-token", "another")], "token=", AUTHORIZED),
        delivery(&[("authorization", "a-word")], "", AUTHORIZED),
    ] {
        assert_eq!(focus.open(&forged), Err(Forged));
    }
    let open = |body: &str| focus.open(&delivery(&[("x-focus-token", "a-word")], "", body)).expect("known").remove(0);
    assert_eq!(open(&note(json!({"cnpj_emitente": "12ABC34501DE35"}))).reference, None, "another company's");
    assert_eq!(open(&note(json!({"ref": "../x"}))).reference, None);
    assert_eq!(open("nonsense").event, "unreadable");
    assert_eq!(open("nonsense").event_id, open("nonsense").event_id);
    assert_ne!(open(&note(json!({"status": "cancelado"}))).event_id, open(AUTHORIZED).event_id);
}

#[tokio::test]
async fn homologation_and_production_are_kept_apart() {
    let production = |base_url: &str| FocusNfeConfig { environment: Environment::Production, ..config(base_url) };
    for (config, works) in [
        (config("https://homologacao.focusnfe.com.br"), true),
        (config("https://api.focusnfe.com.br"), false),
        (config("https://API.focusnfe.com.br:443/v2"), false),
        (config("https://a@api.focusnfe.com.br"), false),
        (production("https://api.focusnfe.com.br"), true),
        (production("https://homologacao.focusnfe.com.br"), false),
        (FocusNfeConfig { token: "".into(), ..config("https://x.test") }, false),
        (FocusNfeConfig { webhook_secret: "".into(), ..config("https://x.test") }, false),
    ] {
        let address = config.base_url.clone();
        assert_eq!(FocusNfe::new(config).is_ok(), works, "{address}");
    }
    let focus = focus("http://127.0.0.1:9");
    let nfe = Nfe { environment: Environment::Production, ..simples() };
    assert!(matches!(focus.emit(&nfe).await, Err(ProviderError::Rejected { .. })));
    let letter = Correction { environment: Environment::Production, ..letter(1) };
    assert!(matches!(focus.correct(&letter).await, Err(ProviderError::Rejected { .. })));
    let shown = format!("{focus:?}");
    assert!(!shown.contains("a-token") && !shown.contains("a-word") && !shown.contains("YS10b2tlbjo"), "{shown}");
}
