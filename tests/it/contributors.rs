//! A company that buys says its state registration at the checkout, and its invoice says so.

use serde_json::{Value, json};
use vitrine_sandbox::{Nfe, NfeStatus};

use crate::invoices::{goes_on, invoices_of, open};
use crate::shop::{Answer, CPF, Product, Shop, address};

const CNPJ: &str = "11.444.777/0001-61";

/// A company in Rio de Janeiro.
fn in_rio() -> Value {
    let mut rio = address("20040-002");
    for (field, value) in [("street", "Avenida Rio Branco"), ("district", "Centro"), ("city", "Rio de Janeiro"), ("state", "RJ")]
    {
        rio[field] = value.into();
    }
    rio
}

/// A guest's order with these fields laid over it.
async fn places(shop: &Shop, ware: &Product, extra: &Value) -> Answer {
    let cart = shop.guest_cart(&[(ware, 2)]).await;
    let mut order = shop.guest_order(&[(ware, 2)], CNPJ).await;
    order["name"] = "Comércio Novo Ltda".into();
    order["pay"] = json!({"method": "pix"});
    order.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    if let Some(cep) = extra["address"]["cep"].as_str() {
        order["quote_token"] = shop.quote(&[(ware, 2)], cep).await.into();
    }
    shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await
}

async fn bought(shop: &Shop, ware: &Product, extra: &Value) -> String {
    let placed = places(shop, ware, extra).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let order = placed.body["id"].as_str().unwrap().to_owned();
    shop.pays(&order).await;
    goes_on(shop).await;
    order
}

fn last(shop: &Shop) -> Nfe {
    shop.control().nfes().pop().expect("one")
}

#[actix_web::test]
async fn a_contributor_is_named_as_one_and_owes_no_difference_of_rates() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let regime = if provider == "focusnfe" { "normal" } else { "simples" }; // the sandbox's account at eNotas
        shop.sells_as(regime).await;
        for (sent, indicator, said, cfop) in [
            (json!("78.045.230"), 1, Some("78045230"), "6102"),
            (json!("isento"), 2, None, "6102"),
            (json!(null), 9, None, "6108"),
        ] {
            bought(&shop, &ware, &json!({"address": in_rio(), "state_registration": sent})).await;
            let nfe = last(&shop);
            let item = &nfe.draft.items[0];
            assert_eq!(nfe.status, NfeStatus::Authorized, "{provider} {sent}: {:?}", nfe.message);
            assert_eq!(
                (nfe.draft.buyer_indicator, nfe.draft.buyer.state_registration.as_deref(), item.cfop.as_str()),
                (indicator, said, cfop),
                "{provider} {sent}"
            );
            assert_eq!(item.difal.is_some(), indicator == 9 && regime == "normal", "{provider} {sent}");
        }
        shop.close().await;
    }
}

#[actix_web::test]
async fn where_a_state_knows_no_exempt_contributor_such_a_company_does_not_contribute() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let order = bought(&shop, &ware, &json!({"state_registration": "ISENTO"})).await;
        let nfe = last(&shop);
        assert_eq!((nfe.status, nfe.draft.buyer_indicator), (NfeStatus::Authorized, 9), "{provider}: {:?}", nfe.message);
        let kept: String = shop.sql(&format!("SELECT state_registration FROM orders WHERE id = '{order}'")).await;
        assert_eq!(kept, "ISENTO", "what was said stays");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_company_that_did_not_say_its_registration_is_mended_and_its_invoice_authorised() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        shop.control().register_contributor("11444777000161", "110042490114");
        let order = bought(&shop, &ware, &json!({})).await;
        let rejected = invoices_of(&shop).await[0].clone();
        assert_eq!((&rejected["status"], &rejected["code"]), (&json!("rejected"), &json!("232")), "{provider}: {rejected}");
        let path = format!("/api/orders/{order}");
        let wrong = shop.admin().await.patch(&path, &json!({"state_registration": "1234"})).await;
        assert_eq!((wrong.status, wrong.invalid_fields()), (422, vec!["state_registration"]), "{}", wrong.body);
        let mended = shop.admin().await.patch(&path, &json!({"state_registration": "110.042.490.114"})).await;
        assert_eq!((mended.status, &mended.body["state_registration"]), (200, &json!("110042490114")), "{}", mended.body);
        let retry = format!("/api/admin/invoices/{}/retry", rejected["id"].as_str().unwrap());
        assert_eq!(shop.admin().await.post(&retry, &json!({})).await.status, 200);
        goes_on(&shop).await;
        let nfe = last(&shop);
        assert_eq!((nfe.status, nfe.draft.buyer_indicator), (NfeStatus::Authorized, 1), "{provider}: {:?}", nfe.message);
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_registration_is_of_a_company_and_follows_the_rule_of_its_state() {
    let shop = Shop::open().await;
    let ware = shop.product("Caneca").create().await;
    let before = shop.sql::<i64>("SELECT count(*) FROM orders").await;
    for extra in [
        json!({"state_registration": "110042490114", "cpf": CPF}),
        json!({"state_registration": "ISENTO", "cpf": CPF}),
        json!({"state_registration": "11004249011"}),
        json!({"state_registration": "110042490115"}),
        json!({"state_registration": "isenta"}),
        json!({"state_registration": "110042490114", "address": in_rio()}),
    ] {
        let answer = places(&shop, &ware, &extra).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec!["state_registration"]), "{extra}: {}", answer.body);
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, before);
    let blank = places(&shop, &ware, &json!({"state_registration": " ", "cpf": CPF})).await;
    assert_eq!((blank.status, &blank.body["state_registration"]), (201, &Value::Null), "{}", blank.body);
    shop.close().await;
}

#[actix_web::test]
async fn a_registration_is_in_the_export_and_goes_with_its_buyer() {
    let shop = Shop::open().await;
    let ware = shop.product("Caneca").create().await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&ware, 1)]).await;
    order["cpf"] = CNPJ.into();
    order["state_registration"] = "110042490114".into();
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["state_registration"]), (201, &json!("110042490114")), "{}", placed.body);
    let export = ana.get("/api/users/me/export").await;
    assert_eq!(export.body["orders"][0]["state_registration"], "110042490114");

    let guests = places(&shop, &ware, &json!({"state_registration": "110042490114"})).await;
    let cancel = format!("/api/orders/{}/cancel", guests.body["id"].as_str().unwrap());
    assert_eq!(shop.admin().await.patch(&cancel, &json!({})).await.status, 200);
    let erased = shop.admin().await.post("/api/admin/guests/erase", &json!({"cpf": CNPJ})).await;
    assert_eq!((erased.status, &erased.body["orders"]), (200, &json!(1)), "{}", erased.body);
    let left: i64 = shop.sql("SELECT count(*) FROM orders WHERE state_registration IS NOT NULL").await;
    assert_eq!(left, 1, "the other one has an account");
    shop.close().await;
}
