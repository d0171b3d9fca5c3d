//! Somebody gives money back on the provider's own pages, nobody tells the shop, and the shop asks for a refund of the same money: what
//! went back takes the refund's place, and the rest stays with whom it belongs to.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::jobs::{self, Job};
use vitrine::payments::books;
use vitrine_sandbox::{Nature, Pay, RefundStatus, SendWebhook, Shortage, TakeBack};

use crate::shop::{Answer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// The providers on whose pages somebody can refund, with a list of refunds to find that in.
const PROVIDERS: [&str; 2] = ["bacen", "stripe"];

async fn open(provider: &str) -> Shop {
    let pix = if provider == "stripe" { "propay" } else { provider };
    Shop::open_with(&[("PIX_PROVIDER", pix), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await
}

/// An order with its charge.
async fn charged(shop: &Shop, provider: &str) -> (String, i64) {
    let mug = shop.product("Caneca").price(4_000).create().await;
    let ana = shop.customer().await;
    let order = ana.buy(&[(&mug, 1)]).await.body["id"].as_str().unwrap().to_owned();
    let method = if provider == "stripe" { "credit_card" } else { "pix" };
    let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    let total = shop.sql(&format!("SELECT amount_cents FROM payments WHERE order_id = '{order}'")).await;
    (order, total)
}

async fn paid(shop: &Shop, provider: &str) -> (String, i64) {
    let (order, total) = charged(shop, provider).await;
    shop.pays(&order).await;
    shop.drain().await;
    assert_eq!(state(shop, &order).await, "processing/paid");
    (order, total)
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

/// `status:amount` of an order's refunds, the oldest first.
async fn refunds(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(status || ':' || amount_cents ORDER BY id), '{}') FROM refunds";
    shop.sql(&format!("{list} WHERE order_id = '{order}'")).await
}

/// Somebody gives so much back there, it is done, and no webhook tells of it.
async fn give_back_there(shop: &Shop, order: &str, cents: i64) {
    shop.control().set_shop_url("http://127.0.0.1:9");
    begin_to_give_back_there(shop, order, cents);
    assert!(shop.control().settled(LIMIT).await);
    shop.control().set_shop_url(&shop.url);
}

fn begin_to_give_back_there(shop: &Shop, order: &str, cents: i64) {
    let back = TakeBack::of(order, "fora1", cents).nature(Nature::Original).webhook(SendWebhook::Lost);
    shop.control().take_back_as(&back).unwrap();
}

async fn settle(shop: &Shop) {
    for _ in 0..3 {
        shop.drain_ahead(SignedDuration::from_secs(30)).await;
        assert!(shop.control().settled(LIMIT).await);
    }
}

async fn refund(shop: &Shop, order: &str, cents: i64) -> Answer {
    let answer = shop
        .admin()
        .await
        .post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": cents, "reason": "Acordo"}))
        .await;
    settle(shop).await;
    answer
}

fn went_back(shop: &Shop) -> i64 {
    shop.control().refunds().iter().filter(|refund| refund.status == RefundStatus::Done).map(|refund| refund.amount_cents).sum()
}

/// Both sides' money of today agrees.
async fn books_agree(shop: &Shop, provider: &str) {
    let today = books::now(&shop.app.db().await.unwrap()).await.unwrap().date();
    books::compare(&shop.app, today, provider).await.unwrap();
    let said: Value = shop.sql(&format!("SELECT to_jsonb(r) FROM reconciliations r WHERE provider = '{provider}'")).await;
    assert_eq!(said["status"], "agrees", "{said}");
}

#[actix_web::test]
async fn all_of_it_went_back_there_and_the_shops_own_refund_gives_way() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let (order, total) = paid(&shop, provider).await;
        give_back_there(&shop, &order, total).await;
        assert_eq!(refund(&shop, &order, total).await.status, 201);
        assert_eq!(refunds(&shop, &order).await, [format!("failed:{total}"), format!("done:{total}")], "{provider}");
        assert_eq!(state(&shop, &order).await, "processing/refunded");
        assert_eq!(went_back(&shop), total);
        assert!(shop.alerted().await.is_empty(), "nobody has to do anything: {:?}", shop.alerted().await);
        assert!(!shop.sql::<bool>("SELECT on_hold FROM orders").await);
        books_agree(&shop, provider).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn what_is_still_in_process_there_is_waited_for_before_the_shops_own_refund_gives_way() {
    let shop = open("stripe").await;
    let (order, total) = paid(&shop, "stripe").await;
    begin_to_give_back_there(&shop, &order, total);
    assert_eq!(refund(&shop, &order, total).await.status, 201);
    look(&shop, &order).await;
    assert_eq!(refunds(&shop, &order).await, [format!("failed:{total}"), format!("done:{total}")]);
    assert_eq!((state(&shop, &order).await.as_str(), went_back(&shop)), ("processing/refunded", total));
    assert!(!shop.alerted().await.iter().any(|alert| alert.starts_with("refund-failed")), "{:?}", shop.alerted().await);
    books_agree(&shop, "stripe").await;
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_waits_for_balance_gives_way_when_all_of_it_went_back_there() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let (order, total) = paid(&shop, provider).await;
        shop.control().lack_balance(provider, Shortage::Fails, None).unwrap();
        assert_eq!(refund(&shop, &order, 900).await.status, 201);
        assert_eq!(refunds(&shop, &order).await, ["waiting:900"], "{provider}");
        shop.control().fund(provider).unwrap();
        give_back_there(&shop, &order, total).await;
        look(&shop, &order).await;
        shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund' AND state = 'waiting'").await;
        settle(&shop).await;
        assert_eq!(refunds(&shop, &order).await, ["failed:900".to_owned(), format!("done:{total}")], "{provider}");
        assert_eq!((state(&shop, &order).await.as_str(), went_back(&shop)), ("processing/refunded", total));
        books_agree(&shop, provider).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_part_went_back_there_and_the_operator_is_asked_what_of_the_rest() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let (order, total) = paid(&shop, provider).await;
        give_back_there(&shop, &order, 1_000).await;
        assert_eq!(refund(&shop, &order, total).await.status, 201);
        let rest = total - 1_000;
        assert_eq!(refunds(&shop, &order).await, [format!("failed:{total}"), "done:1000".to_owned()], "{provider}");
        assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
        assert_eq!(shop.alerted().await, ["refund-failed 1"]);
        assert!(shop.sql::<bool>("SELECT on_hold FROM orders").await, "somebody wanted the sale off: nothing leaves by itself");
        assert_eq!(refund(&shop, &order, rest + 1).await.status, 409);
        assert_eq!(refund(&shop, &order, rest).await.status, 201);
        assert_eq!((state(&shop, &order).await.as_str(), went_back(&shop)), ("processing/refunded", total));
        books_agree(&shop, provider).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_refund_that_still_fits_beside_it_is_made() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let (order, total) = paid(&shop, provider).await;
        give_back_there(&shop, &order, 1_000).await;
        assert_eq!(refund(&shop, &order, total - 1_000).await.status, 201);
        shop.drain_ahead(SignedDuration::from_hours(24)).await;
        look(&shop, &order).await;
        assert_eq!(refunds(&shop, &order).await, [format!("done:{}", total - 1_000), "done:1000".to_owned()], "{provider}");
        assert_eq!((state(&shop, &order).await.as_str(), went_back(&shop)), ("processing/refunded", total));
        books_agree(&shop, provider).await;
        shop.close().await;
    }
}

async fn look(shop: &Shop, order: &str) {
    let payment = vitrine::ids::PaymentId(shop.sql(&format!("SELECT id FROM payments WHERE order_id = '{order}'")).await);
    jobs::push_now(&shop.app.db().await.unwrap(), Job::LookAtRefunds { payment }).await.unwrap();
    settle(shop).await;
}

#[actix_web::test]
async fn of_a_cancelled_order_the_rest_goes_back_by_itself() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let (order, total) = paid(&shop, provider).await;
        give_back_there(&shop, &order, 1_000).await;
        assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
        settle(&shop).await;
        let rows = [format!("failed:{total}"), "done:1000".to_owned(), format!("done:{}", total - 1_000)];
        assert_eq!(refunds(&shop, &order).await, rows, "{provider}");
        assert_eq!((state(&shop, &order).await.as_str(), went_back(&shop)), ("cancelled/refunded", total));
        assert!(shop.alerted().await.is_empty(), "{:?}", shop.alerted().await);
        books_agree(&shop, provider).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn two_refunds_of_which_one_still_fits_lose_only_the_other() {
    let shop = open("bacen").await;
    let (order, total) = paid(&shop, "bacen").await;
    give_back_there(&shop, &order, total - 1_000).await;
    let hold = "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE kind = 'send_refund' AND state = 'waiting'";
    for cents in [1_000, total - 1_000] {
        let body = json!({"amount_cents": cents, "reason": "Acordo"});
        assert_eq!(shop.admin().await.post(&format!("/api/orders/{order}/refund"), &body).await.status, 201);
        shop.execute(hold).await;
    }
    look(&shop, &order).await;
    let (_, rest) = (shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund'").await, total - 1_000);
    settle(&shop).await;
    assert_eq!(refunds(&shop, &order).await, ["done:1000".to_owned(), format!("failed:{rest}"), format!("done:{rest}")]);
    assert_eq!((state(&shop, &order).await.as_str(), went_back(&shop)), ("processing/refunded", total));
    books_agree(&shop, "bacen").await;
    shop.close().await;
}

#[actix_web::test]
async fn a_surplus_that_went_back_there_is_settled_with_it() {
    let shop = open("bacen").await;
    let (order, total) = charged(&shop, "bacen").await;
    shop.control().pay(Pay::of(&order).amount_cents(total + 500).webhook(SendWebhook::Lost)).unwrap();
    give_back_there(&shop, &order, 300).await;
    shop.drain_ahead(SignedDuration::from_mins(11)).await;
    settle(&shop).await;
    assert_eq!(went_back(&shop), total + 500, "all of it, once: {:?}", refunds(&shop, &order).await);
    let left = "SELECT captured_cents - refunded_cents FROM payments WHERE is_surplus";
    assert_eq!(shop.sql::<i64>(left).await, 0);
    books_agree(&shop, "bacen").await;
    shop.close().await;
}
