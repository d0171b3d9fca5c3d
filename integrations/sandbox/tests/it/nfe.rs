//! Focus NFe and the tax authority behind it, held to the very bodies that the client is held to.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::NfeStatus;

use crate::harness::{Client, LIMIT, Shop, ask, sandbox, text};

const SIMPLES: &str = include_str!("../../../focusnfe/fixtures/note_simples.json");
const NORMAL: &str = include_str!("../../../focusnfe/fixtures/note_normal.json");
const REDUCED: &str = include_str!("../../../focusnfe/fixtures/note_reduced.json");
const RETURNED: &str = include_str!("../../../focusnfe/fixtures/note_returned.json");
const REHEARSAL: &str = "NF-E EMITIDA EM AMBIENTE DE HOMOLOGACAO - SEM VALOR FISCAL";

fn body(text: &str) -> Value {
    let mut body: Value = serde_json::from_str(text).expect("JSON");
    body["nome_destinatario"] = json!(REHEARSAL);
    body
}

fn call(client: &Client, method: Method, path: &str) -> RequestBuilder {
    let token = vitrine_sandbox::SandboxConfig::default().focusnfe_token;
    client.call(method, &format!("/focusnfe{path}")).basic_auth(token, Some(""))
}

async fn emit(client: &Client, reference: &str, body: &Value) -> (u16, Value) {
    ask(call(client, Method::POST, &format!("/v2/nfe?ref={reference}")).json(body)).await
}

/// As it stands once the tax authority has decided.
async fn decided(client: &Client, reference: &str) -> Value {
    let control = client.sandbox.control();
    let is_decided = |nfe: &vitrine_sandbox::Nfe| nfe.reference == reference && nfe.status != NfeStatus::Processing;
    let found = control.wait_for(LIMIT, |books| books.nfes().iter().find(|nfe| is_decided(nfe)).map(|_| ())).await;
    assert!(found.is_some(), "it is decided in time");
    ask(call(client, Method::GET, &format!("/v2/nfe/{reference}?completa=1"))).await.1
}

async fn authorized(client: &Client, reference: &str) -> Value {
    assert_eq!(emit(client, reference, &body(SIMPLES)).await.0, 202);
    let seen = decided(client, reference).await;
    assert_eq!(seen["status"], "autorizado", "{seen}");
    seen
}

#[actix_web::test]
async fn the_reviewed_bodies_are_authorised_and_numbered_one_by_one() {
    let client = sandbox().await;
    for (at, (reference, sent)) in [("a1", SIMPLES), ("a2", NORMAL), ("a3", RETURNED), ("a4", REDUCED)].into_iter().enumerate() {
        let (status, answer) = emit(&client, reference, &body(sent)).await;
        assert_eq!((status, &answer["status"]), (202, &json!("processando_autorizacao")), "{answer}");
        let seen = decided(&client, reference).await;
        assert_eq!((&seen["status"], &seen["status_sefaz"]), (&json!("autorizado"), &json!("100")), "{seen}");
        assert_eq!((&seen["numero"], &seen["serie"]), (&json!((at + 1).to_string()), &json!("1")));
        let key = text(&seen["chave_nfe"]);
        assert!(key.starts_with("NFe352610112223330001815500100000000") && key.len() == 47, "{key}");
        assert!(text(&seen["protocolo_nota_fiscal"]["data_recebimento"]).ends_with("-03:00"));
    }
    let books = ask(client.call(Method::GET, "/control/books")).await.1;
    let notes = books["nfes"].as_array().expect("a list").clone();
    assert_eq!(
        notes.iter().map(|nfe| nfe["total_cents"].as_i64()).collect::<Vec<_>>(),
        [Some(25_733), Some(11_000), Some(16_500), Some(15_000)]
    );
    assert_eq!(notes[2]["is_return"], true);
}

#[actix_web::test]
async fn a_reference_makes_one_note_and_a_rejected_one_may_be_sent_again() {
    let client = sandbox().await;
    client.sandbox.control().tax_authority_away(true);
    emit(&client, "b1", &body(SIMPLES)).await;
    let (status, answer) = emit(&client, "b1", &body(SIMPLES)).await;
    assert_eq!((status, &answer["codigo"]), (422, &json!("em_processamento")));
    client.sandbox.control().reject_next_nfes(1, "539", "Rejeição: Duplicidade de NF-e");
    client.sandbox.control().tax_authority_away(false);
    let seen = decided(&client, "b1").await;
    assert_eq!((&seen["status"], &seen["status_sefaz"]), (&json!("erro_autorizacao"), &json!("539")));
    assert!(seen.get("numero").is_none(), "no number was spent");
    assert_eq!(authorized(&client, "b1").await["numero"], "1");
    let (status, answer) = emit(&client, "b1", &body(SIMPLES)).await;
    assert_eq!((status, &answer["codigo"]), (422, &json!("nfe_autorizada")));
    let nfes = client.sandbox.control().nfes();
    assert_eq!((nfes.len(), nfes[0].attempts), (1, 2));
}

#[actix_web::test]
async fn a_return_names_its_sale_in_each_item_and_nowhere_else() {
    let client = sandbox().await;
    let head = json!([{"chave_nfe": "35261011222333000181550010000001231481516233"}]);
    let mut in_head = body(RETURNED);
    in_head["notas_referenciadas"] = head.clone();
    let mut only_there = in_head.clone();
    for field in ["chave_acesso_dfe_referenciado", "numero_item_dfe_referenciado"] {
        only_there["items"][0].as_object_mut().expect("an item").remove(field);
    }
    let mut twice = body(RETURNED);
    let mut again = twice["items"][0].clone();
    again["numero_item"] = json!(2);
    twice["items"].as_array_mut().expect("items").push(again);
    for (reference, sent, code) in [("r1", in_head, "1010"), ("r2", only_there, "321"), ("r3", twice, "1072")] {
        assert_eq!(emit(&client, reference, &sent).await.0, 202);
        let seen = decided(&client, reference).await;
        assert_eq!(seen["status_sefaz"], code, "{seen}");
    }
}

/// A pointer, what to put there, and the code that it is refused with; a word for their schema's refusals.
#[actix_web::test]
async fn what_the_authority_refuses_is_refused_by_its_code() {
    let client = sandbox().await;
    let cases: &[(&str, &str, Value, &str)] = &[
        (SIMPLES, "/nome_destinatario", json!("Ana Silva"), "598"),
        (SIMPLES, "/cpf_destinatario", json!("52998224724"), "237"),
        (SIMPLES, "/local_destino", json!(1), "773"),
        (SIMPLES, "/uf_destinatario", json!("SP"), "275"),
        (SIMPLES, "/codigo_municipio_destinatario", json!("3550308"), "275"),
        (SIMPLES, "/items/0/cfop", json!("5102"), "733"),
        (SIMPLES, "/items/0/cfop", json!("1102"), "519"),
        (SIMPLES, "/items/0/codigo_ncm", json!("00000000"), "778"),
        (SIMPLES, "/items/0/valor_bruto", json!(165.01), "629"),
        (SIMPLES, "/items/0/icms_situacao_tributaria", json!("00"), "590"),
        (SIMPLES, "/items/0/valor_desconto", json!(6.66), "537"),
        (SIMPLES, "/items/1/valor_frete", json!(6.67), "535"),
        (SIMPLES, "/valor_produtos", json!(247.34), "564"),
        (SIMPLES, "/valor_total", json!(257.32), "610"),
        (SIMPLES, "/formas_pagamento/0/valor_pagamento", json!(257.32), "865"),
        (SIMPLES, "/formas_pagamento/0/valor_pagamento", json!(257.34), "866"),
        (SIMPLES, "/indicador_intermediario", Value::Null, "434"),
        (SIMPLES, "/presenca_comprador", json!(1), "435"),
        (SIMPLES, "/formas_pagamento/0/tipo_integracao", Value::Null, "schema"),
        (SIMPLES, "/regime_tributario_emitente", json!(4), "337"),
        (RETURNED, "/regime_tributario_emitente", json!(4), "782"),
        (NORMAL, "/items/0/icms_situacao_tributaria", json!("102"), "591"),
        (NORMAL, "/items/0/icms_base_calculo_uf_destino", Value::Null, "694"),
        (NORMAL, "/items/0/icms_aliquota_interestadual", json!(12.0), "698"),
        (NORMAL, "/items/0/icms_valor", json!(7.0), "528"),
        (NORMAL, "/icms_valor_total", json!(6.94), "532"),
        (NORMAL, "/icms_valor_total_uf_destino", json!(14.84), "799"),
        (NORMAL, "/valor_pis", json!(1.71), "602"),
        (NORMAL, "/cbs_valor_total", json!(0.85), "1091"),
        (NORMAL, "/ibs_cbs_base_calculo", json!(93.55), "1076"),
        (NORMAL, "/items/0/ibs_cbs_classificacao_tributaria", json!("000002"), "1025"),
        (NORMAL, "/items/0/ibs_cbs_classificacao_tributaria", json!("000999"), "1025"),
        (NORMAL, "/items/0/ibs_cbs_base_calculo", Value::Null, "1022"),
        (NORMAL, "/items/0/cbs_aliquota", json!(8.8), "1037"),
        (NORMAL, "/items/0/ibs_uf_aliquota", json!(0.05), "1026"),
        (NORMAL, "/ibs_valor_total", json!(0.1), "1085"),
        (NORMAL, "/items/0/cbs_valor", json!(0.82), "1069"),
        (REDUCED, "/valor_total_tributos", json!(38.19), "685"),
        (REDUCED, "/items/0/ibs_cbs_classificacao_tributaria", json!("000001"), "1024"),
        (REDUCED, "/items/0/ibs_cbs_classificacao_tributaria", json!("200003"), "1034"),
        (REDUCED, "/items/0/cbs_percentual_reducao_aliquota", json!(50.0), "1063"),
        (REDUCED, "/items/0/cbs_aliquota_efetiva", json!(0.9), "1064"),
        (REDUCED, "/items/0/ibs_uf_valor", json!(0.07), "schema"),
        (REDUCED, "/items/0/cbs_valor", json!(0.67), "1069"),
        (REDUCED, "/items/0/ibs_uf_aliquota_efetiva", Value::Null, "schema"),
        (RETURNED, "/items/0/chave_acesso_dfe_referenciado", Value::Null, "schema"),
        (RETURNED, "/items/0/chave_acesso_dfe_referenciado", json!("35261011222333000181550010000001231481516234"), "547"),
        (RETURNED, "/items/0/numero_item_dfe_referenciado", Value::Null, "1048"),
        (RETURNED, "/items/0/cfop", json!("1102"), "327"),
        (RETURNED, "/formas_pagamento/0/forma_pagamento", json!("01"), "871"),
        (SIMPLES, "/items/0/codigo_ncm", json!("6912"), "schema"),
        (SIMPLES, "/municipio_destinatario", Value::Null, "schema"),
        (SIMPLES, "/logradouro_destinatario", json!("Rua  A"), "schema"),
        (SIMPLES, "/items/0/descricao", json!("Caneca\n"), "schema"),
        (SIMPLES, "/items/0/descricao", json!("Caneca 🎁"), "schema"),
        (SIMPLES, "/valor_total", json!(257.333), "schema"),
        (SIMPLES, "/items", json!([]), "schema"),
        (NORMAL, "/formas_pagamento/0/tipo_integracao", Value::Null, "schema"),
        (NORMAL, "/items/0/icms_modalidade_base_calculo", Value::Null, "schema"),
    ];
    for (at, (sample, pointer, value, code)) in cases.iter().enumerate() {
        let (mut sent, reference) = (body(sample), format!("c{at}"));
        match sent.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => panic!("{pointer} is not in the sample"),
        }
        if *pointer == "/uf_destinatario" {
            sent["local_destino"] = json!(1);
        }
        let (status, answer) = emit(&client, &reference, &sent).await;
        if *code == "schema" {
            assert_eq!((status, &answer["codigo"]), (422, &json!("erro_validacao_schema")), "{pointer}: {answer}");
            assert!(answer["erros"][0]["campo"].is_string());
            continue;
        }
        let seen = decided(&client, &reference).await;
        assert_eq!(seen["status_sefaz"], *code, "{pointer}: {seen}");
    }
    assert!(client.sandbox.control().nfes().iter().all(|nfe| nfe.number.is_none()));
}

#[actix_web::test]
async fn a_reduced_rate_is_said_and_what_bears_no_tax_has_no_amounts() {
    let client = sandbox().await;
    let mut whole = body(REDUCED);
    for field in ["ibs_uf_percentual_reducao_aliquota", "ibs_uf_aliquota_efetiva"] {
        whole["items"][0].as_object_mut().expect("an item").remove(field);
    }
    let mut taxed_book = body(REDUCED);
    for field in
        ["ibs_cbs_base_calculo", "ibs_uf_aliquota", "ibs_uf_valor", "ibs_mun_aliquota", "ibs_mun_valor", "ibs_valor_total"]
    {
        taxed_book["items"][1][field] = json!(0);
    }
    (taxed_book["items"][1]["cbs_aliquota"], taxed_book["items"][1]["cbs_valor"]) = (json!(0), json!(0));
    for (reference, sent, code) in [("x1", whole, "1033"), ("x2", taxed_book, "1021")] {
        assert_eq!(emit(&client, reference, &sent).await.0, 202);
        assert_eq!(decided(&client, reference).await["status_sefaz"], code);
    }
    assert_eq!(emit(&client, "x3", &body(REDUCED)).await.0, 202);
    let path = text(&decided(&client, "x3").await["caminho_xml_nota_fiscal"]);
    let xml = call(&client, Method::GET, &path).send().await.expect("an answer").text().await.expect("text");
    for part in [
        "<CST>200</CST><cClassTrib>200035</cClassTrib><gIBSCBS><vBC>74.42</vBC><gIBSUF><pIBSUF>0.1000</pIBSUF>\
         <gRed><pRedAliq>60.0000</pRedAliq><pAliqEfet>0.0400</pAliqEfet></gRed><vIBSUF>0.03</vIBSUF></gIBSUF>",
        "<IBSCBS><CST>410</CST><cClassTrib>410008</cClassTrib></IBSCBS></imposto><vItem>50.00</vItem>",
        "<IBSCBSTot><vBCIBSCBS>74.42</vBCIBSCBS>",
        "<vNFTot>150.00</vNFTot>",
        "<imposto><vTotTrib>31.45</vTotTrib><ICMS>",
        "<vNF>150.00</vNF><vTotTrib>38.18</vTotTrib></ICMSTot>",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
}

#[actix_web::test]
async fn cancelling_ends_with_the_day_and_with_the_road() {
    let client = sandbox().await;
    let cancel = async |reference: &str| {
        let call = call(&client, Method::DELETE, &format!("/v2/nfe/{reference}"));
        ask(call.json(&json!({"justificativa": "Desistência do comprador"}))).await
    };
    authorized(&client, "d1").await;
    let (status, answer) = cancel("d1").await;
    assert_eq!((status, &answer["status"], &answer["status_sefaz"]), (200, &json!("cancelado"), &json!("135")), "{answer}");
    let path = text(&answer["caminho_xml_cancelamento"]);
    let xml = call(&client, Method::GET, &path).send().await.expect("an answer").text().await.expect("text");
    assert!(xml.contains("<xJust>Desistência do comprador</xJust>") && xml.contains("<tpEvento>110111</tpEvento>"), "{xml}");
    let (status, answer) = cancel("d1").await;
    assert_eq!((status, &answer["codigo"]), (400, &json!("nfe_cancelada")));

    for (reference, code) in [("d2", "501"), ("d3", "219")] {
        authorized(&client, reference).await;
        let order = json!({"reference": reference, "hours": 25});
        let path = if code == "501" { "/control/nfe/age" } else { "/control/nfe/moved" };
        assert_eq!(ask(client.call(Method::POST, path).json(&order)).await.0, 200);
        let (_, answer) = cancel(reference).await;
        assert_eq!((&answer["status"], &answer["status_sefaz"]), (&json!("erro_cancelamento"), &json!(code)));
        let seen = decided(&client, reference).await;
        assert_eq!((&seen["status"], &seen["status_sefaz"]), (&json!("autorizado"), &json!("100")), "it stays what it was");
    }
    let (status, answer) = ask(call(&client, Method::DELETE, "/v2/nfe/d2").json(&json!({"justificativa": "curta"}))).await;
    assert_eq!((status, &answer["codigo"]), (400, &json!("requisicao_invalida")));
    assert_eq!(cancel("nobody").await.0, 404);
    ask(client.call(Method::POST, "/control/nfe/deny-next").json(&json!({}))).await;
    emit(&client, "d4", &body(SIMPLES)).await;
    assert_eq!(decided(&client, "d4").await["status"], "denegado");
    assert_eq!(cancel("d4").await.0, 422);
}

#[actix_web::test]
async fn letters_are_counted_and_kept() {
    let client = sandbox().await;
    authorized(&client, "e1").await;
    for number in 1..=2 {
        let call = call(&client, Method::POST, "/v2/nfe/e1/carta_correcao");
        let (status, answer) = ask(call.json(&json!({"correcao": format!("O complemento é Apto {number}.")}))).await;
        assert_eq!((status, &answer["status"], &answer["numero_carta_correcao"]), (200, &json!("autorizado"), &json!(number)));
    }
    let path = text(&decided(&client, "e1").await["caminho_xml_carta_correcao"]);
    let xml = call(&client, Method::GET, &path).send().await.expect("an answer").text().await.expect("text");
    assert!(path.ends_with("-cce-02.xml") && xml.contains("<xCorrecao>O complemento é Apto 2.</xCorrecao>"), "{xml}");
}

#[actix_web::test]
async fn the_papers_are_there_for_the_shop_and_for_a_person() {
    let client = sandbox().await;
    let seen = authorized(&client, "f1").await;
    let key = text(&seen["chave_nfe"]).replace("NFe", "");
    let get = async |path: &str, with_token: bool| {
        let call = if with_token { call(&client, Method::GET, path) } else { client.call(Method::GET, path) };
        let answer = call.send().await.expect("an answer");
        (answer.status().as_u16(), answer.bytes().await.expect("a body"))
    };
    let (status, pdf) = get(&text(&seen["caminho_danfe"]), true).await;
    assert!(status == 200 && pdf.starts_with(b"%PDF-1.4") && pdf.trim_ascii().ends_with(b"%%EOF"));
    let (status, xml) = get(&text(&seen["caminho_xml_nota_fiscal"]), true).await;
    let xml = String::from_utf8(xml.to_vec()).expect("text");
    assert!(status == 200 && xml.contains(&format!("<infNFe Id=\"NFe{key}\"")) && xml.contains("<vNF>257.33</vNF>"), "{xml}");
    assert_balanced(&xml);

    let (status, page) = get(&format!("/nfe/{key}/danfe"), false).await;
    let page = String::from_utf8(page.to_vec()).expect("text");
    assert_eq!(status, 200);
    for shown in ["DANFE", "257,33", "Caneca &quot;Ana&quot; - 300 ml", "529.982.247-25", "SEM VALOR FISCAL", "Pedido 1001."] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(!page.contains("{{"), "every place is filled");
    let (_, home) = get("/", false).await;
    assert!(String::from_utf8(home.to_vec()).expect("text").contains(&format!("href=\"/nfe/{key}/danfe\"")));
    assert_eq!(get("/nfe/35/danfe", false).await.0, 404);
    assert_eq!(get(&format!("/focusnfe{}", text(&seen["caminho_danfe"])), false).await.0, 401);
}

/// Every element is closed by its own name.
fn assert_balanced(xml: &str) {
    let mut open = Vec::new();
    for tag in xml.split('<').skip(1).filter_map(|part| part.split('>').next()) {
        match tag.strip_prefix('/') {
            _ if tag.starts_with('?') => {}
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => open.push(tag.split(' ').next().expect("a name")),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[actix_web::test]
async fn the_shop_is_told_with_the_fixed_word_and_again_until_it_listens() {
    let (client, shop) = (sandbox().await, Shop::open());
    client.sandbox.set_shop_url(&shop.url);
    shop.answer_next(&[503]);
    authorized(&client, "g1").await;
    assert!(client.sandbox.control().settled(LIMIT).await);
    let told = shop.told();
    assert_eq!(told.len(), 2, "once more after a refusal");
    assert_eq!((told[0].path.as_str(), &told[0].body), ("/api/webhooks/focusnfe", &told[1].body));
    assert_eq!(told[0].headers["x-focus-token"], vitrine_sandbox::SandboxConfig::default().nfe_webhook_secret);
    assert_eq!((&told[0].json()["ref"], &told[0].json()["status"]), (&json!("g1"), &json!("autorizado")));
}

#[actix_web::test]
async fn only_the_token_and_the_enrolled_company_issue() {
    let client = sandbox().await;
    let (status, answer) = ask(client.call(Method::POST, "/focusnfe/v2/nfe?ref=h1").json(&body(SIMPLES))).await;
    assert_eq!((status, &answer["codigo"]), (401, &json!("permissao_negada")));
    let mut other = body(SIMPLES);
    other["cnpj_emitente"] = json!("12ABC34501DE35");
    let (status, answer) = emit(&client, "h1", &other).await;
    assert_eq!((status, &answer["codigo"]), (400, &json!("empresa_nao_habilitada")));
    let (status, answer) = ask(call(&client, Method::GET, "/v2/nfe/h1")).await;
    assert_eq!((status, &answer["codigo"]), (404, &json!("nao_encontrado")));
    assert_eq!(emit(&client, "h-1", &body(SIMPLES)).await.0, 400, "letters and digits");
}

#[actix_web::test]
async fn the_poverty_fund_inside_the_state_stands_beside_the_items_own_icms_and_in_the_total() {
    let client = sandbox().await;
    let mut sent = body(REDUCED);
    let taxed = sent["items"].as_array().expect("items").iter().position(|item| item.get("icms_base_calculo").is_some());
    let at = taxed.expect("a taxed item");
    let with = |at: usize, mut sent: Value, fields: Value| {
        let item = sent["items"][at].as_object_mut().expect("an item");
        item.extend(fields.as_object().expect("fields").clone());
        sent
    };
    let fund = json!({"fcp_percentual": 2.0, "fcp_valor": 2.0});
    let mut other_total = with(at, sent.clone(), fund.clone());
    other_total["fcp_valor_total"] = json!(2.01);
    for (reference, wrong, code) in [
        ("f1", with(at, sent.clone(), json!({"fcp_percentual": 0.0, "fcp_valor": 0.0})), "880"),
        ("f2", other_total, "861"),
        ("f3", with(0, body(NORMAL), fund.clone()), "876"),
    ] {
        assert_eq!(emit(&client, reference, &wrong).await.0, 202);
        assert_eq!(decided(&client, reference).await["status_sefaz"], code, "{reference}");
    }
    let alone = with(at, sent.clone(), json!({"fcp_valor": 2.0}));
    assert_eq!(emit(&client, "f4", &alone).await.0, 422);
    sent = with(at, sent, fund);
    sent["fcp_valor_total"] = json!(2.0);
    emit(&client, "f5", &sent).await;
    let seen = decided(&client, "f5").await;
    assert_eq!(seen["status"], "autorizado", "{seen}");
    let path = text(&seen["caminho_xml_nota_fiscal"]);
    let xml = call(&client, Method::GET, &path).send().await.expect("an answer").text().await.expect("text");
    assert!(xml.contains("<vICMS>18.00</vICMS><pFCP>2.0000</pFCP><vFCP>2.00</vFCP></ICMS00>"), "{xml}");
    assert!(xml.contains("<vFCP>2.00</vFCP><vBCST>"), "{xml}");
}
