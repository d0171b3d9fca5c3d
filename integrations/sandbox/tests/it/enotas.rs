//! eNotas, held to the very bodies that its client is held to.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::{NfeStatus, SandboxConfig, start};

use crate::harness::{Client, LIMIT, Shop, ask, config, sandbox, text};

const SIMPLES: &str = include_str!("../../../enotas/fixtures/note_simples.json");
const NORMAL: &str = include_str!("../../../enotas/fixtures/note_normal.json");

fn body(text: &str, id: &str) -> Value {
    let mut body: Value = serde_json::from_str(text).expect("JSON");
    body["id"] = json!(id);
    body
}

fn call(client: &Client, method: Method, path: &str) -> RequestBuilder {
    let SandboxConfig { enotas_api_key, enotas_company_id, .. } = SandboxConfig::default();
    let path = format!("/enotas/v2/empresas/{enotas_company_id}/nf-e{path}");
    client.call(method, &path).header("authorization", format!("Basic {enotas_api_key}"))
}

async fn emit(client: &Client, body: &Value) -> (u16, Value) {
    ask(call(client, Method::POST, "").json(body)).await
}

/// As it stands once nothing of it is in work.
async fn decided(client: &Client, id: &str) -> Value {
    let calm = |nfe: &vitrine_sandbox::Nfe| !matches!(nfe.status, NfeStatus::Processing | NfeStatus::Cancelling);
    let found = client.sandbox.control().wait_for(LIMIT, |books| books.nfes().iter().all(calm).then_some(())).await;
    assert!(found.is_some(), "it is decided in time");
    loop {
        let seen = ask(call(client, Method::GET, &format!("/{id}"))).await.1;
        if seen["status"] != "AutorizadaAguardandoGeracaoPDF" {
            return seen;
        }
        assert_eq!((&seen["linkDanfe"], &seen["linkDownloadXml"]), (&Value::Null, &Value::Null), "its files come later");
    }
}

#[actix_web::test]
async fn a_note_goes_from_taken_to_authorised_under_its_id() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    assert_eq!(emit(&client, &body(SIMPLES, "h-1")).await.0, 200);
    let (status, answer) = emit(&client, &body(SIMPLES, "h-1")).await;
    assert_eq!((status, &answer[0]["codigo"]), (400, &json!("NFE0003")));
    let seen = decided(&client, "h-1").await;
    assert_eq!((&seen["status"], &seen["numero"], &seen["serie"]), (&json!("Autorizada"), &json!(1), &json!("1")), "{seen}");
    assert_eq!(text(&seen["chaveAcesso"]).len(), 44);
    assert_eq!(seen["valorTotal"], json!(257.33));
    for (file, begins) in [("xml", "<?xml"), ("pdf", "%PDF")] {
        let answer = call(&client, Method::GET, &format!("/h-1/{file}")).send().await.expect("an answer");
        assert!(answer.bytes().await.expect("a body").starts_with(begins.as_bytes()));
    }
    assert_eq!(ask(call(&client, Method::GET, "/h-1/xmlCancelamento")).await.0, 404);
    assert!(client.sandbox.control().settled(LIMIT).await);
    let told = &shop.told()[0];
    assert!(told.path.starts_with("/api/webhooks/enotas?token="), "{}", told.path);
    assert_eq!((&told.json()["nfeId"], &told.json()["nfeStatus"]), (&json!("h-1"), &json!("AutorizadaAguardandoGeracaoPDF")));
}

#[actix_web::test]
async fn wrong_fields_come_as_a_list_and_the_authoritys_word_as_a_reason() {
    let client = sandbox().await;
    let mut wrong = body(SIMPLES, "h-2");
    wrong["itens"][0]["ncm"] = json!("69");
    wrong["cliente"]["endereco"]["cidade"] = Value::Null;
    let (status, answer) = emit(&client, &wrong).await;
    assert_eq!((status, answer.as_array().map(Vec::len)), (400, Some(2)), "{answer}");
    let mut late = body(SIMPLES, "h-2");
    late["cliente"]["cpfCnpj"] = json!("52998224724");
    assert_eq!(emit(&client, &late).await.0, 200);
    let seen = decided(&client, "h-2").await;
    assert_eq!(seen["status"], "Negada");
    assert!(text(&seen["motivoStatus"]).starts_with("237 - "), "{seen}");
    assert_eq!(emit(&client, &body(SIMPLES, "h-2")).await.0, 200, "the same id, corrected");
    assert_eq!(decided(&client, "h-2").await["status"], "Autorizada");
    let mut elsewhere = body(SIMPLES, "h-2");
    elsewhere["ambienteEmissao"] = json!("Producao");
    assert_eq!(emit(&client, &elsewhere).await.1[0]["codigo"], "NFE0002");
}

#[actix_web::test]
async fn the_normal_regime_is_judged_by_the_companys_record() {
    let client = Client::new(start(SandboxConfig { nfe_regime: 3, ..config() }).await.expect("a free port"));
    assert_eq!(emit(&client, &body(NORMAL, "h-3")).await.0, 200);
    assert_eq!(decided(&client, "h-3").await["status"], "Autorizada");
    assert_eq!(emit(&client, &body(SIMPLES, "h-4")).await.0, 200);
    assert!(text(&decided(&client, "h-4").await["motivoStatus"]).starts_with("591 - "));
}

#[actix_web::test]
async fn cancelling_is_taken_first_and_decided_later() {
    let client = sandbox().await;
    for (id, moved, status) in [("h-5", false, "Cancelada"), ("h-6", true, "CancelamentoNegado")] {
        emit(&client, &body(SIMPLES, id)).await;
        decided(&client, id).await;
        if moved {
            client.sandbox.control().goods_moved(id).expect("authorised");
        }
        assert_eq!(ask(call(&client, Method::DELETE, &format!("/{id}"))).await.0, 200);
        assert_eq!(ask(call(&client, Method::GET, &format!("/{id}"))).await.1["status"], "EmProcessoDeCancelamento");
        let seen = decided(&client, id).await;
        assert_eq!(seen["status"], status);
        assert_eq!(seen["motivoStatus"].is_string(), moved);
    }
    assert_eq!(ask(call(&client, Method::DELETE, "/h-5")).await.0, 400);
}

#[actix_web::test]
async fn a_letter_has_an_id_that_is_good_once() {
    let client = sandbox().await;
    emit(&client, &body(SIMPLES, "h-7")).await;
    let key = text(&decided(&client, "h-7").await["chaveAcesso"]);
    let letter = json!({"id": "h-7-c1", "ambienteEmissao": "Homologacao", "numero": 1,
                        "correcao": "O complemento é Apto 2.", "nfe": {"chaveAcesso": key}});
    assert_eq!(ask(call(&client, Method::POST, "/cartaCorrecao").json(&letter)).await.0, 200);
    assert_eq!(ask(call(&client, Method::POST, "/cartaCorrecao").json(&letter)).await.0, 400);
    assert_eq!(ask(call(&client, Method::GET, "/cartaCorrecao/h-7-c1")).await.1["status"], "Autorizada");
    assert_eq!(client.sandbox.control().nfe("h-7").expect("there").letters.len(), 1);
}

#[actix_web::test]
async fn the_key_is_raw_and_the_company_its_own() {
    let client = sandbox().await;
    let SandboxConfig { enotas_api_key, enotas_company_id, .. } = SandboxConfig::default();
    let path = format!("/enotas/v2/empresas/{enotas_company_id}/nf-e/x");
    assert_eq!(ask(client.call(Method::GET, &path).basic_auth(&enotas_api_key, Some(""))).await.0, 401);
    let elsewhere = client.call(Method::GET, "/enotas/v2/empresas/other/nf-e/x");
    assert_eq!(ask(elsewhere.header("authorization", format!("Basic {enotas_api_key}"))).await.0, 403);
    assert_eq!(ask(call(&client, Method::GET, "/x")).await.0, 404);
}
