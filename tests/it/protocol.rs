//! What HTTP says, and this server does: methods, addresses, tokens, conditions. docs/http.md has the choices.

use serde_json::json;

use crate::shop::Shop;

#[actix_web::test]
async fn a_known_address_says_which_methods_it_takes() {
    let shop = Shop::open().await;
    for (method, path, allow) in [
        ("DELETE", "/api/orders", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "/api/auth/login", "POST, OPTIONS"),
        ("GET", "/api/v1/auth/login", "POST, OPTIONS"),
        ("HEAD", "/api/auth/login", "POST, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("POST", "/docs/", "GET, HEAD, OPTIONS"),
        ("TRACE", "/", "GET, HEAD, OPTIONS"),
        ("PROPFIND", "/api/cart", "GET, HEAD, DELETE, OPTIONS"),
    ] {
        let answer = shop.request(method, path).send().await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}: {}", answer.body);
        assert!(method == "HEAD" || answer.slug() == "method-not-allowed");
        let asked = shop.request("OPTIONS", path).send().await;
        assert_eq!((asked.status, asked.header("allow")), (204, Some(allow)), "{path}");
    }
    for method in ["OPTIONS", "DELETE", "GET"] {
        assert_eq!(shop.request(method, "/api/nothing").send().await.slug(), "not-found", "{method}");
    }
    shop.close().await;
}

/// Every address of the document, with another method than its own.
#[actix_web::test]
async fn no_documented_address_is_unknown_under_another_method() {
    let shop = Shop::open().await;
    let document = serde_json::to_value(vitrine::server::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let concrete: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let answer = shop.request("PROPFIND", &concrete.join("/")).send().await;
        assert_eq!((answer.status, answer.slug()), (405, "method-not-allowed"), "{path}");
        let allow: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
        for method in methods.as_object().unwrap().keys() {
            assert!(allow.contains(&&*method.to_uppercase()), "{method} {path}: {allow:?}");
        }
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_name_of_the_scheme_has_no_case() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    for scheme in ["Bearer", "bearer", "BEARER", "BeArEr", "Bearer "] {
        let answer = shop.request("GET", "/api/auth/me").header("Authorization", &format!("{scheme} {}", ana.token)).send().await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    for header in [ana.token.clone(), format!("Basic {}", ana.token), "Bearer".to_owned(), format!("Bearer{}", ana.token)] {
        assert_eq!(shop.request("GET", "/api/auth/me").header("Authorization", &header).send().await.status, 401, "{header}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn an_address_that_is_too_long_is_told_so() {
    let shop = Shop::open().await;
    assert_eq!(shop.get(&format!("/?x={}", "a".repeat(8_000))).await.status, 200);
    let long = shop.get(&format!("/?x={}", "a".repeat(9_000))).await;
    assert_eq!((long.status, long.slug()), (414, "uri-too-long"));
    assert!(long.header("x-request-id").is_some());
    shop.close().await;
}

#[actix_web::test]
async fn who_may_not_do_it_is_told_that_before_the_key_is_looked_at() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let mug = shop.product("Caneca").create().await;
    let order = ana.buy(&[(&mug, 1)]).await.body["id"].as_str().unwrap().to_owned();
    let path = format!("/api/orders/{order}/refund");
    let all = json!({"reason": "x"});
    assert_eq!(shop.request("POST", &path).header("Idempotency-Key", "").json(&all).send().await.status, 401);
    assert_eq!(ana.request("POST", &path).header("Idempotency-Key", "").json(&all).send().await.status, 403);
    for key in ["".to_owned(), "x".repeat(256)] {
        let refused = admin.request("POST", &path).header("Idempotency-Key", &key).json(&all).send().await;
        assert_eq!((refused.status, refused.slug()), (400, "malformed"), "{}", refused.body);
    }
    shop.close().await;
}

#[actix_web::test]
async fn any_version_is_a_version_of_what_is_there() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let product = format!("/api/products/{}", mug.id);
    let picture = a_picture();
    for path in [&product, &picture] {
        let tag = shop.get(path).await.header("etag").unwrap().to_owned();
        for tags in ["*".to_owned(), tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            let answer = shop.request("GET", path).header("If-None-Match", &tags).send().await;
            assert_eq!((answer.status, answer.bytes.len()), (304, 0), "{path} {tags}");
        }
        let other = shop.request("GET", path).header("If-None-Match", "\"other\"").send().await;
        assert_eq!(other.status, 200, "{path}");
    }
    // A range is not a part here: the whole picture is an answer that RFC 9110 (14.2) allows.
    let ranged = shop.request("GET", &picture).header("Range", "bytes=0-9").send().await;
    assert_eq!((ranged.status, ranged.header("content-range")), (200, None));
    shop.close().await;
}

/// The address of one of the demo's pictures.
fn a_picture() -> String {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/pictures")).unwrap();
    let name = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).min().unwrap();
    format!("/media/demo/{name}")
}

#[actix_web::test]
async fn a_name_that_turns_the_writing_around_is_refused_at_the_door() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let name = "Ana \u{202e}avliS";
    let person = json!({"name": name, "email": "ana@example.com", "password": "cavalo bateria 7"});
    let refused = shop.post("/api/auth/register", &person).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["name"]), "{}", refused.body);
    let mug = shop.product("Caneca").create().await;
    let refused = admin.put(&format!("/api/products/{}", mug.id), &json!({"name": "Caneca \u{2066}x"})).await;
    assert!(refused.status == 422 && refused.invalid_fields().contains(&"name"), "{}", refused.body);
    let ana = shop.customer().await;
    let changed = ana.request("PATCH", "/api/users/me").json(&json!({"name": name})).send().await;
    assert_eq!((changed.status, changed.invalid_fields()), (422, vec!["name"]), "{}", changed.body);
    shop.close().await;
}

#[actix_web::test]
async fn an_administrator_reads_the_stock_that_there_is_and_everybody_else_what_is_kept() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let mug = shop.product("Caneca").create().await;
    let (one, all) = (format!("/api/products/{}", mug.id), "/api/products?limit=1".to_owned());
    for path in [&one, &all] {
        assert_eq!(shop.get(path).await.status, 200);
    }
    // As an order does it: nobody is told, because it would be told at every order.
    shop.execute("UPDATE variants SET stock = 7").await;
    let stock = |body: &serde_json::Value| body["stock"].as_i64().or(body["items"][0]["stock"].as_i64());
    for path in [&one, &all] {
        let live = admin.get(path).await;
        assert_eq!((stock(&live.body), live.header("cache-control")), (Some(7), Some("private, no-store")), "{path}");
        for kept in [shop.get(path).await, ana.get(path).await] {
            assert_eq!(stock(&kept.body), Some(10), "{path}");
            assert!(kept.header("cache-control").unwrap().starts_with("public"));
        }
        let forged = shop.request("GET", path).header("Authorization", "Bearer nonsense").send().await;
        assert_eq!((forged.status, stock(&forged.body)), (200, Some(10)), "{path}");
    }
    let tag = admin.get(&one).await.header("etag").unwrap().to_owned();
    let same = admin.request("GET", &one).header("If-None-Match", &tag).send().await;
    assert_eq!(same.status, 304);
    shop.execute(&format!("UPDATE users SET role = 'user' WHERE id = '{}'", admin.id)).await;
    shop.app.standings.forget(admin.id);
    assert_eq!(stock(&admin.get(&one).await.body), Some(10), "the role is the database's");
    shop.execute("UPDATE variants SET stock = 10").await;
    shop.close().await;
}

#[actix_web::test]
async fn an_agency_is_a_number_that_can_be_kept() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let settings = |agency: u64| json!({"handling_days": 0, "label_agency": agency});
    const LARGEST: u64 = (1 << 53) - 1; // that a client program in JavaScript reads as it is
    assert_eq!(admin.put("/api/admin/settings/shipping", &settings(LARGEST)).await.status, 200);
    let refused = admin.put("/api/admin/settings/shipping", &settings(LARGEST + 1)).await;
    assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["label_agency"]), "{}", refused.body);
    shop.close().await;
}
