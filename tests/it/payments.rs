use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine_sandbox::{ChargeStatus, DeliveryState, Fault, FaultOrder, Pay, RefundStatus, SendWebhook};

use crate::shop::{Answer, Customer, Shop};

const PIX: fn() -> Value = || json!({"method": "pix"});
const LIMIT: Duration = Duration::from_secs(20);

/// An order that waits for money: its id and total.
async fn order(customer: &Customer<'_>) -> (String, i64) {
    let shirt = customer.shop.product("Camiseta").create().await;
    let placed = customer.buy(&[(&shirt, 1)]).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    (text(&placed, "id"), placed.body["total_cents"].as_i64().unwrap())
}

/// The same, paid by PIX.
async fn paid_order(customer: &Customer<'_>) -> (String, i64) {
    let (order, total) = order(customer).await;
    assert_eq!(pay(customer, &order).await.status, 200);
    customer.shop.control().pay(Pay::of(&order)).unwrap();
    assert!(customer.shop.control().settled(LIMIT).await);
    assert_eq!(state(customer.shop, &order).await, "processing/paid");
    (order, total)
}

async fn pay(customer: &Customer<'_>, order: &str) -> Answer {
    customer.post(&format!("/api/orders/{order}/pay"), &PIX()).await
}

fn text(answer: &Answer, field: &str) -> String {
    answer.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", answer.body)).to_owned()
}

/// `status/payment_status` of an order.
async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

/// The states of an order's payments, the oldest first.
async fn payments(shop: &Shop, order: &str) -> Vec<String> {
    shop.sql(&format!("SELECT coalesce(array_agg(status::text ORDER BY id), '{{}}') FROM payments WHERE order_id = '{order}'"))
        .await
}

async fn count(shop: &Shop, from: &str) -> i64 {
    shop.sql(&format!("SELECT count(*) FROM {from}")).await
}

/// The time of the order and its charge ended an hour ago.
async fn let_time_pass(shop: &Shop, order: &str) {
    let moved = format!(
        "UPDATE payments SET expires_at = now() - interval '1 hour', updated_at = now() - interval '1 hour' WHERE order_id = '{order}'"
    );
    shop.execute(&moved).await;
    shop.execute(&format!("UPDATE orders SET expires_at = now() - interval '55 minutes' WHERE id = '{order}'")).await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'expire_order' AND state = 'waiting'").await;
}

fn drop_answers(shop: &Shop, path: &str, count: u32) {
    let fault = Fault::DropAfterRequest;
    shop.control().order_fault(FaultOrder { provider: "propay".into(), fault, count, path_contains: Some(path.into()) }).unwrap();
}

#[actix_web::test]
async fn paying_twice_or_at_once_gives_the_one_charge() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    let (first, twin) = tokio::join!(pay(&ana, &order), pay(&ana, &order));
    let again = pay(&ana, &order).await;
    for answer in [&first, &twin, &again] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body, first.body);
    }
    assert_eq!(first.body["amount_cents"], total);
    assert_eq!((first.body["status"].as_str(), first.body["currency"].as_str()), (Some("pending"), Some("BRL")));
    assert!(text(&first, "qr_code").starts_with("data:image/png;base64,iVBOR"));
    let charges = shop.control().charges();
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0].txid, text(&first, "txid"));
    assert_eq!(charges[0].copy_paste, text(&first, "copy_paste"));
    assert_eq!(payments(&shop, &order).await, ["pending"]);
    let kept: bool = shop
        .sql("SELECT o.expires_at >= p.expires_at + interval '5 minutes' FROM orders o JOIN payments p ON p.order_id = o.id")
        .await;
    assert!(kept, "the order outlives its charge by the grace");
    shop.close().await;
}

#[actix_web::test]
async fn a_paid_pix_makes_the_order_paid_once_however_often_it_is_told() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Twice)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert!(shop.control().deliveries().iter().all(|d| d.state == DeliveryState::Delivered));
    assert_eq!(shop.control().deliveries().len(), 2);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(count(&shop, "webhook_events").await, 1);
    assert_eq!(shop.sql::<i64>("SELECT sum(amount_cents)::bigint FROM money_movements").await, total);
    assert_eq!(count(&shop, "money_movements").await, 1);
    assert_eq!(count(&shop, "jobs WHERE kind = 'mail_order_paid'").await, 1);
    assert_eq!(count(&shop, "order_history WHERE subject = 'payment' AND to_state = 'paid' AND cause LIKE 'webhook:%'").await, 1);
    assert_eq!(pay(&ana, &order).await.slug(), "conflict");
    shop.close().await;
}

#[actix_web::test]
async fn the_webhook_may_be_faster_than_the_answer() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    shop.control().next("propay", Fault::Delay(Duration::from_secs(1)));
    let (answer, ()) = tokio::join!(pay(&ana, &order), async {
        shop.control().wait_for(LIMIT, |books| books.charges().first().map(|_| ())).await.unwrap();
        shop.control().pay(Pay::of(&order)).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        assert_eq!(state(&shop, &order).await, "processing/paid");
    });
    assert_eq!((answer.status, answer.body["status"].as_str()), (200, Some("paid")), "{}", answer.body);
    assert_eq!(payments(&shop, &order).await, ["paid"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_lost_answer_is_repeated_under_the_same_key() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    drop_answers(&shop, "POST", 3);
    let lost = pay(&ana, &order).await;
    assert_eq!((lost.status, lost.slug()), (503, "unavailable"));
    assert!(lost.header("retry-after").is_some());
    assert_eq!(payments(&shop, &order).await, ["unknown"]);
    let found = pay(&ana, &order).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let charges = shop.control().charges();
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0].payment_id, text(&found, "payment_id"));
    assert_eq!(payments(&shop, &order).await, ["pending"]);
    shop.close().await;
}

#[actix_web::test]
async fn an_answer_that_nobody_asks_for_again_is_found_by_the_job() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    drop_answers(&shop, "POST", 3);
    assert_eq!(pay(&ana, &order).await.status, 503);
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
    shop.drain_ahead(SignedDuration::from_secs(61)).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[actix_web::test]
async fn a_charge_that_certainly_was_not_made_frees_the_order_for_another() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    shop.control().next_calls("propay", Fault::DropBeforeRequest, 3);
    assert_eq!(pay(&ana, &order).await.status, 503);
    shop.execute("UPDATE payments SET updated_at = now() - interval '31 seconds'").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'check_payment'").await;
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["failed"]);
    assert_eq!(pay(&ana, &order).await.status, 200);
    assert_eq!(payments(&shop, &order).await, ["failed", "pending"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_lost_webhook_is_a_normal_day() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
    assert_eq!(state(&shop, &order).await, "pending/pending_payment");
    shop.drain_ahead(SignedDuration::from_secs(61)).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(count(&shop, "webhook_events").await, 0);
    assert_eq!(count(&shop, "order_history WHERE subject = 'payment' AND to_state = 'paid' AND cause LIKE 'job:%'").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn reconciliation_finds_what_lost_its_job() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
    shop.execute("DELETE FROM jobs WHERE kind = 'check_payment'").await;
    shop.execute("UPDATE payments SET updated_at = now() - interval '11 minutes', checked_at = now() - interval '11 minutes'")
        .await;
    vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
    assert_eq!(count(&shop, "jobs WHERE kind = 'check_payment'").await, 1);
    vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
    assert_eq!(count(&shop, "jobs WHERE kind = 'check_payment'").await, 1);
    shop.drain().await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_lost_its_job_gets_another() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, _) = paid_order(&ana).await;
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "Defeito"})).await.status, 201);
    shop.execute("DELETE FROM jobs WHERE kind = 'send_refund'").await;
    shop.execute("UPDATE refunds SET updated_at = now() - interval '3 minutes'").await;
    vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
    shop.drain_ahead(SignedDuration::from_secs(3)).await;
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn another_amount_is_not_paid_and_goes_back_by_itself() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = order(&ana).await;
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order).amount_cents(total - 1)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "pending/pending_payment");
    assert_eq!(shop.sql::<String>("SELECT outcome FROM webhook_events").await, "mismatch");
    assert_eq!(count(&shop, "money_movements").await, 0, "news of another amount move nothing");
    shop.drain_ahead(SignedDuration::from_secs(3)).await; // the provider's books are asked at once
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "pending/pending_payment");
    assert_eq!(payments(&shop, &order).await, ["refunded"]);
    let refunds = shop.control().refunds();
    assert_eq!(refunds.iter().map(|r| (r.amount_cents, r.status)).collect::<Vec<_>>(), [(total - 1, RefundStatus::Done)]);
    assert_eq!(shop.alerted().await, ["payment-differs 1", "surplus 1"]);
    // That charge is used up: the buyer may have another, and the order may end.
    assert_eq!(pay(&ana, &order).await.status, 200);
    let_time_pass(&shop, &order).await;
    shop.drain().await;
    assert_eq!(state(&shop, &order).await, "cancelled/expired");
    assert_eq!(shop.alerted().await, ["payment-differs 1", "surplus 1"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_charge_that_ran_out_is_voided_and_replaced() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    let first = text(&pay(&ana, &order).await, "payment_id");
    shop.execute("UPDATE payments SET expires_at = now() - interval '1 second'").await;
    let second = pay(&ana, &order).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_ne!(text(&second, "payment_id"), first);
    assert_eq!(payments(&shop, &order).await, ["expired", "pending"]);
    assert_eq!(shop.control().charge(&first).unwrap().status, ChargeStatus::Cancelled);
    shop.close().await;
}

#[actix_web::test]
async fn a_charge_that_ran_out_but_was_paid_pays_the_order() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
    shop.execute("UPDATE payments SET expires_at = now() - interval '1 second'").await;
    assert_eq!(pay(&ana, &order).await.slug(), "conflict");
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(shop.control().charges().len(), 1);
    shop.close().await;
}

#[actix_web::test]
async fn money_after_expiry_revives_the_order_while_there_is_stock() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    pay(&ana, &order).await;
    let_time_pass(&shop, &order).await;
    shop.drain().await;
    assert_eq!(state(&shop, &order).await, "cancelled/expired");
    assert_eq!(payments(&shop, &order).await, ["expired"]);
    shop.control().pay(Pay::of(&order).force()).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    assert_eq!(payments(&shop, &order).await, ["paid"]);
    shop.close().await;
}

#[actix_web::test]
async fn money_after_expiry_goes_back_when_the_stock_is_gone() {
    let shop = Shop::open().await;
    let (ana, bia) = (shop.customer().await, shop.customer().await);
    let last = shop.product("Última").stock(1).create().await;
    let order = text(&ana.buy(&[(&last, 1)]).await, "id");
    pay(&ana, &order).await;
    let_time_pass(&shop, &order).await;
    shop.drain().await;
    assert_eq!(bia.buy(&[(&last, 1)]).await.status, 201);
    shop.control().pay(Pay::of(&order).force()).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(payments(&shop, &order).await, ["surplus"]);
    shop.drain_ahead(SignedDuration::from_secs(3)).await;
    assert!(shop.control().settled(LIMIT).await);
    let refunds = shop.control().refunds();
    assert_eq!(refunds.len(), 1);
    assert_eq!(Some(refunds[0].amount_cents), shop.control().charge(&order).unwrap().paid_cents);
    assert_eq!(refunds[0].status, RefundStatus::Done);
    assert_eq!(payments(&shop, &order).await, ["refunded"]);
    assert_eq!(state(&shop, &order).await, "cancelled/expired");
    assert_eq!(shop.stock(&last).await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_last_second_payment_that_nobody_told_us_of_is_asked_about_once_more() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    pay(&ana, &order).await;
    let_time_pass(&shop, &order).await;
    shop.drain().await;
    shop.control().pay(Pay::of(&order).force().webhook(SendWebhook::Lost)).unwrap();
    shop.execute("UPDATE payments SET updated_at = now() - interval '11 minutes', checked_at = now() - interval '11 minutes'")
        .await;
    shop.execute("DELETE FROM jobs WHERE kind = 'check_payment'").await;
    vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
    shop.drain().await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    shop.close().await;
}

#[actix_web::test]
async fn cancelling_an_order_voids_its_charge() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    pay(&ana, &order).await;
    assert_eq!(ana.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    shop.drain().await;
    assert_eq!(shop.control().charge(&order).unwrap().status, ChargeStatus::Cancelled);
    assert_eq!(payments(&shop, &order).await, ["cancelled"]);
    assert_eq!(pay(&ana, &order).await.slug(), "conflict");
    shop.close().await;
}

#[actix_web::test]
async fn an_open_breaker_answers_at_once_and_writes_nothing() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = order(&ana).await;
    shop.control().next_calls("propay", Fault::Status(503), 15);
    for _ in 0..5 {
        assert_eq!(pay(&ana, &order).await.status, 503);
    }
    assert_eq!(shop.control().calls("propay"), 15, "five calls, each tried three times");
    let before = shop.row_counts().await;
    let refused = pay(&ana, &order).await;
    assert_eq!((refused.status, refused.slug()), (503, "unavailable"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((25..=30).contains(&wait), "{wait}");
    assert_eq!(shop.control().calls("propay"), 15);
    assert_eq!(shop.row_counts().await, before);
    let methods = shop.get("/api/payment-methods").await;
    assert_eq!(
        (methods.body["items"][0]["method"].as_str(), methods.body["items"][0]["available"].as_bool()),
        (Some("pix"), Some(false))
    );
    let breakers = shop.admin().await.get("/api/admin/breakers").await;
    let propay = breakers.body["items"].as_array().unwrap().iter().find(|b| b["provider"] == "propay").unwrap().clone();
    assert_eq!(propay["state"], "open");
    shop.close().await;
}

#[actix_web::test]
async fn a_charge_that_cannot_be_read_keeps_no_buyer_from_paying() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (poisoned, _) = order(&ana).await;
    assert_eq!(pay(&ana, &poisoned).await.status, 200);
    let reads =
        FaultOrder { provider: "propay".into(), fault: Fault::Status(500), count: 1_000, path_contains: Some("GET".into()) };
    shop.control().order_fault(reads).unwrap();
    for _ in 0..6 {
        shop.drain_ahead(SignedDuration::from_mins(10)).await; // it is looked at again and again
    }
    let breakers = shop.admin().await.get("/api/admin/breakers").await;
    let state = |name: &str| {
        let found = breakers.body["items"].as_array().unwrap().iter().find(|b| b["provider"] == name).cloned();
        found.map(|breaker| breaker["state"].clone())
    };
    assert_eq!((state("propay background"), state("propay")), (Some(json!("open")), Some(json!("closed"))));
    let methods = shop.get("/api/payment-methods").await;
    assert_eq!((&methods.body["items"][0]["method"], &methods.body["items"][0]["available"]), (&json!("pix"), &json!(true)));
    let (another, _) = order(&ana).await;
    assert_eq!(pay(&ana, &another).await.status, 200);
    shop.control().clear_faults();
    shop.execute("DELETE FROM jobs WHERE state = 'dead'").await; // the reads', told to the operator
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_hangs_holds_no_connection() {
    let shop = Shop::open_with(&[("DB_MAX_CONNS", "2"), ("PROPAY_TIMEOUT", "1500ms")]).await;
    let ana = shop.customer().await;
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(order(&ana).await.0);
    }
    shop.control().next_calls("propay", Fault::Hang, 12);
    let pays = futures_util::future::join_all(orders.iter().map(|order| pay(&ana, order)));
    let look = async {
        shop.control().wait_for(LIMIT, |books| (books.charges().is_empty() && calls(books) >= 4).then_some(())).await.unwrap();
        assert_eq!(shop.get("/ready").await.status, 200);
        assert_eq!(ana.get("/api/orders").await.status, 200);
        let pool = shop.app.pool.status();
        assert_eq!(pool.available, pool.size, "every connection is idle while the provider thinks");
    };
    let (answers, ()) = tokio::join!(pays, look);
    assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [503; 4]);
    shop.control().clear_faults();
    shop.close().await;
}

fn calls(books: &vitrine_sandbox::Books) -> u64 {
    books.call_counts().get("propay").map_or(0, |counts| counts.values().sum())
}

#[actix_web::test]
async fn refunds_at_once_never_exceed_what_was_captured() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_order(&ana).await;
    let part = total / 4;
    let path = format!("/api/orders/{order}/refund");
    let ask = json!({"amount_cents": part, "reason": "Desistência"});
    let answers = futures_util::future::join_all((0..10).map(|_| admin.post(&path, &ask))).await;
    let mut states: Vec<u16> = answers.iter().map(|a| a.status).collect();
    states.sort_unstable();
    assert_eq!(states, [201, 201, 201, 201, 409, 409, 409, 409, 409, 409]);
    shop.drain_ahead(SignedDuration::from_secs(3)).await;
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(shop.control().refunds().len(), 4);
    let whole = part * 4 == total;
    assert_eq!(state(&shop, &order).await, if whole { "processing/refunded" } else { "processing/partially_refunded" });
    assert_eq!(shop.sql::<i64>("SELECT sum(amount_cents)::bigint FROM money_movements WHERE kind = 'refund'").await, part * 4);
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_retried_after_a_lost_answer_keeps_its_key() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_order(&ana).await;
    shop.control().set_shop_url("http://127.0.0.1:9"); // all webhooks are lost
    drop_answers(&shop, "/refunds", 3);
    let made = admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "Defeito"})).await;
    assert_eq!((made.status, made.body["amount_cents"].as_i64()), (201, Some(total)), "{}", made.body);
    shop.drain().await;
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "unknown");
    let asked = || shop.control().calls_to("propay", "POST /propay/v1/payments/{id}/refunds");
    let before = asked();
    shop.drain_ahead(SignedDuration::from_secs(10)).await;
    assert_eq!((before, asked()), (3, 3), "it is read before it is asked for again: their memory of our key is short");
    assert!(shop.control().settled(LIMIT).await);
    let refunds = shop.control().refunds();
    assert_eq!(refunds.len(), 1);
    assert_eq!(refunds[0].refund_id, text(&made, "refund_id"));
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    assert_eq!(count(&shop, "jobs WHERE kind = 'mail_refunded'").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_fails_at_the_bank_can_be_made_again() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_order(&ana).await;
    shop.control().fail_refunds(1);
    let path = format!("/api/orders/{order}/refund");
    assert_eq!(admin.post(&path, &json!({"reason": "Defeito"})).await.status, 201);
    shop.drain_ahead(SignedDuration::from_secs(3)).await;
    assert!(shop.control().settled(LIMIT).await);
    assert_eq!(shop.sql::<String>("SELECT status FROM refunds").await, "failed");
    assert_eq!(shop.sql::<i64>("SELECT refunded_cents FROM payments").await, 0);
    assert_eq!(shop.alerted().await, ["refund-failed 1"]);
    assert_eq!(state(&shop, &order).await, "processing/paid");
    let again = admin.post(&path, &json!({"reason": "Defeito"})).await;
    assert_eq!((again.status, again.body["amount_cents"].as_i64()), (201, Some(total)));
    shop.close().await;
}

#[actix_web::test]
async fn a_key_repeats_the_first_refund_and_the_first_charge() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, _) = order(&ana).await;
    let path = format!("/api/orders/{order}/pay");
    let keyed = |who: &Customer<'_>, path: &str| who.request("POST", path).header("Idempotency-Key", "k1");
    let first = keyed(&ana, &path).json(&PIX()).send().await;
    let again = keyed(&ana, &path).json(&PIX()).send().await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &first.body));
    assert_eq!(keyed(&ana, &path).json(&json!({"method": "credit_card"})).send().await.slug(), "idempotency-key-reused");
    shop.control().pay(Pay::of(&order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    let path = format!("/api/orders/{order}/refund");
    let ask = json!({"amount_cents": 100, "reason": "Troco"});
    let first = keyed(&admin, &path).json(&ask).send().await;
    let again = keyed(&admin, &path).json(&ask).send().await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &first.body));
    assert_eq!(count(&shop, "refunds").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn goods_come_back_with_all_of_the_money_or_not_at_all() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let shirt = shop.product("Camiseta").stock(3).create().await;
    let order = text(&ana.buy(&[(&shirt, 2)]).await, "id");
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    let path = format!("/api/orders/{order}/refund");
    let part = admin.post(&path, &json!({"amount_cents": 1, "reason": "Troca", "restock": true})).await;
    assert_eq!((part.status, part.invalid_fields()), (422, vec!["restock"]));
    assert_eq!(shop.stock(&shirt).await, 1);
    assert_eq!(admin.post(&path, &json!({"reason": "Troca", "restock": true})).await.status, 201);
    assert_eq!(shop.stock(&shirt).await, 3);
    shop.close().await;
}

#[actix_web::test]
async fn nobody_pays_sees_or_refunds_what_is_not_theirs() {
    let shop = Shop::open_with(&[("STRIPE_SECRET_KEY", "")]).await;
    let (ana, eva, admin) = (shop.customer().await, shop.customer().await, shop.admin().await);
    let (order, total) = order(&ana).await;
    let before = shop.row_counts().await;
    assert_eq!(pay(&eva, &order).await.slug(), "not-found");
    assert_eq!(eva.get(&format!("/api/orders/{order}/payments")).await.slug(), "not-found");
    let path = format!("/api/orders/{order}");
    assert_eq!(shop.post(&format!("{path}/pay"), &PIX()).await.status, 401);
    assert_eq!(shop.request("POST", &format!("{path}/pay")).header("X-Order-Token", "no").json(&PIX()).send().await.status, 404);
    let refund = json!({"reason": "porque sim"});
    assert_eq!(ana.post(&format!("{path}/refund"), &refund).await.slug(), "forbidden");
    assert_eq!(admin.post(&format!("{path}/refund"), &refund).await.slug(), "conflict");
    assert_eq!(ana.post(&format!("{path}/pay"), &json!({"method": "boleto"})).await.invalid_fields(), ["method"]);
    assert_eq!(ana.post(&format!("{path}/pay"), &json!({"method": "credit_card"})).await.slug(), "conflict");
    let bad = admin.post(&format!("{path}/refund"), &json!({"amount_cents": 0, "reason": ""})).await;
    assert_eq!((bad.status, bad.invalid_fields().len()), (422, 2), "{}", bad.body);
    let mut now = shop.row_counts().await;
    now.iter_mut().zip(&before).for_each(|(n, b)| n.1 -= b.1);
    let moved: Vec<_> = now.iter().filter(|(_, more)| *more != 0).collect();
    assert_eq!(moved, Vec::<&(String, i64)>::new());
    assert_eq!(pay(&ana, &order).await.status, 200);
    let list = ana.get(&format!("{path}/payments")).await;
    assert_eq!((list.body["total"].as_i64(), list.body["items"][0]["amount_cents"].as_i64()), (Some(1), Some(total)));
    assert_eq!(list.body["items"][0]["refunds"], json!([]));
    shop.close().await;
}

#[actix_web::test]
async fn goods_come_back_line_by_line_with_a_part_of_the_money() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (mug, shirt) = (shop.product("Caneca").stock(5).create().await, shop.product("Camiseta").stock(5).create().await);
    let placed = ana.buy(&[(&mug, 3), (&shirt, 1)]).await;
    let order = text(&placed, "id");
    pay(&ana, &order).await;
    shop.control().pay(Pay::of(&order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    let line = placed.body["items"].as_array().unwrap().iter().find(|line| line["quantity"] == 3).unwrap()["id"].clone();
    let ask = |quantity: i64| json!({"amount_cents": 100, "reason": "Veio quebrada", "restock_items": [{"line_id": line, "quantity": quantity}]});
    let path = format!("/api/orders/{order}/refund");
    assert_eq!(admin.post(&path, &ask(4)).await.slug(), "conflict");
    assert_eq!(admin.post(&path, &ask(2)).await.status, 201);
    assert_eq!((shop.stock(&mug).await, shop.stock(&shirt).await), (4, 4));
    let last = ask(1);
    let (twin, other) = tokio::join!(admin.post(&path, &last), admin.post(&path, &last));
    let mut states = [twin.status, other.status];
    states.sort_unstable();
    assert_eq!(states, [201, 409], "one is left, and comes back once");
    assert_eq!(shop.stock(&mug).await, 5);
    // The rest of the order is cancelled: only goods that are not back yet come back.
    assert_eq!(ana.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    assert_eq!((shop.stock(&mug).await, shop.stock(&shirt).await), (5, 5));
    for _ in 0..2 {
        shop.drain_ahead(SignedDuration::from_secs(3)).await;
        assert!(shop.control().settled(LIMIT).await);
    }
    assert_eq!(state(&shop, &order).await, "cancelled/refunded");
    shop.close().await;
}
