use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::{Passage, SandboxConfig};

use crate::harness::{Client, ask, sandbox, text};

const TOKEN: &str = "/correios/token/v1/autentica/cartaopostagem";

fn login(client: &Client) -> RequestBuilder {
    let config = SandboxConfig::default();
    let call = client.call(Method::POST, TOKEN).basic_auth(config.correios_user, Some(config.correios_access_code));
    call.json(&json!({"numero": config.correios_postage_card}))
}

/// With a token in hand.
async fn open() -> (Client, String) {
    let client = sandbox().await;
    let (status, answer) = ask(login(&client)).await;
    assert_eq!(
        (status, &answer["cartaoPostagem"]["contrato"], &answer["cartaoPostagem"]["dr"]),
        (201, &json!("9912345678"), &json!(72))
    );
    let token = text(&answer["token"]);
    (client, token)
}

fn line(product: &str, n: u32) -> Value {
    json!({
        "coProduto": product, "nuRequisicao": n.to_string(), "nuContrato": "9912345678", "nuDR": 72, "cepOrigem": "01310100",
        "cepDestino": "20040002", "psObjeto": "600", "tpObjeto": "2", "comprimento": "34", "largura": "11", "altura": "11",
        "dtEvento": "01/10/2026",
    })
}

async fn post(client: &Client, token: &str, path: &str, name: &str, lines: &[Value]) -> (u16, Value) {
    let body = json!({"idLote": "1", name: lines});
    ask(client.call(Method::POST, path).bearer_auth(token).json(&body)).await
}

async fn prices(client: &Client, token: &str, lines: &[Value]) -> (u16, Value) {
    post(client, token, "/correios/preco/v1/nacional", "parametrosProduto", lines).await
}

#[actix_web::test]
async fn a_token_wants_the_access_code_and_the_card() {
    let client = sandbox().await;
    let config = SandboxConfig::default();
    let other = client.call(Method::POST, TOKEN).basic_auth("loja", Some("wrong")).json(&json!({"numero": "0067599079"}));
    assert_eq!(ask(other).await.0, 401);
    let card = client.call(Method::POST, TOKEN).basic_auth("loja", Some(config.correios_access_code));
    assert_eq!(ask(card.json(&json!({"numero": "1"}))).await.0, 400);
    assert_eq!(prices(&client, "none", &[line("03298", 1)]).await.0, 401);
    let (client, token) = open().await;
    assert_eq!(prices(&client, &token, &[line("03298", 1)]).await.0, 200);
    client.sandbox.control().forget_correios_tokens();
    assert_eq!(prices(&client, &token, &[line("03298", 1)]).await.0, 401);
}

#[actix_web::test]
async fn a_price_is_the_tariffs_with_a_decimal_comma() {
    let (client, token) = open().await;
    let mut insured = line("03298", 1);
    insured["servicosAdicionais"] = json!([{"coServAdicional": "064"}]);
    insured["vlDeclarado"] = json!("185.00");
    let (status, answer) = prices(&client, &token, &[insured, line("03220", 2)]).await;
    assert_eq!(status, 200);
    let short: Vec<Value> = answer
        .as_array()
        .expect("lines")
        .iter()
        .map(|l| json!([l["coProduto"], l["nuRequisicao"], l["pcFinal"], l["txErro"]]))
        .collect();
    assert_eq!(json!(short), json!([["03298", "1", "23,37", ""], ["03220", "2", "30,04", ""]]));
    assert_eq!((&answer[0]["pcProduto"], &answer[0]["pcTotalServicosAdicionais"]), (&json!("21,52"), &json!("1,85")));
    assert_eq!((&answer[0]["psCobrado"], &answer[0]["inPesoCubico"]), (&json!("600"), &json!("N")));
    let query = "cepOrigem=01310100&cepDestino=20040002&psObjeto=600&tpObjeto=2&comprimento=34&largura=11&altura=11&servicosAdicionais=064&vlDeclarado=185.00";
    let one = client.call(Method::GET, &format!("/correios/preco/v1/nacional/03298?{query}")).bearer_auth(&token);
    assert_eq!(ask(one).await.1["pcFinal"], "23,37");
}

#[actix_web::test]
async fn large_boxes_are_charged_by_volume() {
    let (client, token) = open().await;
    let mut large = line("03298", 1);
    for side in ["comprimento", "largura", "altura"] {
        large[side] = json!("60");
    }
    let (_, answer) = prices(&client, &token, &[large]).await;
    assert_eq!((&answer[0]["psCobrado"], &answer[0]["inPesoCubico"]), (&json!("36000"), &json!("S")));
}

#[actix_web::test]
async fn a_wrong_line_is_left_out_and_the_others_are_read() {
    let (client, token) = open().await;
    let with = |field: &str, value: Value| {
        let mut line = line("03298", 1);
        line[field] = value;
        line
    };
    for (bad, code) in [
        (with("cepDestino", json!("99999999")), "ERP-006"),
        (with("psObjeto", json!("30001")), "ERP-006"),
        (with("servicosAdicionais", json!([{"coServAdicional": "019"}])), "ERP-054"),
        (with("nuContrato", json!("1")), "PRC-124"),
        (with("nuDR", json!(1)), "PRC-124"),
        (with("altura", json!("1")), "ERP-010"),
        (with("psObjeto", json!(600)), "ERP-010"),
        (with("coProduto", json!("99999")), "PRC-101"),
    ] {
        let (status, answer) = prices(&client, &token, &[bad.clone(), line("03220", 2)]).await;
        assert_eq!((status, &answer[1]["pcFinal"]), (206, &json!("30,04")), "{bad}");
        assert!(text(&answer[0]["txErro"]).starts_with(code), "{}", answer[0]);
        assert_eq!(prices(&client, &token, &[bad]).await.0, 400, "none is left");
    }
    let six: Vec<Value> = (1..=6).map(|n| line("03298", n)).collect();
    let (status, answer) = prices(&client, &token, &six).await;
    assert_eq!((status, answer.is_array()), (400, false));
}

#[actix_web::test]
async fn a_deadline_tells_working_days_and_where_nobody_comes_to_the_door() {
    let (client, token) = open().await;
    let line = |to: &str| json!({"coProduto": "03298", "nuRequisicao": "1", "cepOrigem": "01310100", "cepDestino": to});
    let lines = [line("20040002"), line("69490000"), line("99999999")];
    let (status, answer) = post(&client, &token, "/correios/prazo/v1/nacional", "parametrosPrazo", &lines).await;
    let short: Vec<Value> =
        answer.as_array().expect("lines").iter().map(|l| json!([l["prazoEntrega"], l["entregaDomiciliar"]])).collect();
    assert_eq!((status, json!(short)), (206, json!([[6, "S"], [10, "N"], [null, null]])));
    let one = client.call(Method::GET, "/correios/prazo/v1/nacional/03220?cepOrigem=01310100&cepDestino=20040002");
    assert_eq!(ask(one.bearer_auth(&token)).await.1["prazoEntrega"], 3);
}

#[actix_web::test]
async fn an_object_has_the_history_that_the_control_gave_it() {
    let (client, token) = open().await;
    let passage = |codigo: &str, at: &str| Passage {
        codigo: codigo.to_owned(),
        tipo: "01".to_owned(),
        descricao: "Objeto".to_owned(),
        cidade: "São Paulo".to_owned(),
        uf: "SP".to_owned(),
        at: at.parse::<Timestamp>().expect("a time"),
    };
    client.sandbox.control().pass("AA123456785BR", passage("PO", "2026-10-02T19:20:00Z"));
    client.sandbox.control().pass("AA123456785BR", passage("BDE", "2026-10-08T17:02:11Z"));
    let track = |query: &str, language: &str| {
        let call = client.call(Method::GET, &format!("/correios/srorastro/v1/objetos{query}"));
        call.bearer_auth(&token).header("accept-language", language)
    };
    let (status, answer) = ask(track("?codigosObjetos=AA123456785BR,AA000000005BR&resultado=T", "pt-BR")).await;
    let times: Vec<&Value> =
        answer["objetos"][0]["eventos"].as_array().expect("events").iter().map(|e| &e["dtHrCriado"]).collect();
    assert_eq!((status, times), (200, vec![&json!("2026-10-08T14:02:11"), &json!("2026-10-02T16:20:00")]));
    assert!(text(&answer["objetos"][1]["mensagem"]).starts_with("SRO-020"));
    let (_, last) = ask(track("/AA123456785BR?resultado=U", "en")).await;
    assert_eq!(last["objetos"][0]["eventos"].as_array().map(Vec::len), Some(1));
    let (status, answer) = ask(track("?codigosObjetos=AA123456785BR", "fr")).await;
    assert!(status == 400 && text(&answer["msgs"][0]).starts_with("SRO-018"));
    assert_eq!(ask(track("", "pt-BR")).await.0, 400);
}
