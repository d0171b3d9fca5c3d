//! What one client can use up: requests, tries to sign in, and the calls that providers allow.

use futures_util::future::join_all;
use serde_json::json;

use crate::auth::{PASSWORD, log_in, sign_up};
use crate::shop::{Answer, CEP, Product, Shop};

#[actix_web::test]
async fn a_path_with_encoded_letters_counts_like_the_path_that_it_is() {
    let shop = Shop::open_with(&[("RATE_LIMIT_GLOBAL", "2/1h")]).await;
    for path in ["/%61pi/cart", "/api/%63art"] {
        assert_eq!(shop.get(path).await.status, 200, "{path}");
    }
    for path in ["/%61pi/cart", "/api/cart", "/%61%70%69/orders", "/tr%61cking/X"] {
        assert_eq!(shop.get(path).await.status, 429, "{path}");
    }
    assert_eq!(shop.post("/api/webhooks/openpix", &json!({})).await.status, 401, "a provider sends many at once");
    shop.close().await;
}

#[actix_web::test]
async fn an_answer_from_memory_counts_like_one_that_is_read() {
    let shop = Shop::open_with(&[("RATE_LIMIT_GLOBAL", "3/1h")]).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(shop.get("/api/products").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    shop.close().await;
}

/// A try to sign in from another address each time, with the token of a device where there is one.
async fn try_from(shop: &Shop, n: u32, email: &str, password: &str, device: Option<&str>) -> Answer {
    let request = shop.request("POST", "/api/auth/login").header("X-Forwarded-For", &format!("198.51.100.{n}:4711"));
    let request = device.into_iter().fold(request, |request, token| request.header("X-Device-Token", token));
    request.json(&json!({"email": email, "password": password})).send().await
}

#[actix_web::test]
async fn guesses_at_a_password_from_many_addresses_are_counted_and_do_not_lock_the_owner_out() {
    let limits = [("RATE_LIMIT_ACCOUNT", "3/1h"), ("RATE_LIMIT_LOGIN", "3/1h"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let shop = Shop::open_with(&limits).await;
    let (ana, bia) = ("ana@example.com", "bia@example.com");
    let device = sign_up(&shop, ana).await.body["device_token"].as_str().unwrap().to_owned();
    let others = sign_up(&shop, bia).await.body["device_token"].as_str().unwrap().to_owned();
    for n in 1..=5 {
        assert_eq!(try_from(&shop, n, ana, PASSWORD, None).await.status, 200, "who knows the password is not counted");
    }
    for email in [ana, "nobody@example.com"] {
        let at_once = join_all((10..20).map(|n| try_from(&shop, n, email, "another password", None))).await;
        assert_eq!(at_once.iter().filter(|answer| answer.status == 401).count(), 3, "{email}");
        let silenced = at_once.iter().find(|answer| answer.status != 401).unwrap();
        assert_eq!((silenced.slug(), silenced.header("retry-after")), ("too-many-requests", Some("3600")));
    }
    assert_eq!(try_from(&shop, 30, ana, PASSWORD, None).await.status, 429, "not even the right one, or guessing would go on");
    assert_eq!(try_from(&shop, 31, ana, PASSWORD, Some(&others)).await.status, 429, "a token is for one account");
    assert_eq!(try_from(&shop, 32, ana, PASSWORD, Some("forged.token")).await.status, 429);
    let back = try_from(&shop, 33, ana, PASSWORD, Some(&device)).await;
    assert_eq!((back.status, back.body["device_token"].as_str()), (200, Some(&*device)), "the owner, on a device of hers");
    assert_eq!(try_from(&shop, 34, bia, PASSWORD, None).await.status, 200, "nobody else is concerned");
    for n in 40..43 {
        assert_eq!(try_from(&shop, n, ana, "another password", Some(&device)).await.status, 401);
    }
    assert_eq!(try_from(&shop, 43, ana, PASSWORD, Some(&device)).await.status, 429, "a stolen token is no way around it");

    // On a new device the mailbox is the way back.
    assert_eq!(shop.post("/api/auth/forgot-password", &json!({"email": ana})).await.status, 202);
    let id = shop.sql("SELECT id FROM password_resets").await;
    let token = shop.app.keys.reset_token(vitrine::ids::ResetId(id));
    let reset = shop.post("/api/auth/reset-password", &json!({"token": token, "password": "uma senha bem nova"})).await;
    assert_eq!(reset.status, 204);
    let cookies: Vec<&str> = reset.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()).collect();
    let cookie = cookies.iter().find(|c| c.starts_with("vitrine_device=") && c.contains("HttpOnly")).unwrap();
    let fresh = reset.header("x-device-token").unwrap();
    assert!(cookie.starts_with(&format!("vitrine_device={fresh};")));
    assert_eq!(try_from(&shop, 50, ana, "uma senha bem nova", Some(fresh)).await.status, 200);
    let by_cookie = shop.request("POST", "/api/auth/login").header("Cookie", &format!("vitrine_device={fresh}"));
    let by_cookie = by_cookie.json(&json!({"email": ana, "password": "uma senha bem nova"})).send().await;
    assert_eq!(by_cookie.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn a_full_queue_or_a_broken_database_is_no_wrong_password() {
    let shop = Shop::open_with(&[("RATE_LIMIT_ACCOUNT", "1/1h")]).await;
    sign_up(&shop, "ana@example.com").await;
    shop.execute("ALTER TABLE users RENAME TO away").await;
    for _ in 0..3 {
        assert_eq!(log_in(&shop, "ana@example.com", PASSWORD).await.status, 500);
    }
    shop.execute("ALTER TABLE away RENAME TO users").await;
    assert_eq!(log_in(&shop, "ana@example.com", PASSWORD).await.status, 200);
    shop.close().await;
}

async fn freight(shop: &Shop, product: &Product) -> Answer {
    let items = json!([{"product_id": product.id, "quantity": 1}]);
    shop.post("/api/shipping/calculate", &json!({"cep_destino": CEP, "items": items})).await
}

#[actix_web::test]
async fn an_address_asks_for_so_much_freight_and_so_many_ceps_and_no_more() {
    let shop = Shop::open_with(&[("RATE_LIMIT_FREIGHT", "2/1h"), ("RATE_LIMIT_CEP", "1/1h")]).await;
    let mug = shop.product("Caneca").create().await;
    for _ in 0..2 {
        assert_eq!(freight(&shop, &mug).await.status, 200);
    }
    assert_eq!(freight(&shop, &mug).await.slug(), "too-many-requests");
    assert_eq!(shop.get("/api/cep/01310-100").await.status, 200);
    assert_eq!(shop.get("/api/cep/20040-002").await.slug(), "too-many-requests");
    assert_eq!(shop.get("/api/cart").await.status, 200, "the shop itself stays open");
    shop.close().await;
}

#[actix_web::test]
async fn quotes_that_are_more_than_the_carrier_allows_are_estimates_and_cost_no_call() {
    let shop = Shop::open_with(&[("MELHORENVIO_CALLS_PER_MINUTE", "10")]).await;
    let (mug, cup) = (shop.product("Caneca").price(1_000).create().await, shop.product("Copo").price(2_000).create().await);
    let (first, second) = (freight(&shop, &mug).await, freight(&shop, &cup).await);
    assert_eq!((first.status, &first.body["options"][0]["estimate"]), (200, &json!(false)), "{}", first.body);
    assert_eq!((second.status, &second.body["options"][0]["estimate"]), (200, &json!(true)), "{}", second.body);
    assert_eq!(shop.control().calls("melhorenvio"), 1);
    shop.close().await;
}
