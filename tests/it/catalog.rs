use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine::seed;

use crate::shop::{Answer, Customer, Shop};

/// What an administrator sends for a simple product.
pub fn product(name: &str, category: &str) -> Value {
    json!({"name": name, "category_id": category, "weight_grams": 300, "height_cm": 5, "width_cm": 15, "length_cm": 20,
           "price_cents": 4_990, "stock": 10})
}

pub async fn category(admin: &Customer<'_>, name: &str, parent: Option<&str>) -> String {
    let answer = admin.post("/api/categories", &json!({"name": name, "parent_id": parent})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn create(admin: &Customer<'_>, product: &Value) -> Value {
    let answer = admin.post("/api/products", product).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

fn searching(q: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", q).append_pair("limit", "100").finish();
    format!("/api/products/search?{query}")
}

fn names(list: &Answer) -> Vec<&str> {
    assert_eq!(list.status, 200, "{}", list.body);
    list.body["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_created_product_is_shown_by_id_and_slug_as_the_contract_says() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    let mut new = product("Caneca Azul", &home);
    new["attributes"] = json!({"Material": "Cerâmica"});
    new["images"] = json!([{"url": "/media/demo/caneca.svg", "alt": "Uma caneca"}]);
    let created = create(&admin, &new).await;
    let id = created["id"].as_str().unwrap();
    for path in [format!("/api/products/{id}"), "/api/products/caneca-azul".into(), format!("/api/v1/products/{id}")] {
        assert_eq!(shop.get(&path).await.body, created, "{path}");
    }
    let expected = json!({
        "name": "Caneca Azul", "slug": "caneca-azul", "price_cents": 4990, "currency": "BRL", "stock": 10, "in_stock": true,
        "featured": false, "active": true, "category_id": home, "weight_grams": 300, "height_cm": 5, "width_cm": 15, "length_cm": 20,
        "attributes": {"Material": "Cerâmica"}, "images": [{"url": "/media/demo/caneca.svg", "alt": "Uma caneca"}], "description": ""});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&created[field], value, "{field}");
    }
    assert_eq!(created["variants"].as_array().unwrap().len(), 1);
    assert_eq!(created["variants"][0]["sku"], created["sku"]);
    assert!(created["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(create(&admin, &new).await["slug"], "caneca-azul-2");
    shop.close().await;
}

#[actix_web::test]
async fn only_administrators_write_and_a_refusal_moves_nothing() {
    let shop = Shop::open().await;
    let (admin, ana) = (shop.admin().await, shop.customer().await);
    let home = category(&admin, "Casa", None).await;
    let id = create(&admin, &product("Caneca", &home)).await["id"].as_str().unwrap().to_owned();
    let before = shop.row_counts().await;
    let writes = [
        ("POST", "/api/products".to_owned()),
        ("PUT", format!("/api/products/{id}")),
        ("DELETE", format!("/api/products/{id}")),
        ("PATCH", format!("/api/products/{id}/stock")),
        ("POST", "/api/categories".into()),
        ("PUT", format!("/api/categories/{home}")),
        ("DELETE", format!("/api/categories/{home}")),
        ("POST", "/api/admin/products/import".into()),
        ("GET", "/api/admin/products/export".into()),
        ("GET", "/api/products?include_inactive=true".into()),
        ("GET", format!("/api/products/{id}?include_inactive=true")),
    ];
    for (method, path) in &writes {
        assert_eq!(shop.request(method, path).json(&json!({"stock": 1})).send().await.status, 401, "{method} {path}");
        assert_eq!(ana.request(method, path).json(&json!({"stock": 1})).send().await.status, 403, "{method} {path}");
    }
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn an_invalid_product_names_its_fields_and_is_not_stored() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    let before = shop.row_counts().await;
    for (field, value) in [
        ("name", json!("")),
        ("price_cents", json!(-1)),
        ("price_cents", json!(49.9)),
        ("stock", json!(-1)),
        ("weight_grams", json!(0)),
        ("height_cm", json!(0)),
        ("ncm", json!("123")),
        ("slug", json!("Com Espaço")),
        ("slug", json!("019a1b2c-0000-7000-8000-000000000000")),
        ("category_id", json!("019a1b2c-0000-7000-8000-000000000000")),
        ("images[0].url", json!([{"url": "javascript:alert(1)"}])),
        ("variants[1].sku", json!([{"sku": "A", "price_cents": 1}, {"sku": "A", "price_cents": 1}])),
    ] {
        let mut new = product("Caneca", &home);
        new[field.split('[').next().unwrap()] = value;
        let answer = admin.post("/api/products", &new).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{}", answer.body);
    }
    let mut unknown = product("Caneca", &home);
    unknown["colour"] = json!("blue");
    assert_eq!(admin.post("/api/products", &unknown).await.status, 422);
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_change_keeps_what_it_does_not_name_and_what_was_read_can_be_sent_back() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    let mut new = product("Caneca", &home);
    new["variants"] = json!([
        {"sku": "CAN-AZ", "name": "Azul", "options": {"Cor": "Azul"}, "price_cents": 4990, "stock": 3},
        {"sku": "CAN-VM", "name": "Vermelha", "options": {"Cor": "Vermelha"}, "price_cents": 5990, "stock": 4}]);
    let created = create(&admin, &new).await;
    let path = format!("/api/products/{}", created["id"].as_str().unwrap());
    let mut same = admin.put(&path, &created).await.body;
    same["updated_at"] = created["updated_at"].clone();
    assert_eq!(same, created);
    let cheaper = admin.put(&path, &json!({"price_cents": 3990})).await;
    assert_eq!((cheaper.status, &cheaper.body["price_cents"], &cheaper.body["stock"]), (200, &json!(3990), &json!(3)));
    assert_eq!(cheaper.body["variants"].as_array().unwrap().len(), 2);
    // The red one is removed, a green one is added as the first; the blue one keeps its stock.
    let green = json!({"sku": "CAN-VD", "name": "Verde", "price_cents": 6990, "stock": 7});
    let changed = admin.put(&path, &json!({"variants": [green, {"sku": "CAN-AZ", "name": "Azul", "price_cents": 4990}]})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let variants: Vec<(&str, i64)> = changed.body["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["sku"].as_str().unwrap(), v["stock"].as_i64().unwrap()))
        .collect();
    assert_eq!(variants, [("CAN-VD", 7), ("CAN-AZ", 3)]);
    assert_eq!(changed.body["sku"], "CAN-VD");
    assert_eq!(shop.sql::<i64>("SELECT price_cents FROM products").await, 6990);
    // It may be added again, with the stock that it had.
    let back = admin.put(&path, &json!({"variants": [{"sku": "CAN-VM", "name": "Vermelha", "price_cents": 5990}]})).await;
    assert_eq!((&back.body["stock"], back.body["variants"].as_array().unwrap().len()), (&json!(4), 1));
    let audited: Vec<String> = ["product.create", "product.update"].map(str::to_owned).into();
    assert_eq!(
        shop.sql::<Vec<String>>("SELECT array_agg(DISTINCT action ORDER BY action) FROM audit_log WHERE action LIKE 'product%'")
            .await,
        audited
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_sku_or_slug_of_another_product_is_refused_until_that_is_deleted() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    let mut mug = product("Caneca", &home);
    (mug["sku"], mug["slug"]) = (json!("CAN-1"), json!("caneca"));
    let id = create(&admin, &mug).await["id"].as_str().unwrap().to_owned();
    let mut other = product("Copo", &home);
    other["sku"] = json!("CAN-1");
    assert_eq!(admin.post("/api/products", &other).await.slug(), "conflict");
    other = product("Copo", &home);
    other["slug"] = json!("caneca");
    assert_eq!(admin.post("/api/products", &other).await.slug(), "conflict");
    assert_eq!(admin.delete(&format!("/api/products/{id}")).await.status, 204);
    assert_eq!(admin.delete(&format!("/api/products/{id}")).await.status, 404);
    assert_eq!(shop.get(&format!("/api/products/{id}")).await.slug(), "not-found");
    create(&admin, &mug).await;
    shop.close().await;
}

#[actix_web::test]
async fn the_public_never_sees_what_is_inactive() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    let mut new = product("Caneca Secreta", &home);
    (new["active"], new["featured"]) = (json!(false), json!(true));
    let id = create(&admin, &new).await["id"].as_str().unwrap().to_owned();
    for path in [
        "/api/products",
        "/api/products?q=caneca",
        "/api/products/search?q=secreta",
        "/api/products/featured",
        "/api/products/category/casa",
    ] {
        assert_eq!(shop.get(path).await.body["total"], 0, "{path}");
    }
    for path in [format!("/api/products/{id}"), "/api/products/caneca-secreta".into()] {
        assert_eq!(shop.get(&path).await.status, 404);
        let seen = admin.get(&format!("{path}?include_inactive=true")).await;
        assert_eq!((seen.status, seen.header("cache-control")), (200, Some("private, no-store")));
        assert_eq!(
            shop.get(&format!("{path}?include_inactive=true")).await.status,
            401,
            "what an admin saw is not kept for others"
        );
    }
    assert_eq!(admin.get("/api/products?include_inactive=true").await.body["total"], 1);
    shop.close().await;
}

#[actix_web::test]
async fn categories_are_a_tree_and_a_branch_lists_its_descendants() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let food = category(&admin, "Alimentos", None).await;
    let coffee = category(&admin, "Cafés", Some(&food)).await;
    let beans = category(&admin, "Em grãos", Some(&coffee)).await;
    let home = category(&admin, "Casa", None).await;
    create(&admin, &product("Bourbon", &beans)).await;
    create(&admin, &product("Drip", &coffee)).await;
    create(&admin, &product("Caneca", &home)).await;
    let tree = shop.get("/api/categories").await;
    assert_eq!(names(&tree), ["Alimentos", "Casa"]);
    assert_eq!(tree.body["items"][0]["children"][0]["children"][0]["id"], json!(beans));
    let branch = shop.get("/api/categories/em-graos").await;
    let path: Vec<&str> = branch.body["path"].as_array().unwrap().iter().map(|c| c["slug"].as_str().unwrap()).collect();
    assert_eq!(path, ["alimentos", "cafes", "em-graos"]);
    for (path, expected) in [
        ("/api/products/category/alimentos?sort=name".to_owned(), vec!["Bourbon", "Drip"]),
        (format!("/api/products?category={coffee}&sort=name"), vec!["Bourbon", "Drip"]),
        (format!("/api/products/category/{beans}"), vec!["Bourbon"]),
        ("/api/products?category=casa".into(), vec!["Caneca"]),
        ("/api/products?category=nowhere".into(), vec![]),
    ] {
        assert_eq!(names(&shop.get(&path).await), expected, "{path}");
    }
    assert_eq!(shop.get("/api/products/category/nowhere").await.slug(), "not-found");
    assert_eq!(shop.get("/api/categories/nowhere").await.slug(), "not-found");
    shop.close().await;
}

#[actix_web::test]
async fn a_category_goes_only_when_nothing_is_left_in_it_and_never_below_itself() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let food = category(&admin, "Alimentos", None).await;
    let coffee = category(&admin, "Cafés", Some(&food)).await;
    let id = create(&admin, &product("Bourbon", &coffee)).await["id"].as_str().unwrap().to_owned();
    assert_eq!(admin.delete(&format!("/api/categories/{food}")).await.slug(), "conflict");
    assert_eq!(admin.delete(&format!("/api/categories/{coffee}")).await.slug(), "conflict");
    let cycle = admin.put(&format!("/api/categories/{food}"), &json!({"parent_id": coffee})).await;
    assert_eq!((cycle.status, cycle.invalid_fields()), (422, vec!["parent_id"]), "{}", cycle.body);
    let own = admin.put(&format!("/api/categories/{food}"), &json!({"parent_id": food})).await;
    assert_eq!((own.status, own.invalid_fields()), (422, vec!["parent_id"]), "{}", own.body);
    let renamed = admin.put(&format!("/api/categories/{coffee}"), &json!({"name": "Cafés especiais"})).await;
    assert_eq!((&renamed.body["slug"], &renamed.body["parent_id"]), (&json!("cafes"), &json!(food)));
    assert_eq!(admin.delete(&format!("/api/products/{id}")).await.status, 204);
    assert_eq!(admin.delete("/api/categories/cafes").await.status, 204);
    assert_eq!(admin.delete("/api/categories/alimentos").await.status, 204);
    assert_eq!(shop.get("/api/categories").await.body["total"], 0);
    shop.close().await;
}

#[actix_web::test]
async fn the_search_minds_neither_accents_nor_plurals_nor_case_nor_small_typing_errors() {
    let shop = Shop::open().await;
    seed::demo(&shop.app.config).await.unwrap();
    for q in [
        "cafe",
        "café",
        "cafés",
        "CAFÉ",
        "caffe",
        "cafe graos",
        "café em grãos",
        "cafe especial sul",
        "CAF-SDM-250-GR",
        "caf\u{65}\u{301}",
    ] {
        let found = shop.get(&searching(q)).await;
        let slugs: Vec<&str> = found.body["items"].as_array().unwrap().iter().map(|p| p["slug"].as_str().unwrap()).collect();
        assert!(slugs.contains(&"cafe-especial-sul-de-minas"), "{q}: {slugs:?}");
        assert!(
            q.starts_with("CAF-") || slugs[0].starts_with("cafe-"),
            "coffee comes before what only belongs to it: {q}: {slugs:?}"
        );
    }
    for (q, slug) in
        [("camizeta", "camiseta-algodao-organico"), ("moleton", "moletom-canguru"), ("frigid", "frigideira-antiaderente")]
    {
        let found = shop.get(&format!("/api/products/search?q={q}")).await;
        let slugs: Vec<&str> = found.body["items"].as_array().unwrap().iter().map(|p| p["slug"].as_str().unwrap()).collect();
        assert!(slugs.contains(&slug), "{q}: {slugs:?}");
    }
    assert_eq!(shop.get("/api/products/search?q=xyzzyqwk").await.body["total"], 0);
    for query in ["", "?q=", "?q=+", &format!("?q={}", "a".repeat(201))] {
        let refused = shop.get(&format!("/api/products/search{query}")).await;
        assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["q"]), "{query}");
    }
    for odd in ["'; DROP TABLE products; --", "\"", "& | !", "a:*", "\\", "%", "-", "<->", "de"] {
        assert_eq!(shop.get(&searching(odd)).await.status, 200, "{odd}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn filters_narrow_the_list_and_an_invalid_one_is_named() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    for (name, price, stock, featured) in [("Um", 1000, 0, false), ("Dois", 2000, 5, true), ("Três", 3000, 5, false)] {
        let mut new = product(name, &home);
        (new["price_cents"], new["stock"], new["featured"]) = (json!(price), json!(stock), json!(featured));
        create(&admin, &new).await;
    }
    for (query, expected) in [
        ("sort=price", vec!["Um", "Dois", "Três"]),
        ("sort=-price", vec!["Três", "Dois", "Um"]),
        ("sort=newest", vec!["Três", "Dois", "Um"]),
        ("sort=name", vec!["Dois", "Três", "Um"]),
        ("sort=price&min_price_cents=2000", vec!["Dois", "Três"]),
        ("max_price_cents=1000", vec!["Um"]),
        ("in_stock=true&sort=price", vec!["Dois", "Três"]),
        ("in_stock=false", vec!["Um"]),
        ("featured=true", vec!["Dois"]),
        ("q=tres&in_stock=true", vec!["Três"]),
        ("sort=price&limit=1&offset=1&unknown=x", vec!["Dois"]),
    ] {
        assert_eq!(names(&shop.get(&format!("/api/products?{query}")).await), expected, "{query}");
    }
    let page = shop.get("/api/products?sort=price&limit=2").await.body;
    assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(3), &json!(2), &json!(0)));
    let last = shop.get(&format!("/api/products?sort=price&limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!((names(&last), &last.body["next_cursor"]), (vec!["Três"], &Value::Null));
    for (query, field) in [
        ("sort=best", "sort"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("in_stock=maybe", "in_stock"),
        ("cursor=zz", "cursor"),
    ] {
        let refused = shop.get(&format!("/api/products?{query}")).await;
        assert_eq!((refused.status, refused.invalid_fields()), (422, vec![field]), "{query}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_walk_by_cursor_sees_every_product_once_and_in_order_though_keys_are_equal() {
    use proptest::strategy::{Strategy, ValueTree};
    let shop = Shop::open().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let shapes = proptest::collection::vec((1_i64..4, 0..3_usize, 0..3_i32), 37..38).new_tree(&mut runner).unwrap().current();
    for (price, name, _) in &shapes {
        shop.product(["Café", "cafe", "Açaí do café"][*name]).price(*price).create().await;
    }
    for (n, (.., day)) in shapes.iter().enumerate() {
        shop.execute(&format!(
            "UPDATE products SET created_at = date '2026-01-01' + {day} WHERE id = (SELECT id FROM products ORDER BY id OFFSET {n} LIMIT 1)"
        ))
        .await;
    }
    for order in
        ["sort=newest", "sort=price", "sort=-price", "sort=name", "q=cafe", "q=cafee&sort=relevance", "q=cafee&sort=price"]
    {
        let all = ids(&shop.get(&format!("/api/products?{order}&limit=100")).await);
        assert_eq!(all.len(), shapes.len(), "{order}");
        for limit in [1, 4, 36, 37] {
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = shop.get(&format!("/api/products?{order}&limit={limit}{cursor}")).await;
                walked.extend(ids(&page));
                assert_eq!(page.body["total"], shapes.len(), "{order}");
                let Some(next) = page.body["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(walked, all, "{order} by {limit}");
        }
    }
    shop.close().await;
}

fn ids(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, 200, "{}", list.body);
    list.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn fifty_hands_on_one_shelf_leave_an_exact_stock_and_ledger() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.product("Caneca").stock(50).create().await;
    let path = format!("/api/products/{}/stock", mug.id);
    let take = json!({"delta": -3});
    let answers = join_all((0..50).map(|_| admin.patch(&path, &take))).await;
    let won = answers.iter().filter(|a| a.status == 200).count();
    let refused = answers.iter().filter(|a| a.status == 409 && a.slug() == "out-of-stock").count();
    assert_eq!((won, refused), (16, 34));
    assert_eq!(shop.stock(&mug).await, 2);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM stock_movements WHERE reason = 'adjustment' AND delta = -3").await, 16);
    shop.close().await;
}

#[actix_web::test]
async fn a_stock_is_set_or_moved_and_to_set_what_is_there_leaves_no_trace() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mug = shop.product("Caneca").stock(5).create().await;
    let path = format!("/api/products/{}/stock", mug.slug);
    assert_eq!(admin.patch(&path, &json!({"stock": 12})).await.body["stock"], 12);
    assert_eq!(admin.patch(&path, &json!({"delta": -2, "variant_id": mug.variant_id})).await.body["stock"], 10);
    let before = shop.row_counts().await;
    assert_eq!(admin.patch(&path, &json!({"stock": 10})).await.status, 200);
    assert_eq!(admin.patch(&path, &json!({"delta": 0})).await.status, 200);
    assert_eq!(admin.patch(&path, &json!({"delta": -11})).await.slug(), "out-of-stock");
    for invalid in [json!({}), json!({"stock": 1, "delta": 1}), json!({"stock": -1}), json!({"delta": 2_000_000_000})] {
        assert_eq!(admin.patch(&path, &invalid).await.status, 422, "{invalid}");
    }
    assert_eq!(admin.patch(&path, &json!({"stock": 1, "variant_id": uuid::Uuid::now_v7()})).await.status, 404);
    assert_eq!(shop.row_counts().await, before);
    let actor: String = shop.sql("SELECT actor FROM stock_movements WHERE delta = -2").await;
    assert_eq!(actor, format!("admin:{}", admin.id));
    shop.close().await;
}

const HEADER: &str = "product_slug,category_path,product_name,description,attributes,featured,active,ncm,cfop,origin,weight_grams,\
    height_cm,width_cm,length_cm,images,sku,variant_name,options,price,compare_at,stock";

async fn import(admin: &Customer<'_>, table: &str) -> Answer {
    admin.request("POST", "/api/admin/products/import").body("text/csv", table.to_owned()).send().await
}

/// What an import did, without its id, its times and how it ended.
fn counts(imported: &Answer) -> Value {
    let mut counts = imported.body.clone();
    let own = ["id", "state", "total", "error", "started_at", "updated_at", "finished_at"];
    assert_eq!(counts["state"], "done", "{counts}");
    counts.as_object_mut().unwrap().retain(|field, _| !own.contains(&field.as_str()));
    counts
}

#[actix_web::test]
async fn the_demo_shop_is_made_once_and_what_is_exported_imports_without_a_change() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let (first, second) = tokio::join!(seed::demo(&shop.app.config), seed::demo(&shop.app.config));
    first.unwrap();
    second.unwrap();
    let products: i64 = shop.sql("SELECT count(*) FROM products").await;
    let variants: i64 = shop.sql("SELECT count(*) FROM variants").await;
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM coupons").await, 3);
    // The separators of the table may be part of a text, too.
    let odd = json!({"attributes": {"a|b": "c=d;e>f\\"}, "images": [{"url": "/media/a;b|c.svg", "alt": "x;y|z"}],
                     "description": "linha 1\nlinha \"2\", fim", "tax": {"csosn": "500", "cest": "2104000", "icms_rate": 1800}});
    assert_eq!(admin.put("/api/products/cafe-especial-sul-de-minas", &odd).await.status, 200);
    let table = admin.get("/api/admin/products/export").await;
    assert_eq!((table.status, table.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    let text = String::from_utf8(table.bytes).unwrap();
    assert!(text.contains("cest=2104000|csosn=500|icms_rate=1800"), "the invoice's data are in it");
    let before = shop.get("/api/products?limit=100&sort=name").await.body;
    let again = import(&admin, &text).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let unchanged = json!({"products": products, "variants": variants, "created": 0, "updated": 0, "stock_kept": 0, "batches": 1,
               "categories": again.body["categories"]});
    assert_eq!(counts(&again), unchanged);
    assert_eq!(shop.get("/api/products?limit=100&sort=name").await.body, before);
    assert_eq!(String::from_utf8(admin.get("/api/admin/products/export").await.bytes).unwrap(), text);
    shop.close().await;
}

#[actix_web::test]
async fn an_import_updates_what_it_names_and_keeps_the_rest() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let first = format!(
        "{HEADER}\n\
         cafe,Alimentos > Cafés,Café,Bom,Torra=Média,sim,sim,09012100,5102,0,250,30,14,9,/a.svg;Pacote,CAF-GR,Grãos,Moagem=Grãos,\"1.039,90\",,10\n\
         cafe,,,,,,,,,,,,,,,CAF-MO,Moído,Moagem=Moído,\"39,90\",\"49,90\",5\n"
    );
    let imported = import(&admin, &first).await;
    assert_eq!(
        counts(&imported),
        json!({"products": 1, "variants": 2, "categories": 1, "created": 1, "updated": 0, "stock_kept": 0, "batches": 1}),
        "{}",
        imported.body
    );
    let coffee = shop.get("/api/products/cafe").await.body;
    assert_eq!((&coffee["price_cents"], &coffee["variants"][1]["compare_at_cents"]), (&json!(103_990), &json!(4990)));
    // Only one variant, with another price and a blank stock.
    let second = format!(
        "{HEADER}\ncafe,Alimentos > Cafés,Café,Bom,Torra=Média,sim,sim,09012100,5102,0,250,30,14,9,/a.svg;Pacote,CAF-MO,Moído,Moagem=Moído,\"35,00\",\"49,90\",\n"
    );
    assert_eq!(
        counts(&import(&admin, &second).await),
        json!({"products": 1, "variants": 1, "categories": 1, "created": 0, "updated": 1, "stock_kept": 0, "batches": 1})
    );
    let after = shop.get("/api/products/cafe").await.body;
    assert_eq!(
        (&after["sku"], &after["variants"][1]["price_cents"], &after["variants"][1]["stock"]),
        (&json!("CAF-GR"), &json!(3500), &json!(5))
    );
    assert_eq!(
        names(&shop.get("/api/products/search?q=CAF-GR").await),
        ["Café"],
        "still found by the SKU that the table left out"
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_bad_table_names_every_line_and_changes_nothing() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let other = shop.product("Outro").create().await;
    let before = shop.row_counts().await;
    let table = format!(
        "{HEADER}\n\
         cafe,Alimentos,Café,,,,,,,,250,30,14,9,,CAF,,,\"39,90\",,10\n\
         cha,Alimentos,Chá,,,,,,,,0,30,14,9,,CHA,,,dez,,10\n\
         vela,Casa,,,,,,,,,1,1,1,1,,VEL,,,\"1,00\",,-1\n"
    );
    let refused = import(&admin, &table).await;
    let mut fields = refused.invalid_fields();
    fields.sort_unstable();
    assert_eq!(
        (refused.status, fields),
        (422, vec!["line 3: price", "line 3: weight_grams", "line 4: product_name", "line 4: stock"])
    );
    let taken = format!("{HEADER}\ncafe,Alimentos,Café,,,,,,,,250,30,14,9,,{},,,\"39,90\",,10\n", other.slug);
    let refused = import(&admin, &taken).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["line 2: sku"]));
    assert_eq!(import(&admin, "").await.status, 422);
    assert_eq!(admin.request("POST", "/api/admin/products/import").json(&json!({})).send().await.status, 415);
    let huge = "x".repeat(10 * 1024 * 1024 + 1);
    assert_eq!(import(&admin, &huge).await.status, 413);
    assert_eq!(shop.row_counts().await, before);
    let seen: HashSet<String> = ids(&shop.get("/api/products").await).into_iter().collect();
    assert_eq!(seen, HashSet::from([other.id.to_string()]));
    shop.close().await;
}
