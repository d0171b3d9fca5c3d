//! Forged webhooks of every payment provider change no row. The true one has its effect once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use vitrine_kit::signature::hmac_sha256_hex;
use vitrine_sandbox::{Delivery, Pay, SendWebhook};

use crate::shop::{Answer, Shop};

const LIMIT: Duration = Duration::from_secs(20);

/// A paid charge whose true webhook was not sent yet.
async fn told_to_nobody(shop: &Shop, method: &str) -> (String, Delivery) {
    let ana = shop.customer().await;
    let shirt = shop.product("Camiseta").create().await;
    let placed = ana.buy(&[(&shirt, 1)]).await;
    let order = placed.body["id"].as_str().unwrap().to_owned();
    let paid = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await;
    assert_eq!(paid.status, 200, "{}", paid.body);
    shop.control().pay(Pay::of(paid.body["payment_id"].as_str().unwrap()).webhook(SendWebhook::Lost)).unwrap();
    let mut delivery = shop.control().deliveries().into_iter().find(is_paid).unwrap();
    if delivery.provider == "stripe" {
        let at = Timestamp::now().as_second(); // Stripe signs when it sends
        delivery.headers.insert("stripe-signature".into(), stripe_signature(shop, at, &delivery.body));
    }
    (order, delivery)
}

fn stripe_signature(shop: &Shop, at: i64, body: &str) -> String {
    let secret = shop.app.config.stripe.as_ref().unwrap().webhook_secret.expose_secret().to_owned();
    format!("t={at},v1={}", hmac_sha256_hex(secret.as_bytes(), format!("{at}.{body}").as_bytes()))
}

fn is_paid(delivery: &Delivery) -> bool {
    matches!(delivery.event.as_str(), "payment.paid" | "payment_intent.succeeded" | "OPENPIX:CHARGE_COMPLETED" | "pix")
}

async fn post(shop: &Shop, path: &str, headers: &[(String, String)], body: &str) -> Answer {
    let request =
        headers.iter().filter(|(name, _)| name != "content-type").fold(shop.request("POST", path), |r, (n, v)| r.header(n, v));
    request.body("application/json", body.to_owned()).send().await
}

fn headers(delivery: &Delivery) -> Vec<(String, String)> {
    delivery.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The same headers, with every signature changed by `change` (`None` leaves it out).
fn with_signatures(delivery: &Delivery, change: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let is_signature = |name: &str| name.contains("signature");
    let pairs = headers(delivery).into_iter();
    pairs.filter_map(|(name, value)| Some(if is_signature(&name) { (name, change(&value)?) } else { (name, value) })).collect()
}

/// Bodies that mean the same or almost: each breaks the signature.
fn altered(body: &str) -> Vec<(&'static str, String)> {
    let value: Value = serde_json::from_str(body).unwrap();
    vec![
        ("truncated", body[..body.len() - 1].to_owned()),
        ("halved", body[..body.len() / 2].to_owned()),
        ("empty", String::new()),
        ("with a space behind", format!("{body} ")),
        ("pretty", serde_json::to_string_pretty(&value).unwrap()),
        ("one digit more", body.replacen("1", "11", 1)),
        ("twice", format!("{body}{body}")),
    ]
}

/// Every forgery gets 401 and changes no table; then the true one is accepted, once.
async fn no_forgery_has_an_effect(provider: &str, method: &str) {
    let shop = Shop::open_with(&[("PIX_PROVIDER", provider)]).await;
    let (order, true_one) = told_to_nobody(&shop, method).await;
    let before = shop.row_counts().await;
    let state = "SELECT md5(string_agg(o::text, '') || (SELECT string_agg(p::text, '') FROM payments p)) FROM orders o";
    let rows: String = shop.sql(state).await;
    let mut attempts = vec![
        ("unsigned", with_signatures(&true_one, |_| None), true_one.body.clone()),
        ("emptily signed", with_signatures(&true_one, |_| Some(String::new())), true_one.body.clone()),
        ("cut short", with_signatures(&true_one, |s| Some(s[..s.len() / 2].to_owned())), true_one.body.clone()),
        (
            "of another key",
            with_signatures(&true_one, |_| Some(hmac_sha256_hex(b"wrong", true_one.body.as_bytes()))),
            true_one.body.clone(),
        ),
    ];
    attempts.extend(altered(&true_one.body).into_iter().map(|(what, body)| (what, headers(&true_one), body)));
    for (what, headers, body) in &attempts {
        let answer = post(&shop, &true_one.path, headers, body).await;
        assert_eq!(answer.status, 401, "{provider}: {what}: {}", answer.body);
    }
    assert_eq!(shop.row_counts().await, before, "{provider}");
    assert_eq!(shop.sql::<String>(state).await, rows, "{provider}");
    the_true_one_counts_once(&shop, &order, &true_one).await;
    shop.close().await;
}

async fn the_true_one_counts_once(shop: &Shop, order: &str, true_one: &Delivery) {
    let told = futures_util::future::join_all(
        (0..5).map(|_| async { post(shop, &true_one.path, &headers(true_one), &true_one.body).await.status }),
    );
    assert_eq!(told.await, [200; 5]);
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    let state: String = shop.sql(&format!("SELECT payment_status FROM orders WHERE id = '{order}'")).await;
    assert_eq!(state, "paid");
    let once: Vec<i64> = shop
        .sql("SELECT ARRAY[(SELECT count(*) FROM webhook_events), (SELECT count(*) FROM money_movements), (SELECT count(*) FROM jobs WHERE kind = 'mail_order_paid')]")
        .await;
    assert_eq!(once, [1, 1, 1]);
}

#[actix_web::test]
async fn a_forged_propay_webhook_changes_nothing() {
    no_forgery_has_an_effect("propay", "pix").await;
}

#[actix_web::test]
async fn a_forged_openpix_webhook_changes_nothing() {
    no_forgery_has_an_effect("openpix", "pix").await;
}

#[actix_web::test]
async fn a_forged_stripe_webhook_changes_nothing() {
    no_forgery_has_an_effect("propay", "credit_card").await;
}

#[actix_web::test]
async fn a_stripe_webhook_that_is_too_old_changes_nothing() {
    let shop = Shop::open().await;
    let (order, true_one) = told_to_nobody(&shop, "credit_card").await;
    let before = shop.row_counts().await;
    let at = (Timestamp::now() - SignedDuration::from_mins(6)).as_second();
    let signed = [("stripe-signature".to_owned(), stripe_signature(&shop, at, &true_one.body))];
    assert_eq!(post(&shop, &true_one.path, &signed, &true_one.body).await.status, 401);
    assert_eq!(shop.row_counts().await, before);
    // Two signatures while a secret is rolled: one valid signature is enough.
    let at = Timestamp::now().as_second();
    let rolled = format!("v1={},{},v0=00", "0".repeat(64), stripe_signature(&shop, at, &true_one.body));
    let signed = [("stripe-signature".to_owned(), rolled)];
    assert_eq!(post(&shop, &true_one.path, &signed, &true_one.body).await.status, 200);
    assert_eq!(shop.sql::<String>(&format!("SELECT payment_status FROM orders WHERE id = '{order}'")).await, "paid");
    shop.close().await;
}

/// A server whose clock is slow would refuse every one of them otherwise. Stripe's own libraries take it too.
#[actix_web::test]
async fn a_stripe_webhook_that_was_signed_by_a_faster_clock_is_taken() {
    let shop = Shop::open().await;
    let (order, true_one) = told_to_nobody(&shop, "credit_card").await;
    let at = (Timestamp::now() + SignedDuration::from_mins(6)).as_second();
    let signed = [("stripe-signature".to_owned(), stripe_signature(&shop, at, &true_one.body))];
    assert_eq!(post(&shop, &true_one.path, &signed, &true_one.body).await.status, 200);
    assert_eq!(shop.sql::<String>(&format!("SELECT payment_status FROM orders WHERE id = '{order}'")).await, "paid");
    shop.close().await;
}

#[actix_web::test]
async fn a_bank_webhook_without_the_secret_changes_nothing_and_with_it_is_only_a_hint() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    let (order, true_one) = told_to_nobody(&shop, "pix").await;
    let before = shop.row_counts().await;
    let secret = true_one.path.split_once("hmac=").unwrap().1.split('&').next().unwrap().to_owned();
    let (base, right) = ("/api/webhooks/pix", secret.as_str());
    let wrong = [
        base.to_owned(),
        format!("{base}?hmac="),
        format!("{base}?hmac={}", &right[..right.len() - 1]),
        format!("{base}?hmac={right}x"),
        format!("{base}/pix?hmac=wrong"),
        format!("{base}?ignorar={right}"),
    ];
    for path in &wrong {
        assert_eq!(post(&shop, path, &headers(&true_one), &true_one.body).await.status, 401, "{path}");
    }
    assert_eq!(shop.row_counts().await, before);
    // The secret in the URL does not prove the contents: the bank is asked. Nobody paid this second order.
    let (other, lie) = {
        let ana = shop.customer().await;
        let shirt = shop.product("Calça").create().await;
        let placed = ana.buy(&[(&shirt, 1)]).await;
        let other = placed.body["id"].as_str().unwrap().to_owned();
        let txid = ana.post(&format!("/api/orders/{other}/pay"), &json!({"method": "pix"})).await.body["txid"].clone();
        let mut lie: Value = serde_json::from_str(&true_one.body).unwrap();
        lie["pix"][0]["txid"] = txid;
        lie["pix"][0]["endToEndId"] = json!("E99999999202611211200abcdef12345");
        (other, lie.to_string())
    };
    assert_eq!(post(&shop, &true_one.path, &headers(&true_one), &lie).await.status, 200);
    shop.drain().await;
    assert_eq!(shop.sql::<String>(&format!("SELECT payment_status FROM orders WHERE id = '{other}'")).await, "pending_payment");
    assert_eq!(post(&shop, &format!("{base}/pix?hmac={right}"), &headers(&true_one), &true_one.body).await.status, 200);
    shop.drain().await;
    assert_eq!(shop.sql::<String>(&format!("SELECT payment_status FROM orders WHERE id = '{order}'")).await, "paid");
    shop.close().await;
}

#[actix_web::test]
async fn a_webhook_of_a_provider_that_is_not_configured_finds_no_address() {
    let shop = Shop::open_with(&[("STRIPE_SECRET_KEY", ""), ("OPENPIX_APP_ID", ""), ("PIX_CLIENT_ID", "")]).await;
    for path in [
        "/api/webhooks/stripe",
        "/api/webhooks/melhorenvio",
        "/api/webhooks/openpix",
        "/api/webhooks/pix",
        "/api/webhooks/pix/pix",
    ] {
        assert_eq!(post(&shop, path, &[], "{}").await.status, 404, "{path}");
    }
    shop.close().await;
}
