use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::SandboxConfig;

use crate::harness::{Client, ask, sandbox};

const AGENT: &str = "Vitrine (oi@loja.test)";
const CALCULATE: &str = "/melhorenvio/api/v2/me/shipment/calculate";

fn quote(client: &Client, body: &Value) -> RequestBuilder {
    let call = client.call(Method::POST, CALCULATE).header("user-agent", AGENT).json(body);
    call.bearer_auth(SandboxConfig::default().melhorenvio_token)
}

fn mugs(to: &str) -> Value {
    json!({
        "from": {"postal_code": "01310100"}, "to": {"postal_code": to},
        "products": [{"id": "sku-1", "width": 11, "height": 17, "length": 11, "weight": 0.3,
                      "insurance_value": 92.50, "quantity": 2}],
        "options": {"receipt": false, "own_hand": false},
    })
}

#[actix_web::test]
async fn a_quote_has_one_entry_for_each_service_with_text_prices() {
    let client = sandbox().await;
    let (status, answer) = ask(quote(&client, &mugs("20040002"))).await;
    assert_eq!(status, 200);
    let entries = answer.as_array().expect("an array");
    let short: Vec<Value> = entries.iter().map(|e| json!([e["id"], e["price"], e["delivery_time"]])).collect();
    assert_eq!(Value::from(short), json!([[1, "23.37", 6], [2, "31.89", 3], [3, "22.33", 5], [4, "30.15", 4], [17, null, null]]));
    assert_eq!(entries[4]["error"], "Peso ultrapassa o limite da transportadora.");
    assert_eq!(entries[0]["custom_price"], "23.37");
    assert_eq!(entries[0]["company"]["name"], "Correios");
    let package = &entries[0]["packages"][0];
    assert_eq!((&package["weight"], &package["insurance_value"]), (&json!("0.60"), &json!("185.00")));
    assert_eq!(package["dimensions"], json!({"height": 34, "width": 11, "length": 11}));
    assert_eq!(ask(quote(&client, &mugs("20040002"))).await.1, answer, "the same every time");
}

#[actix_web::test]
async fn only_the_services_asked_for_answer() {
    let client = sandbox().await;
    let mut body = mugs("20040002");
    body["services"] = json!("2, 3");
    let (_, answer) = ask(quote(&client, &body)).await;
    assert_eq!(answer.as_array().map(|a| a.iter().map(|e| e["id"].clone()).collect()), Some(vec![json!(2), json!(3)]));
}

#[actix_web::test]
async fn too_heavy_is_an_error_of_the_service_not_of_the_call() {
    let client = sandbox().await;
    let mut body = mugs("20040002");
    body["products"][0]["weight"] = json!(15.5);
    let (status, answer) = ask(quote(&client, &body)).await;
    assert_eq!(status, 200);
    let priced: Vec<_> = answer.as_array().expect("an array").iter().filter(|e| e.get("price").is_some()).collect();
    assert_eq!(priced.len(), 1);
    assert_eq!(priced[0]["name"], ".Com");
    assert_eq!(answer[2]["error"], "Peso ultrapassa o limite da transportadora.");
}

#[actix_web::test]
async fn a_missing_token_or_contact_is_refused() {
    let client = sandbox().await;
    let bare = || client.call(Method::POST, CALCULATE).json(&mugs("20040002"));
    let (status, answer) = ask(bare().header("user-agent", AGENT)).await;
    assert_eq!((status, answer), (401, json!({"message": "Unauthenticated."})));
    let wrong = bare().header("user-agent", AGENT).bearer_auth("other");
    assert_eq!(ask(wrong).await.0, 401);

    let token = SandboxConfig::default().melhorenvio_token;
    let answer = bare().bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(ask(bare().bearer_auth(&token).header("user-agent", "Vitrine/1.0")).await.0, 403);
}

#[actix_web::test]
async fn missing_sizes_are_named_field_by_field() {
    let client = sandbox().await;
    let mut body = mugs("2004");
    body["products"][0]["width"] = json!(0);
    body["products"][0].as_object_mut().expect("an object").remove("weight");
    let (status, answer) = ask(quote(&client, &body)).await;
    assert_eq!(status, 422);
    let fields: Vec<&String> = answer["errors"].as_object().expect("fields").keys().collect();
    assert_eq!(fields, ["products.0.weight", "products.0.width", "to.postal_code"]);

    body.as_object_mut().expect("an object").remove("products");
    assert_eq!(ask(quote(&client, &body)).await.0, 422);
}

#[actix_web::test]
async fn the_catalogue_lists_the_services() {
    let client = sandbox().await;
    let call = client.call(Method::GET, "/melhorenvio/api/v2/me/shipment/services").header("user-agent", AGENT);
    let (status, answer) = ask(call.bearer_auth(SandboxConfig::default().melhorenvio_token)).await;
    assert_eq!(status, 200);
    let names: Vec<&Value> = answer.as_array().expect("an array").iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["PAC", "SEDEX", ".Package", ".Com", "Mini Envios"]);
}
