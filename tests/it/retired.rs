//! Providers that take no new payments any more, or that are gone from the configuration altogether: no money is lost, no stock is
//! held for ever, and no job dies over it.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use vitrine::ids::PaymentId;
use vitrine::jobs::{self, Job};
use vitrine::payments::books;
use vitrine::worker;
use vitrine_sandbox::{ChargeStatus, Fault, FaultOrder, Pay, SendWebhook};

use crate::shop::{Beside, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// ProPay takes no new charges, and its credentials are still there.
const RETIRED: &[(&str, &str)] = &[("PIX_PROVIDER", "openpix")];
/// ProPay is gone.
const GONE: &[(&str, &str)] =
    &[("PIX_PROVIDER", "openpix"), ("PROPAY_URL", ""), ("GO_TO_PROPAY_SECRET", ""), ("PROPAY_TO_GO_SECRET", "")];
const NO_CARDS: &[(&str, &str)] = &[("CARD_PROVIDER", "none")];
const STRIPE_GONE: &[(&str, &str)] = &[("STRIPE_SECRET_KEY", ""), ("STRIPE_WEBHOOK_SECRET", ""), ("STRIPE_PUBLISHABLE_KEY", "")];

/// An order with a live payment; its id and the payment's.
async fn live(customer: &Customer<'_>, method: &str) -> (String, String) {
    let shirt = customer.shop.product("Camiseta").stock(1).create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    let order = placed.body["id"].as_str().unwrap().to_owned();
    let paid = customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await;
    assert_eq!(paid.status, 200, "{}", paid.body);
    (order, paid.body["payment_id"].as_str().unwrap().to_owned())
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

async fn payments(shop: &Shop, order: &str) -> Vec<String> {
    shop.sql(&format!("SELECT array_agg(provider || ':' || status ORDER BY id) FROM payments WHERE order_id = '{order}'")).await
}

async fn drain(server: &Beside) {
    worker::drain(&server.app, SignedDuration::from_secs(90)).await.unwrap();
}

/// The time to pay is over, for the charge and for its order.
async fn run_out(shop: &Shop, order: &str) {
    shop.execute(&format!("UPDATE payments SET expires_at = now() - interval '6 minutes' WHERE order_id = '{order}'")).await;
    shop.execute(&format!("UPDATE orders SET expires_at = now() - interval '1 minute' WHERE id = '{order}'")).await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND kind IN ('check_payment', 'expire_order')").await;
}

async fn stock(shop: &Shop, order: &str) -> i32 {
    shop.sql(&format!("SELECT v.stock FROM variants v JOIN order_lines l ON l.variant_id = v.id WHERE l.order_id = '{order}'"))
        .await
}

/// No job died, none is left that asks about the payment, and the operator has one alert of it.
async fn assert_told_once(shop: &Shop, provider: &str) {
    let dead: i64 = shop.sql("SELECT count(*) FROM jobs WHERE state = 'dead'").await;
    let asking: i64 =
        shop.sql("SELECT count(*) FROM jobs WHERE state = 'waiting' AND kind IN ('check_payment', 'void_payment')").await;
    let keys: Vec<String> =
        shop.sql("SELECT array_agg(DISTINCT key::text) FROM alert_occurrences WHERE key LIKE 'provider-unconfigured:%'").await;
    assert_eq!((dead, asking, keys), (0, 0, vec![format!("provider-unconfigured:{provider}")]));
}

#[actix_web::test]
async fn a_code_of_a_retired_provider_that_is_paid_pays_its_order() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, payment) = live(&ana, "pix").await;
    let later = shop.beside(RETIRED).await.unwrap();
    // Its webhooks still count: unsigned is refused, and not unknown.
    assert_eq!(later.request(&shop, "POST", "/api/webhooks/payment").json(&json!({})).send().await.status, 401);
    shop.control().pay(Pay::of(&payment).webhook(SendWebhook::Lost)).unwrap();
    drain(&later).await;
    assert_eq!(
        (state(&shop, &order).await, payments(&shop, &order).await),
        ("processing/paid".into(), vec!["propay:paid".into()])
    );
    let methods = later.request(&shop, "GET", "/api/payment-methods").send().await;
    assert_eq!(methods.body["items"][0]["available"], true);
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_retired_provider_shows_its_live_code_and_makes_no_new_one() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, payment) = live(&ana, "pix").await;
    let later = shop.beside(RETIRED).await.unwrap();
    let pay = |order: String| {
        let request = later.request(&shop, "POST", &format!("/api/orders/{order}/pay"));
        request.header("Authorization", &format!("Bearer {}", ana.token)).json(&json!({"method": "pix"})).send()
    };
    assert_eq!(pay(order.clone()).await.body["payment_id"], payment.as_str());
    let shirt = shop.product("Boné").create().await;
    let other = ana.buy(&[(&shirt, 1)]).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(pay(other.clone()).await.status, 200);
    assert_eq!(payments(&shop, &other).await, ["openpix:pending"]);
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn an_unpaid_charge_of_a_provider_that_is_gone_ends_with_its_order() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = live(&ana, "pix").await;
    let later = shop.beside(GONE).await.unwrap();
    assert_eq!(later.request(&shop, "POST", "/api/webhooks/payment").json(&json!({})).send().await.status, 404);
    drain(&later).await;
    assert_eq!(state(&shop, &order).await, "pending/pending_payment", "it can still be paid there");
    run_out(&shop, &order).await;
    drain(&later).await;
    assert_eq!((state(&shop, &order).await, stock(&shop, &order).await), ("cancelled/expired".into(), 1));
    assert_eq!(payments(&shop, &order).await, ["propay:expired"]);
    assert_told_once(&shop, "propay").await;
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn what_was_paid_at_a_provider_that_was_gone_is_found_once_it_is_back() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (revived, paid) = live(&ana, "pix").await;
    let (unpaid, open) = live(&ana, "pix").await;
    let (sold_out, too_late) = live(&ana, "pix").await;
    let later = shop.beside(GONE).await.unwrap();
    for payment in [&paid, &too_late] {
        shop.control().pay(Pay::of(payment).webhook(SendWebhook::Lost)).unwrap();
    }
    for order in [&revived, &unpaid, &sold_out] {
        run_out(&shop, order).await;
    }
    drain(&later).await;
    for order in [&revived, &unpaid, &sold_out] {
        assert_eq!(state(&shop, order).await, "cancelled/expired");
    }
    later.stop().await;
    // Somebody else buys the last piece of one of them meanwhile.
    shop.execute(&format!(
        "WITH gone AS (UPDATE variants v SET stock = 0 FROM order_lines l WHERE v.id = l.variant_id AND l.order_id = '{sold_out}' RETURNING v.id)
         INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) SELECT id, -1, 'adjustment', 'test', 'system' FROM gone"
    ))
    .await;
    let back = shop.beside(RETIRED).await.unwrap();
    vitrine::payments::reconcile::reconcile(&back.app).await.unwrap();
    for _ in 0..3 {
        drain(&back).await;
        assert!(shop.control().settled(LIMIT).await);
    }
    assert_eq!(state(&shop, &revived).await, "processing/paid");
    assert_eq!(
        (state(&shop, &unpaid).await, payments(&shop, &unpaid).await),
        ("cancelled/expired".into(), vec!["propay:expired".into()])
    );
    assert_eq!(shop.control().charge(&open).unwrap().status, ChargeStatus::Cancelled, "nobody can pay it any more");
    assert_eq!(
        (state(&shop, &sold_out).await, payments(&shop, &sold_out).await),
        ("cancelled/expired".into(), vec!["propay:refunded".into()])
    );
    let unasked: i64 = shop.sql("SELECT count(*) FROM payments WHERE ended_unasked").await;
    assert_eq!(unasked, 0);
    back.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_buyer_whose_provider_is_gone_gets_a_code_of_the_new_one() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = live(&ana, "pix").await;
    let later = shop.beside(GONE).await.unwrap();
    let request = later.request(&shop, "POST", &format!("/api/orders/{order}/pay"));
    let answer = request.header("Authorization", &format!("Bearer {}", ana.token)).json(&json!({"method": "pix"})).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(payments(&shop, &order).await, ["propay:cancelled", "openpix:pending"]);
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_at_a_provider_that_is_gone_waits_for_it_and_no_job_dies() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, payment) = live(&ana, "pix").await;
    shop.control().pay(Pay::of(&payment)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    let later = shop.beside(GONE).await.unwrap();
    let refund = shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "desistiu"})).await;
    assert_eq!(refund.status, 201, "{}", refund.body);
    drain(&later).await;
    let dead: i64 = shop.sql("SELECT count(*) FROM jobs WHERE state = 'dead'").await;
    let waiting: i64 = shop.sql("SELECT count(*) FROM jobs WHERE kind = 'send_refund' AND state = 'waiting' AND run_at > now() + interval '50 minutes'").await;
    assert_eq!((dead, waiting), (0, 1));
    later.stop().await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund'").await;
    shop.drain().await;
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(SignedDuration::from_secs(90)).await;
    assert_eq!(payments(&shop, &order).await, ["propay:refunded"]);
    shop.close().await;
}

#[actix_web::test]
async fn cards_that_are_switched_off_are_still_looked_after() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, payment) = live(&ana, "credit_card").await;
    let later = shop.beside(NO_CARDS).await.unwrap();
    let methods = later.request(&shop, "GET", "/api/payment-methods").send().await;
    assert_eq!(methods.body["items"].as_array().unwrap().len(), 1, "PIX alone is offered: {}", methods.body);
    shop.control().pay(Pay::of(&payment).webhook(SendWebhook::Lost)).unwrap();
    drain(&later).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn an_unpaid_card_payment_without_stripe_ends_and_gives_its_stock_back() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = live(&ana, "credit_card").await;
    let later = shop.beside(STRIPE_GONE).await.unwrap();
    run_out(&shop, &order).await;
    drain(&later).await;
    assert_eq!((state(&shop, &order).await, stock(&shop, &order).await), ("cancelled/expired".into(), 1));
    assert_told_once(&shop, "stripe").await;
    later.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_is_back_at_a_wrong_address_is_asked_once_an_hour() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, payment) = live(&ana, "pix").await;
    let later = shop.beside(GONE).await.unwrap();
    run_out(&shop, &order).await;
    drain(&later).await;
    assert_eq!(payments(&shop, &order).await, ["propay:expired"]);
    later.stop().await;
    let back = shop.beside(RETIRED).await.unwrap();
    let wrong =
        FaultOrder { provider: "propay".into(), fault: Fault::Status(422), count: 1000, path_contains: Some("GET".into()) };
    shop.control().order_fault(wrong).unwrap();
    let reconcile = async || {
        for _ in 0..3 {
            vitrine::payments::reconcile::reconcile(&back.app).await.unwrap();
            drain(&back).await;
        }
        shop.sql::<i64>("SELECT count(*) FROM jobs WHERE kind = 'check_payment' AND state = 'dead'").await
    };
    assert_eq!(reconcile().await, 1);
    shop.execute("UPDATE jobs SET finished_at = finished_at - interval '61 minutes' WHERE state = 'dead'").await;
    assert_eq!(reconcile().await, 2);
    shop.execute("UPDATE jobs SET finished_at = finished_at - interval '61 minutes' WHERE state = 'dead'").await;
    shop.control().clear_faults();
    reconcile().await;
    assert_eq!(shop.control().charge(&payment).unwrap().status, ChargeStatus::Cancelled, "nobody can pay it any more");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM payments WHERE ended_unasked").await, 0);
    back.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn what_was_only_to_be_read_at_a_provider_that_is_gone_is_read_once_it_is_back() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, payment) = live(&ana, "credit_card").await;
    shop.control().pay(Pay::of(&payment)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    let later = shop.beside(STRIPE_GONE).await.unwrap();
    let (provider, payment) = ("stripe".to_owned(), PaymentId(payment.parse().unwrap()));
    let day = books::now(&shop.app.db().await.unwrap()).await.unwrap().date();
    let reads = [
        Job::LookAtRefunds { payment },
        Job::LookAtDispute { provider: provider.clone(), reference: "du_1".to_owned(), evidence_ref: None },
        Job::ReadReturns { provider, day, page: 0 },
    ];
    jobs::push_all(&shop.app.db().await.unwrap(), &reads.map(|job| (job, None))).await.unwrap();
    // What goes back and is contested meanwhile, nobody hears of.
    shop.control().set_shop_url("http://127.0.0.1:9");
    shop.control().take_back(&order, "", 300).unwrap();
    let reading = "SELECT array_agg(kind || ' ' || state ORDER BY kind) FROM jobs WHERE kind IN ('look_at_refunds', 'look_at_dispute', 'read_returns')";
    let over = ["look_at_dispute done", "look_at_refunds done", "read_returns done"];
    for _ in 0..2 {
        drain(&later).await;
        assert_eq!(shop.sql::<Vec<String>>(reading).await, over, "they do not wait");
        let told = shop.alerted().await.into_iter().filter(|alert| alert.starts_with("provider")).collect::<Vec<_>>();
        assert_eq!(told, ["provider-unconfigured 3"]);
        shop.execute("UPDATE jobs SET run_at = now() - interval '1 day' WHERE state = 'waiting'").await;
    }
    later.stop().await;
    for weekly in [Job::WatchDisputes, Job::WatchReturns] {
        jobs::push_now(&shop.app.db().await.unwrap(), weekly).await.unwrap();
    }
    for _ in 0..6 {
        shop.drain_ahead(SignedDuration::from_mins(2)).await;
    }
    assert_eq!(payments(&shop, &order).await, ["stripe:partially_refunded"]);
    shop.close().await;
}
