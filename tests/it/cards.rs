//! Cards through Stripe: one intent per payment, whichever answers are lost; the order follows the money.

use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_sandbox::{ChargeStatus, DisputeStatus, Fault, Pay, RefundStatus, SendWebhook};

use crate::shop::{Answer, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);

pub async fn order(customer: &Customer<'_>) -> (String, i64) {
    let shirt = customer.shop.product("Camiseta").price(10_000).create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    (placed.body["id"].as_str().unwrap().to_owned(), placed.body["total_cents"].as_i64().unwrap())
}

async fn pay(customer: &Customer<'_>, order: &str, method: &str) -> Answer {
    customer.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await
}

async fn by_card(customer: &Customer<'_>, order: &str) -> Answer {
    let answer = pay(customer, order, "credit_card").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

pub async fn paid_by_card(customer: &Customer<'_>) -> (String, i64) {
    let (order, total) = order(customer).await;
    by_card(customer, &order).await;
    customer.shop.control().pay(Pay::of(&order)).unwrap();
    assert!(customer.shop.control().settled(LIMIT).await);
    assert_eq!(state(customer.shop, &order).await, "processing/paid");
    (order, total)
}

fn text(answer: &Answer, field: &str) -> String {
    answer.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", answer.body)).to_owned()
}

pub async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

/// `method:status` of an order's payments, the oldest first.
pub async fn payments(shop: &Shop, order: &str) -> Vec<String> {
    shop.sql(&format!("SELECT array_agg(method || ':' || status ORDER BY id) FROM payments WHERE order_id = '{order}'")).await
}

pub async fn count(shop: &Shop, from: &str) -> i64 {
    shop.sql(&format!("SELECT count(*) FROM {from}")).await
}

#[actix_web::test]
async fn a_card_payment_offers_cards_alone_whatever_is_switched_on_in_the_dashboard() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    by_card(&ana, &order).await;
    let charge = shop.control().charge(&order).unwrap();
    assert_eq!(charge.extra["allowed_payment_method_types"], json!(["card"]));
    shop.close().await;
}

async fn five_per_cent_off_by_pix(shop: &Shop) {
    let five = json!({"pix": {"enabled": true, "price_rule": {"kind": "percent", "value": 5}}});
    assert_eq!(shop.admin().await.put("/api/admin/settings/payment_methods", &five).await.status, 200);
}

pub async fn settle(shop: &Shop) {
    for _ in 0..2 {
        assert!(shop.control().settled(LIMIT).await);
        shop.drain_ahead(SignedDuration::from_secs(90)).await;
    }
    assert!(shop.control().settled(LIMIT).await);
}

#[actix_web::test]
async fn a_card_payment_is_one_intent_and_pays_the_order_once() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    let (first, twin) = tokio::join!(pay(&ana, &order, "credit_card"), pay(&ana, &order, "credit_card"));
    let again = by_card(&ana, &order).await;
    for answer in [&first, &twin] {
        assert_eq!((answer.status, &answer.body), (200, &again.body));
    }
    assert!(text(&again, "client_secret").starts_with("pi_"));
    assert_eq!((text(&again, "publishable_key").as_str(), &again.body["amount_cents"]), ("pk_test_loja", &json!(total)));
    assert_eq!(again.body.get("copy_paste"), None);
    let intents = shop.control().charges();
    assert_eq!(intents.iter().map(|i| (&*i.provider, i.amount_cents)).collect::<Vec<_>>(), [("stripe", total)]);
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Twice)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(shop.sql::<String>("SELECT payment_method FROM orders").await, "credit_card");
    assert_eq!(count(&shop, "money_movements").await, 1);
    assert_eq!(count(&shop, "jobs WHERE kind = 'mail_order_paid'").await, 1);
    assert_eq!(pay(&ana, &order, "credit_card").await.slug(), "conflict");
    shop.close().await;
}

#[actix_web::test]
async fn a_refused_card_is_not_the_end_of_the_intent() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    let secret = text(&by_card(&ana, &order).await, "client_secret");
    shop.control().decline(&order, "insufficient_funds").unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "pending/pending_payment");
    let told: String = shop.sql("SELECT reason FROM order_history WHERE subject = 'payment' ORDER BY id DESC LIMIT 1").await;
    assert!(told.contains("insufficient_funds"), "{told}");
    assert_eq!(text(&by_card(&ana, &order).await, "client_secret"), secret);
    shop.control().pay(Pay::of(&order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_lost_answer_and_a_stored_failure_still_end_in_one_payable_intent() {
    for fault in [Fault::DropAfterRequest, Fault::Status(500), Fault::Garbage, Fault::Status(503)] {
        let shop = Shop::open_with(&[("CIRCUIT_BREAKER_THRESHOLD", "100")]).await;
        let ana = shop.customer().await;
        let (order, total) = order(&ana).await;
        shop.control().next_calls("stripe", fault, 3);
        assert_eq!(pay(&ana, &order, "credit_card").await.status, 503, "{fault:?}");
        shop.control().clear_faults();
        let found = by_card(&ana, &order).await;
        let payable: Vec<_> = shop.control().charges().into_iter().filter(|i| i.status == ChargeStatus::Pending).collect();
        let ours: Vec<_> = payable.iter().filter(|i| text(&found, "client_secret").starts_with(&i.txid)).collect();
        assert_eq!(ours.len(), 1, "{fault:?}: the buyer's secret is of an intent that they have");
        shop.control().pay(Pay::of(&ours[0].txid).webhook(SendWebhook::Lost)).unwrap();
        shop.drain_ahead(SignedDuration::from_secs(61)).await;
        assert_eq!(state(&shop, &order).await, "processing/paid", "{fault:?}");
        assert_eq!(shop.sql::<i64>("SELECT sum(amount_cents)::bigint FROM money_movements").await, total);
        shop.close().await;
    }
}

#[actix_web::test]
async fn the_end_of_the_order_cancels_the_intent() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    by_card(&ana, &order).await;
    assert_eq!(ana.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    shop.drain().await;
    assert_eq!(shop.control().charge(&order).unwrap().status, ChargeStatus::Cancelled);
    assert_eq!(payments(&shop, &order).await, ["credit_card:cancelled"]);
    assert!(shop.control().pay(Pay::of(&order).force()).is_err(), "nobody can pay it any more");
    assert_eq!(state(&shop, &order).await, "cancelled/cancelled");
    shop.close().await;
}

#[actix_web::test]
async fn while_the_bank_is_at_work_the_order_waits() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    by_card(&ana, &order).await;
    shop.control().processing(&order).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.execute("UPDATE payments SET expires_at = now() - interval '1 hour', updated_at = now() - interval '1 hour'").await;
    shop.execute("UPDATE orders SET expires_at = now() - interval '55 minutes'").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order'").await;
    shop.drain().await;
    assert_eq!(state(&shop, &order).await, "pending/pending_payment");
    shop.control().pay(Pay::of(&order).force()).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[actix_web::test]
async fn changing_the_method_voids_the_old_payment_and_sets_the_price_anew() {
    let shop = Shop::open().await;
    five_per_cent_off_by_pix(&shop).await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    let pix = pay(&ana, &order, "pix").await;
    assert_eq!(pix.body["amount_cents"], total - 500);
    assert_eq!(by_card(&ana, &order).await.body["amount_cents"], total);
    let back = pay(&ana, &order, "pix").await;
    assert_eq!(back.body["amount_cents"], total - 500);
    assert_eq!(payments(&shop, &order).await, ["pix:cancelled", "credit_card:cancelled", "pix:pending"]);
    let states: Vec<_> = shop.control().charges().iter().map(|c| c.status).collect();
    assert_eq!(states, [ChargeStatus::Cancelled, ChargeStatus::Cancelled, ChargeStatus::Pending]);
    shop.control().pay(Pay::of(back.body["payment_id"].as_str().unwrap())).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(shop.sql::<i64>("SELECT total_cents FROM orders").await, total - 500);
    shop.close().await;
}

#[actix_web::test]
async fn a_pix_provider_that_is_away_leaves_cards_working_and_its_late_money_has_its_own_price() {
    let shop = Shop::open().await;
    five_per_cent_off_by_pix(&shop).await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    let pix = pay(&ana, &order, "pix").await;
    shop.control().next_calls("propay", Fault::DropBeforeRequest, 1_000);
    // The code was shown and cannot be voided: the buyer may pay by card all the same.
    assert_eq!(by_card(&ana, &order).await.body["amount_cents"], total);
    for _ in 0..5 {
        let (other, _) = self::order(&ana).await;
        pay(&ana, &other, "pix").await;
    }
    let methods = shop.get("/api/payment-methods").await;
    let seen: Vec<(&Value, &Value)> =
        methods.body["items"].as_array().unwrap().iter().map(|m| (&m["method"], &m["available"])).collect();
    assert_eq!(seen, [(&json!("pix"), &json!(false)), (&json!("credit_card"), &json!(true))]);
    shop.control().clear_faults();
    // The old code is paid after all, before the card: the order is paid by it, at the price shown with it.
    shop.control().pay(Pay::of(pix.body["payment_id"].as_str().unwrap())).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    let taken: String = shop.sql(&format!("SELECT payment_method || ' ' || total_cents FROM orders WHERE id = '{order}'")).await;
    assert_eq!(taken, format!("pix {}", total - 500));
    shop.drain().await; // and the card's intent can no longer be paid
    assert_eq!(payments(&shop, &order).await, ["pix:paid", "credit_card:cancelled"]);
    shop.close().await;
}

#[actix_web::test]
async fn refunds_in_parts_go_back_once_and_never_exceed_the_payment() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let path = format!("/api/orders/{order}/refund");
    shop.control().next_calls("stripe", Fault::DropAfterRequest, 3);
    assert_eq!(admin.post(&path, &json!({"amount_cents": 1_000, "reason": "Avaria"})).await.status, 201);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    assert_eq!(admin.post(&path, &json!({"amount_cents": total - 999, "reason": "Demais"})).await.status, 409);
    assert_eq!(admin.post(&path, &json!({"reason": "O resto"})).await.status, 201);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    let refunds = shop.control().refunds();
    assert_eq!(
        refunds.iter().map(|r| (r.amount_cents, r.status)).collect::<Vec<_>>(),
        [(1_000, RefundStatus::Done), (total - 1_000, RefundStatus::Done)]
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_bounces_is_ours_again_and_the_operator_knows() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let made = admin.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": 700, "reason": "Avaria"})).await;
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    let theirs = shop.control().refunds()[0].refund_id.clone();
    shop.control().bounce_refund(&theirs).unwrap();
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "failed", "{}", made.body);
    assert_eq!(shop.alerted().await, ["refund-came-back 1"]);
    let left = admin.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": total, "reason": "Tudo"})).await;
    assert_eq!(left.status, 201, "{}", left.body);
    settle(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_dispute_holds_the_money_and_its_end_is_told() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (won, _) = paid_by_card(&ana).await;
    let (lost, total) = paid_by_card(&ana).await;
    for order in [&won, &lost] {
        shop.control().dispute(order).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        assert_eq!(payments(&shop, order).await, ["credit_card:disputed"]);
        let refused = admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "Não"})).await;
        assert_eq!(refused.status, 409, "{}", refused.body);
    }
    assert_eq!(shop.alerted().await, ["dispute-opened 1", "dispute-opened 1"], "each by itself");
    shop.control().close_dispute(&won, DisputeStatus::Won).unwrap();
    shop.control().close_dispute(&lost, DisputeStatus::Lost).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(payments(&shop, &won).await, ["credit_card:paid"]);
    assert_eq!(payments(&shop, &lost).await, ["credit_card:charged_back"]);
    assert_eq!([state(&shop, &won).await, state(&shop, &lost).await], ["processing/paid", "processing/refunded"]);
    let gone: i64 = shop.sql("SELECT sum(amount_cents)::bigint FROM money_movements WHERE kind = 'dispute_out'").await;
    assert_eq!(gone, total);
    shop.close().await;
}

/// A paid order, and its payment disputed.
async fn disputed(customer: &Customer<'_>) -> (String, i64) {
    let (order, total) = paid_by_card(customer).await;
    customer.shop.control().dispute(&order).unwrap();
    assert!(customer.shop.control().settled(LIMIT).await);
    assert_eq!(payments(customer.shop, &order).await, ["credit_card:disputed"]);
    (order, total)
}

async fn closed(shop: &Shop, order: &str, end: DisputeStatus) {
    shop.control().close_dispute(order, end).unwrap();
    assert!(shop.control().settled(LIMIT).await);
}

/// The money movements of disputes, as `kind:amount`.
async fn disputed_money(shop: &Shop) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(kind || ':' || amount_cents ORDER BY id), '{}') FROM money_movements";
    shop.sql(&format!("{list} WHERE kind IN ('dispute_out', 'dispute_back')")).await
}

#[actix_web::test]
async fn a_dispute_is_only_lost_where_they_say_so() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    for (end, after) in
        [(DisputeStatus::WarningClosed, "paid"), (DisputeStatus::Prevented, "paid"), (DisputeStatus::UnderReview, "disputed")]
    {
        let (order, _) = disputed(&ana).await;
        closed(&shop, &order, end).await;
        assert_eq!(payments(&shop, &order).await, [format!("credit_card:{after}")], "{end:?}");
        assert_eq!(state(&shop, &order).await, "processing/paid", "{end:?}");
        if after == "disputed" {
            closed(&shop, &order, DisputeStatus::Won).await; // a clear result comes later
            assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
        }
    }
    assert_eq!(disputed_money(&shop).await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn an_appeal_brings_back_what_a_dispute_took_once() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = disputed(&ana).await;
    closed(&shop, &order, DisputeStatus::Lost).await;
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    closed(&shop, &order, DisputeStatus::Won).await;
    for event in ["charge.dispute.closed", "dispute.closed"] {
        shop.control().send_webhook(&order, event, SendWebhook::Twice).unwrap();
        assert!(shop.control().settled(LIMIT).await);
    }
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(disputed_money(&shop).await, [format!("dispute_out:{total}"), format!("dispute_back:{total}")]);
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "Agora sim"})).await.status, 201);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn an_order_cancelled_under_a_dispute_gives_its_money_back_once_that_is_won() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    for ends in [&[DisputeStatus::Won][..], &[DisputeStatus::Lost, DisputeStatus::Won]] {
        let (order, total) = disputed(&ana).await;
        let cancelled = admin.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.body);
        settle(&shop).await;
        let refunds = format!("refunds WHERE order_id = '{order}'");
        assert_eq!(count(&shop, &refunds).await, 0);
        for end in ends {
            closed(&shop, &order, *end).await;
        }
        settle(&shop).await;
        assert_eq!(payments(&shop, &order).await, ["credit_card:refunded"], "{ends:?}");
        assert_eq!(state(&shop, &order).await, "cancelled/refunded", "{ends:?}");
        assert_eq!(count(&shop, &format!("{refunds} AND status = 'done' AND amount_cents = {total}")).await, 1, "{ends:?}");
    }
    shop.close().await;
}

/// The last event of that kind under another id, without its intent, signed.
async fn told_by_its_charge(shop: &Shop, kind: &str) {
    let sent = shop.control().books(|books| books.deliveries().iter().rev().find(|d| d.event == kind).unwrap().body.clone());
    let event: Value = serde_json::from_str(&sent).unwrap();
    let mut object = event["data"]["object"].clone();
    object["payment_intent"] = Value::Null;
    tell(shop, kind, &object).await;
}

/// Sends the shop an event of Stripe's, new and signed.
pub async fn tell(shop: &Shop, kind: &str, object: &Value) {
    let id = format!("evt_{}", Uuid::new_v4().simple());
    let at = jiff::Timestamp::now().as_second();
    let event = json!({"id": id, "object": "event", "type": kind, "created": at, "livemode": false, "data": {"object": object}});
    let body = event.to_string();
    let secret = shop.app.config.stripe.as_ref().unwrap().webhook_secret.clone();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secrecy::ExposeSecret::expose_secret(&secret).as_bytes());
    let signature = hex::encode(hmac::sign(&key, format!("{at}.{body}").as_bytes()));
    let request = shop.request("POST", "/api/webhooks/stripe").header("Stripe-Signature", &format!("t={at},v1={signature}"));
    assert_eq!(request.body("application/json", body).send().await.status, 200);
}

#[actix_web::test]
async fn news_of_a_charge_that_leave_the_intent_out_are_about_the_same_payment() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = paid_by_card(&ana).await;
    shop.control().set_shop_url("http://127.0.0.1:9"); // from here on webhooks are lost, but for those sent below
    shop.control().dispute(&order).unwrap();
    told_by_its_charge(&shop, "charge.dispute.created").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
    told_by_its_charge(&shop, "charge.dispute.closed").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    assert_eq!(disputed_money(&shop).await, [format!("dispute_out:{total}")]);
    assert_eq!(count(&shop, "webhook_events WHERE outcome = 'unknown'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_made_in_the_dashboard_is_in_our_books_once() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let intent = shop.control().charge(&order).unwrap().txid;
    let secret = shop.app.config.stripe.as_ref().unwrap().secret_key.clone();
    let made = reqwest::Client::new()
        .post(format!("{}/stripe/v1/refunds", shop.sandbox.url()))
        .bearer_auth(secrecy::ExposeSecret::expose_secret(&secret))
        .form(&[("payment_intent", intent.as_str()), ("amount", "300")])
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 200);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    let told = admin.get(&format!("/api/orders/{order}/payments")).await;
    let refunds = told.body["items"][0]["refunds"].as_array().unwrap().clone();
    assert_eq!(refunds.len(), 1);
    assert_eq!((&refunds[0]["amount_cents"], &refunds[0]["status"]), (&json!(300), &json!("done")));
    // No more than the rest can be refunded.
    let too_much =
        admin.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": total - 299, "reason": "Tudo"})).await;
    assert_eq!(too_much.status, 409);
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "O resto"})).await.status, 201);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn a_kept_event_of_stripe_can_be_replayed_and_does_nothing_twice() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    paid_by_card(&ana).await;
    let kept = admin.get("/api/admin/webhooks?provider=stripe").await;
    let event = kept.body["items"].as_array().unwrap().iter().find(|e| e["event"] == "payment_intent.succeeded").unwrap();
    assert_eq!(event["outcome"], "applied");
    let before = count(&shop, "money_movements").await;
    let again = admin.post(&format!("/api/admin/webhooks/{}/replay", event["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!((again.status, &again.body["outcome"]), (200, &json!("already done")), "{}", again.body);
    assert_eq!(count(&shop, "money_movements").await, before);
    shop.close().await;
}

#[actix_web::test]
async fn a_bounced_refund_that_nobody_told_us_of_is_found_by_looking_again() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, _) = paid_by_card(&ana).await;
    assert_eq!(
        admin.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": 700, "reason": "Avaria"})).await.status,
        201
    );
    settle(&shop).await;
    shop.control().set_shop_url("http://127.0.0.1:9"); // from now on every webhook is lost
    let theirs = shop.control().refunds()[0].refund_id.clone();
    shop.control().bounce_refund(&theirs).unwrap();
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    shop.drain_ahead(SignedDuration::from_hours(24 * 11)).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "failed");
    shop.close().await;
}

#[actix_web::test]
async fn a_repeated_card_payment_has_its_secret_from_stripe_and_not_from_our_table() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    let pay = || {
        let request = ana.request("POST", &format!("/api/orders/{order}/pay")).header("Idempotency-Key", "cartao");
        request.json(&json!({"method": "credit_card"})).send()
    };
    let first = pay().await;
    assert_eq!(first.status, 200, "{}", first.body);
    let secret = text(&first, "client_secret");
    let kept: String = shop.sql("SELECT string_agg(convert_from(body, 'UTF8'), ' ') FROM idempotency_keys").await;
    assert!(!kept.contains(&secret) && kept.contains(&text(&first, "payment_id")), "{kept}");
    let again = pay().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.bytes, first.bytes);
    shop.control().next_calls("stripe", Fault::Status(503), 3);
    let away = pay().await;
    assert_eq!((away.status, away.slug()), (503, "unavailable"), "nobody else has it");
    assert_eq!(pay().await.bytes, first.bytes);
    assert_eq!(payments(&shop, &order).await, ["credit_card:pending"]);
    shop.close().await;
}
