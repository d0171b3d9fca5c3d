//! Refunds that a provider refuses for now: they wait, keep their money, and are tried for days; nothing leaves the shop meanwhile, nor
//! by itself after they failed. And those that take long, or fail for good.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::ids::{PaymentId, RefundId};
use vitrine::jobs::{self, Job};
use vitrine::payments::refund::adopt::record_provider_refund;
use vitrine::payments::refund::send::send_refund;
use vitrine::sale::outcome::EventOutcome;
use vitrine::token::Role;
use vitrine_kit::Money;
use vitrine_kit::pix::{RefundStatus, TheirRefund};
use vitrine_kit::refund::Nature;
use vitrine_sandbox::{Fault, FaultOrder, NfeStatus, Pay, RefundStatus as Theirs, Shortage};

use crate::invoices::goes_on;
use crate::shop::{Answer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// Every way of the providers to say that the account holds too little, where they say it.
const SHORT: [(&str, Shortage); 7] = [
    ("bacen", Shortage::AtOnce),
    ("bacen", Shortage::Fails),
    ("openpix", Shortage::AtOnce),
    ("propay", Shortage::AtOnce),
    ("propay", Shortage::Fails),
    ("stripe", Shortage::AtOnce),
    ("stripe", Shortage::Fails),
];
const PROVIDERS: [&str; 4] = ["bacen", "openpix", "propay", "stripe"];

/// A shop that issues invoices and buys labels, whose PIX are that provider's.
async fn open(provider: &str) -> Shop {
    let pix = if provider == "stripe" { "propay" } else { provider };
    let changes = [("NFE_PROVIDER", "focusnfe"), ("CIRCUIT_BREAKER_THRESHOLD", "1000"), ("PIX_PROVIDER", pix)];
    let shop = Shop::open_with(&changes).await;
    shop.sells_as("simples").await;
    shop
}

/// An order that was paid there, with its invoice and its label.
async fn sold(shop: &Shop, provider: &str) -> String {
    let ware = shop.ware("SKU-1", 8_250).await;
    let ana = shop.customer().await;
    let order = ana.buy(&[(&ware, 2)]).await.body["id"].as_str().unwrap().to_owned();
    let method = if provider == "stripe" { "credit_card" } else { "pix" };
    let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": method})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    shop.pays(paying.body["payment_id"].as_str().unwrap()).await;
    goes_on(shop).await;
    assert_eq!((stands(shop).await, state(shop).await.as_str()), ((1, 1), "processing/paid"));
    order
}

/// Invoices and labels that stand.
async fn stands(shop: &Shop) -> (usize, i64) {
    let invoices = shop.control().nfes().iter().filter(|nfe| nfe.status == NfeStatus::Authorized).count();
    (invoices, shop.sql("SELECT count(*) FROM shipments WHERE status NOT IN ('cancelled', 'expired')").await)
}

async fn state(shop: &Shop) -> String {
    shop.sql("SELECT status || '/' || payment_status FROM orders").await
}

async fn refund_is(shop: &Shop) -> String {
    shop.sql("SELECT status FROM refunds").await
}

async fn refund_id(shop: &Shop) -> Uuid {
    shop.sql("SELECT id FROM refunds").await
}

async fn mails(shop: &Shop) -> i64 {
    shop.sql("SELECT count(*) FROM messages WHERE kind = 'refunded'").await
}

/// What is due happens, the providers tell of it, and what follows at once happens too; no try that is minutes away.
async fn settle(shop: &Shop) {
    for _ in 0..3 {
        shop.drain_ahead(SignedDuration::from_secs(30)).await;
        assert!(shop.control().settled(LIMIT).await);
    }
}

/// The time of the next try comes.
async fn try_again(shop: &Shop) {
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund' AND state = 'waiting'").await;
    settle(shop).await;
}

async fn cancel(shop: &Shop, order: &str) {
    assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    settle(shop).await;
    goes_on_for_now(shop).await;
}

/// Invoice and label are dropped, without a try of the refund.
async fn goes_on_for_now(shop: &Shop) {
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind = 'send_refund' AND state = 'waiting'").await;
    goes_on(shop).await;
}

async fn refund(shop: &Shop, order: &str) {
    let answer = shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "desistiu"})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    settle(shop).await;
    goes_on_for_now(shop).await;
}

async fn ship(shop: &Shop, order: &str) -> Answer {
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await
}

async fn retry(shop: &Shop) -> Answer {
    shop.admin().await.post(&format!("/api/admin/refunds/{}/retry", refund_id(shop).await), &Value::Null).await
}

async fn resume(shop: &Shop, order: &str) -> Answer {
    shop.admin().await.post(&format!("/api/admin/orders/{order}/resume"), &Value::Null).await
}

/// What went back by the provider's own books, of all payments.
fn went_back(shop: &Shop) -> i64 {
    shop.control().refunds().iter().filter(|refund| refund.status == Theirs::Done).map(|refund| refund.amount_cents).sum()
}

async fn reconcile(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::Reconcile).await.unwrap();
    shop.drain().await;
}

#[actix_web::test]
async fn an_account_that_is_empty_at_night_delays_the_refund_of_a_cancelled_order_and_nothing_else() {
    for (provider, how) in SHORT {
        let shop = open(provider).await;
        let order = sold(&shop, provider).await;
        shop.control().lack_balance(provider, how, None).unwrap();
        cancel(&shop, &order).await;
        let total: i64 = shop.sql("SELECT captured_cents FROM payments").await;
        for round in 0..4 {
            assert_eq!(refund_is(&shop).await, "waiting", "{provider} {how:?} {round}");
            assert_eq!(shop.sql::<i64>("SELECT refunded_cents FROM payments").await, total, "its money is reserved");
            assert_eq!(stands(&shop).await, (0, 0), "{provider}: neither is made anew");
            assert_eq!(shop.alerted().await, ["refund-waits 1"], "{provider}: one alert, and none per try");
            assert_eq!((went_back(&shop), mails(&shop).await), (0, 0));
            if how == Shortage::AtOnce {
                let refusals = shop.control().books(|books| books.refusals().len());
                assert_eq!(refusals, round + 1, "{provider} was asked anew by each try");
            }
            try_again(&shop).await;
        }
        assert!(ship(&shop, &order).await.status == 409);
        shop.control().fund(provider).unwrap();
        try_again(&shop).await;
        assert_eq!((refund_is(&shop).await.as_str(), state(&shop).await.as_str()), ("done", "cancelled/refunded"), "{provider}");
        assert_eq!((went_back(&shop), mails(&shop).await), (total, 1), "{provider} {how:?}: once");
        goes_on(&shop).await;
        assert_eq!((stands(&shop).await, mails(&shop).await), ((0, 0), 1));
        assert_eq!(shop.alerted().await, ["refund-waits 1"]);
        shop.close().await;
    }
}

#[actix_web::test]
async fn the_gaps_between_tries_grow_and_a_refund_that_is_under_way_is_refused_no_second_time() {
    let shop = open("propay").await;
    let order = sold(&shop, "propay").await;
    shop.control().lack_balance("propay", Shortage::AtOnce, None).unwrap();
    assert_eq!(shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "x"})).await.status, 201);
    settle(&shop).await;
    const MINUTES: &str =
        "SELECT (extract(epoch FROM run_at - now()) / 60)::bigint FROM jobs WHERE kind = 'send_refund' AND state = 'waiting'";
    let gap: i64 = shop.sql(MINUTES).await;
    assert!((10..=12).contains(&gap), "{gap}: up to a fifth more, by chance");
    shop.execute("UPDATE refunds SET waits_since = now() - interval '8 hours'").await;
    try_again(&shop).await;
    let gap: i64 = shop.sql(MINUTES).await;
    assert!((239..=288).contains(&gap), "{gap}");
    let again = shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "x"})).await;
    assert_eq!((again.status, again.slug()), (409, "conflict"), "its money is reserved");
    // A second worker, or a lost job: the reconciliation sees that it has one.
    reconcile(&shop).await;
    shop.execute("DELETE FROM jobs WHERE kind = 'send_refund'").await;
    shop.execute("UPDATE refunds SET updated_at = now() - interval '3 minutes'").await;
    shop.control().fund("propay").unwrap();
    reconcile(&shop).await;
    settle(&shop).await;
    assert_eq!((refund_is(&shop).await.as_str(), state(&shop).await.as_str()), ("done", "processing/refunded"));
    goes_on(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn nobody_fills_the_account_for_a_week_and_the_sale_stays_off_until_a_person_says_otherwise() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let order = sold(&shop, provider).await;
        shop.control().lack_balance(provider, Shortage::AtOnce, None).unwrap();
        refund(&shop, &order).await;
        assert_eq!((refund_is(&shop).await.as_str(), stands(&shop).await), ("waiting", (0, 0)), "{provider}");
        assert_eq!(ship(&shop, &order).await.slug(), "sale-is-off");

        shop.execute("UPDATE refunds SET waits_since = now() - interval '25 hours'").await;
        for _ in 0..3 {
            reconcile(&shop).await;
        }
        try_again(&shop).await;
        reconcile(&shop).await;
        assert_eq!(shop.alerted().await, ["refund-waits 1", "refund-still-waits 1"], "{provider}");

        shop.execute("UPDATE refunds SET waits_since = now() - interval '7 days'").await;
        try_again(&shop).await;
        assert_eq!(refund_is(&shop).await, "failed", "{provider}");
        assert_eq!(shop.sql::<i64>("SELECT refunded_cents FROM payments").await, 0);
        assert_eq!(shop.alerted().await, ["refund-waits 1", "refund-still-waits 1", "refund-failed 1"]);
        goes_on(&shop).await;
        assert_eq!((stands(&shop).await, state(&shop).await.as_str()), ((0, 0), "processing/paid"), "{provider}: on hold");
        let held = ship(&shop, &order).await;
        assert_eq!((held.status, held.slug()), (409, "sale-is-off"), "{}", held.body);
        let seen = shop.admin().await.get(&format!("/api/orders/{order}")).await;
        assert_eq!((&seen.body["on_hold"], &seen.body["refund_pending"]), (&json!(true), &json!(false)));

        let path = format!("/api/admin/refunds/{}/retry", refund_id(&shop).await);
        for role in [Role::User, Role::Shipper] {
            assert_eq!(shop.person(role).await.post(&path, &Value::Null).await.slug(), "forbidden");
        }
        let (admin, key) = (shop.admin().await, Uuid::new_v4().to_string());
        let keyed = async || admin.request("POST", &path).header("Idempotency-Key", &key).json(&Value::Null).send().await;
        let (first, again) = (keyed().await, keyed().await);
        assert_eq!((first.status, &first.body["status"]), (202, &json!("pending")), "{}", first.body);
        assert_eq!((again.status, &again.body), (202, &first.body), "a key repeats its first answer");
        let refused = retry(&shop).await;
        assert_eq!((refused.status, refused.slug()), (409, "conflict"), "it is under way");
        settle(&shop).await;
        assert_eq!(refund_is(&shop).await, "waiting", "{provider}: the account is still empty");
        assert_eq!(resume(&shop, &order).await.slug(), "sale-is-off", "its money is on its way back once more");

        shop.control().fund(provider).unwrap();
        assert_eq!(retry(&shop).await.body["status"], "waiting");
        settle(&shop).await;
        assert_eq!((refund_is(&shop).await.as_str(), state(&shop).await.as_str()), ("done", "processing/refunded"), "{provider}");
        assert_eq!(retry(&shop).await.slug(), "conflict", "it is done");
        goes_on(&shop).await;
        assert_eq!((stands(&shop).await, mails(&shop).await), ((0, 0), 1));
        let log: i64 = shop.sql("SELECT count(*) FROM audit_log WHERE action = 'refund.retry'").await;
        assert_eq!(log, 2, "each retry that did something");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_sale_on_hold_goes_on_by_a_persons_word_or_force_and_by_nothing_else() {
    for is_forced in [false, true] {
        let shop = open("openpix").await;
        let order = sold(&shop, "openpix").await;
        assert_eq!(resume(&shop, &order).await.slug(), "conflict", "it is not on hold");
        shop.control().lack_balance("openpix", Shortage::Fails, Some(1)).unwrap();
        refund(&shop, &order).await;
        try_again(&shop).await;
        assert_eq!(refund_is(&shop).await, "failed", "they reject it without a word: another try would be another refund");
        assert_eq!(shop.alerted().await, ["refund-failed 1"]);
        for job in [Job::InvoiceOrder { order: order.parse().unwrap() }, Job::BuyLabel { order: order.parse().unwrap() }] {
            jobs::push_now(&shop.app.db().await.unwrap(), job).await.unwrap();
        }
        reconcile(&shop).await;
        goes_on(&shop).await;
        assert_eq!(stands(&shop).await, (0, 0));
        for role in [Role::User, Role::Shipper] {
            let path = format!("/api/admin/orders/{order}/resume");
            assert_eq!(shop.person(role).await.post(&path, &Value::Null).await.slug(), "forbidden");
        }
        let held: i64 = shop.sql("SELECT count(*) FROM order_history WHERE subject = 'sale' AND to_state = 'on_hold'").await;
        assert_eq!(held, 1);
        if is_forced {
            let forced = json!({"tracking_number": "AA123456785BR", "carrier": "Correios", "force": true});
            let sent = shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &forced).await;
            assert_eq!((sent.status, &sent.body["status"]), (200, &json!("shipped")), "{}", sent.body);
            goes_on(&shop).await;
            assert_eq!(stands(&shop).await, (1, 0), "what left is invoiced");
        } else {
            let resumed = resume(&shop, &order).await;
            assert_eq!((resumed.status, &resumed.body["on_hold"]), (200, &json!(false)), "{}", resumed.body);
            goes_on(&shop).await;
            assert_eq!(stands(&shop).await, (1, 1));
            assert_eq!(ship(&shop, &order).await.status, 200);
        }
        let by: String =
            shop.sql("SELECT split_part(actor, ':', 1) FROM order_history WHERE subject = 'sale' AND to_state = 'on'").await;
        assert_eq!(by, "admin");
        goes_on(&shop).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_cancelled_order_whose_refund_failed_is_resumed_by_nobody_and_its_refund_tried_again() {
    let shop = open("propay").await;
    let order = sold(&shop, "propay").await;
    shop.control().fail_refunds(1);
    cancel(&shop, &order).await;
    try_again(&shop).await;
    assert_eq!((refund_is(&shop).await.as_str(), state(&shop).await.as_str()), ("failed", "cancelled/paid"));
    assert_eq!(resume(&shop, &order).await.slug(), "conflict");
    assert_eq!(retry(&shop).await.status, 202);
    settle(&shop).await;
    assert_eq!((refund_is(&shop).await.as_str(), state(&shop).await.as_str()), ("done", "cancelled/refunded"));
    goes_on(&shop).await;
    assert_eq!(stands(&shop).await, (0, 0));
    shop.close().await;
}

#[actix_web::test]
async fn a_surplus_waits_for_balance_too_and_goes_back_by_itself() {
    for provider in ["bacen", "propay"] {
        let shop = open(provider).await;
        let ware = shop.ware("SKU-1", 8_250).await;
        let ana = shop.customer().await;
        let placed = ana.buy(&[(&ware, 2)]).await;
        let (order, total) = (placed.body["id"].as_str().unwrap(), placed.body["total_cents"].as_i64().unwrap());
        let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await;
        let payment = paying.body["payment_id"].as_str().unwrap();
        shop.control().lack_balance(provider, Shortage::AtOnce, None).unwrap();
        shop.control().pay(Pay::of(payment).amount_cents(total - 1)).unwrap();
        settle(&shop).await;
        assert_eq!(refund_is(&shop).await, "waiting", "{provider}");
        try_again(&shop).await;
        assert_eq!((refund_is(&shop).await.as_str(), went_back(&shop)), ("waiting", 0));
        shop.control().fund(provider).unwrap();
        try_again(&shop).await;
        assert_eq!((refund_is(&shop).await.as_str(), went_back(&shop)), ("done", total - 1), "{provider}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_worker_that_is_killed_between_try_and_answer_pays_nobody_twice() {
    for provider in PROVIDERS {
        let shop = open(provider).await;
        let order = sold(&shop, provider).await;
        // Stripe repeats a refusal under its key: there the next call is the one that makes it only where the key was used up.
        let how = if provider == "stripe" { Shortage::Fails } else { Shortage::AtOnce };
        shop.control().lack_balance(provider, how, None).unwrap();
        cancel(&shop, &order).await;
        assert_eq!(refund_is(&shop).await, "waiting");
        shop.control().fund(provider).unwrap();
        let before = shop.control().refunds().len();
        let id = RefundId(refund_id(&shop).await);
        let call = match provider {
            "bacen" => "PUT /bacen",
            "stripe" => "POST /stripe",
            _ => "POST",
        };
        let (fault, path_contains) = (Fault::HangAfterRequest, Some(call.to_owned()));
        shop.control().order_fault(FaultOrder { provider: provider.to_owned(), fault, count: 1, path_contains }).unwrap();
        let made = async {
            while shop.control().refunds().len() == before {
                actix_web::rt::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // The future is dropped where it waits for the answer, as a killed process ends.
        tokio::select! {
            outcome = send_refund(&shop.app, id) => panic!("{provider} answered: {outcome:?}"),
            () = made => {}
        }
        shop.control().clear_faults();
        assert_eq!(refund_is(&shop).await, "waiting", "nothing of the answer was written down");
        try_again(&shop).await;
        let total: i64 = shop.sql("SELECT captured_cents FROM payments").await;
        assert_eq!((refund_is(&shop).await.as_str(), went_back(&shop)), ("done", total), "{provider}");
        assert_eq!((shop.control().refunds().len(), mails(&shop).await), (before + 1, 1), "{provider}: once");
        goes_on(&shop).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_refund_that_stays_in_hand_for_a_day_is_told_once() {
    for provider in ["stripe", "bacen"] {
        let shop = open(provider).await;
        let order = sold(&shop, provider).await;
        shop.control().lack_balance(provider, Shortage::Waits, None).unwrap();
        refund(&shop, &order).await;
        assert_eq!(refund_is(&shop).await, "processing", "{provider}");
        reconcile(&shop).await;
        assert_eq!(shop.alerted().await, Vec::<String>::new());
        shop.execute("UPDATE refunds SET in_hand_since = now() - interval '25 hours'").await;
        for _ in 0..3 {
            reconcile(&shop).await;
            try_again(&shop).await;
        }
        assert_eq!(shop.alerted().await, ["refund-slow 1"], "{provider}");
        assert_eq!(retry(&shop).await.slug(), "conflict", "the provider has it in hand");
        shop.control().fund(provider).unwrap();
        try_again(&shop).await;
        assert_eq!((refund_is(&shop).await.as_str(), mails(&shop).await), ("done", 1));
        goes_on(&shop).await;
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_refund_that_nobody_can_be_asked_for_a_day_is_told_once_and_made_later() {
    let changes = [("NFE_PROVIDER", "focusnfe"), ("PIX_PROVIDER", "bacen"), ("CIRCUIT_BREAKER_COOLDOWN", "1ms")];
    let shop = Shop::open_with(&changes).await;
    shop.sells_as("simples").await;
    let order = sold(&shop, "bacen").await;
    shop.control().revoke_key("bacen").unwrap();
    refund(&shop, &order).await;
    assert_eq!(refund_is(&shop).await, "pending");
    let slow = async || shop.alerted().await.iter().filter(|alert| alert.starts_with("refund-slow")).cloned().collect::<Vec<_>>();
    reconcile(&shop).await;
    assert_eq!(slow().await, Vec::<String>::new());
    shop.execute("UPDATE refunds SET created_at = now() - interval '25 hours'").await;
    for _ in 0..3 {
        reconcile(&shop).await;
    }
    assert_eq!(slow().await, ["refund-slow 1"]);
    shop.control().restore_key("bacen").unwrap();
    for _ in 0..3 {
        shop.drain_ahead(SignedDuration::from_hours(24)).await;
        assert!(shop.control().settled(LIMIT).await);
    }
    assert_eq!(refund_is(&shop).await, "done");
    goes_on(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn news_of_an_earlier_key_change_nothing_but_that_it_went_through_after_all() {
    let shop = open("bacen").await;
    let order = sold(&shop, "bacen").await;
    shop.control().lack_balance("bacen", Shortage::Fails, Some(1)).unwrap();
    cancel(&shop, &order).await;
    let (id, payment) = (refund_id(&shop).await, shop.sql::<Uuid>("SELECT id FROM payments").await);
    let earlier: Uuid = shop.sql("SELECT key FROM refund_keys").await;
    assert_eq!((refund_is(&shop).await.as_str(), earlier), ("waiting", id), "its first key was used up");
    let total: i64 = shop.sql("SELECT captured_cents FROM payments").await;
    let tell = async |key: Uuid, reference: &str, status: RefundStatus| {
        let reference = reference.to_owned();
        let amount = Money::from_cents(total);
        let theirs = TheirRefund { refund_id: Some(key), reference, status, amount, nature: Nature::Original, said: None };
        let mut db = shop.app.db().await.unwrap();
        let tx = db.transaction().await.unwrap();
        let effect = record_provider_refund(&tx, "bacen", PaymentId(payment), &theirs).await.unwrap();
        tx.commit().await.unwrap();
        effect.applied
    };
    let failed = RefundStatus::Failed(vitrine_kit::refund::Retry::Unsaid);
    assert_eq!(tell(earlier, "D1", failed).await, EventOutcome::AlreadyDone, "it is news of the past");
    assert_eq!(refund_is(&shop).await, "waiting");
    assert_eq!(tell(earlier, "D1", RefundStatus::Done).await, EventOutcome::Applied);
    assert_eq!(refund_is(&shop).await, "done");
    assert_eq!(tell(earlier, "D1", RefundStatus::Done).await, EventOutcome::AlreadyDone);
    try_again(&shop).await;
    assert_eq!(shop.control().refunds().len(), 1, "nothing more was asked for");
    // Should the other key have gone through as well, that is more than came: the operator is told.
    let other: Uuid = shop.sql("SELECT key FROM refund_keys").await;
    assert_ne!(other, earlier);
    assert_eq!(tell(other, "D2", RefundStatus::Done).await, EventOutcome::Mismatch);
    assert_eq!(shop.alerted().await, ["refund-waits 1", "refund-too-much 1"]);
    goes_on(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_surplus_that_went_back_twice_takes_no_sale_along() {
    let shop = open("propay").await;
    let order = sold(&shop, "propay").await;
    // The shop refunded it, and the payer's bank took it as well.
    const SURPLUS: &str = "
        INSERT INTO payments (id, order_id, method, provider, status, is_surplus, amount_cents, captured_cents, refunded_cents, lost_cents,
               expires_at, paid_at)
        SELECT gen_random_uuid(), order_id, method, provider, 'charged_back', true, amount_cents, captured_cents, captured_cents, captured_cents,
               expires_at, paid_at FROM payments";
    shop.execute(SURPLUS).await;
    let sent = ship(&shop, &order).await;
    assert_eq!((sent.status, &sent.body["status"]), (200, &json!("shipped")), "{}", sent.body);
    shop.execute("DELETE FROM payments WHERE is_surplus").await;
    goes_on(&shop).await;
    assert_eq!(stands(&shop).await.0, 1, "its invoice stands");
    shop.close().await;
}
