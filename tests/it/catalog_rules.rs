//! Rules of single fields: addresses that are taken, prices before, SKUs that are free again, price ranges, Mini Envios.

use serde_json::{Value, json};

use crate::shop::{Answer, CEP, Customer, Shop};

async fn category(shop: &Shop) -> String {
    shop.product("Outro").create().await;
    shop.sql::<uuid::Uuid>("SELECT id FROM categories").await.to_string()
}

async fn create(admin: &Customer<'_>, category: &str, more: Value) -> Answer {
    let mut product =
        json!({"name": "Caneca", "category_id": category, "weight_grams": 200, "height_cm": 2, "width_cm": 11, "length_cm": 16});
    product.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/api/products", &product).await
}

#[actix_web::test]
async fn a_product_is_never_named_like_an_address_of_the_shops_own() {
    let shop = Shop::open().await;
    let (admin, category) = (shop.admin().await, category(&shop).await);
    for slug in ["search", "featured", "category", "import", "export"] {
        let refused = create(&admin, &category, json!({"slug": slug, "price_cents": 1_000})).await;
        assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["slug"]), "{slug}");
    }
    let made = create(&admin, &category, json!({"name": "Search", "price_cents": 1_000})).await;
    assert_eq!((made.status, &made.body["slug"]), (201, &json!("search-2")), "{}", made.body);
    assert_eq!(shop.get("/api/products/search-2").await.body["id"], made.body["id"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_price_before_is_not_below_the_price() {
    let shop = Shop::open().await;
    let (admin, category) = (shop.admin().await, category(&shop).await);
    let refused = create(&admin, &category, json!({"price_cents": 1_000, "compare_at_cents": 999})).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["compare_at_cents"]));
    let variants = json!([{"sku": "A", "price_cents": 1_000}, {"sku": "B", "price_cents": 1_000, "compare_at_cents": 1}]);
    let refused = create(&admin, &category, json!({"variants": variants})).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["variants[1].compare_at_cents"]));
    assert_eq!(create(&admin, &category, json!({"price_cents": 1_000, "compare_at_cents": 1_000})).await.status, 201);
    shop.close().await;
}

#[actix_web::test]
async fn the_sku_of_a_retired_variant_is_free_for_another_product_and_its_own_takes_it_back_until_then() {
    let shop = Shop::open().await;
    let (admin, category) = (shop.admin().await, category(&shop).await);
    let variants = json!([{"sku": "A", "price_cents": 1_000, "stock": 3}, {"sku": "B", "price_cents": 1_000, "stock": 5}]);
    let first = create(&admin, &category, json!({"variants": variants})).await;
    let path = format!("/api/products/{}", first.body["id"].as_str().unwrap());
    let only_a = json!({"variants": [{"sku": "A", "price_cents": 1_000}]});
    assert_eq!(admin.put(&path, &only_a).await.status, 200);
    let back = json!({"variants": [{"sku": "A", "price_cents": 1_000}, {"sku": "B", "price_cents": 1_000}]});
    let back = admin.put(&path, &back).await;
    assert_eq!(back.body["variants"][1]["id"], first.body["variants"][1]["id"], "{}", back.body);
    assert_eq!(admin.put(&path, &only_a).await.status, 200);

    let taken = create(&admin, &category, json!({"name": "Copo", "sku": "A", "price_cents": 500})).await;
    assert_eq!(taken.slug(), "conflict", "one that is sold keeps it");
    let other = create(&admin, &category, json!({"name": "Copo", "sku": "B", "price_cents": 500})).await;
    assert_eq!((other.status, &other.body["sku"]), (201, &json!("B")), "{}", other.body);
    shop.close().await;
}

#[actix_web::test]
async fn a_range_of_prices_finds_every_variant_that_can_be_bought_for_it() {
    let shop = Shop::open().await;
    let (admin, category) = (shop.admin().await, category(&shop).await);
    shop.execute("UPDATE products SET active = false").await;
    let variants = json!([{"sku": "P", "price_cents": 5_000, "stock": 1}, {"sku": "G", "price_cents": 9_000, "stock": 0},
                          {"sku": "X", "price_cents": 1_000, "stock": 1}]);
    let made = create(&admin, &category, json!({"variants": variants})).await;
    let path = format!("/api/products/{}", made.body["id"].as_str().unwrap());
    let sold = json!({"variants": [{"sku": "P", "price_cents": 5_000}, {"sku": "G", "price_cents": 9_000}]});
    assert_eq!(admin.put(&path, &sold).await.status, 200);
    for (query, found) in [
        ("min_price_cents=8000&max_price_cents=10000", 1),
        ("min_price_cents=9000", 1),
        ("max_price_cents=5000", 1),
        ("min_price_cents=5001&max_price_cents=8999", 0),
        ("max_price_cents=1000", 0), // it is not sold any more
        ("min_price_cents=8000&in_stock=true", 0),
        ("max_price_cents=5000&in_stock=true", 1),
    ] {
        let list = shop.get(&format!("/api/products?{query}")).await.body;
        assert_eq!((&list["total"], list["items"].as_array().unwrap().len()), (&json!(found), found), "{query}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn mini_envios_are_offered_for_what_they_insure_unless_the_shop_bears_the_loss() {
    let shop = Shop::open_with(&[("SHIPPING_PROVIDER", "correios")]).await;
    let (admin, category) = (shop.admin().await, category(&shop).await);
    let cheap = create(&admin, &category, json!({"price_cents": 10_000, "stock": 9})).await.body["id"].clone();
    let dear = create(&admin, &category, json!({"price_cents": 10_001, "stock": 9})).await.body["id"].clone();
    let carriers = async |product: &Value| {
        let ask = json!({"cep_destino": CEP, "items": [{"product_id": product, "quantity": 1}]});
        let answer = shop.post("/api/shipping/calculate", &ask).await;
        let mut names: Vec<String> =
            answer.body["options"].as_array().unwrap().iter().map(|o| o["carrier"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(carriers(&cheap).await, ["Mini Envios", "PAC", "SEDEX"]);
    assert_eq!(carriers(&dear).await, ["PAC", "SEDEX"]);
    let risk = json!({"handling_days": 0, "mini_envios_above_insurance": true});
    assert_eq!(admin.put("/api/admin/settings/shipping", &risk).await.status, 200);
    assert_eq!(carriers(&dear).await, ["Mini Envios", "PAC", "SEDEX"]);
    shop.close().await;
}
