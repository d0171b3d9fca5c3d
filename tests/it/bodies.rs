//! Bodies are read uncompressed: a few bytes cannot expand to gigabytes, and a signature is over the bytes that were sent.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::shop::Shop;
use crate::webhooks;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn a_compressed_body_is_not_unfolded_for_anybody() {
    let shop = Shop::open().await;
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let before = shop.row_counts().await;
    for path in ["/api/auth/login", "/api/webhooks/stripe", "/api/webhooks/payment", "/api/cart/items", "/api/shipping/calculate"]
    {
        for encoding in ["gzip", "br", "zstd", "deflate", "GZIP"] {
            let request = shop.request("POST", path).header("Content-Encoding", encoding);
            let answer = request.body("application/json", bomb.clone()).send().await;
            assert_eq!((answer.status, answer.slug()), (415, "unsupported-content-encoding"), "{encoding} at {path}");
        }
    }
    assert_eq!(shop.row_counts().await, before);
    let plain = shop.request("POST", "/api/auth/login").header("Content-Encoding", "identity");
    let plain = plain.json(&json!({"email": "ana@example.com", "password": "nenhuma-senha"})).send().await;
    assert_eq!(plain.status, 401, "what is sent as it is is read");
    shop.close().await;
}

#[actix_web::test]
async fn a_signed_webhook_that_was_compressed_on_its_way_is_another_body() {
    let shop = Shop::open().await;
    let body = json!({"id": "evt_1", "event": "payment.paid", "payment_id": uuid::Uuid::now_v7(), "amount_cents": 1}).to_string();
    let signature = webhooks::signature(&shop, &body);
    let before = shop.row_counts().await;
    let sent = |bytes: Vec<u8>| shop.request("POST", "/api/webhooks/payment").body("application/json", bytes);
    let folded =
        sent(gzip(body.as_bytes())).header("X-Propay-Signature", &signature).header("Content-Encoding", "gzip").send().await;
    assert_eq!(folded.status, 415);
    assert_eq!(sent(gzip(body.as_bytes())).header("X-Propay-Signature", &signature).send().await.status, 401);
    assert_eq!(shop.row_counts().await, before);
    assert_eq!(sent(body.clone().into_bytes()).header("X-Propay-Signature", &signature).send().await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn head_answers_what_get_would_without_its_body() {
    let shop = Shop::open().await;
    let (mug, ana) = (shop.product("Caneca").create().await, shop.customer().await);
    let order = ana.buy(&[(&mug, 1)]).await.body["id"].as_str().unwrap().to_owned();
    let paths =
        ["/health", "/ready", "/api/products", "/api/v1/products", "/openapi.json", "/api/cart", "/api/orders", "/api/nowhere"];
    for path in paths.map(str::to_owned).into_iter().chain([format!("/api/products/{}", mug.id), format!("/api/orders/{order}")])
    {
        let get = ana.request("GET", &path).send().await;
        let head = ana.request("HEAD", &path).send().await;
        assert_eq!((head.status, head.bytes.len()), (get.status, 0), "{path}");
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    let stream = ana.request("HEAD", &format!("/api/orders/{order}/events")).send().await;
    assert_eq!((stream.status, stream.header("content-type")), (200, Some("text/event-stream")));
    let before = shop.row_counts().await;
    assert_eq!(ana.request("HEAD", "/api/auth/logout").send().await.status, 405, "what only POST does HEAD does not do");
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_body_is_too_large_however_its_length_is_told() {
    let shop = Shop::open().await;
    let large = vec![b' '; 1024 * 1024 + 1];
    let told = shop.request("POST", "/api/auth/login").body("application/json", large.clone()).send().await;
    let chunks =
        futures_util::stream::iter(large.chunks(64 * 1024).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>());
    let untold =
        shop.request("POST", "/api/auth/login").body("application/json", reqwest::Body::wrap_stream(chunks)).send().await;
    assert_eq!((told.status, untold.status), (413, 413));
    shop.close().await;
}
