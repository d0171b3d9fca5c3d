//! Nobody pays more than they were shown: a price that rose is told with the cart before anything is ordered.

use serde_json::json;
use vitrine::cart::merge_guest_cart;

use crate::shop::{CEP, CPF, Product, Shop};

async fn costs(shop: &Shop, product: &Product, cents: i64) {
    shop.execute(&format!("UPDATE variants SET price_cents = {cents} WHERE id = '{}'", product.variant_id)).await;
}

#[actix_web::test]
async fn a_price_that_rose_is_told_with_the_cart_and_then_counts_as_shown() {
    let shop = Shop::open().await;
    let (mug, shirt) =
        (shop.product("Caneca").price(10_000).create().await, shop.product("Camiseta").price(5_000).create().await);
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&mug, 2), (&shirt, 1)]).await;
    costs(&shop, &mug, 15_000).await;
    let before = shop.row_counts().await;
    let answer = ana.post("/api/orders", &order).await;
    assert_eq!((answer.status, answer.slug()), (409, "price-changed"), "{}", answer.body);
    assert_eq!(answer.body["detail"], "Caneca now costs R$ 150,00 instead of R$ 100,00");
    assert_eq!(answer.body["cart"]["subtotal_cents"], 35_000);
    assert_eq!(answer.body["cart"]["warnings"][0]["code"], "price_changed");
    assert_eq!((shop.row_counts().await, shop.stock(&mug).await), (before, 10), "nothing moved");
    costs(&shop, &mug, 15_001).await;
    assert_eq!(ana.post("/api/orders", &order).await.slug(), "price-changed", "and it rose again");
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["subtotal_cents"]), (201, &json!(35_002)), "{}", placed.body);
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn who_saw_the_cart_since_then_and_who_pays_less_is_not_stopped() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(10_000).create().await;
    let ana = shop.customer().await;
    let order = ana.order_for(&[(&mug, 1)]).await;
    costs(&shop, &mug, 12_000).await;
    assert_eq!(ana.get("/api/cart").await.body["items"][0]["unit_price_cents"], 12_000);
    assert_eq!(ana.get("/api/cart").await.body["warnings"][0]["code"], "price_changed", "it is said as long as it is so");
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["subtotal_cents"]), (201, &json!(12_000)), "{}", placed.body);
    let order = ana.order_for(&[(&mug, 1)]).await;
    costs(&shop, &mug, 9_000).await;
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["subtotal_cents"]), (201, &json!(9_000)), "{}", placed.body);
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn an_order_that_costs_more_than_the_buyer_expects_is_not_placed() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(10_000).create().await;
    let ana = shop.customer().await;
    let mut order = ana.order_for(&[(&mug, 1)]).await;
    let before = shop.row_counts().await;
    order["expected_total_cents"] = json!(10_000); // the freight was forgotten
    let answer = ana.post("/api/orders", &order).await;
    assert_eq!((answer.status, answer.slug()), (409, "price-changed"), "{}", answer.body);
    assert_eq!(answer.body["cart"]["subtotal_cents"], 10_000);
    order["expected_total_cents"] = json!(-1);
    assert_eq!(ana.post("/api/orders", &order).await.invalid_fields(), ["expected_total_cents"]);
    assert_eq!(shop.row_counts().await, before);
    order["expected_total_cents"] = json!(1_000_000);
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!(placed.status, 201, "less is welcome: {}", placed.body);
    let total = placed.body["total_cents"].clone();
    let mut order = ana.order_for(&[(&mug, 1)]).await;
    order["expected_total_cents"] = total;
    assert_eq!(ana.post("/api/orders", &order).await.status, 201, "to the centavo");
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_line_that_is_not_sold_any_more_is_named_though_the_freight_was_asked_without_it() {
    let shop = Shop::open().await;
    let (mug, shirt) = (shop.product("Caneca").create().await, shop.product("Camiseta").create().await);
    let ana = shop.customer().await;
    ana.order_for(&[(&mug, 1)]).await;
    let both = ana.order_for(&[(&shirt, 1)]).await;
    assert_eq!(shop.admin().await.delete(&format!("/api/products/{}", mug.id)).await.status, 204);
    let sku: String = shop.sql(&format!("SELECT sku FROM variants WHERE id = '{}'", mug.variant_id)).await;
    let answer = ana.post("/api/orders", &both).await;
    assert_eq!((answer.status, answer.slug()), (409, "out-of-stock"), "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains(&sku), "{}", answer.body);
    shop.close().await;
}

#[actix_web::test]
async fn a_coupon_that_is_gone_or_gives_less_is_told_with_the_cart_once() {
    let shop = Shop::open().await;
    for (n, (what, now)) in [
        ("DELETE FROM coupons WHERE code = ", 10_000),
        ("UPDATE coupons SET value = 10 WHERE code = ", 9_000),
        ("UPDATE coupons SET ends_at = now() WHERE code = ", 10_000),
        ("UPDATE coupons SET active = false WHERE code = ", 10_000),
        ("UPDATE coupons SET max_discount_cents = 100 WHERE code = ", 9_900),
    ]
    .into_iter()
    .enumerate()
    {
        let mug = shop.product("Caneca").price(10_000).create().await;
        let ana = shop.customer().await;
        let order = ana.order_for(&[(&mug, 1)]).await;
        let code = format!("METADE{n}");
        let coupon = json!({"code": code, "kind": "percent", "value": 50});
        assert_eq!(shop.admin().await.post("/api/admin/coupons", &coupon).await.status, 201);
        let cart = ana.post("/api/cart/coupon", &json!({"code": code})).await;
        assert_eq!((cart.status, &cart.body["total_cents"]), (200, &json!(5_000)), "{}", cart.body);
        shop.execute(&format!("{what} '{code}'")).await;
        let before = shop.row_counts().await;
        let answer = ana.post("/api/orders", &order).await;
        assert_eq!((answer.status, answer.slug()), (409, "price-changed"), "{what}: {}", answer.body);
        assert_eq!(answer.body["cart"]["total_cents"], now, "{what}");
        assert_eq!((shop.row_counts().await, shop.stock(&mug).await), (before, 10), "nothing moved");
        let placed = ana.post("/api/orders", &order).await;
        assert_eq!(placed.status, 201, "{what}: {}", placed.body);
        let goods = |field: &str| placed.body[field].as_i64().unwrap();
        assert_eq!(goods("subtotal_cents") - goods("discount_cents"), now, "{what}");
    }
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_discount_that_shrinks_with_its_price_or_was_chosen_anew_is_no_obstacle() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(10_000).create().await;
    for (code, value) in [("METADE", 50), ("DEZ", 10)] {
        let coupon = json!({"code": code, "kind": "percent", "value": value});
        assert_eq!(shop.admin().await.post("/api/admin/coupons", &coupon).await.status, 201);
    }
    let ana = shop.customer().await;
    let half_off = async || {
        let order = ana.order_for(&[(&mug, 1)]).await;
        assert_eq!(ana.post("/api/cart/coupon", &json!({"code": "METADE"})).await.status, 200);
        order
    };
    let order = half_off().await;
    costs(&shop, &mug, 8_000).await;
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["discount_cents"]), (201, &json!(4_000)), "{}", placed.body);
    let mut order = half_off().await;
    order["coupon"] = json!("DEZ");
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["discount_cents"]), (201, &json!(800)), "{}", placed.body);
    let order = ana.order_for(&[(&mug, 1)]).await;
    let placed = ana.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["discount_cents"]), (201, &json!(0)), "the old cart's discount is forgotten");
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn of_two_prices_that_were_shown_the_lower_one_counts_after_signing_in() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(10_000).create().await;
    for (of_guest, of_own) in [(10_000, 12_000), (12_000, 10_000)] {
        let ana = shop.customer().await;
        costs(&shop, &mug, of_own).await;
        ana.add(&mug, 1).await;
        costs(&shop, &mug, of_guest).await;
        let token = shop.guest_cart(&[(&mug, 1)]).await;
        merge_guest_cart(&shop.app, ana.id, &token).await.unwrap();
        let shown: i64 = shop
            .sql(&format!("SELECT shown_price_cents FROM cart_items JOIN carts ON id = cart_id WHERE user_id = '{}'", ana.id))
            .await;
        assert_eq!(shown, 10_000, "the guest saw {of_guest}, the person {of_own}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_discount_that_the_guest_was_shown_is_remembered_after_signing_in() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").price(10_000).create().await;
    let coupon = json!({"code": "METADE", "kind": "percent", "value": 50});
    assert_eq!(shop.admin().await.post("/api/admin/coupons", &coupon).await.status, 201);
    let token = shop.guest_cart(&[(&mug, 1)]).await;
    let set = shop.request("POST", "/api/cart/coupon").header("X-Cart-Token", &token);
    assert_eq!(set.json(&json!({"code": "METADE"})).send().await.body["total_cents"], 5_000);
    let ana = shop.customer().await;
    merge_guest_cart(&shop.app, ana.id, &token).await.unwrap();
    shop.execute("DELETE FROM coupons").await;
    let quote = shop.quote(&[(&mug, 1)], CEP).await;
    let order = json!({"address_id": ana.address().await, "cpf": CPF, "quote_token": quote});
    let answer = ana.post("/api/orders", &order).await;
    assert_eq!((answer.status, answer.slug()), (409, "price-changed"), "{}", answer.body);
    assert_eq!(ana.post("/api/orders", &order).await.status, 201);
    shop.drain().await;
    shop.close().await;
}
