//! A stock is moved by its own route, by a sale, or by who says which version of the product they know.

use serde_json::{Value, json};

use crate::shop::{Answer, Customer, Product, Shop};

async fn read(admin: &Customer<'_>, product: &Product) -> (Value, String) {
    let answer = admin.get(&format!("/api/products/{}?include_inactive=true", product.id)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let tag = answer.header("etag").expect("every answer with one product has its tag").to_owned();
    (answer.body, tag)
}

async fn send(admin: &Customer<'_>, method: &str, product: &Product, if_match: Option<&str>, body: &Value) -> Answer {
    let request = admin.request(method, &format!("/api/products/{}", product.id));
    match if_match {
        Some(tag) => request.header("If-Match", tag).json(body).send().await,
        None => request.json(body).send().await,
    }
}

/// A product with two sizes, five of each.
async fn in_two_sizes(shop: &Shop, admin: &Customer<'_>) -> (Product, Product) {
    let shirt = shop.product("Camiseta").stock(5).create().await;
    let sizes = json!({"variants": [
        {"id": shirt.variant_id, "sku": "CAM-P", "name": "P", "price_cents": 5000},
        {"sku": "CAM-G", "name": "G", "price_cents": 5000, "stock": 5}]});
    let answer = send(admin, "PUT", &shirt, None, &sizes).await;
    assert_eq!((answer.status, &answer.body["variants"][1]["stock"]), (200, &json!(5)), "a new variant begins with its stock");
    let large = Product { variant_id: answer.body["variants"][1]["id"].as_str().unwrap().parse().unwrap(), ..shirt.clone() };
    (shirt, large)
}

#[actix_web::test]
async fn what_was_sold_between_get_and_put_does_not_come_back() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for method in ["PUT", "PATCH"] {
        let mug = shop.product("Caneca").stock(10).create().await;
        let (mut copy, _) = read(&admin, &mug).await;
        assert_eq!(shop.buy_as_guest(&[(&mug, 3)]).await.status, 201);
        copy["description"] = "Uma caneca".into();
        let answer = send(&admin, method, &mug, None, &copy).await;
        assert_eq!((answer.status, &answer.body["description"]), (200, &json!("Uma caneca")), "{}", answer.body);
        assert_eq!((&answer.body["stock"], shop.stock(&mug).await), (&json!(7), 7), "{method}: three are sold");
        let only = send(&admin, method, &mug, None, &json!({"stock": 99})).await;
        assert_eq!((only.status, shop.stock(&mug).await), (200, 7), "{method}: nobody said which stock they know");
    }
    shop.close().await;
}

#[actix_web::test]
async fn each_of_two_sizes_keeps_what_was_sold_of_it() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let (small, large) = in_two_sizes(&shop, &admin).await;
    let (mut copy, tag) = read(&admin, &small).await;
    assert_eq!(shop.buy_as_guest(&[(&small, 2), (&large, 5)]).await.status, 201);
    let before = shop.row_counts().await;
    let stale = send(&admin, "PUT", &small, Some(&tag), &copy).await;
    assert_eq!((stale.status, stale.slug()), (412, "precondition-failed"), "{}", stale.body);
    assert_eq!((shop.row_counts().await, shop.stock(&small).await, shop.stock(&large).await), (before, 3, 0));
    copy["name"] = "Camiseta Lisa".into();
    let answer = send(&admin, "PUT", &small, None, &copy).await;
    assert_eq!((answer.status, &answer.body["name"]), (200, &json!("Camiseta Lisa")), "{}", answer.body);
    assert_eq!((shop.stock(&small).await, shop.stock(&large).await), (3, 0));
    shop.close().await;
}

#[actix_web::test]
async fn who_names_the_present_version_sets_its_stock() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let (small, large) = in_two_sizes(&shop, &admin).await;
    let (mut copy, tag) = read(&admin, &small).await;
    copy["variants"][0]["stock"] = 8.into();
    copy["variants"][1]["stock"] = 0.into();
    let answer = send(&admin, "PUT", &small, Some(&tag), &copy).await;
    assert_eq!((answer.status, shop.stock(&small).await, shop.stock(&large).await), (200, 8, 0), "{}", answer.body);
    let moved: Vec<i32> =
        shop.sql("SELECT array_agg(delta::int ORDER BY delta) FROM stock_movements WHERE reason = 'adjustment'").await;
    assert_eq!(moved, [-5, 3]);
    let again = answer.header("etag").unwrap();
    assert_eq!(read(&admin, &small).await.1, again, "the answer has the tag of what it shows");
    assert_eq!(send(&admin, "PATCH", &small, Some(again), &json!({"stock": 20})).await.status, 200);
    assert_eq!(send(&admin, "PATCH", &small, Some("*"), &json!({"stock": 21})).await.status, 200);
    assert_eq!(shop.stock(&small).await, 20, "any version is not one whose stock is known");
    for tag in [again, &format!("W/{again}"), "\"x\"", ""] {
        let stale = send(&admin, "PATCH", &small, Some(tag), &json!({"stock": 1, "name": "Outra"})).await;
        assert_eq!((stale.status, shop.stock(&small).await), (412, 20), "{tag}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_public_address_gives_the_same_tag_and_the_stocks_route_the_next() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.product("Caneca").stock(10).create().await;
    let public = shop.request("GET", &format!("/api/products/{}", mug.slug)).header("Accept-Encoding", "gzip").send().await;
    let tag = public.header("etag").unwrap().to_owned();
    assert_eq!(send(&admin, "PATCH", &mug, Some(&tag), &json!({"stock": 4})).await.status, 200, "{tag}");
    let moved =
        admin.patch(&format!("/api/products/{}/stock", mug.id), &json!({"delta": -1, "variant_id": mug.variant_id})).await;
    assert_eq!((moved.status, &moved.body["stock"]), (200, &json!(3)), "{}", moved.body);
    let named = send(&admin, "PATCH", &mug, moved.header("etag"), &json!({"stock": 2})).await;
    assert_eq!((named.status, shop.stock(&mug).await), (200, 2), "{}", named.body);
    shop.close().await;
}

#[actix_web::test]
async fn any_version_is_not_one_whose_stock_is_known() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.product("Caneca").stock(10).create().await;
    let (stale, tag) = read(&admin, &mug).await;
    let sold = admin.patch(&format!("/api/products/{}/stock", mug.id), &json!({"delta": -3})).await;
    assert_eq!(sold.status, 200, "{}", sold.body);
    for method in ["PUT", "PATCH"] {
        for any in ["*".to_owned(), format!("{tag}, *")] {
            let answer = send(&admin, method, &mug, Some(&any), &stale).await;
            assert_eq!((answer.status, shop.stock(&mug).await), (200, 7), "{method} {any}: {}", answer.body);
        }
    }
    shop.close().await;
}
