//! Nobody pays more than they were shown: a price that rose is told with the cart before anything is ordered.

use serde_json::json;

use crate::shop::{Product, Shop};

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
