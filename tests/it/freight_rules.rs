//! Freight that the shop pays, and pickup.

use serde_json::{Value, json};
use vitrine_sandbox::Fault;

use crate::shop::{Answer, CEP, CPF, Customer, Product, Shop};

async fn set(shop: &Shop, settings: Value) {
    let answer = shop.admin().await.put("/api/admin/settings/shipping", &settings).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn ask(shop: &Shop, cep: &str, product: &Product) -> Answer {
    let body = json!({"cep_destino": cep, "items": [{"product_id": product.id, "quantity": 1}]});
    shop.post("/api/shipping/calculate", &body).await
}

fn options(answer: &Answer) -> &Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["options"].as_array().unwrap()
}

/// Which options are free, and why.
fn gifts(answer: &Answer) -> Vec<Option<&str>> {
    options(answer).iter().map(|o| o["free_reason"].as_str()).collect()
}

/// A guest buys one with that quote.
async fn buy(shop: &Shop, product: &Product, token: &Value, extra: Value) -> Answer {
    let cart = shop.guest_cart(&[(product, 1)]).await;
    let mut order = shop.guest_order(&[(product, 1)], CPF).await;
    order["quote_token"] = token.clone();
    order.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await
}

async fn coupon(shop: &Shop, code: &str, kind: &str, value: i64) {
    let made = shop.admin().await.post("/api/admin/coupons", &json!({"code": code, "kind": kind, "value": value})).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

async fn kept(shop: &Shop) -> (i64, i64, Value) {
    let row = shop.app.db().await.unwrap();
    let row = row.query_one("SELECT shipping_cents, shipping_quoted_cents, freight_quote FROM orders", &[]).await.unwrap();
    (row.get(0), row.get(1), row.get::<_, Value>(2)["free"].clone())
}

#[actix_web::test]
async fn freight_is_free_from_the_minimum_on_to_the_centavo() {
    let shop = Shop::open().await;
    set(&shop, json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 10_000}]})).await;
    for (cents, is_free) in [(9_999, false), (10_000, true), (10_001, true)] {
        let product = shop.product("Caneca").price(cents).create().await;
        let answer = ask(&shop, CEP, &product).await;
        let options = options(&answer);
        assert_eq!(options[0]["free"], is_free, "{cents}");
        assert!(
            options[1..].iter().all(|o| o["free"] == false && o["price_cents"] == o["original_price_cents"]),
            "the cheapest only"
        );
        assert_eq!(options[0]["price_cents"] == 0, is_free);
        assert!(options[0]["original_price_cents"].as_i64().unwrap() > 0);
        assert_eq!(answer.body["free_from_cents"], if is_free { Value::Null } else { json!(10_000) });
    }
    let product = shop.product("Vaso").price(10_000).create().await;
    let answer = ask(&shop, CEP, &product).await;
    let first = &options(&answer)[0];
    let placed = buy(&shop, &product, &first["quote_token"], json!({})).await;
    assert_eq!((placed.status, &placed.body["shipping_cents"], &placed.body["total_cents"]), (201, &json!(0), &json!(10_000)));
    let (paid, quoted, free) = kept(&shop).await;
    assert_eq!((paid, json!(quoted)), (0, first["original_price_cents"].clone()));
    assert_eq!(free, json!({"reason": "rule", "min_subtotal_cents": 10_000}));
    shop.close().await;
}

#[actix_web::test]
async fn a_rule_holds_in_its_region_for_its_services_and_up_to_its_limit() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let rule = async |rule: Value| {
        let mut rule = rule;
        rule["min_subtotal_cents"] = json!(0);
        set(&shop, json!({"handling_days": 0, "free_freight": [rule]})).await;
    };
    rule(json!({"states": ["RJ"], "cep_ranges": [{"from": "01310-000", "to": "01310-999"}]})).await;
    for (cep, is_free) in [("20040-002", true), ("01310-100", true), ("01311-000", false), ("69005-000", false)] {
        let answer = ask(&shop, cep, &mug).await;
        assert_eq!(gifts(&answer)[0], is_free.then_some("rule"), "{cep}");
        assert_eq!(answer.body["free_from_cents"], Value::Null, "elsewhere no purchase is large enough");
    }
    rule(json!({"carriers": ["2", "melhorenvio:3", "correios:1"]})).await;
    let answer = ask(&shop, CEP, &mug).await;
    let free: Vec<&Value> = options(&answer).iter().filter(|o| o["free"] == true).map(|o| &o["carrier"]).collect();
    assert_eq!(free, ["SEDEX", ".Package"], "both cost nothing now: the faster one first");
    assert_eq!(options(&answer)[0]["cheapest"], true);
    let dear = options(&answer).iter().map(|o| o["original_price_cents"].as_i64().unwrap()).min().unwrap();
    for (most, is_free) in [(dear, true), (dear - 1, false)] {
        rule(json!({"max_freight_cents": most})).await;
        assert_eq!(gifts(&ask(&shop, CEP, &mug).await)[0].is_some(), is_free);
    }
    shop.close().await;
}

/// Quotes Ana's cart with the coupon on it.
async fn ask_cart(ana: &Customer<'_>, code: &str) -> Answer {
    assert_eq!(ana.post("/api/cart/coupon", &json!({"code": code})).await.status, 200);
    ana.post("/api/shipping/calculate", &json!({"cep_destino": CEP})).await
}

#[actix_web::test]
async fn a_coupon_that_brings_the_goods_below_the_minimum_ends_the_gift() {
    let shop = Shop::open().await;
    set(&shop, json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 10_000}]})).await;
    coupon(&shop, "UM", "fixed", 1).await;
    let mug = shop.product("Caneca").price(10_000).create().await;
    let answer = ask(&shop, CEP, &mug).await;
    let token = &options(&answer)[0]["quote_token"];
    let refused = buy(&shop, &mug, token, json!({"coupon": "UM"})).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["quote_token"]));
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("R$ 99,99"), "{}", refused.body);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM orders").await, 0);

    let ana = shop.customer().await;
    ana.add(&mug, 1).await;
    let answer = ask_cart(&ana, "UM").await;
    assert_eq!((gifts(&answer)[0], &answer.body["free_from_cents"]), (None, &json!(10_000)));
    let (address, option) = (ana.address().await, &options(&answer)[0]);
    let order = json!({"address_id": address, "cpf": CPF, "quote_token": option["quote_token"]});
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["shipping_cents"]), (201, &option["price_cents"]));
    assert_eq!(kept(&shop).await.2, Value::Null);
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_of_free_freight_is_shown_and_frees_what_was_shown_with_it_alone() {
    let shop = Shop::open().await;
    coupon(&shop, "FRETE", "free_shipping", 0).await;
    let mug = shop.product("Caneca").create().await;
    let ana = shop.customer().await;
    ana.add(&mug, 1).await;
    let answer = ask_cart(&ana, "FRETE").await;
    assert!(gifts(&answer).iter().all(|gift| *gift == Some("coupon")));
    assert!(options(&answer).iter().all(|o| o["price_cents"] == 0 && o["original_price_cents"].as_i64().unwrap() > 0));
    let order = json!({"address_id": ana.address().await, "cpf": CPF, "quote_token": options(&answer)[0]["quote_token"]});
    assert_eq!(ana.delete("/api/cart/coupon").await.status, 200);
    let refused = ana.post("/api/orders", &order).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["quote_token"]));
    assert_eq!(ana.post("/api/cart/coupon", &json!({"code": "FRETE"})).await.status, 200);
    assert_eq!(ana.post("/api/orders", &order).await.body["shipping_cents"], 0);
    let (paid, quoted, free) = kept(&shop).await;
    assert_eq!((paid, quoted > 0, free), (0, true, json!({"reason": "coupon"})));
    shop.close().await;
}

fn pickup(extra: Value) -> Value {
    let mut pickup = json!({"enabled": true, "label": "Retirar na loja", "address": "Rua Augusta, 1", "days": 1});
    pickup.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"handling_days": 3, "pickup": pickup})
}

#[actix_web::test]
async fn pickup_is_offered_beside_the_carriers_and_an_order_of_it_pays_no_freight() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    set(&shop, pickup(json!({}))).await;
    let answer = ask(&shop, CEP, &mug).await;
    let first = &options(&answer)[0];
    assert!(options(&answer).len() > 1);
    assert_eq!(
        json!([first["provider"], first["carrier"], first["service"], first["price_cents"], first["days"], first["free_reason"]]),
        json!(["pickup", "Retirar na loja", "Rua Augusta, 1", 0, 1, "pickup"])
    );
    assert_eq!((&first["cheapest"], &first["fastest"]), (&json!(true), &json!(true)));
    let placed = buy(&shop, &mug, &first["quote_token"], json!({})).await;
    assert_eq!(
        (placed.status, &placed.body["shipping_cents"], &placed.body["carrier"]),
        (201, &json!(0), &json!("Retirar na loja"))
    );
    assert_eq!(kept(&shop).await, (0, 0, json!({"reason": "pickup"})));
    assert_eq!(shop.sql::<String>("SELECT shipping_provider FROM orders").await, "pickup");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM freight_quotes WHERE provider = 'pickup'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn pickup_stays_when_all_carriers_are_away_and_hides_no_estimate() {
    let shop = Shop::open_with(&[("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    let mug = shop.product("Caneca").create().await;
    set(&shop, pickup(json!({}))).await;
    shop.control().next_calls("melhorenvio", Fault::Status(500), 100);
    let answer = ask(&shop, CEP, &mug).await;
    let providers: Vec<&Value> = options(&answer).iter().map(|o| &o["provider"]).collect();
    assert_eq!(providers, ["pickup"]);
    assert_eq!(answer.body["message"], "Carriers cannot be asked right now: this can only be fetched");
    shop.control().clear_faults();
    ask(&shop, CEP, &mug).await;
    let book = shop.product("Livro").create().await;
    shop.control().next_calls("melhorenvio", Fault::Status(500), 100);
    let answer = ask(&shop, "01310-200", &book).await;
    let estimates: Vec<bool> = options(&answer).iter().map(|o| o["estimate"].as_bool().unwrap()).collect();
    assert_eq!((estimates[0], estimates.len() > 1, estimates[1..].iter().all(|e| *e)), (false, true, true));
    shop.control().clear_faults();
    let answer = ask(&shop, "99999-999", &mug).await;
    assert_eq!(
        (options(&answer).len(), &answer.body["message"]),
        (1, &json!("No carrier delivers this parcel to this CEP: it can only be fetched"))
    );
    shop.close().await;
}

#[actix_web::test]
async fn pickup_is_for_its_region_and_only_while_it_is_on() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    for (extra, cep, is_there) in [
        (json!({"states": ["SP"]}), "01310-100", true),
        (json!({"states": ["SP"]}), "20040-002", false),
        (json!({"cep_ranges": [{"from": "20000-000", "to": "20099-999"}]}), "20040-002", true),
        (json!({"enabled": false}), "01310-100", false),
    ] {
        set(&shop, pickup(extra.clone())).await;
        let answer = ask(&shop, cep, &mug).await;
        assert_eq!(options(&answer).iter().any(|o| o["provider"] == "pickup"), is_there, "{extra} {cep}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn rules_that_make_no_sense_are_refused_field_by_field() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for (body, field) in [
        (json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": -1}]}), "free_freight[0].min_subtotal_cents"),
        (json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 0, "states": ["sp"]}]}), "free_freight[0].states"),
        (
            json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 0, "max_freight_cents": 0}]}),
            "free_freight[0].max_freight_cents",
        ),
        (
            json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 0, "cep_ranges": [{"from": "20000-000", "to": "10000-000"}]}]}),
            "free_freight[0].cep_ranges[0].to",
        ),
        (
            json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 0, "cep_ranges": [{"from": "2", "to": "10000-000"}]}]}),
            "free_freight[0].cep_ranges[0].from",
        ),
        (pickup(json!({"days": 61})), "pickup.days"),
        (pickup(json!({"label": ""})), "pickup.label"),
        (pickup(json!({"address": "x\u{7}"})), "pickup.address"),
        (pickup(json!({"states": ["XX"]})), "pickup.states"),
    ] {
        let answer = admin.put("/api/admin/settings/shipping", &body).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{body}");
    }
    let nonsense = json!({"handling_days": 0, "free_freight": [{"min_subtotal_cents": 0, "carriers": "dearest"}]});
    assert_eq!(admin.put("/api/admin/settings/shipping", &nonsense).await.status, 422);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM settings").await, 0);
    let full = json!({"handling_days": 1, "free_freight": [{"min_subtotal_cents": 0, "cep_ranges": [{"from": "01000-000", "to": "19999-999"}]}]});
    let kept = admin.put("/api/admin/settings/shipping", &full).await;
    assert_eq!(kept.body["free_freight"][0]["cep_ranges"][0]["from"], "01000000");
    shop.close().await;
}
