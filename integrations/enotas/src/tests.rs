use serde_json::{Value, json};
use vitrine_kit::AccessKey;
use vitrine_kit::breaker::State;
use wiremock::matchers::{any, body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::samples::{CNPJ, KEY, REFERENCE, simples};

const COMPANY: &str = "484fb0c5-969e-46ad-a047-8a0db54667b4";
const AUTHORIZED: &str = include_str!("../fixtures/authorized.json");
const WEBHOOK: &str = include_str!("../fixtures/webhook.json");

fn config(base_url: &str) -> EnotasConfig {
    EnotasConfig {
        base_url: base_url.to_owned(),
        api_key: "a-key".into(),
        company_id: COMPANY.to_owned(),
        cnpj: Cnpj::parse(CNPJ).expect("valid"),
        environment: Environment::Homologation,
        webhook_secret: "a-word".into(),
        timeout: Duration::from_secs(2),
        breaker: BreakerConfig::default(),
    }
}

fn enotas(base_url: &str) -> Enotas {
    Enotas::new(config(base_url)).expect("a good address")
}

fn answer(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(body)
}

fn at(rest: &str) -> String {
    format!("/v2/empresas/{COMPANY}/nf-e{rest}")
}

/// Mocks GET of the note, and one other method.
async fn answering(get: ResponseTemplate, verb: &str, other: ResponseTemplate) -> (MockServer, Enotas) {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(get).mount(&server).await;
    Mock::given(method(verb)).respond_with(other).mount(&server).await;
    let enotas = enotas(&server.uri());
    (server, enotas)
}

fn note(fields: Value) -> String {
    let mut note: Value = serde_json::from_str(AUTHORIZED).expect("JSON");
    for (name, value) in fields.as_object().expect("fields") {
        note[name] = value.clone();
    }
    note.to_string()
}

fn authorized() -> SeenNfe {
    let file = |file: &str| Some(format!("/empresas/{COMPANY}/nf-e/h-{REFERENCE}/{file}"));
    SeenNfe {
        key: Some(AccessKey::parse(KEY).expect("right")),
        number: Some("123".to_owned()),
        series: Some("1".to_owned()),
        danfe: file("pdf"),
        xml: file("xml"),
        authorized_at: Some("2026-10-01T15:00:05Z".parse().expect("a time")),
        ..SeenNfe::bare(REFERENCE, NfeState::Authorized)
    }
}

#[tokio::test]
async fn an_invoice_is_handed_over_under_its_id_and_read() {
    let server = MockServer::start().await;
    let body: Value = serde_json::from_str(include_str!("../fixtures/note_simples.json")).expect("JSON");
    Mock::given(method("POST"))
        .and(path(at("")))
        .and(header("authorization", "Basic a-key"))
        .and(body_json(body))
        .respond_with(answer(200, ""))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(at(&format!("/h-{REFERENCE}"))))
        .respond_with(answer(200, AUTHORIZED))
        .mount(&server)
        .await;
    assert_eq!(enotas(&server.uri()).emit(&simples()).await, Ok(authorized()));

    for behind in [answer(404, ""), answer(200, &note(json!({"status": "Negada"})))] {
        let (_server, enotas) = answering(behind, "POST", answer(200, "")).await;
        assert_eq!(enotas.emit(&simples()).await, Ok(SeenNfe::bare(REFERENCE, NfeState::Processing)), "a reading may be behind");
    }
}

#[tokio::test]
async fn a_refused_repeat_is_answered_with_what_is_there() {
    let taken = r#"[{"codigo":"NFe0005","mensagem":"Já existe uma nota com este id"}]"#;
    for get in [answer(200, AUTHORIZED), answer(200, &note(json!({"status": "EmProcessoDeAutorizacao"})))] {
        let (_server, enotas) = answering(get, "POST", answer(400, taken)).await;
        let state = enotas.emit(&simples()).await.expect("there").state;
        assert!(matches!(state, NfeState::Authorized | NfeState::Processing), "{state:?}");
    }
    let (_server, enotas) = answering(answer(200, AUTHORIZED), "POST", answer(500, "")).await;
    assert_eq!(enotas.emit(&simples()).await, Ok(authorized()), "no answer, and it is there");
    let (_server, enotas) = answering(answer(404, ""), "POST", answer(500, "")).await;
    assert!(matches!(enotas.emit(&simples()).await, Err(ProviderError::Unknown { .. })));
}

#[tokio::test]
async fn a_wrong_field_is_the_invoices_state_and_a_wrong_key_the_calls_failure() {
    let wrong = r#"[{"codigo":"002","mensagem":"NCM inválido"},{"codigo":"003","mensagem":"CFOP inválido"}]"#;
    for get in [answer(404, ""), answer(200, &note(json!({"status": "Negada", "motivoStatus": "antes"})))] {
        let (_server, enotas) = answering(get, "POST", answer(400, wrong)).await;
        let rejected = SeenNfe {
            code: Some("002".to_owned()),
            message: Some("NCM inválido; CFOP inválido".to_owned()),
            ..SeenNfe::bare(REFERENCE, NfeState::Rejected)
        };
        assert_eq!(enotas.emit(&simples()).await, Ok(rejected));
    }
    for status in [401, 403] {
        let (_server, enotas) = answering(answer(404, ""), "POST", answer(status, "")).await;
        let refused = ProviderError::NotAccepted { provider: NAME, code: status.to_string(), message: String::new() };
        assert_eq!(enotas.emit(&simples()).await, Err(refused));
        assert_eq!(enotas.breaker().state(), State::Open);
    }
    let (_server, enotas) = answering(answer(404, ""), "POST", answer(400, "\u{1f4a5}")).await;
    assert!(matches!(enotas.emit(&simples()).await, Err(ProviderError::Unknown { .. })), "in nobody's words");
}

#[tokio::test]
async fn states_go_by_how_they_begin() {
    for (status, state) in [
        ("AguardandoAutorizacao", NfeState::Processing),
        ("SolicitandoAutorizacao", NfeState::Processing),
        ("AutorizacaoSolicitada", NfeState::Processing),
        ("EmProcessoDeAutorizacao", NfeState::Processing),
        ("AutorizadaAguardandoGeracaoPDF", NfeState::Authorized),
        ("Autorizada", NfeState::Authorized),
        ("Negada", NfeState::Rejected),
        ("Denegada", NfeState::Denied),
        ("SolicitandoCancelamento", NfeState::Processing),
        ("CancelamentoNegado", NfeState::Authorized),
        ("CanceladaAguardandoAtualizacaoPDF", NfeState::Cancelled),
        ("Cancelada", NfeState::Cancelled),
        ("AlgoNovo", NfeState::Processing),
    ] {
        assert_eq!(wire::state(status), state, "{status}");
    }
    let rejected = json!({"status": "Negada", "motivoStatus": "Rejeição 539: Duplicidade de NF-e", "chaveAcesso": null, "numero": "7", "serie": 1});
    let (_server, enotas) = answering(answer(200, &note(rejected)), "POST", answer(500, "")).await;
    let seen = enotas.find(REFERENCE).await.expect("read").expect("there");
    assert_eq!((seen.code.as_deref(), seen.number.as_deref(), seen.series.as_deref()), (Some("539"), Some("7"), Some("1")));
    for strange in [json!({"motivoStatus": {"codigo": 7}}), json!({"motivoStatus": 539}), json!({"motivoStatus": [1]})] {
        let (_server, enotas) = answering(answer(200, &note(strange.clone())), "POST", answer(500, "")).await;
        assert_eq!(enotas.find(REFERENCE).await.expect("read").map(|seen| seen.state), Some(NfeState::Authorized), "{strange}");
    }
    let (_server, enotas) =
        answering(answer(200, &note(json!({"dataAutorizacao": "2026-10-01T12:00:05"}))), "POST", answer(500, "")).await;
    let seen = enotas.find(REFERENCE).await.expect("read").expect("there");
    assert_eq!((seen.state, seen.authorized_at), (NfeState::Authorized, None), "an hour of nobody knows where");
    for wrong in [
        json!({"chaveAcesso": null}),
        json!({"chaveAcesso": "35261012ABC34501DE35550010000001231481516234"}),
        json!({"id": "h-x"}),
    ] {
        let (_server, enotas) = answering(answer(200, &note(wrong)), "POST", answer(500, "")).await;
        assert!(matches!(enotas.find(REFERENCE).await, Err(ProviderError::Unknown { .. })));
    }
}

#[tokio::test]
async fn cancelling_is_under_way_until_it_is_done_or_denied() {
    let reason = "Desistência do comprador";
    let no = answer(400, r#"[{"codigo":"NFe0010","mensagem":"A nota não pode ser cancelada"}]"#);
    for (delete, status, outcome) in [
        (answer(200, ""), "Autorizada", Cancellation::Processing),
        (answer(200, ""), "SolicitandoCancelamento", Cancellation::Processing),
        (no.clone(), "EmProcessoDeCancelamento", Cancellation::Processing),
        (
            no.clone(),
            "Autorizada",
            Cancellation::Refused { code: "NFe0010".into(), message: "A nota não pode ser cancelada".into() },
        ),
        (
            answer(200, ""),
            "CancelamentoNegado",
            Cancellation::Refused { code: "501".into(), message: "501 - Prazo superior".into() },
        ),
    ] {
        let told = json!({"status": status, "motivoStatus": "501 - Prazo superior"});
        let (_server, enotas) = answering(answer(200, &note(told)), "DELETE", delete).await;
        assert_eq!(enotas.cancel(REFERENCE, reason).await, Ok(outcome), "{status}");
    }
    let silent = answer(200, &note(json!({"status": "CancelamentoNegado"})));
    let (_server, enotas) = answering(silent, "DELETE", answer(200, "")).await;
    let outcome = enotas.cancel(REFERENCE, reason).await;
    assert_eq!(outcome, Ok(Cancellation::Refused { code: "CancelamentoNegado".into(), message: String::new() }));
    let (_server, enotas) = answering(answer(200, &note(json!({"status": "Cancelada"}))), "DELETE", no.clone()).await;
    match enotas.cancel(REFERENCE, reason).await {
        Ok(Cancellation::Cancelled(seen)) => assert!(seen.cancellation_xml.is_some() && seen.state == NfeState::Cancelled),
        other => panic!("{other:?}"),
    }
    let (_server, enotas) = answering(answer(200, &note(json!({"status": "AguardandoAutorizacao"}))), "DELETE", no).await;
    let outcome = enotas.cancel(REFERENCE, reason).await;
    assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "it may still be authorised: {outcome:?}");
}

#[tokio::test]
async fn a_letter_goes_out_under_an_id_of_its_own() {
    let letter = Correction {
        reference: REFERENCE.to_owned(),
        key: AccessKey::parse(KEY).expect("right"),
        environment: Environment::Homologation,
        sequence: 2,
        text: "O complemento do endereço é Apto 2.".to_owned(),
    };
    let server = MockServer::start().await;
    let body = json!({"id": format!("h-{REFERENCE}-c2"), "ambienteEmissao": "Homologacao", "numero": 2,
                      "correcao": "O complemento do endereço é Apto 2.", "nfe": {"chaveAcesso": KEY}});
    Mock::given(method("POST"))
        .and(path(at("/cartaCorrecao")))
        .and(body_json(body))
        .respond_with(answer(200, ""))
        .mount(&server)
        .await;
    let seen = at(&format!("/cartaCorrecao/h-{REFERENCE}-c2"));
    Mock::given(method("GET")).and(path(seen)).respond_with(answer(200, r#"{"status":"Autorizada"}"#)).mount(&server).await;
    let outcome = enotas(&server.uri()).correct(&letter).await;
    assert!(matches!(outcome, Ok(Corrected::Accepted { pdf: None, xml: Some(_) })), "{outcome:?}");

    let (_server, enotas) =
        answering(answer(200, r#"{"status":"Negada","motivoStatus":"594 - não"}"#), "POST", answer(200, "")).await;
    assert_eq!(enotas.correct(&letter).await, Ok(Corrected::Refused { code: "594".into(), message: "594 - não".into() }));
    let (_server, enotas) = answering(answer(404, ""), "POST", answer(200, "")).await;
    assert_eq!(enotas.correct(&letter).await, Ok(Corrected::Processing));
}

#[tokio::test]
async fn files_are_asked_for_by_id_and_their_links_never_followed() {
    let server = MockServer::start().await;
    let xml = format!("<nfeProc><infNFe Id=\"NFe{KEY}\"/></nfeProc>");
    Mock::given(path(at(&format!("/h-{REFERENCE}/xml")))).respond_with(answer(200, &xml)).mount(&server).await;
    Mock::given(any()).respond_with(answer(200, "{}")).mount(&server).await;
    let enotas = enotas(&server.uri());
    assert_eq!(enotas.download(&authorized(), Document::Xml).await, Ok(Some(Bytes::from(xml))));
    let strange = SeenNfe { danfe: Some("https://evil.test/a.pdf".to_owned()), ..authorized() };
    assert!(matches!(enotas.download(&strange, Document::Danfe).await, Err(ProviderError::Unavailable { .. })));
    assert_eq!(enotas.download(&authorized(), Document::CancellationXml).await, Ok(None));
    let asked = server.received_requests().await.expect("recording is on");
    assert!(asked.iter().all(|request| request.url.path().starts_with(&at("/"))));
}

#[tokio::test]
async fn only_who_knows_the_word_is_listened_to_and_only_about_our_company() {
    let enotas = enotas("http://127.0.0.1:9");
    let delivery = |headers: &[(&str, &str)], query: &str, body: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Delivery::new(Bytes::from(body.to_owned()), headers, query)
    };
    let notice = FiscalNotice {
        event_id: format!("h-{REFERENCE}:Autorizada:135260000000123"),
        event: "nf-e.Autorizada".to_owned(),
        reference: Some(REFERENCE.to_owned()),
    };
    for good in [delivery(&[("x-token", "a-word")], "", WEBHOOK), delivery(&[], "token=a-word", WEBHOOK)] {
        assert_eq!(enotas.open(&good), Ok(vec![notice.clone()]));
    }
    for forged in [delivery(&[], "", WEBHOOK), delivery(&[("x-token", "b")], "token=", WEBHOOK)] {
        assert_eq!(enotas.open(&forged), Err(Forged));
    }
    for (ours, theirs) in [(COMPANY, "00000000-0000-0000-0000-000000000000"), ("h-0192", "0192"), ("NF-e", "NFS-e")] {
        let body = WEBHOOK.replacen(ours, theirs, 1);
        let open = enotas.open(&delivery(&[], "token=a-word", &body)).expect("known");
        assert_eq!(open[0].reference, None, "{theirs}");
    }
    let strange = enotas.open(&delivery(&[], "token=a-word", "nonsense")).expect("known");
    assert_eq!((strange[0].event.as_str(), strange[0].reference.as_deref()), ("unreadable", None));
}

#[tokio::test]
async fn environments_are_kept_apart_by_body_and_id() {
    let production = Enotas::new(EnotasConfig { environment: Environment::Production, ..config("http://127.0.0.1:9") });
    let production = production.expect("a good address");
    assert!(matches!(production.emit(&simples()).await, Err(ProviderError::Rejected { .. })));
    assert_eq!(production.their_id(REFERENCE), Ok(REFERENCE.to_owned()));
    assert_eq!(production.our_reference(&format!("h-{REFERENCE}")), None);
    for config in [
        EnotasConfig { api_key: "".into(), ..config("http://127.0.0.1:9") },
        EnotasConfig { webhook_secret: "".into(), ..config("http://127.0.0.1:9") },
        EnotasConfig { company_id: "a/b".into(), ..config("http://127.0.0.1:9") },
    ] {
        assert!(Enotas::new(config).is_err());
    }
    let shown = format!("{:?}", enotas("http://127.0.0.1:9"));
    assert!(!shown.contains("a-key") && !shown.contains("a-word"), "{shown}");
}
