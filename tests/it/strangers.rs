//! Made from the OpenAPI document: every operation that needs a sign-in refuses anonymous requests, every admin operation
//! refuses a customer.

use serde_json::{Value, json};

use crate::shop::Shop;

/// (method, path with made-up ids, whether a token is required)
fn operations() -> Vec<(String, String, bool)> {
    let document = vitrine::server::openapi();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let concrete = path
            .split('/')
            .map(|part| match part {
                "{document}" => "xml",
                part if part.starts_with('{') => "01a1fe4e-0785-7243-a93f-cc241c46a4e2",
                part => part,
            })
            .collect::<Vec<_>>()
            .join("/");
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array().cloned().unwrap_or_default();
            // A provider's signature and the operator's token are another matter.
            let is_ours = path.starts_with("/api/") && !path.starts_with("/api/webhooks/");
            let required = is_ours && !security.is_empty() && !security.contains(&json!({}));
            found.push((method.to_uppercase(), concrete.clone(), required));
        }
    }
    found
}

#[actix_web::test]
async fn no_operation_that_wants_somebody_answers_nobody() {
    let shop = Shop::open().await;
    let before = shop.row_counts().await;
    let mut asked = 0;
    for (method, path, required) in operations() {
        if !required {
            continue;
        }
        asked += 1;
        let body = if path.ends_with("/pay") { json!({"method": "pix"}) } else { json!({}) };
        let answer = shop.request(&method, &path).json(&body).send().await;
        assert_eq!((answer.status, answer.slug()), (401, "unauthorized"), "{method} {path}: {}", answer.body);
    }
    assert!(asked > 50, "{asked}");
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn no_admins_operation_answers_a_customer() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let before = shop.row_counts().await;
    let mut asked = 0;
    for (method, path, _) in operations() {
        let writes_catalog = method != "GET" && ["/api/products", "/api/categories"].iter().any(|start| path.starts_with(start));
        let is_admins = path.starts_with("/api/admin/")
            || writes_catalog
            || path.ends_with("/returns")
            || (method == "POST" && path.ends_with("/refund"))
            || (method == "PATCH" && path.starts_with("/api/orders/") && path.split('/').count() == 4);
        if !is_admins {
            continue;
        }
        asked += 1;
        let answer = ana.request(&method, &path).json(&json!({})).send().await;
        assert_eq!((answer.status, answer.slug()), (403, "forbidden"), "{method} {path}: {}", answer.body);
    }
    assert!(asked > 30, "{asked}");
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn whatever_is_sent_to_any_operation_is_answered_in_order() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    for (method, path, _) in operations() {
        if path.ends_with("/events") {
            continue;
        }
        for body in [json!({}), json!([]), json!("text"), json!({"unknown": [1, {"deep": null}]}), Value::Null] {
            for request in [shop.request(&method, &path), ana.request(&method, &path), admin.request(&method, &path)] {
                let answer = request.json(&body).send().await;
                assert!(answer.status < 500, "{method} {path} {body}: {} {}", answer.status, answer.body);
                if answer.status >= 400 && !path.starts_with("/media") {
                    assert!(!answer.slug().is_empty());
                }
            }
        }
    }
    shop.close().await;
}
