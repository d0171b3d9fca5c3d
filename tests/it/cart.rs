//! The cart over HTTP.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::cart::merge_guest_cart;

use crate::shop::{Answer, Customer, Product, Shop};

async fn add_as(shop: &Shop, token: &str, product: &Product, quantity: i32) -> Answer {
    let ask = json!({"product_id": product.id, "quantity": quantity});
    shop.request("POST", "/api/cart/items").header("X-Cart-Token", token).json(&ask).send().await
}

async fn cart_of(shop: &Shop, token: &str) -> Value {
    shop.request("GET", "/api/cart").header("X-Cart-Token", token).send().await.body
}

/// A second variant of a product, at twice the price.
async fn second_variant(shop: &Shop, product: &Product) -> Uuid {
    let id = Uuid::now_v7();
    shop.execute(&format!(
        "WITH v AS (INSERT INTO variants (id, product_id, sku, name, price_cents, stock) VALUES ('{id}', '{}', 'sku-{id}', 'Grande', {}, 5) RETURNING id, stock)
         INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) SELECT id, stock, 'opening', 'test', 'system' FROM v",
        product.id,
        product.price_cents * 2
    ))
    .await;
    id
}

fn warnings(cart: &Value) -> Vec<&str> {
    cart["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect()
}

fn quantities(cart: &Value) -> BTreeMap<String, i64> {
    let items = cart["items"].as_array().unwrap();
    items.iter().map(|i| (i["variant_id"].as_str().unwrap().to_owned(), i["quantity"].as_i64().unwrap())).collect()
}

#[actix_web::test]
async fn a_guest_without_a_cart_sees_an_empty_one_and_the_first_item_makes_it() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").price(4_990).create().await;
    let empty = shop.get("/api/cart").await;
    assert_eq!((empty.status, &empty.body["items"], &empty.body["total_cents"]), (200, &json!([]), &json!(0)));
    let first = shop.post("/api/cart/items", &json!({"product_id": shirt.id, "quantity": 2})).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let token = first.header("x-cart-token").unwrap().to_owned();
    assert_eq!(first.body["cart_token"], token);
    let cookie = first.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with(&format!("vitrine_cart={token};")) && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax")
    );
    let item = &first.body["items"][0];
    assert_eq!(item["sku"], shirt.slug);
    assert_eq!(
        (&item["quantity"], &item["unit_price_cents"], &item["line_total_cents"]),
        (&json!(2), &json!(4_990), &json!(9_980))
    );
    assert_eq!((&item["available"], &item["max_quantity"], &item["variant_name"]), (&json!(true), &json!(10), &json!("Único")));
    assert_eq!((&first.body["subtotal_cents"], &first.body["total_cents"]), (&json!(9_980), &json!(9_980)));
    let second = add_as(&shop, &token, &shirt, 1).await;
    assert_eq!((second.status, second.header("x-cart-token"), second.header("set-cookie")), (200, None, None));
    assert_eq!(second.body["items"][0]["quantity"], 3);
    let by_cookie = shop.request("GET", "/api/cart").header("Cookie", &format!("vitrine_cart={token}")).send().await;
    assert_eq!(by_cookie.body["items"][0]["quantity"], 3);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM carts").await, 1);
    let kept: Vec<u8> = shop.sql("SELECT owner FROM carts").await;
    assert_eq!(kept, vitrine::seal::token_hash(&token));
    shop.close().await;
}

#[actix_web::test]
async fn fifty_adds_at_once_lose_nothing() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(1_000).create().await;
    let mug = shop.product("Caneca").stock(1_000).create().await;
    let ana = shop.customer().await; // her first requests also race to create the cart
    let adds = (0..50).map(|i| ana.add(if i % 2 == 0 { &shirt } else { &mug }, 1 + i % 3));
    let answers = join_all(adds).await;
    assert!(answers.iter().all(|a| a.status == 200), "{:?}", answers.iter().find(|a| a.status != 200));
    let wanted = |even: i32| i64::from((0..50).filter(|i| i % 2 == even).map(|i| 1 + i % 3).sum::<i32>());
    let cart = ana.get("/api/cart").await.body;
    let expected = BTreeMap::from([(shirt.variant_id.to_string(), wanted(0)), (mug.variant_id.to_string(), wanted(1))]);
    assert_eq!(quantities(&cart), expected);
    shop.close().await;
}

#[actix_web::test]
async fn never_more_goes_in_than_is_there_however_many_try() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(7).create().await;
    let ana = shop.customer().await;
    let answers = join_all((0..10).map(|_| ana.add(&shirt, 2))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|a| a.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 409, 409, 409, 409, 409, 409, 409]);
    let refused = answers.iter().find(|a| a.status == 409).unwrap();
    assert_eq!((refused.slug(), refused.body["detail"].as_str().unwrap().ends_with("7 left")), ("out-of-stock", true));
    assert_eq!(ana.get("/api/cart").await.body["items"][0]["quantity"], 6);
    assert_eq!(ana.put(&format!("/api/cart/items/{}", shirt.id), &json!({"quantity": 8})).await.slug(), "out-of-stock");
    assert_eq!(ana.put(&format!("/api/cart/items/{}", shirt.id), &json!({"quantity": 7})).await.status, 200);
    let before = shop.row_counts().await;
    let guest = shop.post("/api/cart/items", &json!({"product_id": shirt.id, "quantity": 8})).await;
    assert_eq!((guest.slug(), guest.header("x-cart-token")), ("out-of-stock", None));
    assert_eq!(shop.row_counts().await, before, "a refused first item makes no cart");
    shop.close().await;
}

#[actix_web::test]
async fn what_cannot_be_bought_cannot_go_in() {
    let shop = Shop::open().await;
    let (hidden, gone) = (shop.product("Oculto").create().await, shop.product("Apagado").create().await);
    let (shirt, mug) = (shop.product("Camiseta").create().await, shop.product("Caneca").create().await);
    shop.execute(&format!("UPDATE products SET active = false WHERE id = '{}'", hidden.id)).await;
    shop.execute(&format!("UPDATE products SET deleted_at = now() WHERE id = '{}'", gone.id)).await;
    let add = async |body: Value| shop.post("/api/cart/items", &body).await.status;
    assert_eq!(add(json!({"product_id": hidden.id, "quantity": 1})).await, 404);
    assert_eq!(add(json!({"product_id": gone.id, "quantity": 1})).await, 404);
    assert_eq!(add(json!({"product_id": Uuid::now_v7(), "quantity": 1})).await, 404);
    assert_eq!(add(json!({"product_id": shirt.id, "variant_id": mug.variant_id, "quantity": 1})).await, 404);
    for quantity in [0, -1, 10_000] {
        assert_eq!(add(json!({"product_id": shirt.id, "quantity": quantity})).await, 422);
    }
    assert_eq!(add(json!({"product_id": shirt.id, "quantity": 1, "price_cents": 1})).await, 422);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM carts").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_line_is_named_by_variant_or_by_product_where_that_is_clear() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let large = second_variant(&shop, &shirt).await;
    let ana = shop.customer().await;
    ana.add(&shirt, 1).await;
    let by_product = format!("/api/cart/items/{}", shirt.id);
    assert_eq!(ana.put(&by_product, &json!({"quantity": 4})).await.body["items"][0]["quantity"], 4);
    assert_eq!(ana.put(&by_product, &json!({"quantity": 0})).await.invalid_fields(), ["quantity"]);
    ana.post("/api/cart/items", &json!({"product_id": shirt.id, "variant_id": large, "quantity": 2})).await;
    assert_eq!(ana.put(&by_product, &json!({"quantity": 1})).await.slug(), "conflict");
    assert_eq!(ana.delete(&by_product).await.slug(), "conflict");
    let cart = ana.put(&format!("{by_product}?variant_id={large}"), &json!({"quantity": 3})).await.body;
    assert_eq!(quantities(&cart), BTreeMap::from([(shirt.variant_id.to_string(), 4), (large.to_string(), 3)]));
    assert_eq!(cart["subtotal_cents"], 4 * 5_000 + 3 * 10_000);
    let cart = ana.delete(&format!("/api/cart/items/{}", shirt.variant_id)).await.body;
    assert_eq!(quantities(&cart), BTreeMap::from([(large.to_string(), 3)]));
    assert_eq!(ana.delete(&by_product).await.body["items"], json!([]));
    assert_eq!(ana.delete(&by_product).await.status, 404);
    assert_eq!(ana.put(&by_product, &json!({"quantity": 1})).await.status, 404);
    assert_eq!(ana.delete("/api/cart/items/not-an-id").await.status, 404);
    shop.close().await;
}

#[actix_web::test]
async fn a_cart_token_opens_one_cart_and_nothing_else() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let ana = shop.customer().await;
    ana.add(&shirt, 5).await;
    let (one, two) = (shop.guest_cart(&[(&shirt, 1)]).await, shop.guest_cart(&[(&shirt, 2)]).await);
    assert_ne!(one, two);
    assert_eq!(cart_of(&shop, &one).await["items"][0]["quantity"], 1);
    assert_eq!(cart_of(&shop, &two).await["items"][0]["quantity"], 2);
    // An id or an invented token opens nothing, and its first item makes a cart with a token of ours.
    let ids: Vec<String> =
        vec![ana.id.to_string(), shop.sql::<Uuid>("SELECT id FROM carts LIMIT 1").await.to_string(), "x".into()];
    for forged in &ids {
        assert_eq!(cart_of(&shop, forged).await["items"], json!([]));
        let made = add_as(&shop, forged, &shirt, 1).await;
        assert_eq!((made.status, made.body["items"][0]["quantity"].as_i64()), (200, Some(1)));
        assert_ne!(made.header("x-cart-token").unwrap(), forged);
        assert_eq!(cart_of(&shop, forged).await["items"], json!([]));
    }
    // A person who is signed in uses the account's cart, whatever token is sent along.
    let both = ana.request("GET", "/api/cart").header("X-Cart-Token", &one).send().await;
    assert_eq!(both.body["items"][0]["quantity"], 5);
    assert_eq!(shop.request("DELETE", "/api/cart").header("X-Cart-Token", &two).send().await.body["items"], json!([]));
    assert_eq!(cart_of(&shop, &one).await["items"][0]["quantity"], 1);
    shop.close().await;
}

#[actix_web::test]
async fn the_cart_says_what_changed_since_it_was_filled() {
    let shop = Shop::open().await;
    let names = ["Camiseta", "Caneca", "Boné", "Meia", "Livro"];
    let mut products = Vec::new();
    for name in names {
        products.push(shop.product(name).create().await);
    }
    let ana = shop.customer().await;
    for product in &products {
        ana.add(product, 3).await;
    }
    let set = |what: &str, product: &Product| {
        let statement = format!("UPDATE variants SET {what} WHERE id = '{}'", product.variant_id);
        let shop = &shop;
        async move { shop.execute(&statement).await }
    };
    let move_stock = |delta: i32, product: &Product| {
        let statement = format!(
            "WITH m AS (INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) VALUES ('{0}', {delta}, 'adjustment', 'test', 'system'))
             UPDATE variants SET stock = stock + {delta} WHERE id = '{0}'",
            product.variant_id
        );
        let shop = &shop;
        async move { shop.execute(&statement).await }
    };
    set("price_cents = 6000", &products[0]).await;
    move_stock(-8, &products[1]).await;
    move_stock(-10, &products[2]).await;
    shop.execute(&format!("UPDATE products SET active = false WHERE id = '{}'", products[3].id)).await;
    let cart = ana.get("/api/cart").await.body;
    assert_eq!(warnings(&cart), ["price_changed", "not_enough_stock", "unavailable", "unavailable"]);
    let available: Vec<bool> = cart["items"].as_array().unwrap().iter().map(|i| i["available"].as_bool().unwrap()).collect();
    assert_eq!(available, [true, true, false, false, true]);
    assert_eq!(cart["subtotal_cents"], 3 * 6_000 + 3 * 5_000 + 3 * 5_000);
    assert_eq!(cart["warnings"][0]["variant_id"], json!(products[0].variant_id));
    assert_eq!(ana.put(&format!("/api/cart/items/{}", products[3].id), &json!({"quantity": 1})).await.slug(), "conflict");
    let cart = ana.put(&format!("/api/cart/items/{}", products[0].id), &json!({"quantity": 1})).await.body;
    assert_eq!(warnings(&cart), ["not_enough_stock", "unavailable", "unavailable"], "who changes a line has seen its price");
    shop.close().await;
}

#[actix_web::test]
async fn a_cart_has_a_hundred_lines_and_no_more() {
    let shop = Shop::open().await;
    let mut products = Vec::new();
    for i in 0..101 {
        products.push(shop.product(&format!("Produto {i}")).create().await);
    }
    let ana = shop.customer().await;
    for product in &products[..100] {
        assert_eq!(ana.add(product, 1).await.status, 200);
    }
    assert_eq!(ana.add(&products[100], 1).await.slug(), "conflict");
    assert_eq!(ana.add(&products[99], 1).await.status, 200);
    shop.close().await;
}

async fn coupon(shop: &Shop, columns: &str, values: &str) {
    shop.execute(&format!("INSERT INTO coupons (id, code, kind, value{columns}) VALUES ('{}', {values})", Uuid::now_v7())).await;
}

async fn try_coupon(who: &Customer<'_>, code: &str) -> Answer {
    who.post("/api/cart/coupon", &json!({"code": code})).await
}

#[actix_web::test]
async fn a_coupon_counts_only_within_its_limits() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").price(9_990).stock(100).create().await;
    coupon(&shop, "", "'DEZ', 'percent', 10").await;
    coupon(&shop, ", max_discount_cents", "'CAPADO', 'percent', 50, 1000").await;
    coupon(&shop, "", "'FRETE', 'free_shipping', 0").await;
    coupon(&shop, ", min_subtotal_cents", "'MINIMO', 'fixed', 500, 20000").await;
    coupon(&shop, ", starts_at", "'CEDO', 'fixed', 500, now() + interval '1 hour'").await;
    coupon(&shop, ", ends_at", "'TARDE', 'fixed', 500, now() - interval '1 second'").await;
    coupon(&shop, ", max_uses, uses", "'GASTO', 'fixed', 500, 3, 3").await;
    coupon(&shop, ", active", "'PARADO', 'fixed', 500, false").await;
    let ana = shop.customer().await;
    assert_eq!(try_coupon(&ana, "DEZ").await.slug(), "cart-empty");
    ana.add(&shirt, 1).await;
    let cart = try_coupon(&ana, " dez ").await;
    assert_eq!(cart.status, 200, "{}", cart.body);
    assert_eq!((&cart.body["discount_cents"], &cart.body["total_cents"]), (&json!(999), &json!(8_991)));
    assert_eq!(
        cart.body["coupon"],
        json!({"code": "DEZ", "kind": "percent", "value": 10, "applied": true, "discount_cents": 999, "free_shipping": false})
    );
    for (code, why) in [
        ("MINIMO", "The subtotal is below this coupon's minimum"),
        ("CEDO", "This coupon is not valid yet"),
        ("TARDE", "This coupon has expired"),
        ("GASTO", "This coupon is used up"),
        ("PARADO", "This coupon is no longer active"),
    ] {
        let refused = try_coupon(&ana, code).await;
        assert_eq!((refused.slug(), refused.body["detail"].as_str()), ("coupon-refused", Some(why)));
    }
    assert_eq!(ana.get("/api/cart").await.body["coupon"]["code"], "DEZ", "a refused coupon leaves the one that is there");
    assert_eq!(try_coupon(&ana, "CAPADO").await.body["discount_cents"], 1_000);
    let free = try_coupon(&ana, "FRETE").await.body;
    assert_eq!((&free["discount_cents"], &free["coupon"]["free_shipping"]), (&json!(0), &json!(true)));
    ana.put(&format!("/api/cart/items/{}", shirt.id), &json!({"quantity": 3})).await;
    assert_eq!(try_coupon(&ana, "MINIMO").await.body["discount_cents"], 500);
    // A line that exceeds the stock stays visible and is not in the totals.
    let cart = ana.put(&format!("/api/cart/items/{}", shirt.id), &json!({"quantity": 2})).await.body;
    assert_eq!((&cart["discount_cents"], &cart["coupon"]["applied"]), (&json!(0), &json!(false)));
    assert_eq!(warnings(&cart), ["coupon_not_applicable"]);
    assert_eq!(ana.delete("/api/cart/coupon").await.body["coupon"], Value::Null);
    try_coupon(&ana, "DEZ").await;
    assert_eq!(ana.delete("/api/cart").await.body["coupon"], Value::Null);
    shop.execute("UPDATE coupons SET uses = 0").await; // the test's own uses, without orders
    shop.close().await;
}

#[actix_web::test]
async fn codes_cannot_be_found_by_trying() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    coupon(&shop, "", "'DEZ', 'percent', 10").await;
    let ana = shop.customer().await;
    ana.add(&shirt, 1).await;
    for _ in 0..10 {
        assert_eq!(try_coupon(&ana, "DEZ").await.status, 200);
    }
    let misses = join_all((0..8).map(|i| {
        let (ana, code) = (&ana, format!("ERRADO{i}"));
        async move { try_coupon(ana, &code).await.status }
    }))
    .await;
    assert_eq!(misses.iter().filter(|status| **status == 404).count(), 5);
    let silenced = try_coupon(&ana, "DEZ").await;
    assert_eq!((silenced.status, silenced.header("retry-after")), (429, Some("60")));
    assert_eq!(try_coupon(&ana, "COM ESPAÇO").await.invalid_fields(), ["code"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_once_per_person_is_refused_to_who_used_it() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    coupon(&shop, ", max_uses_per_customer", "'UMAVEZ', 'fixed', 500, 1").await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    shop.execute(&format!("UPDATE users SET tax_id_sealed = 'x', tax_id_key = 1, tax_id_hash = 'ana' WHERE id = '{}'", ana.id))
        .await;
    shop.execute("INSERT INTO coupon_persons (coupon_id, person, key, uses) SELECT id, 'ana', 1, 1 FROM coupons").await;
    ana.add(&shirt, 1).await;
    bia.add(&shirt, 1).await;
    assert_eq!(try_coupon(&ana, "UMAVEZ").await.body["detail"], "You have already used this coupon");
    assert_eq!(try_coupon(&bia, "UMAVEZ").await.status, 200);
    shop.execute("DELETE FROM coupon_persons").await; // the test's own use, without an order
    shop.close().await;
}

#[actix_web::test]
async fn signing_in_brings_the_guests_cart_along_once_and_to_one_person() {
    let shop = Shop::open().await;
    let (shirt, mug) = (shop.product("Camiseta").create().await, shop.product("Caneca").create().await);
    coupon(&shop, "", "'DEZ', 'percent', 10").await;
    coupon(&shop, "", "'VINTE', 'percent', 20").await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    ana.add(&shirt, 4).await;
    let token = shop.guest_cart(&[(&shirt, 9), (&mug, 2)]).await;
    let guest_coupon = json!({"code": "DEZ"});
    shop.request("POST", "/api/cart/coupon").header("X-Cart-Token", &token).json(&guest_coupon).send().await;
    let merges = join_all((0..6).map(|i| merge_guest_cart(&shop.app, if i % 2 == 0 { ana.id } else { bia.id }, &token))).await;
    assert!(merges.iter().all(Result::is_ok));
    let carts = (ana.get("/api/cart").await.body, bia.get("/api/cart").await.body);
    let (own, summed) =
        (BTreeMap::from([(shirt.variant_id.to_string(), 4)]), (shirt.variant_id.to_string(), mug.variant_id.to_string()));
    if carts.1["items"] == json!([]) {
        assert_eq!(quantities(&carts.0), BTreeMap::from([(summed.0, 10), (summed.1, 2)]), "13 of 10 in stock are 10");
        assert_eq!(carts.0["coupon"]["code"], "DEZ");
    } else {
        assert_eq!(quantities(&carts.0), own);
        assert_eq!(quantities(&carts.1), BTreeMap::from([(summed.0, 9), (summed.1, 2)]));
        assert_eq!(carts.1["coupon"]["code"], "DEZ");
    }
    assert_eq!(cart_of(&shop, &token).await["items"], json!([]), "the guest's cart is gone");
    // The person's own coupon is kept.
    let token = shop.guest_cart(&[(&mug, 1)]).await;
    shop.request("POST", "/api/cart/coupon").header("X-Cart-Token", &token).json(&guest_coupon).send().await;
    let eva = shop.customer().await;
    eva.add(&mug, 1).await;
    try_coupon(&eva, "VINTE").await;
    merge_guest_cart(&shop.app, eva.id, &token).await.unwrap();
    assert_eq!(eva.get("/api/cart").await.body["coupon"]["code"], "VINTE");
    merge_guest_cart(&shop.app, eva.id, "forged").await.unwrap();
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM carts WHERE user_id IS NULL").await, 0);
    shop.close().await;
}

/// One variant's quantities: in the person's cart, in the guest's, in stock.
type Lines = Vec<(Option<i32>, Option<i32>, i32)>;

#[actix_web::test]
async fn merging_loses_no_line_and_makes_no_piece_up_whatever_the_carts() {
    let shop = Shop::open().await;
    let mut runner = TestRunner::deterministic();
    let quantity = || prop::option::of(prop_oneof![1..20_i32, 9_000..=9_999]);
    let stock = prop_oneof![Just(0), 0..30_i32, 5_000..20_000_i32];
    let carts = prop::collection::vec((quantity(), quantity(), stock), 1..8);
    for _ in 0..40 {
        let lines: Lines = carts.new_tree(&mut runner).unwrap().current();
        check_merge(&shop, &lines).await;
    }
    shop.close().await;
}

async fn check_merge(shop: &Shop, lines: &Lines) {
    let (ana, stranger) = (shop.customer().await, shop.customer().await);
    let (own, guest, other, token) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7().to_string());
    let db = shop.app.db().await.unwrap();
    let carts = "INSERT INTO carts (id, user_id, owner) VALUES ($1, $2, uuid_send($2)), ($3, $4, uuid_send($4)), ($5, NULL, $6)";
    db.execute(carts, &[&own, &ana.id, &other, &stranger.id, &guest, &vitrine::seal::token_hash(&token)]).await.unwrap();
    let mut expected = BTreeMap::new();
    for (in_own, in_guest, stock) in lines {
        let product = shop.product("Produto").stock(*stock).create().await;
        for (cart, quantity) in [(own, in_own), (guest, in_guest), (other, &Some(7))] {
            let Some(quantity) = quantity else { continue };
            let item = "INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents) VALUES ($1, $2, $3, 5000, 5000)";
            vitrine::db::execute(&db, item, &[&cart, &product.variant_id, quantity]).await.unwrap();
        }
        let merged = match (in_own, in_guest) {
            (None, None) => continue,
            (Some(own), None) => *own, // untouched, even above the stock
            (own, Some(guest)) => (own.unwrap_or(0) + guest).min(*stock).clamp(1, 9_999),
        };
        expected.insert(product.variant_id.to_string(), i64::from(merged));
    }
    merge_guest_cart(&shop.app, ana.id, &token).await.unwrap();
    assert_eq!(quantities(&ana.get("/api/cart").await.body), expected, "{lines:?}");
    merge_guest_cart(&shop.app, ana.id, &token).await.unwrap();
    assert_eq!(quantities(&ana.get("/api/cart").await.body), expected, "again, and nothing moves");
    let others = quantities(&stranger.get("/api/cart").await.body);
    assert_eq!((others.len(), others.values().all(|q| *q == 7)), (lines.len(), true));
}
