//! Freight over HTTP, with carriers that fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_sandbox::Fault;

use crate::shop::{Answer, CEP, Product, Shop};

async fn ask(shop: &Shop, cep: &str, items: Value) -> Answer {
    shop.post("/api/shipping/calculate", &json!({"cep_destino": cep, "items": items})).await
}

fn one(product: &Product, quantity: i32) -> Value {
    json!([{"product_id": product.id, "quantity": quantity}])
}

fn options(answer: &Answer) -> &Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["options"].as_array().unwrap()
}

/// The fields of each option, without its token.
fn plain(answer: &Answer) -> Vec<Value> {
    let strip = |option: &Value| {
        let mut option = option.clone();
        option.as_object_mut().unwrap().remove("quote_token").unwrap();
        option
    };
    options(answer).iter().map(strip).collect()
}

#[actix_web::test]
async fn every_service_is_offered_cheapest_first_each_under_its_own_signature() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(4_500).weight(300).create().await;
    let answer = ask(&shop, "20040-002", one(&mug, 2)).await;
    let options = options(&answer);
    let prices: Vec<i64> = options.iter().map(|o| o["price_cents"].as_i64().unwrap()).collect();
    assert!(prices.len() > 1 && prices.is_sorted() && prices[0] > 0, "{prices:?}");
    let flags: Vec<bool> = options.iter().map(|o| o["cheapest"].as_bool().unwrap()).collect();
    assert_eq!((flags[0], flags.iter().filter(|f| **f).count()), (true, 1));
    let fewest = options.iter().map(|o| o["days"].as_u64().unwrap()).min().unwrap();
    let fastest: Vec<u64> = options.iter().filter(|o| o["fastest"] == true).map(|o| o["days"].as_u64().unwrap()).collect();
    assert_eq!(fastest, [fewest]);
    for option in options {
        assert_eq!(
            (&option["estimate"], &option["provider"], &option["currency"]),
            (&json!(false), &json!("melhorenvio"), &json!("BRL"))
        );
        let token = option["quote_token"].as_str().unwrap();
        let quote = vitrine::shipping::Quote::open(&shop.app.keys, token, jiff::Timestamp::now()).unwrap();
        assert_eq!(json!(quote.price), option["price_cents"]);
        assert_eq!(json!(quote.carrier), option["carrier"]);
        quote.fits(&[(vitrine::ids::VariantId(mug.variant_id), 2)], "20040002").unwrap();
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_same_item_twice_is_one_parcel_and_the_carrier_is_asked_once() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let twice =
        json!([{"product_id": mug.id, "quantity": 1}, {"product_id": mug.id, "variant_id": mug.variant_id, "quantity": 2}]);
    let parted = ask(&shop, CEP, twice).await;
    let whole = join_all((0..5).map(|_| ask(&shop, "01310100", one(&mug, 3)))).await;
    assert!(whole.iter().all(|answer| plain(answer) == plain(&parted)));
    assert_eq!(shop.control().calls("melhorenvio"), 1);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM freight_quotes").await, options(&parted).len() as i64, "noted once");
    ask(&shop, CEP, one(&mug, 4)).await;
    assert_eq!(shop.control().calls("melhorenvio"), 2);
    shop.close().await;
}

#[actix_web::test]
async fn many_who_ask_the_same_at_once_are_one_question() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    shop.control().next("melhorenvio", Fault::Delay(Duration::from_millis(300)));
    let answers = join_all((0..10).map(|_| ask(&shop, CEP, one(&mug, 1)))).await;
    assert!(answers.iter().all(|answer| plain(answer) == plain(&answers[0])));
    assert_eq!(shop.control().calls("melhorenvio"), 1);
    shop.close().await;
}

#[actix_web::test]
async fn what_cannot_be_sent_is_named_by_its_place() {
    let shop = Shop::open().await;
    let (mug, hidden) = (shop.product("Caneca").create().await, shop.product("Oculto").create().await);
    shop.execute(&format!("UPDATE products SET active = false WHERE id = '{}'", hidden.id)).await;
    let good = json!({"product_id": mug.id, "quantity": 1});
    for (items, field) in [
        (json!([good, {"product_id": hidden.id, "quantity": 1}]), "items[1].product_id"),
        (json!([good, {"product_id": mug.id, "variant_id": hidden.variant_id, "quantity": 1}]), "items[1].variant_id"),
        (json!([{"product_id": Uuid::now_v7(), "quantity": 1}]), "items[0].product_id"),
        (json!([good, {"product_id": mug.id, "quantity": 0}]), "items[1].quantity"),
        (json!([good, {"product_id": mug.id, "quantity": 9_999}]), "items[1].quantity"),
        (json!([]), "items"),
    ] {
        let answer = ask(&shop, CEP, items).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]));
    }
    for cep in ["0131010", "00000-000", "abc", ""] {
        assert_eq!(ask(&shop, cep, one(&mug, 1)).await.invalid_fields(), ["cep_destino"]);
    }
    assert_eq!(shop.control().calls("melhorenvio"), 0);
    shop.close().await;
}

#[actix_web::test]
async fn without_items_the_callers_own_cart_is_weighed() {
    let shop = Shop::open().await;
    let (mug, book) = (shop.product("Caneca").create().await, shop.product("Livro").weight(900).create().await);
    let token = shop.guest_cart(&[(&mug, 2), (&book, 1)]).await;
    let ask_cart = |request: crate::shop::Request| request.json(&json!({"cep_destino": CEP})).send();
    let weighed = ask_cart(shop.request("POST", "/api/shipping/calculate").header("X-Cart-Token", &token)).await;
    let named = json!([{"product_id": book.id, "quantity": 1}, {"product_id": mug.id, "quantity": 2}]);
    assert_eq!(plain(&weighed), plain(&ask(&shop, CEP, named).await));
    assert_eq!(ask_cart(shop.request("POST", "/api/shipping/calculate")).await.slug(), "cart-empty");
    assert_eq!(ask_cart(shop.request("POST", "/api/shipping/calculate").header("X-Cart-Token", "x")).await.slug(), "cart-empty");
    shop.close().await;
}

#[actix_web::test]
async fn days_of_packing_come_on_top() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let days = |answer: &Answer| options(answer).iter().map(|o| o["days"].as_u64().unwrap()).collect::<Vec<_>>();
    let bare = days(&ask(&shop, CEP, one(&mug, 1)).await);
    shop.execute(r#"INSERT INTO settings (name, value) VALUES ('shipping', '{"handling_days": 2}')"#).await;
    let packed = days(&ask(&shop, CEP, one(&mug, 1)).await);
    assert_eq!(packed, bare.iter().map(|days| days + 2).collect::<Vec<_>>());
    shop.close().await;
}

#[actix_web::test]
async fn where_nobody_delivers_the_answer_is_an_empty_list_that_says_so() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let answer = ask(&shop, "99999-999", one(&mug, 1)).await;
    assert_eq!(options(&answer).len(), 0);
    assert_eq!(answer.body["message"], "No carrier delivers this parcel to this CEP");
    shop.close().await;
}

#[actix_web::test]
async fn while_carriers_are_away_the_dearest_like_parcel_of_the_region_is_the_price() {
    let shop = Shop::open_with(&[("CIRCUIT_BREAKER_THRESHOLD", "1000"), ("CIRCUIT_BREAKER_COOLDOWN", "1ms")]).await;
    let (cheap, dear) = (shop.product("Caneca").price(1_000).create().await, shop.product("Vaso").price(90_000).create().await);
    let low = ask(&shop, "20040-002", one(&cheap, 1)).await;
    let high = ask(&shop, "20050-000", one(&dear, 1)).await; // the same first digits, dearer because of its insurance
    let mut dearest: BTreeMap<String, i64> = BTreeMap::new();
    for option in options(&low).iter().chain(options(&high)) {
        let whole_reais = (option["price_cents"].as_i64().unwrap() + 99) / 100 * 100;
        let most = dearest.entry(option["carrier"].as_str().unwrap().to_owned()).or_default();
        *most = whole_reais.max(*most);
    }
    let book = shop.product("Livro").price(2_000).create().await;
    for fault in [Fault::Status(503), Fault::Status(401), Fault::Garbage, Fault::WrongType, Fault::DropAfterRequest] {
        shop.control().next_calls("melhorenvio", fault, 10);
        let estimated = ask(&shop, "20031-170", one(&book, 1)).await;
        shop.control().clear_faults();
        let price = |o: &Value| (o["carrier"].as_str().unwrap().to_owned(), o["price_cents"].as_i64().unwrap());
        assert_eq!(options(&estimated).iter().map(price).collect::<BTreeMap<_, _>>(), dearest, "{fault:?}");
        assert!(options(&estimated).iter().all(|o| o["estimate"] == true), "{fault:?}");
        let token = options(&estimated)[0]["quote_token"].as_str().unwrap();
        let quote = vitrine::shipping::Quote::open(&shop.app.keys, token, jiff::Timestamp::now()).unwrap();
        assert_eq!((quote.estimate, quote.record(None)["estimate"].clone()), (true, json!(true)));
    }
    let notes = shop.sql::<i64>("SELECT count(*) FROM freight_quotes").await;
    assert_eq!(notes, (options(&low).len() + options(&high).len()) as i64, "an estimate is no news to learn from");
    shop.close().await;
}

#[actix_web::test]
async fn another_place_in_the_same_part_of_the_country_will_do_but_no_other_weight() {
    let shop = Shop::open().await;
    let (mug, anvil) = (shop.product("Caneca").create().await, shop.product("Bigorna").weight(9_000).create().await);
    ask(&shop, "20040-002", one(&mug, 1)).await;
    shop.control().next_calls("melhorenvio", Fault::Status(500), 100);
    assert!(!options(&ask(&shop, "29010-000", one(&mug, 1)).await).is_empty());
    for (cep, product) in [("29010-000", &anvil), ("30110-000", &mug)] {
        let answer = ask(&shop, cep, one(product, 1)).await;
        assert_eq!((answer.status, answer.slug(), answer.header("retry-after")), (503, "unavailable", Some("5")));
        assert_eq!(answer.body["detail"], "Freight cannot be quoted right now");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_carrier_that_hangs_costs_the_buyer_three_seconds_at_most() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    shop.control().next_calls("melhorenvio", Fault::Hang, 10);
    let began = Instant::now();
    let answer = ask(&shop, CEP, one(&mug, 1)).await;
    assert_eq!(answer.status, 503);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    shop.control().clear_faults();
    assert!(!options(&ask(&shop, CEP, one(&mug, 1)).await).is_empty(), "a failure is not remembered");
    shop.close().await;
}
