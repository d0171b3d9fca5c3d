//! The exact requests to Focus NFe for ten purchases. Each snapshot was reviewed against the provider's fields; the sums are
//! checked here again, from the request's own numbers.

use serde_json::{Value, json};
use vitrine::ids::OrderId;
use vitrine::invoices;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::seller::CNPJ;
use crate::shop::{CPF, Product, Shop, address};

/// A seller in São Paulo, a provider that records every body, and a buyer.
struct Sale {
    shop: Shop,
    focus: MockServer,
    /// On which the invoice is issued.
    day: &'static str,
}

impl Sale {
    async fn by(regime: &str) -> Self {
        let focus = MockServer::start().await;
        let processing = json!({"status": "processando_autorizacao"});
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(202).set_body_json(&processing)).mount(&focus).await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(&processing)).mount(&focus).await;
        let env = [("NFE_PROVIDER", "focusnfe"), ("NFE_URL", &focus.uri()), ("NFE_API_KEY", "token"), ("NFE_CNPJ", CNPJ)];
        let shop = Shop::open_with(&env).await;
        shop.sells_as(regime).await;
        Self { shop, focus, day: "2026-11-21" }
    }

    async fn wares(&self, prices: &[i64]) -> Vec<Product> {
        let mut wares = Vec::new();
        for (n, cents) in prices.iter().enumerate() {
            wares.push(self.shop.ware(&format!("SKU-{}", n + 1), *cents).await);
        }
        wares
    }

    /// A guest buys and pays; `extra` is laid over the order. The snapshot is named after the test.
    async fn invoices(self, name: &str, items: &[(&Product, i32)], extra: Value) {
        let shop = &self.shop;
        let cart = shop.guest_cart(items).await;
        let mut order = shop.guest_order(items, CPF).await;
        order["pay"] = json!({"method": "pix"});
        order.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        if let Some(cep) = extra["address"]["cep"].as_str() {
            order["quote_token"] = shop.quote(items, cep).await.into();
        }
        let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
        assert_eq!(placed.status, 201, "{}", placed.body);
        shop.pays(placed.body["id"].as_str().unwrap()).await;
        let order = OrderId(placed.body["id"].as_str().unwrap().parse().unwrap());
        invoices::issue(&shop.app, order).await.unwrap();
        shop.execute(&format!("UPDATE invoices SET issued_at = '{}T15:00:00Z'", self.day)).await;
        shop.drain().await;
        let requests = self.focus.received_requests().await.unwrap();
        let emissions: Vec<_> = requests.iter().filter(|request| request.method == wiremock::http::Method::POST).collect();
        assert_eq!(emissions.len(), 1, "one order, one emission");
        let text = String::from_utf8(emissions[0].body.clone()).unwrap();
        adds_up(&serde_json::from_str(&text).unwrap(), &placed.body);
        let number = placed.body["number"].as_str().unwrap();
        let time = serde_json::from_str::<Value>(&text).unwrap()["data_emissao"].as_str().unwrap().to_owned();
        let shown = text.replace(number, "[number]").replace(&time, "[time]").replace(",\"", ",\n\"").replace(",{", ",\n{");
        insta::assert_snapshot!(format!("nfe_{name}"), shown);
        self.shop.close().await;
    }
}

/// Every sum of the body, from its own numbers, in centavos.
fn adds_up(body: &Value, order: &Value) {
    let cents = |value: &Value| (value.as_f64().unwrap_or(0.0) * 100.0).round() as i64;
    let items = body["items"].as_array().unwrap();
    let sum = |field: &str| items.iter().map(|item| cents(&item[field])).sum::<i64>();
    let total = order["total_cents"].as_i64().unwrap();
    assert_eq!(sum("valor_bruto") - sum("valor_desconto") + sum("valor_frete"), total);
    for (of_items, of_note) in [
        ("valor_bruto", "valor_produtos"),
        ("valor_desconto", "valor_desconto"),
        ("valor_frete", "valor_frete"),
        ("icms_valor", "icms_valor_total"),
    ] {
        assert_eq!(sum(of_items), cents(&body[of_note]), "{of_items}");
    }
    assert_eq!(cents(&body["valor_total"]), total);
    let paid: i64 = body["formas_pagamento"].as_array().unwrap().iter().map(|one| cents(&one["valor_pagamento"])).sum();
    assert_eq!(paid, total);
    for item in items {
        let exact = item["quantidade_comercial"].as_f64().unwrap() * item["valor_unitario_comercial"].as_f64().unwrap();
        assert_eq!((exact * 100.0).round() as i64, cents(&item["valor_bruto"]));
    }
}

/// A buyer in Rio de Janeiro.
fn in_rio() -> Value {
    let mut rio = address("20040-002");
    rio["street"] = "Avenida Rio Branco".into();
    rio["district"] = "Centro".into();
    rio["city"] = "Rio de Janeiro".into();
    rio["state"] = "RJ".into();
    json!({"address": rio})
}

async fn coupon(shop: &Shop, kind: &str, value: i64) {
    let sql = format!("INSERT INTO coupons (id, code, kind, value) VALUES (gen_random_uuid(), 'CUPOM', '{kind}', {value})");
    shop.execute(&sql).await;
}

#[actix_web::test]
async fn one_line_inside_the_state() {
    let sale = Sale::by("simples").await;
    let wares = sale.wares(&[8_250]).await;
    sale.invoices("one_line", &[(&wares[0], 2)], json!({})).await;
}

#[actix_web::test]
async fn many_lines() {
    let sale = Sale::by("simples").await;
    let wares = sale.wares(&[1_999, 3_333, 101, 45_900, 7]).await;
    let items = [(&wares[0], 3), (&wares[1], 1), (&wares[2], 7), (&wares[3], 1), (&wares[4], 9)];
    sale.invoices("many_lines", &items, json!({})).await;
}

#[actix_web::test]
async fn a_percentage_off_that_leaves_an_odd_centavo() {
    let sale = Sale::by("simples").await;
    coupon(&sale.shop, "percent", 15).await;
    let wares = sale.wares(&[3_333, 1_111, 999]).await;
    sale.invoices("percent_coupon", &[(&wares[0], 1), (&wares[1], 1), (&wares[2], 1)], json!({"coupon": "CUPOM"})).await;
}

#[actix_web::test]
async fn a_fixed_amount_off_that_leaves_an_odd_centavo() {
    let sale = Sale::by("simples").await;
    coupon(&sale.shop, "fixed", 1_000).await;
    let wares = sale.wares(&[1_000, 1_000, 1_000]).await;
    sale.invoices("fixed_coupon", &[(&wares[0], 1), (&wares[1], 1), (&wares[2], 1)], json!({"coupon": "CUPOM"})).await;
}

#[actix_web::test]
async fn free_freight() {
    let sale = Sale::by("simples").await;
    coupon(&sale.shop, "free_shipping", 0).await;
    let wares = sale.wares(&[12_345]).await;
    sale.invoices("free_freight", &[(&wares[0], 1)], json!({"coupon": "CUPOM"})).await;
}

#[actix_web::test]
async fn a_company_buys_whose_cnpj_has_letters() {
    let sale = Sale::by("simples").await;
    let wares = sale.wares(&[10_000]).await;
    let company = json!({"cpf": "12.ABC.345/01DE-35", "name": "Comércio Novo Ltda"});
    sale.invoices("cnpj_buyer", &[(&wares[0], 1)], company).await;
}

#[actix_web::test]
async fn another_state() {
    let sale = Sale::by("simples").await;
    let wares = sale.wares(&[8_250]).await;
    sale.invoices("other_state", &[(&wares[0], 2)], in_rio()).await;
}

#[actix_web::test]
async fn mei_sells_to_another_state_by_its_own_codes() {
    let sale = Sale::by("mei").await;
    let wares = sale.wares(&[8_250]).await;
    sale.invoices("mei", &[(&wares[0], 2)], in_rio()).await;
}

#[actix_web::test]
async fn somebody_from_another_state_fetches_it_at_the_shop() {
    let sale = Sale::by("normal").await;
    sale.shop.offer_pickup().await;
    let wares = sale.wares(&[8_250]).await;
    sale.invoices("pickup", &[(&wares[0], 2)], in_rio()).await;
}

#[actix_web::test]
async fn the_normal_regime_inside_the_state() {
    let sale = Sale::by("normal").await;
    let wares = sale.wares(&[10_000, 333]).await;
    sale.invoices("normal_regime", &[(&wares[0], 1), (&wares[1], 3)], json!({})).await;
}

#[actix_web::test]
async fn the_normal_regime_to_another_state_owes_the_difference() {
    let sale = Sale::by("normal").await;
    let wares = sale.wares(&[10_000, 333]).await;
    sale.invoices("normal_other_state", &[(&wares[0], 1), (&wares[1], 3)], in_rio()).await;
}

#[actix_web::test]
async fn a_coupon_and_the_discount_for_pix_together() {
    let sale = Sale::by("normal").await;
    let methods = json!({"pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 5}}});
    sale.shop.set("payment_methods", &methods).await;
    coupon(&sale.shop, "percent", 7).await;
    let wares = sale.wares(&[19_990, 4_590]).await;
    let extra = json!({"coupon": "CUPOM", "payment_method": "pix"});
    sale.invoices("coupon_and_pix", &[(&wares[0], 1), (&wares[1], 2)], extra).await;
}

/// A plain mug, soap at a reduced rate, and a book without IBS and CBS.
async fn classified(sale: &Sale) -> Vec<Product> {
    let wares = sale.wares(&[10_000, 1_299, 4_990]).await;
    for (ware, cst, code) in [(&wares[1], "200", "200035"), (&wares[2], "410", "410008")] {
        let tax = json!({"ibs_cbs_cst": cst, "cclasstrib": code});
        sale.shop.execute(&format!("UPDATE products SET tax = '{tax}' WHERE id = '{}'", ware.id)).await;
    }
    wares
}

#[actix_web::test]
async fn reduced_rates_on_the_last_day_of_the_test_year() {
    let sale = Sale { day: "2026-12-31", ..Sale::by("normal").await };
    let wares = classified(&sale).await;
    sale.invoices("reduced_2026", &[(&wares[0], 1), (&wares[1], 3), (&wares[2], 1)], json!({})).await;
}

#[actix_web::test]
async fn from_2027_on_pis_and_cofins_are_gone_and_the_price_holds_ibs_and_cbs() {
    let sale = Sale { day: "2027-01-01", ..Sale::by("normal").await };
    sale.shop.knows_the_rates_of_2027().await;
    let wares = classified(&sale).await;
    sale.invoices("reduced_2027", &[(&wares[0], 1), (&wares[1], 3), (&wares[2], 1)], in_rio()).await;
}

/// A shop in Rio de Janeiro, of the normal regime, and a buyer there.
#[actix_web::test]
async fn the_poverty_fund_inside_the_state() {
    let sale = Sale::by("normal").await;
    sale.shop
        .execute(
            r#"UPDATE settings SET value = jsonb_set(value, '{address}', value -> 'address' ||
                   '{"cep": "20040002", "street": "Avenida Rio Branco", "district": "Centro", "city": "Rio de Janeiro", "state": "RJ",
                     "ibge_city": "3304557"}') WHERE name = 'company'"#,
        )
        .await;
    let wares = sale.wares(&[8_250, 1_999, 3_333]).await;
    for (ware, tax) in [(&wares[1], r#"{"icms_cst": "20", "icms_reduction": 3000}"#), (&wares[2], r#"{"fcp_rates": {"RJ": 0}}"#)]
    {
        sale.shop.execute(&format!("UPDATE products SET tax = '{tax}' WHERE id = '{}'", ware.id)).await;
    }
    sale.invoices("the_poverty_fund_inside_the_state", &[(&wares[0], 2), (&wares[1], 1), (&wares[2], 1)], in_rio()).await;
}
