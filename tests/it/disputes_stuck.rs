//! Disputes that their provider refuses to show, or does not know any more: the operator is told, and an administrator can end them.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::ids::PaymentId;
use vitrine::jobs::{self, Job};
use vitrine::payments::refund::adopt;
use vitrine_kit::Money;
use vitrine_kit::pix::{RefundStatus, TheirRefund};
use vitrine_kit::refund::{Med, Nature};
use vitrine_sandbox::{DisputeStatus, Fault, FaultOrder, TakeBack};

use crate::cards::{paid_by_card, payments, state, tell};
use crate::seller;
use crate::shop::{Answer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// No webhook arrives there.
const NOWHERE: &str = "http://127.0.0.1:9";

async fn watch(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
}

async fn settle(shop: &Shop, order: &str, outcome: &str) -> Answer {
    let id: Uuid = shop.sql(&format!("SELECT id FROM disputes WHERE order_id = '{order}'")).await;
    let body = json!({"outcome": outcome, "note": "visto no painel"});
    shop.admin().await.post(&format!("/api/admin/disputes/{id}/settle"), &body).await
}

/// A month passes in which nothing is heard of it.
async fn nothing_moves_for_a_month(shop: &Shop, order: &str) {
    let moved = "UPDATE disputes SET moved_at = moved_at - interval '31 days' WHERE order_id = ";
    assert_eq!(shop.execute(&format!("{moved}'{order}'")).await, 1);
}

fn disputes_answer(shop: &Shop, status: u16, count: u32) {
    let fault = Fault::Status(status);
    let order = FaultOrder { provider: "stripe".into(), fault, count, path_contains: Some("/v1/disputes".into()) };
    shop.control().order_fault(order).unwrap();
}

#[actix_web::test]
async fn a_dispute_that_the_provider_does_not_know_can_be_ended_here() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = paid_by_card(&ana).await;
    let intent = shop.control().charge(&order).unwrap().txid;
    let object = json!({"id": "dp_gone", "object": "dispute", "amount": total, "currency": "brl", "payment_intent": intent,
        "reason": "fraudulent", "status": "needs_response", "balance_transactions": [{"amount": -total}]});
    tell(&shop, "charge.dispute.created", &object).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    let ended = settle(&shop, &order, "won").await;
    assert_eq!((ended.status, &ended.body["state"]), (200, &json!("won")), "{}", ended.body);
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    let logged: Value = shop.sql("SELECT to_jsonb(l) FROM audit_log l WHERE action = 'dispute.settle'").await;
    assert_eq!((&logged["before"]["state"], &logged["after"]["state"]), (&json!("open"), &json!("won")));
    shop.close().await;
}

#[actix_web::test]
async fn what_the_provider_knows_it_decides_unless_nothing_has_moved_for_a_month() {
    let shop = Shop::open_with(&[("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    shop.control().dispute(&order).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(settle(&shop, &order, "won").await.status, 409, "Stripe decides it");
    disputes_answer(&shop, 503, 1000);
    assert_eq!(settle(&shop, &order, "won").await.status, 503, "it cannot be asked now");
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    nothing_moves_for_a_month(&shop, &order).await;
    assert_eq!(settle(&shop, &order, "won").await.status, 200, "that it cannot be asked does not hold it for ever");
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    shop.control().clear_faults();

    let (order, _) = paid_by_card(&ana).await;
    shop.control().dispute(&order).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    nothing_moves_for_a_month(&shop, &order).await;
    assert_eq!(settle(&shop, &order, "lost").await.status, 200);
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    shop.close().await;
}

#[actix_web::test]
async fn an_end_that_nobody_heard_of_is_found_before_an_administrator_ends_it_otherwise() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    shop.control().dispute(&order).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    nothing_moves_for_a_month(&shop, &order).await;
    shop.control().set_shop_url(NOWHERE);
    shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
    let refused = settle(&shop, &order, "won").await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(
        (payments(&shop, &order).await, state(&shop, &order).await),
        (vec!["credit_card:charged_back".into()], "processing/refunded".into())
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_banks_return_that_stays_in_process_or_is_gone_from_its_list_can_be_ended_here() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    let paid = async || {
        let mug = shop.product("Caneca").price(4_000).create().await;
        let order = seller::buys(&shop, &[(&mug, 1)]).await;
        shop.pays(&order).await;
        shop.drain().await;
        let payment = PaymentId(shop.sql(&format!("SELECT id FROM payments WHERE order_id = '{order}'")).await);
        (order, payment)
    };
    let (order, payment) = paid().await;
    shop.control().take_back_as(&TakeBack::of(&order, "MED0001", 500).held()).unwrap();
    jobs::push_now(&shop.app.db().await.unwrap(), Job::LookAtRefunds { payment }).await.unwrap();
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
    assert_eq!(settle(&shop, &order, "won").await.status, 409, "the bank is at it");
    nothing_moves_for_a_month(&shop, &order).await;
    assert_eq!(settle(&shop, &order, "won").await.status, 200);
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["pix:paid"], "that it is still in process is no verdict");

    let (order, payment) = paid().await;
    let theirs = TheirRefund {
        refund_id: None,
        reference: "MED-GONE".to_owned(),
        status: RefundStatus::Processing,
        amount: Money::from_cents(500),
        nature: Nature::Med(Med::Fraud),
        said: None,
    };
    {
        let mut db = shop.app.db().await.unwrap();
        let tx = db.transaction().await.unwrap();
        let now = vitrine::db::clock(&tx).await.unwrap();
        adopt::bring_in_all(&tx, "bacen", payment, &[theirs], now).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
    assert_eq!(settle(&shop, &order, "won").await.status, 200, "their list of its returns does not have it");
    assert_eq!(payments(&shop, &order).await, ["pix:paid"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_dispute_that_does_not_move_is_told_of_once_a_week() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    shop.control().dispute(&order).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    watch(&shop).await;
    assert_eq!(shop.alerted().await, ["dispute-opened 1"]);
    nothing_moves_for_a_month(&shop, &order).await;
    for _ in 0..2 {
        watch(&shop).await;
        assert_eq!(shop.alerted().await, ["dispute-opened 1", "dispute-stays-open 1"]);
    }
    shop.mail_alerts().await;
    shop.execute(
        "UPDATE alerts SET first_at = first_at - interval '8 days', last_at = last_at - interval '8 days', day = day - 8",
    )
    .await;
    watch(&shop).await;
    assert_eq!(shop.alerted().await.iter().filter(|alert| *alert == "dispute-stays-open 1").count(), 2);
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_refuses_to_show_its_disputes_is_an_alert_and_asked_again() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    shop.control().set_shop_url(NOWHERE);
    shop.control().dispute(&order).unwrap();
    disputes_answer(&shop, 400, 1);
    watch(&shop).await;
    assert_eq!(shop.alerted().await, ["list-refused 1"]);
    assert_eq!(shop.sql::<String>("SELECT state FROM jobs WHERE kind = 'watch_disputes'").await, "waiting");
    watch(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_dispute_that_cannot_be_booked_keeps_no_other_from_it() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (first, _) = paid_by_card(&ana).await;
    let (second, _) = paid_by_card(&ana).await;
    shop.control().set_shop_url(NOWHERE);
    shop.control().dispute(&first).unwrap();
    shop.control().dispute(&second).unwrap();
    shop.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END'").await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON disputes FOR EACH ROW WHEN";
    shop.execute(&format!("{refuse} (NEW.order_id = '{first}') EXECUTE FUNCTION refuse()")).await;
    watch(&shop).await;
    assert_eq!(payments(&shop, &first).await, ["credit_card:paid"]);
    assert_eq!(payments(&shop, &second).await, ["credit_card:disputed"]);
    let waits: String = shop.sql("SELECT state || ' ' || (last_error IS NOT NULL) FROM jobs WHERE kind = 'watch_disputes'").await;
    assert_eq!(waits, "waiting true", "it is tried again");
    shop.execute("DROP TRIGGER refuse ON disputes").await;
    watch(&shop).await;
    shop.drain_ahead(SignedDuration::from_mins(1)).await;
    assert_eq!(payments(&shop, &first).await, ["credit_card:disputed"]);
    shop.close().await;
}
