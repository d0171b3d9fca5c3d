//! Several carriers at once: merged, left out if they fail, estimated together.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vitrine_sandbox::Fault;

use crate::shop::{Answer, CEP, CPF, Product, Shop};

const BOTH: (&str, &str) = ("SHIPPING_PROVIDER", "melhorenvio,correios");
const CORREIOS_FIRST: (&str, &str) = ("SHIPPING_PROVIDER", "correios,melhorenvio");
const PATIENT: (&str, &str) = ("CIRCUIT_BREAKER_THRESHOLD", "1000");

async fn ask(shop: &Shop, cep: &str, product: &Product, quantity: i32) -> Answer {
    let body = json!({"cep_destino": cep, "items": [{"product_id": product.id, "quantity": quantity}]});
    let answer = shop.post("/api/shipping/calculate", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// Provider and carrier of each option, in their order.
fn offered(answer: &Answer) -> Vec<(&str, &str)> {
    let options = answer.body["options"].as_array().unwrap();
    options.iter().map(|o| (o["provider"].as_str().unwrap(), o["carrier"].as_str().unwrap())).collect()
}

fn sorted(answer: &Answer) -> Vec<(&str, &str)> {
    let mut offered = offered(answer);
    offered.sort_unstable();
    offered
}

const OF_BOTH: [(&str, &str); 5] = [
    ("correios", "PAC"),
    ("correios", "SEDEX"),
    ("melhorenvio", ".Com"),
    ("melhorenvio", ".Package"),
    ("melhorenvio", "Mini Envios"),
];

#[actix_web::test]
async fn all_are_asked_once_and_one_service_of_two_providers_is_offered_once() {
    let shop = Shop::open_with(&[CORREIOS_FIRST]).await;
    let mug = shop.product("Caneca").create().await;
    let answer = ask(&shop, CEP, &mug, 1).await;
    assert_eq!(sorted(&answer), OF_BOTH, "of equals the one that is named first");
    let options = answer.body["options"].as_array().unwrap();
    assert!(options.iter().map(|o| o["price_cents"].as_i64().unwrap()).is_sorted());
    for flag in ["cheapest", "fastest"] {
        assert_eq!(options.iter().filter(|o| o[flag] == true).count(), 1, "{flag}");
    }
    ask(&shop, "01310100", &mug, 1).await;
    let calls = |path: &str| shop.control().calls_to("correios", &format!("POST /correios{path}"));
    assert_eq!(shop.control().calls("melhorenvio"), 1);
    let paths = ["/token/v1/autentica/cartaopostagem", "/preco/v1/nacional", "/prazo/v1/nacional"];
    assert_eq!(paths.map(calls), [1, 1, 1]);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM freight_quotes").await, 7, "each provider's own word is noted");
    shop.close().await;

    let shop = Shop::open_with(&[BOTH]).await;
    let mug = shop.product("Caneca").create().await;
    assert!(offered(&ask(&shop, CEP, &mug, 1).await).iter().all(|(provider, _)| *provider == "melhorenvio"));
    shop.close().await;
}

#[actix_web::test]
async fn who_fails_or_hangs_costs_its_own_options_and_three_seconds_at_most() {
    let shop = Shop::open_with(&[CORREIOS_FIRST, PATIENT]).await;
    let mug = shop.product("Caneca").create().await;
    for (nth, fault) in [Fault::Status(500), Fault::Garbage, Fault::DropAfterRequest, Fault::Hang].into_iter().enumerate() {
        for (away, left) in [("correios", "melhorenvio"), ("melhorenvio", "correios")] {
            shop.control().next_calls(away, fault, 20);
            let began = Instant::now();
            let answer = ask(&shop, &format!("0131{nth}-100"), &mug, if away == "correios" { 1 } else { 2 }).await;
            shop.control().clear_faults();
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
            let offered = offered(&answer);
            assert!(!offered.is_empty() && offered.iter().all(|(provider, _)| *provider == left), "{away} {fault:?} {offered:?}");
            assert!(answer.body["options"].as_array().unwrap().iter().all(|o| o["estimate"] == false));
        }
    }
    shop.close().await;
}

#[actix_web::test]
async fn where_all_are_away_all_are_estimated_and_who_answered_no_is_not() {
    let shop = Shop::open_with(&[CORREIOS_FIRST, PATIENT]).await;
    let (mug, book) = (shop.product("Caneca").create().await, shop.product("Livro").create().await);
    ask(&shop, "20040-002", &mug, 1).await;
    for provider in ["correios", "melhorenvio"] {
        shop.control().next_calls(provider, Fault::Status(503), 20);
    }
    let answer = ask(&shop, "20031-170", &book, 1).await;
    shop.control().clear_faults();
    assert_eq!(sorted(&answer), OF_BOTH);
    assert!(answer.body["options"].as_array().unwrap().iter().all(|o| o["estimate"] == true));
    // Nobody delivers to 99999-999, and Melhor Envio says so. Its past quotes nearby do not change that.
    shop.execute("UPDATE freight_quotes SET cep_region = '999'").await;
    shop.control().next_calls("correios", Fault::Status(503), 20);
    let answer = ask(&shop, "99999-999", &book, 1).await;
    assert_eq!(sorted(&answer), [("correios", "PAC"), ("correios", "SEDEX")]);
    shop.close().await;
}

#[actix_web::test]
async fn a_token_that_is_good_no_more_is_renewed_without_anybody_noticing() {
    let shop = Shop::open_with(&[("SHIPPING_PROVIDER", "correios")]).await;
    let mug = shop.product("Caneca").create().await;
    ask(&shop, CEP, &mug, 1).await;
    shop.control().forget_correios_tokens();
    assert_eq!(sorted(&ask(&shop, CEP, &mug, 2).await), [("correios", "PAC"), ("correios", "SEDEX")]);
    assert_eq!(shop.control().calls_to("correios", "POST /correios/token/v1/autentica/cartaopostagem"), 2);
    shop.close().await;
}

#[actix_web::test]
async fn one_key_is_enough_where_correios_are_alone() {
    let code = vitrine::dev::sandbox_config(&std::collections::HashMap::new(), 0, None).correios_access_code;
    let only =
        [("SHIPPING_PROVIDER", "correios"), ("SHIPPING_API_KEY", &code), ("CORREIOS_API_KEY", ""), ("CORREIOS_CONTRACT", "")];
    let shop = Shop::open_with(&only).await;
    let mug = shop.product("Caneca").create().await;
    assert_eq!(sorted(&ask(&shop, CEP, &mug, 1).await), [("correios", "PAC"), ("correios", "SEDEX")]);
    assert!(shop.app.providers.melhorenvio.is_none() && shop.app.providers.correios.is_some());
    let breakers: Vec<&str> = shop.app.providers.breakers.iter().map(|(name, _)| *name).collect();
    assert!(breakers.contains(&"correios") && !breakers.contains(&"melhorenvio"), "{breakers:?}");
    shop.close().await;
}

#[actix_web::test]
async fn the_order_keeps_what_was_asked_and_answered_box_by_box() {
    let shop = Shop::open_with(&[("SHIPPING_PROVIDER", "correios")]).await;
    let dumbbell = shop.product("Halter").weight(12_000).price(20_000).create().await;
    let one = ask(&shop, CEP, &dumbbell, 1).await;
    let answer = ask(&shop, CEP, &dumbbell, 3).await;
    let pac = |answer: &Answer| {
        answer.body["options"].as_array().unwrap().iter().find(|o| o["carrier"] == "PAC").unwrap()["price_cents"]
            .as_i64()
            .unwrap()
    };
    assert!(pac(&answer) > pac(&one), "two boxes, one of them with two");
    assert_eq!(shop.buy_as_guest(&[(&dumbbell, 3)]).await.status, 201);
    let quote: Value = shop.sql("SELECT freight_quote FROM orders").await;
    assert_eq!(
        quote["volumes"],
        json!([
            {"h": 10, "w": 15, "l": 20, "g": 24_000},
            {"h": 5, "w": 15, "l": 20, "g": 12_000},
        ])
    );
    assert_eq!(quote["asked"], json!({"from": "01310100", "g_h_w_l_price": [[12_000, 5, 15, 20, 20_000]]}));
    let prices = quote["answer"]["prices"].as_array().unwrap();
    let told: Vec<Value> = prices.iter().map(|p| json!([p["count"], p["declared_cents"], p["psCobrado"]])).collect();
    assert_eq!(json!(told), json!([[1, 40_000, "24000"], [1, 20_000, "12000"]]));
    assert_eq!((&quote["provider"], &quote["service_code"], &quote["free"]), (&json!("correios"), &json!("03298"), &Value::Null));
    assert_eq!(quote["answer"]["deadline"]["entregaDomiciliar"], "S");
    shop.close().await;
}

#[actix_web::test]
async fn a_brokers_own_boxes_and_words_stay_with_the_order_and_ours_where_it_has_none() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let placed = shop.buy_as_guest(&[(&mug, 2)]).await;
    assert_eq!((placed.status, CPF.is_empty()), (201, false));
    let quote: Value = shop.sql("SELECT freight_quote FROM orders").await;
    let volumes = quote["volumes"].as_array().unwrap();
    assert_eq!((volumes.len(), &volumes[0]["g"]), (1, &json!(600)));
    shop.close().await;
}

#[actix_web::test]
async fn more_than_fifty_boxes_are_refused_in_words_and_no_carrier_is_asked() {
    let shop = Shop::open_with(&[BOTH]).await;
    let plate = shop.product("Anilha").weight(30_000).create().await;
    let sticker = shop.product("Adesivo").weight(1).create().await;
    shop.execute(&format!("UPDATE products SET height_cm = 1, width_cm = 5, length_cm = 5 WHERE id = '{}'", sticker.id)).await;
    for quantity in [51, 9_999] {
        let answer = ask(&shop, CEP, &plate, quantity).await;
        assert!(offered(&answer).is_empty(), "{quantity}: {}", answer.body);
        assert!(answer.body["message"].as_str().unwrap().contains("more than 50 boxes"), "{}", answer.body);
    }
    assert_eq!((shop.control().calls("melhorenvio"), shop.control().calls("correios")), (0, 0));
    assert!(!offered(&ask(&shop, CEP, &sticker, 9_999).await).is_empty(), "many small pieces are few boxes");
    let settings = json!({"handling_days": 0, "pickup": {"enabled": true, "label": "Retirar na loja", "address": "Rua Augusta, 1 - São Paulo", "days": 1, "states": ["SP"]}});
    shop.set("shipping", &settings).await;
    let answer = ask(&shop, CEP, &plate, 51).await;
    assert_eq!(offered(&answer), [("pickup", "Retirar na loja")], "it can still be fetched: {}", answer.body);
    shop.close().await;
}
