use reqwest::Method;
use serde_json::json;

use crate::harness::{ask, sandbox};

#[actix_web::test]
async fn viacep_answers_in_its_documented_form() {
    let client = sandbox().await;
    let (status, answer) = ask(client.call(Method::GET, "/viacep/ws/01001000/json/")).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({
            "cep": "01001-000", "logradouro": "Praça da Sé", "complemento": "lado ímpar", "unidade": "", "bairro": "Sé",
            "localidade": "São Paulo", "uf": "SP", "estado": "São Paulo", "regiao": "Sudeste", "ibge": "3550308",
            "gia": "1004", "ddd": "11", "siafi": "7107",
        })
    );
    let unknown = ask(client.call(Method::GET, "/viacep/ws/00000000/json/")).await;
    assert_eq!(unknown, (200, json!({"erro": "true"})));
    let bad = client.call(Method::GET, "/viacep/ws/0100100/json/").send().await.expect("an answer");
    assert_eq!(bad.status(), 400);
    assert_eq!(bad.headers()["content-type"], "text/html; charset=utf-8");
}

#[actix_web::test]
async fn brasilapi_answers_in_its_documented_form() {
    let client = sandbox().await;
    let expected = json!({
        "cep": "05010000", "state": "SP", "city": "São Paulo", "neighborhood": "Perdizes", "street": "Rua Caiubi",
        "service": "open-cep", "ibge": {"city": "3550308", "state": "35"},
    });
    for cep in ["05010000", "05010-000"] {
        let answer = ask(client.call(Method::GET, &format!("/brasilapi/api/cep/v1/{cep}"))).await;
        assert_eq!(answer, (200, expected.clone()));
    }
    let (status, answer) = ask(client.call(Method::GET, "/brasilapi/api/cep/v1/99999999")).await;
    assert_eq!((status, &answer["type"], answer["errors"].as_array().map(Vec::len)), (404, &json!("service_error"), Some(4)));
    let (status, answer) = ask(client.call(Method::GET, "/brasilapi/api/cep/v1/0501000")).await;
    assert_eq!((status, &answer["type"]), (400, &json!("validation_error")));
}

#[actix_web::test]
async fn a_cep_outside_the_table_still_lies_in_its_state() {
    let client = sandbox().await;
    let (_, town) = ask(client.call(Method::GET, "/viacep/ws/96900000/json/")).await;
    assert_eq!((&town["uf"], &town["logradouro"], &town["bairro"]), (&json!("RS"), &json!(""), &json!("")));
    let (_, street) = ask(client.call(Method::GET, "/viacep/ws/57035123/json/")).await;
    assert_eq!((&street["localidade"], &street["ibge"]), (&json!("Maceió"), &json!("2704302")));
    assert_ne!(street["logradouro"], "");
}
