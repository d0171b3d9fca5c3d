//! The record of accesses, and the record of consents.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::auth::{PASSWORD, signed};
use crate::shop::Shop;

/// A folder of its own, and the variable that names it.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("accesses-{}", uuid::Uuid::now_v7()))
}

fn lines(folder: &PathBuf) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let texts: Vec<String> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[actix_web::test]
async fn every_access_is_recorded_with_time_and_address_and_nothing_of_the_person() {
    let folder = folder();
    let shop = Shop::open_with(&[("ACCESS_LOG_DIR", folder.to_str().unwrap()), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let new = json!({"name": "Canario Nome", "email": "canario@example.com", "password": PASSWORD});
    let session = shop.post("/api/auth/register", &new).await;
    let order = uuid::Uuid::now_v7();
    let seen = signed(&shop, &session, "GET", &format!("/api/orders/{order}?token=canario"))
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Request-ID", "pedido-1")
        .send()
        .await;
    assert_eq!(seen.status, 404);
    shop.get("/api/products?q=canario").await;
    shop.get("/api/products?q=canario").await; // from memory
    let user = session.body["user"]["id"].clone();
    shop.close().await; // what waits is written
    let lines = lines(&folder);
    let of = |route: &str| lines.iter().find(|line| line["route"] == route).unwrap_or_else(|| panic!("{route}: {lines:?}"));
    let asked = of("/api/orders/{id}");
    assert_eq!(
        (&asked["address"], &asked["method"], &asked["status"], &asked["user"], &asked["request_id"]),
        (&json!("203.0.113.9"), &json!("GET"), &json!(404), &user, &json!("pedido-1"))
    );
    assert!(asked["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(asked["port"], Value::Null, "the port is the proxy's");
    assert_eq!(of("/api/auth/register")["user"], Value::Null);
    assert!(of("/api/products")["port"].is_u64());
    assert_eq!(lines.iter().filter(|line| line["route"] == "/api/products").count(), 2);
    let text = serde_json::to_string(&lines).unwrap();
    assert!(!text.to_lowercase().contains("canario") && !text.contains(&order.to_string()), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[actix_web::test]
async fn a_consent_is_kept_with_its_version_and_so_is_its_end() {
    let shop = Shop::open().await;
    let new = json!({"name": "Ana", "email": "ana@example.com", "password": PASSWORD, "privacy_version": "2026-11"});
    let session = shop.post("/api/auth/register", &new).await;
    assert_eq!(session.status, 201, "{}", session.body);
    for change in
        [json!({"sms_opt_in": true, "privacy_version": "2026-12"}), json!({"sms_opt_in": true}), json!({"sms_opt_in": false})]
    {
        assert_eq!(signed(&shop, &session, "PATCH", "/api/users/me").json(&change).send().await.status, 200);
    }
    let export = signed(&shop, &session, "GET", "/api/users/me/export").send().await;
    let kept: Vec<Value> = export.body["consents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["subject"], row["version"], row["granted"]]))
        .collect();
    assert_eq!(
        kept,
        [
            json!(["privacy", "2026-11", true]),
            json!(["privacy", "2026-12", true]),
            json!(["sms", "2026-12", true]),
            json!(["sms", "", false])
        ],
        "one row for each change"
    );
    let odd = json!({"name": "Ana", "email": "eva@example.com", "password": PASSWORD, "privacy_version": "<b>"});
    assert_eq!(shop.post("/api/auth/register", &odd).await.invalid_fields(), ["privacy_version"]);

    let shirt = shop.product("Camiseta").create().await;
    let (cart, mut order) = (shop.guest_cart(&[(&shirt, 1)]).await, shop.guest_order(&[(&shirt, 1)], crate::shop::CPF).await);
    order["privacy_version"] = json!("2026-12");
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    assert_eq!(shop.sql::<String>("SELECT privacy_version FROM orders").await, "2026-12");
    shop.close().await;
}
