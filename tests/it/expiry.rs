//! An unpaid order expires at its time, whatever happened to its job, its provider or its buyer; and not before it is certain
//! that it was not paid.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use vitrine::jobs::Outcome;
use vitrine::orders::expire::expire;
use vitrine::payments::charge::check::check_payment;
use vitrine_sandbox::{Fault, FaultOrder, Pay, SendWebhook};

use crate::seller::buys;
use crate::shop::Shop;

const LIMIT: Duration = Duration::from_secs(20);

/// An order for the last shirt, to be paid by PIX.
async fn last_shirt(shop: &Shop) -> String {
    let shirt = shop.product("Camiseta").stock(1).create().await;
    buys(shop, &[(&shirt, 1)]).await
}

/// The time for paying ended an hour ago.
async fn let_time_pass(shop: &Shop) {
    shop.execute("UPDATE payments SET expires_at = now() - interval '1 hour', updated_at = now() - interval '1 hour'").await;
    shop.execute("UPDATE orders SET expires_at = now() - interval '55 minutes'").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order' AND state = 'waiting'").await;
}

async fn state(shop: &Shop) -> String {
    shop.sql("SELECT status || '/' || payment_status || '/' || (SELECT min(stock) FROM variants) FROM orders").await
}

#[actix_web::test]
async fn an_order_waits_while_its_provider_does_not_let_us_ask_whether_it_was_paid() {
    let shop = Shop::open_with(&[("CIRCUIT_BREAKER_COOLDOWN", "1ms")]).await;
    last_shirt(&shop).await;
    let fault =
        |count| FaultOrder { provider: "propay".into(), fault: Fault::Status(401), count, path_contains: Some("GET".into()) };
    shop.control().order_fault(fault(100)).unwrap();
    let_time_pass(&shop).await;
    shop.drain_ahead(SignedDuration::from_secs(60)).await;
    assert_eq!(state(&shop).await, "pending/pending_payment/0");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE kind = 'expire_order' AND state = 'dead'").await, 0);
    shop.control().clear_faults();
    shop.drain_ahead(SignedDuration::from_mins(15)).await;
    assert_eq!(state(&shop).await, "cancelled/expired/1", "nobody had to do anything");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await;
}

/// Their clock and ours agree that the charge is over; the PIX of the last second stands in their books some moments later.
#[actix_web::test]
async fn a_pix_of_the_last_second_whose_webhook_is_lost_is_found_before_the_stock_is_given_back() {
    for provider in ["propay", "openpix"] {
        let shop = Shop::open_with(&[("PIX_PROVIDER", provider)]).await;
        last_shirt(&shop).await;
        let payment: uuid::Uuid = shop.sql("SELECT id FROM payments").await;
        // The check right after the end finds it unpaid: the payment has expired.
        shop.execute("UPDATE payments SET expires_at = now() - interval '2 minutes'").await;
        shop.control().expire(&payment.to_string()).unwrap();
        shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'check_payment' AND state = 'waiting'").await;
        shop.drain().await;
        assert_eq!(shop.sql::<String>("SELECT status FROM payments").await, "expired", "{provider}");
        shop.control().pay(Pay::of(payment).force().webhook(SendWebhook::Lost)).unwrap();
        shop.execute("UPDATE payments SET expires_at = now() - interval '6 minutes', checked_at = now() - interval '5 minutes'")
            .await;
        shop.execute("UPDATE orders SET expires_at = now() - interval '1 minute'").await;
        shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order' AND state = 'waiting'").await;
        shop.drain().await;
        assert_eq!(state(&shop).await, "processing/paid/0", "{provider}");
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM stock_movements WHERE reason = 'release'").await, 0, "never given back");
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_order_that_lost_its_job_is_ended_all_the_same() {
    let shop = Shop::open().await;
    last_shirt(&shop).await;
    shop.execute("DELETE FROM jobs WHERE kind = 'expire_order'").await;
    vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE kind = 'expire_order'").await, 0, "it is not over yet");
    let_time_pass(&shop).await;
    vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
    shop.drain().await;
    assert_eq!(state(&shop).await, "cancelled/expired/1");
    shop.close().await;
}

#[actix_web::test]
async fn refused_cards_keep_no_order_beyond_its_time() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let shirt = shop.product("Camiseta").stock(1).create().await;
    let placed = ana.buy(&[(&shirt, 1)]).await;
    let order = placed.body["id"].as_str().unwrap();
    let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "credit_card"})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    let_time_pass(&shop).await;
    shop.control().decline(order, "insufficient_funds").unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    assert_eq!(state(&shop).await, "cancelled/expired/1");
    shop.close().await;
}

#[actix_web::test]
async fn late_money_of_an_erased_buyer_goes_back_though_there_is_stock() {
    let shop = Shop::open().await;
    let order = last_shirt(&shop).await;
    let_time_pass(&shop).await;
    shop.drain().await;
    assert_eq!(state(&shop).await, "cancelled/expired/1");
    shop.execute("UPDATE orders SET tax_id_sealed = NULL, tax_id_key = NULL, tax_id_hash = NULL").await; // as an erasure does
    shop.control().pay(Pay::of(&order).force()).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(SignedDuration::from_secs(10)).await;
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop).await, "cancelled/expired/1");
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "done");
    shop.close().await;
}

/// From now on new connections see a clock that is ten minutes ahead of the server's.
async fn the_databases_clock_is_ahead(shop: &Shop) {
    for clock in ["now", "clock_timestamp"] {
        let ahead = format!("SELECT pg_catalog.{clock}() + interval ''10 minutes''");
        shop.execute(&format!("CREATE FUNCTION {clock}() RETURNS timestamptz LANGUAGE sql STABLE AS '{ahead}'")).await;
    }
    let database: String = shop.sql("SELECT current_database()::text").await;
    shop.execute(&format!("ALTER DATABASE {database} SET search_path = public, pg_catalog")).await;
}

#[actix_web::test]
async fn what_is_over_by_the_databases_clock_ends_whatever_the_servers_says() {
    let shop = Shop::open().await;
    let (asked, unasked) = (last_shirt(&shop).await, last_shirt(&shop).await);
    let payment = async |order: &str| {
        vitrine::ids::PaymentId(shop.sql(&format!("SELECT id FROM payments WHERE order_id = '{order}'")).await)
    };
    let (first, second) = (payment(&asked).await, payment(&unasked).await);
    // Five minutes past its end by one clock, and not yet by the other.
    let ends = "expires_at = now() + interval '4 minutes', updated_at = now() - interval '1 minute'";
    shop.execute(&format!("UPDATE payments SET {ends}")).await;
    shop.execute("UPDATE orders SET expires_at = now() + interval '9 minutes'").await;
    the_databases_clock_is_ahead(&shop).await;
    let server = shop.beside(&[]).await.unwrap();
    assert_eq!(check_payment(&server.app, first).await.unwrap(), Outcome::Done);
    let order = vitrine::ids::OrderId(asked.parse().unwrap());
    assert_eq!(expire(&server.app, order).await.unwrap(), Outcome::Done);
    server.stop().await;
    let gone = [("PIX_PROVIDER", "openpix"), ("PROPAY_URL", ""), ("GO_TO_PROPAY_SECRET", ""), ("PROPAY_TO_GO_SECRET", "")];
    let server = shop.beside(&gone).await.unwrap();
    assert_eq!(check_payment(&server.app, second).await.unwrap(), Outcome::Done);
    server.stop().await;
    let live = "p.status IN ('creating', 'unknown', 'pending')";
    let ended =
        format!("SELECT array_agg(o.status || ' ' || ({live}) ORDER BY p.id) FROM payments p JOIN orders o ON o.id = p.order_id");
    assert_eq!(shop.sql::<Vec<String>>(&ended).await, ["cancelled false", "pending false"]);
    shop.close().await;
}
