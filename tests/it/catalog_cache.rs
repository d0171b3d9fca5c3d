use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::web::Data;
use serde_json::json;
use vitrine::app::App;
use vitrine::catalog::{self, cached};
use vitrine::{seed, server};

use crate::catalog::{category, product};
use crate::shop::{Request, Shop};

#[actix_web::test]
async fn a_hit_is_the_same_bytes_under_the_same_tag_and_does_not_ask_the_database() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let paths = [
        format!("/api/products/{}", mug.id),
        "/api/products".into(),
        "/api/products?offset=0&limit=5".into(),
        "/api/categories".into(),
    ];
    for path in &paths {
        let first = shop.get(path).await;
        assert_eq!(first.status, 200, "{path}");
        shop.execute("UPDATE products SET name = name || '!'").await;
        shop.execute("UPDATE categories SET name = name || '!'").await;
        let second = shop.get(path).await;
        assert_eq!((&second.bytes, second.headers.get("etag")), (&first.bytes, first.headers.get("etag")), "{path}");
        assert!(first.header("cache-control").unwrap().starts_with("public, max-age="));
        assert!(first.headers.get_all("vary").iter().any(|v| v.to_str().unwrap().to_lowercase().contains("accept-encoding")));
    }
    shop.close().await;
}

#[actix_web::test]
async fn an_answer_from_memory_is_the_one_that_another_origin_is_given_by_the_long_way() {
    let shop = Shop::open_with(&[("ALLOWED_ORIGINS", "https://loja.example")]).await;
    let mug = shop.product("Caneca").create().await;
    let paths = [format!("/api/v1/products/{}", mug.id), "/api/products".into(), "/api/categories".into()];
    let etag = shop.get("/api/products").await.header("etag").unwrap().to_owned();
    for (method, path) in paths.iter().flat_map(|path| [("GET", path), ("HEAD", path)]) {
        for tag in ["\"another\"", &etag] {
            let ask = || shop.request(method, path).header("If-None-Match", tag).header("X-Request-ID", "pedido-1");
            ask().send().await; // from now on it is in memory
            let short = ask().send().await;
            let long = ask().header("Origin", "https://loja.example").send().await;
            assert_eq!((short.status, &short.bytes), (long.status, &long.bytes), "{method} {path}");
            let told = ["access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers"];
            let mut theirs = long.headers.clone();
            for name in told {
                assert!(theirs.remove(name).is_some() && !short.headers.contains_key(name), "{method} {path}: {name}");
            }
            theirs.remove("date");
            let mut ours = short.headers.clone();
            ours.remove("date");
            assert_eq!(ours, theirs, "{method} {path}");
        }
    }
    shop.close().await;
}

#[actix_web::test]
async fn what_the_client_has_already_is_not_sent_again() {
    let shop = Shop::open().await;
    shop.product("Caneca").create().await;
    let first = shop.get("/api/products").await;
    let etag = first.header("etag").unwrap();
    for tags in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()] {
        let again = shop.request("GET", "/api/products").header("If-None-Match", &tags).send().await;
        assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, Some(etag)), "{tags}");
    }
    assert_eq!(shop.request("GET", "/api/products").header("If-None-Match", "\"other\"").send().await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn every_encoding_unpacks_to_the_same_bytes_and_has_a_tag_of_its_own() {
    let mut shop = Shop::open().await;
    shop.http = reqwest::Client::builder().no_gzip().build().unwrap(); // shows the compressed bytes
    seed::demo(&shop.app.config).await.unwrap();
    let path = "/api/products?limit=50";
    let ask = |encoding: &'static str| shop.request("GET", path).header("Accept-Encoding", encoding).send();
    let plain = ask("identity").await;
    assert_eq!(plain.header("content-encoding"), None);
    let mut tags = vec![plain.header("etag").unwrap().to_owned()];
    for encoding in ["br", "zstd", "gzip"] {
        let packed = ask(encoding).await;
        assert_eq!(packed.header("content-encoding"), Some(encoding));
        assert!(packed.bytes.len() * 2 < plain.bytes.len());
        let mut unpacked = Vec::new();
        match encoding {
            "br" => brotli::Decompressor::new(&packed.bytes[..], 4096).read_to_end(&mut unpacked).unwrap(),
            "zstd" => zstd::Decoder::new(&packed.bytes[..]).unwrap().read_to_end(&mut unpacked).unwrap(),
            _ => flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut unpacked).unwrap(),
        };
        assert_eq!(unpacked, plain.bytes, "{encoding}");
        let tag = packed.header("etag").unwrap().to_owned();
        let again = shop.request("GET", path).header("Accept-Encoding", encoding).header("If-None-Match", &tag).send().await;
        assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())));
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4);
    shop.close().await;
}

#[actix_web::test]
async fn a_change_is_seen_by_the_very_next_reader() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    assert_eq!(shop.get("/api/products").await.body["total"], 0);
    let created = admin.post("/api/products", &product("Caneca", &home)).await.body;
    let path = format!("/api/products/{}", created["id"].as_str().unwrap());
    assert_eq!(shop.get("/api/products").await.body["total"], 1);
    assert_eq!(shop.get(&path).await.body["stock"], 10);
    admin.patch(&format!("{path}/stock"), &json!({"stock": 0})).await;
    assert_eq!(shop.get(&path).await.body["in_stock"], false);
    assert_eq!(shop.get("/api/products?in_stock=true").await.body["total"], 0);
    admin.put(&path, &json!({"name": "Xícara"})).await;
    assert_eq!(shop.get(&path).await.body["name"], "Xícara");
    shop.get("/api/categories").await;
    admin.put(&format!("/api/categories/{home}"), &json!({"name": "Lar"})).await;
    assert_eq!(shop.get("/api/categories").await.body["items"][0]["name"], "Lar");
    admin.delete(&path).await;
    assert_eq!(shop.get(&path).await.status, 404);
    shop.close().await;
}

#[actix_web::test]
async fn another_server_hears_of_a_change() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let home = category(&admin, "Casa", None).await;
    let id = admin.post("/api/products", &product("Caneca", &home)).await.body["id"].as_str().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/products/{id}", listener.local_addr().unwrap());
    let other = Data::new(App::open(shop.app.config.clone()).await.unwrap());
    let serving = server::serve(other.clone(), listener).unwrap();
    let handle = serving.handle();
    actix_web::rt::spawn(serving);
    let listening = actix_web::rt::spawn(cached::listen(other.clone()));
    let name = async || Request::of(shop.http.get(&url)).send().await.body["name"].as_str().unwrap().to_owned();
    let listens = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN vitrine_catalog' AND state = 'idle'";
    tokio::time::timeout(Duration::from_secs(10), async { while shop.sql::<i64>(listens).await != 1 {} }).await.unwrap();
    assert_eq!(name().await, "Caneca");
    admin.put(&format!("/api/products/{id}"), &json!({"name": "Xícara"})).await;
    let heard = async { while name().await != "Xícara" {} };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("heard long before its TTL of five minutes");
    // A broken connection may have missed a notice: the cache is emptied, and a new connection listens.
    shop.execute("UPDATE products SET name = 'Jarra'").await;
    assert_eq!(name().await, "Xícara");
    shop.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN vitrine_catalog'").await;
    let cleared = async { while name().await != "Jarra" {} };
    tokio::time::timeout(Duration::from_secs(10), cleared).await.expect("cleared when the connection was lost");
    listening.abort();
    handle.stop(false).await;
    other.pool.close();
    shop.close().await;
}

#[actix_web::test]
async fn an_answer_read_before_a_change_is_not_kept_after_it() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    let path = format!("/api/products/{}", mug.id);
    // The reader waits for the table's lock while the name changes and is evicted.
    let mut db = shop.app.db().await.unwrap();
    let tx = db.transaction().await.unwrap();
    tx.batch_execute("LOCK TABLE product_images IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let request = shop.request("GET", &path);
    let reader = actix_web::rt::spawn(async move { request.send().await.status });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    tokio::time::timeout(Duration::from_secs(10), async { while shop.sql::<i64>(waits).await != 1 {} }).await.unwrap();
    catalog::changed(&shop.app).await;
    tx.rollback().await.unwrap();
    assert_eq!(reader.await.unwrap(), 200);
    shop.execute("UPDATE products SET name = 'Xícara'").await;
    assert_eq!(shop.get(&path).await.body["name"], "Xícara", "the late answer was of the time before");
    shop.close().await;
}

#[actix_web::test]
async fn without_a_cache_every_answer_is_read_and_still_tagged() {
    let shop = Shop::open_with(&[("CACHE_ENABLED", "false")]).await;
    let mug = shop.product("Caneca").create().await;
    let path = format!("/api/products/{}", mug.id);
    let first = shop.get(&path).await;
    let tag = first.header("etag").unwrap();
    assert_eq!(shop.request("GET", &path).header("If-None-Match", tag).send().await.status, 304);
    shop.execute("UPDATE products SET name = 'Xícara'").await;
    let changed = shop.request("GET", &path).header("If-None-Match", tag).send().await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("Xícara")));
    shop.close().await;
}

#[actix_web::test]
async fn an_error_is_not_kept() {
    let shop = Shop::open().await;
    let mug = shop.product("Caneca").create().await;
    shop.execute("UPDATE products SET active = false").await;
    let path = format!("/api/products/{}", mug.slug);
    assert_eq!(shop.get(&path).await.status, 404);
    shop.execute("UPDATE products SET active = true").await;
    assert_eq!(shop.get(&path).await.status, 200);
    for odd in
        ["/api/products/%00", "/api/products/a%2Fb", "/api/products/Á", "/api/categories/%00", "/api/products/category/%00"]
    {
        assert_eq!(shop.get(odd).await.status, 404, "{odd}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_demo_pictures_are_served_and_can_run_nothing() {
    let shop = Shop::open().await;
    let picture = shop.get("/media/demo/cafe-especial-sul-de-minas.svg").await;
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/svg+xml")));
    assert_eq!(picture.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(picture.header("content-security-policy"), Some("default-src 'none'; style-src 'unsafe-inline'"));
    let again = shop
        .request("GET", "/media/demo/cafe-especial-sul-de-minas.svg")
        .header("If-None-Match", picture.header("etag").unwrap());
    assert_eq!(again.send().await.status, 304);
    for odd in ["/media/demo/nothing.svg", "/media/demo/..%2Fcatalog.csv", "/media/demo/%2e%2e"] {
        assert_eq!(shop.get(odd).await.status, 404, "{odd}");
    }
    shop.close().await;
}
