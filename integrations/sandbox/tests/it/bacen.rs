use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_sandbox::{ChargeStatus, Fault, Pay, SandboxConfig, SendWebhook, start};

use crate::harness::{Client, LIMIT, Shop, Told, ask, config, sandbox, text};

/// A client that has its token.
pub struct Bank {
    pub client: Client,
    token: String,
}

impl Bank {
    pub async fn open(client: Client) -> Self {
        let token = text(&ask(token(&client).json(&json!({"grant_type": "client_credentials"}))).await.1["access_token"]);
        Self { client, token }
    }

    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.call(method, &format!("/bacen/v2{path}")).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        ask(self.call(Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        ask(self.call(Method::PUT, path).json(body)).await
    }

    /// A charge of one real for each; its txid.
    pub async fn cob(&self, cents: i64) -> String {
        let txid = Uuid::now_v7().simple().to_string();
        let (status, answer) = self.put(&format!("/cob/{txid}"), &cob(cents)).await;
        assert_eq!(status, 201, "{answer}");
        txid
    }

    pub async fn paid(&self, cents: i64) -> (String, String) {
        let txid = self.cob(cents).await;
        let charge = self.client.sandbox.control().pay(Pay::of(&txid)).expect("payable");
        (txid, charge.end_to_end_id.expect("paid"))
    }
}

pub async fn bank() -> Bank {
    Bank::open(sandbox().await).await
}

fn token(client: &Client) -> RequestBuilder {
    let cfg = SandboxConfig::default();
    client.call(Method::POST, "/bacen/oauth/token").basic_auth(cfg.pix_client_id, Some(cfg.pix_client_secret))
}

fn cob(cents: i64) -> Value {
    json!({
        "calendario": {"expiracao": 1800}, "devedor": {"cpf": "52998224725", "nome": "Ana Silva"},
        "valor": {"original": format!("{}.{:02}", cents / 100, cents % 100)}, "chave": SandboxConfig::default().pix_key,
        "solicitacaoPagador": "Pedido 1001", "infoAdicionais": [{"nome": "pedido", "valor": "1001"}],
    })
}

#[actix_web::test]
async fn the_token_is_given_for_the_credentials_and_ends() {
    let client = Client::new(start(SandboxConfig { pix_token_life: Duration::ZERO, ..config() }).await.expect("a free port"));
    let grant = json!({"grant_type": "client_credentials"});
    let (status, answer) = ask(token(&client).json(&grant)).await;
    assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &json!("Bearer"), &json!(0)));
    let ended = client.call(Method::GET, "/bacen/v2/cob/none").bearer_auth(text(&answer["access_token"]));
    assert_eq!(ask(ended).await.0, 401);

    assert_eq!(ask(token(&client).form(&[("grant_type", "client_credentials")])).await.0, 200);
    let (status, answer) = ask(token(&client).json(&json!({"grant_type": "password"}))).await;
    assert_eq!((status, &answer["error"]), (400, &json!("unsupported_grant_type")));
    let stranger = client.call(Method::POST, "/bacen/oauth/token").basic_auth("other", Some("x")).json(&grant);
    let (status, answer) = ask(stranger).await;
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    assert_eq!(ask(client.call(Method::GET, "/bacen/v2/cob/none")).await.0, 401);
}

#[actix_web::test]
async fn tokens_can_be_forgotten() {
    let bank = bank().await;
    assert_eq!(bank.get("/cob/none").await.0, 400);
    bank.client.sandbox.control().forget_pix_tokens();
    let (status, answer) = bank.get("/cob/none").await;
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_token")));
}

#[actix_web::test]
async fn a_charge_has_every_documented_field() {
    let bank = bank().await;
    let payment = Uuid::now_v7();
    let (txid, body) = (payment.simple().to_string(), cob(18_500));
    let (status, made) = bank.put(&format!("/cob/{txid}"), &body).await;
    assert_eq!(status, 201, "{made}");
    for (field, value) in [
        ("txid", json!(txid)),
        ("revisao", json!(0)),
        ("status", json!("ATIVA")),
        ("valor", json!({"original": "185.00"})),
        ("chave", body["chave"].clone()),
        ("devedor", body["devedor"].clone()),
        ("solicitacaoPagador", json!("Pedido 1001")),
        ("infoAdicionais", body["infoAdicionais"].clone()),
        ("location", made["loc"]["location"].clone()),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert_eq!((&made["calendario"]["expiracao"], &made["loc"]["tipoCob"]), (&json!(1800), &json!("cob")));
    let created = text(&made["calendario"]["criacao"]);
    assert!(created.ends_with('Z') && created.parse::<jiff::Timestamp>().is_ok(), "{created}");
    assert!(text(&made["pixCopiaECola"]).starts_with("00020101021226"));
    assert_eq!(bank.get(&format!("/cob/{txid}")).await, (200, made.clone()));
    let known = bank.client.sandbox.control().charge(&payment.to_string()).expect("found by its payment");
    assert_eq!((known.provider.as_str(), known.order_id.as_str(), known.txid), ("bacen", "1001", txid));

    let (_, picture) = bank.get(&format!("/loc/{}/qrcode", made["loc"]["id"])).await;
    assert_eq!(picture["qrcode"], made["pixCopiaECola"]);
    assert!(text(&picture["imagemQrcode"]).starts_with("data:image/png;base64,iVBORw0KGgo"));
}

#[actix_web::test]
async fn the_same_txid_again_is_a_conflict_even_with_the_same_body() {
    let bank = bank().await;
    let txid = bank.cob(100).await;
    let (status, answer) = bank.put(&format!("/cob/{txid}"), &cob(100)).await;
    assert_eq!((status, &answer["nome"]), (409, &json!("txid_duplicado")));
    assert_eq!(bank.client.sandbox.control().charges().len(), 1);
    let (status, answer) = bank.get("/cob/0192f0c1aa5b7c3e8d1f2a3b4c5d6e7f").await;
    assert_eq!((status, &answer["nome"]), (400, &json!("cobranca_nao_encontrada")));
}

#[actix_web::test]
async fn a_bad_charge_is_refused_and_leaves_no_trace() {
    let bank = bank().await;
    for (pointer, value, nome) in [
        ("/valor/original", json!("185"), "json_invalido"),
        ("/valor/original", json!("185.0"), "json_invalido"),
        ("/valor/original", json!("-1.00"), "json_invalido"),
        ("/valor/original", json!("12345678901.00"), "json_invalido"),
        ("/valor/original", json!(185), "json_invalido"),
        ("/valor/original", json!("0.00"), "valor_invalido"),
        ("/calendario/expiracao", json!(0), "json_invalido"),
        ("/calendario/expiracao", json!("1800"), "json_invalido"),
        ("/devedor/cpf", json!("52998224724"), "json_invalido"),
        ("/devedor/nome", json!(" "), "json_invalido"),
        ("/devedor", json!({"nome": "Ana"}), "json_invalido"),
        ("/devedor", json!({"cpf": "52998224725", "cnpj": "11222333000181", "nome": "Ana"}), "json_invalido"),
        ("/chave", json!("another"), "chave_invalida"),
        ("/solicitacaoPagador", json!("x".repeat(141)), "json_invalido"),
        ("/infoAdicionais", json!([{"nome": "x".repeat(51), "valor": "y"}]), "json_invalido"),
    ] {
        let mut body = cob(100);
        *body.pointer_mut(pointer).expect("a field") = value;
        let (status, answer) = bank.put(&format!("/cob/{}", Uuid::now_v7().simple()), &body).await;
        assert_eq!((status, &answer["nome"]), (400, &json!(nome)), "{pointer}");
    }
    for txid in ["short", "0192f0c1aa5b7c3e8d1f2a3b4c-d6e7f", &"x".repeat(36)] {
        assert_eq!(bank.put(&format!("/cob/{txid}"), &cob(100)).await.0, 400, "{txid}");
    }
    assert_eq!(bank.client.sandbox.control().charges(), []);
}

#[actix_web::test]
async fn a_charge_is_voided_once_and_a_paid_one_never() {
    let bank = bank().await;
    let (unpaid, (paid, _)) = (bank.cob(100).await, bank.paid(200).await);
    let patch = |txid: &str, body: Value| ask(bank.call(Method::PATCH, &format!("/cob/{txid}")).json(&body));
    let remove = json!({"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"});
    for _ in 0..2 {
        let (status, answer) = patch(&unpaid, remove.clone()).await;
        assert_eq!((status, &answer["status"]), (200, &remove["status"]));
    }
    let (status, answer) = patch(&paid, remove.clone()).await;
    assert_eq!(status, 400);
    assert!(text(&answer["type"]).ends_with("/CobOperacaoInvalida"), "{answer}");
    assert_eq!(patch(&unpaid, json!({"valor": {"original": "1.00"}})).await.0, 400);

    let other = bank.cob(100).await;
    let (_, changed) = patch(&other, json!({"valor": {"original": "2.50"}, "calendario": {"expiracao": 60}})).await;
    assert_eq!((&changed["revisao"], &changed["valor"]["original"]), (&json!(1), &json!("2.50")));
    assert_eq!(patch(&other, json!({"status": "CONCLUIDA"})).await.0, 400);

    let control = bank.client.sandbox.control();
    control.expire(&other).expect("unpaid");
    assert_eq!(bank.get(&format!("/cob/{other}")).await.1["status"], "ATIVA", "they do not know expiry");
    assert_eq!(control.charge(&other).map(|c| c.status), Some(ChargeStatus::Expired));
    assert_eq!(patch(&other, remove.clone()).await.1["status"], remove["status"]);
    assert_eq!(control.deliveries().len(), 1, "of the payment alone");
}

#[actix_web::test]
async fn charges_and_received_pix_are_listed_in_pages_from_zero() {
    let bank = bank().await;
    let (first, e2e) = bank.paid(100).await;
    let second = bank.cob(200).await;
    bank.client.charge(300).await; // ProPay's
    let all = "inicio=2020-01-01T00:00:00Z&fim=2099-01-01T00:00:00Z";
    let page = "&paginacao.itensPorPagina=1&paginacao.paginaAtual=1";
    let (_, list) = bank.get(&format!("/cob?{all}{page}")).await;
    assert_eq!(
        list["parametros"]["paginacao"],
        json!({"paginaAtual": 1, "itensPorPagina": 1, "quantidadeDePaginas": 2, "quantidadeTotalDeItens": 2})
    );
    assert_eq!((&list["cobs"][0]["txid"], &list["cobs"][1]), (&json!(second), &json!(null)));
    let (_, list) = bank.get(&format!("/cob?{all}&status=CONCLUIDA&cpf=52998224725")).await;
    assert_eq!(list["cobs"].as_array().map(Vec::len), Some(1));
    let (_, list) = bank.get(&format!("/pix?{all}&txid={first}")).await;
    assert_eq!((&list["pix"][0]["endToEndId"], &list["pix"][1]), (&json!(e2e), &json!(null)));
    assert_eq!(bank.get(&format!("/pix?{all}&txid={second}")).await.1["pix"], json!([]));
    for bad in ["/cob", "/cob?inicio=2020-01-01T00:00:00Z", "/pix?inicio=2021-01-01T00:00:00Z&fim=2020-01-01T00:00:00Z"] {
        assert_eq!(bank.get(bad).await.0, 400, "{bad}");
    }
}

#[actix_web::test]
async fn money_goes_back_once_for_each_id_and_never_more_than_came() {
    let bank = bank().await;
    let (txid, e2e) = bank.paid(1_000).await;
    let refund = |id: String, valor: &'static str| {
        let (bank, e2e) = (&bank, &e2e);
        async move { bank.put(&format!("/pix/{e2e}/devolucao/{id}"), &json!({"valor": valor, "natureza": "ORIGINAL"})).await }
    };
    let payment_refund = Uuid::now_v7();
    let id = payment_refund.simple().to_string();
    let (status, made) = refund(id.clone(), "4.00").await;
    assert_eq!((status, &made["status"], &made["valor"]), (201, &json!("EM_PROCESSAMENTO"), &json!("4.00")));
    assert_eq!((&made["id"], text(&made["rtrId"]).len()), (&json!(id), 32));
    let (status, again) = refund(id.clone(), "4.00").await;
    assert_eq!((status, &again["nome"]), (409, &json!("devolucao_id_duplicado")));
    assert_eq!(refund("r2".into(), "6.01").await.1["nome"], "valor_invalido");
    assert_eq!(refund("r2".into(), "0.00").await.1["nome"], "valor_invalido");
    assert_eq!(refund("r-2".into(), "1.00").await.1["nome"], "json_invalido");
    let (_, done) = bank.get(&format!("/pix/{e2e}/devolucao/{id}")).await;
    assert_eq!(done["status"], "DEVOLVIDO");
    assert!(done["horario"]["liquidacao"].is_string());
    assert_eq!(bank.get(&format!("/pix/{e2e}/devolucao/none")).await.1["nome"], "devolucao_nao_encontrada");
    assert_eq!(bank.get(&format!("/pix/{}", "x".repeat(32))).await.1["nome"], "pix_nao_encontrado");
    assert_eq!(bank.get("/pix/short").await.1["nome"], "json_invalido");

    let control = bank.client.sandbox.control();
    control.fail_refunds(1);
    assert_eq!(refund("r3".into(), "6.00").await.0, 201);
    assert_eq!(bank.get(&format!("/pix/{e2e}/devolucao/r3")).await.1["status"], "NAO_REALIZADO");
    assert_eq!(refund("r4".into(), "6.00").await.0, 201);
    let (_, read) = bank.get(&format!("/cob/{txid}")).await;
    assert_eq!((&read["status"], &read["pix"][0]["valor"]), (&json!("CONCLUIDA"), &json!("10.00")));
    assert_eq!(read["pix"][0]["devolucoes"].as_array().map(Vec::len), Some(3));
    let (_, other) = bank.paid(500).await;
    assert_eq!(bank.put(&format!("/pix/{other}/devolucao/r3"), &json!({"valor": "5.00"})).await.0, 201, "an id is a Pix's own");
    let ids: Vec<String> = control.refunds().into_iter().map(|r| r.refund_id).collect();
    assert_eq!(ids, [payment_refund.to_string(), "r3".into(), "r4".into(), format!("{other}-r3")]);
}

#[actix_web::test]
async fn the_shop_is_told_of_money_that_came_and_went_back() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let (txid, e2e) = bank.paid(1_000).await;
    assert!(control.settled(LIMIT).await);
    bank.put(&format!("/pix/{e2e}/devolucao/r1"), &json!({"valor": "4.00"})).await;
    assert!(control.settled(LIMIT).await);
    let told = shop.told();
    let secret = SandboxConfig::default().pix_webhook_secret;
    assert!(told.iter().all(|one| one.path == format!("/api/webhooks/pix?hmac={secret}&ignorar=/pix")), "{told:?}");
    let bodies: Vec<Value> = told.iter().map(Told::json).collect();
    let pix = &bodies[0]["pix"][0];
    assert_eq!((&pix["endToEndId"], &pix["txid"], &pix["valor"]), (&json!(e2e), &json!(txid), &json!("10.00")));
    assert_eq!((&pix["chave"], &pix["devolucoes"]), (&json!(SandboxConfig::default().pix_key), &json!(null)));
    let back = &bodies[1]["pix"][0]["devolucoes"][0];
    assert_eq!((&back["id"], &back["status"]), (&json!("r1"), &json!("DEVOLVIDO")));
    assert_eq!(bodies.len(), 2);
}

#[actix_web::test]
async fn several_pix_come_in_one_call_to_the_registered_address() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let hook = format!("/webhook/{}", SandboxConfig::default().pix_key);
    assert_eq!(bank.get(&hook).await.0, 404);
    let address = json!({"webhookUrl": "https://shop.test/hooks/bank?x=1"});
    assert_eq!(bank.put(&hook, &address).await, (200, address.clone()));
    assert_eq!(bank.put("/webhook/another", &address).await.1["nome"], "chave_invalida");
    assert_eq!(bank.put(&hook, &json!({"webhookUrl": "http://shop.test"})).await.1["nome"], "webhook_invalido");
    assert_eq!(bank.get(&hook).await.1["webhookUrl"], address["webhookUrl"]);

    let (one, two) = (bank.cob(100).await, bank.cob(200).await);
    let unpaid = bank.cob(300).await;
    for txid in [&one, &two] {
        control.pay(Pay::of(txid).webhook(SendWebhook::Lost)).expect("payable");
    }
    let batch = ask(bank.client.call(Method::POST, "/control/webhook/batch").json(&json!({"ids": [one, two]}))).await;
    assert_eq!(batch.0, 200);
    assert!(control.batch_webhook(&[unpaid], SendWebhook::Once).is_err());
    assert!(control.settled(LIMIT).await);
    let [told] = shop.told().try_into().expect("one call");
    assert_eq!(told.path, "/hooks/bank?x=1/pix");
    let txids: Vec<String> = told.json()["pix"].as_array().expect("a list").iter().map(|p| text(&p["txid"])).collect();
    assert_eq!(txids, [one, two]);
    assert_eq!(ask(bank.call(Method::DELETE, &hook)).await.0, 204);
    assert_eq!(bank.get(&hook).await.0, 404);
}

#[actix_web::test]
async fn faults_meet_it_in_both_forms_of_its_errors() {
    let bank = bank().await;
    bank.client.sandbox.next("bacen", Fault::Status(500));
    assert_eq!(
        bank.get("/cob/x").await,
        (500, json!({"nome": "erro_aplicacao", "mensagem": "ordered by the sandbox's control"}))
    );
    bank.client.sandbox.next("bacen", Fault::Status(503));
    let (status, answer) = bank.get("/cob/x").await;
    assert_eq!(status, 503);
    assert!(text(&answer["type"]).ends_with("/ServicoIndisponivel"), "{answer}");
}
