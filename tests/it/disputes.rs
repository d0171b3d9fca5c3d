//! Contested payments: rows of their own, several per payment; what they took is in the ledger once, whatever came when.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::jobs::{self, Job};
use vitrine_sandbox::{DisputeStatus, Fault, Pay, SendWebhook};

use crate::cards::{self, count, paid_by_card, payments, settle, state, tell};
use crate::shop::{Answer, Customer, Shop};

const LIMIT: Duration = Duration::from_secs(20);
/// 2026-12-05T12:00:00Z, 09:00 at the shop's.
const DUE: i64 = 1_796_472_000;

/// A dispute of Stripe's about an order's payment.
struct Contested<'a> {
    shop: &'a Shop,
    id: String,
    intent: String,
    cents: i64,
}

impl<'a> Contested<'a> {
    fn of(shop: &'a Shop, order: &str, cents: i64) -> Self {
        let intent = shop.control().charge(order).unwrap().txid;
        Self { shop, id: format!("dp_{}", Uuid::new_v4().simple()), intent, cents }
    }

    /// It stands there, says a webhook.
    async fn is(&self, status: &str) {
        let moved = if status.starts_with("warning") { json!([]) } else { json!([{"amount": -self.cents}]) };
        let object = json!({
            "id": self.id, "object": "dispute", "amount": self.cents, "currency": "brl", "payment_intent": self.intent,
            "reason": "fraudulent", "status": status, "balance_transactions": moved, "evidence_details": {"due_by": DUE},
        });
        tell(self.shop, "charge.dispute.updated", &object).await;
    }

    /// `stage/state` here.
    async fn row(&self) -> String {
        self.shop.sql(&format!("SELECT stage || '/' || state FROM disputes WHERE provider_ref = '{}'", self.id)).await
    }

    async fn row_id(&self) -> Uuid {
        self.shop.sql(&format!("SELECT id FROM disputes WHERE provider_ref = '{}'", self.id)).await
    }
}

/// The movements of an order's disputes, as `kind:amount`.
async fn moved(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(kind || ':' || amount_cents ORDER BY id), '{}') FROM money_movements";
    shop.sql(&format!("{list} WHERE order_id = '{order}' AND dispute_id IS NOT NULL")).await
}

async fn lost_cents(shop: &Shop, order: &str) -> i64 {
    shop.sql(&format!("SELECT lost_cents FROM payments WHERE order_id = '{order}'")).await
}

async fn refund(admin: &Customer<'_>, order: &str, cents: i64) -> Answer {
    admin.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": cents, "reason": "Acordo"})).await
}

async fn watch(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
}

/// All orders of these.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        permutations(&rest).into_iter().map(move |tail| [vec![first.clone()], tail].concat())
    };
    (0..items.len()).flat_map(with_first).collect()
}

#[actix_web::test]
async fn the_words_of_two_disputes_in_any_order_and_twice_end_in_the_same_books() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let words = [(0, "needs_response"), (0, "lost"), (1, "needs_response"), (1, "lost")];
    for (n, order_of_words) in permutations(&words).into_iter().enumerate() {
        let (order, total) = paid_by_card(&ana).await;
        let two = [Contested::of(&shop, &order, 1_000), Contested::of(&shop, &order, 700)];
        for (which, status) in &order_of_words {
            two[*which].is(status).await;
        }
        // Some come once more, and an appeal wins the first of every other order.
        for (which, status) in order_of_words.iter().skip(n % 4) {
            two[*which].is(status).await;
        }
        let is_won = n % 2 == 1;
        if is_won {
            two[0].is("won").await;
            two[0].is("lost").await; // late
        }
        let taken = if is_won { 700 } else { 1_700 };
        let what = format!("{order_of_words:?}");
        assert_eq!(lost_cents(&shop, &order).await, taken, "{what}");
        let outs = moved(&shop, &order).await.iter().filter(|one| one.starts_with("dispute_out")).count();
        assert_eq!(outs, 2, "each took the money once: {what}");
        assert_eq!(payments(&shop, &order).await, ["credit_card:partially_charged_back"], "{what}");
        assert_eq!(state(&shop, &order).await, "processing/partially_refunded", "{what}");
        let left = total - taken;
        let admin = shop.admin().await;
        assert_eq!(refund(&admin, &order, left + 1).await.status, 409, "{what}");
    }
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn what_is_read_every_six_hours_writes_nothing_twice() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = paid_by_card(&ana).await;
    // Stripe's books hold one that was lost; of another, its webhook told.
    shop.control().dispute(&order).unwrap();
    shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    let second = Contested::of(&shop, &order, 500);
    second.is("needs_response").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    shop.drain().await;
    let before = (shop.row_counts().await, shop.alerted().await);
    for _ in 0..3 {
        watch(&shop).await;
    }
    // What is told to the operator is counted by `alerted`: the digest moves it from one table to the other.
    let aside = ["jobs", "alerts", "alert_occurrences"];
    let rows_of_the_sale =
        |counts: Vec<(String, i64)>| counts.into_iter().filter(|(table, _)| !aside.contains(&table.as_str())).collect::<Vec<_>>();
    let after = (shop.row_counts().await, shop.alerted().await);
    assert_eq!((rows_of_the_sale(after.0), after.1), (rows_of_the_sale(before.0), before.1));
    assert_eq!(moved(&shop, &order).await, [format!("dispute_out:{total}")]);
    assert_eq!(second.row().await, "contested/open");
    second.is("won").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_part_that_was_lost_does_not_undo_the_sale() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let dispute = Contested::of(&shop, &order, 900);
    dispute.is("lost").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:partially_charged_back"]);
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    assert_eq!(count(&shop, "jobs WHERE kind IN ('drop_label', 'drop_invoice')").await, 0);
    assert_eq!(refund(&admin, &order, total - 899).await.status, 409, "the bank has that part");
    assert_eq!(refund(&admin, &order, total - 900).await.status, 201);
    settle(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"], "nothing is left");
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn an_inquiry_blocks_nothing_and_may_become_a_dispute() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let inquiry = Contested::of(&shop, &order, total);
    inquiry.is("warning_needs_response").await;
    assert_eq!((inquiry.row().await.as_str(), payments(&shop, &order).await), ("inquiry/open", vec!["credit_card:paid".into()]));
    assert_eq!(shop.alerted().await, ["inquiry-opened 1"]);
    let text: String = shop.sql("SELECT text FROM alerts").await;
    assert!(text.contains("o prazo é 05/12/2026 09:00"), "{text}");
    assert_eq!(refund(&admin, &order, 300).await.status, 201);
    settle(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:partially_refunded"]);
    inquiry.is("warning_under_review").await;
    assert_eq!(inquiry.row().await, "inquiry/under_review");
    inquiry.is("needs_response").await;
    inquiry.is("warning_needs_response").await; // late
    assert_eq!(inquiry.row().await, "contested/open");
    assert_eq!(payments(&shop, &order).await, ["credit_card:disputed"]);
    assert_eq!(shop.alerted().await, ["inquiry-opened 1", "dispute-opened 1"]);
    assert_eq!(refund(&admin, &order, 300).await.status, 409);
    inquiry.is("won").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:partially_refunded"]);
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_made_at_the_provider_is_in_our_books_whatever_is_contested() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    for (status, during) in [("warning_needs_response", "partially_refunded"), ("needs_response", "disputed")] {
        let (order, total) = paid_by_card(&ana).await;
        let dispute = Contested::of(&shop, &order, total);
        dispute.is(status).await;
        let object = json!({"id": format!("re_{}", Uuid::new_v4().simple()), "object": "refund", "amount": 400, "currency": "brl",
            "status": "succeeded", "payment_intent": dispute.intent, "metadata": {}});
        for _ in 0..2 {
            tell(&shop, "refund.updated", &object).await;
        }
        assert_eq!(count(&shop, &format!("refunds WHERE order_id = '{order}' AND status = 'done'")).await, 1);
        assert_eq!(payments(&shop, &order).await, [format!("credit_card:{during}")]);
        assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
        dispute.is(if during == "disputed" { "won" } else { "warning_closed" }).await;
        assert_eq!(payments(&shop, &order).await, ["credit_card:partially_refunded"]);
        let looks = format!(
            "jobs j JOIN payments p ON j.payload->>'payment' = p.id::text WHERE j.kind = 'look_at_refunds' AND p.order_id = '{order}'
               AND j.run_at < now() + interval '1 minute'"
        );
        assert_eq!(count(&shop, &looks).await, 1, "their list of refunds is read when a dispute ends");
    }
    assert_eq!(shop.alerted().await.iter().filter(|alert| alert.starts_with("refund-unknown")).count(), 0);
    shop.close().await;
}

#[actix_web::test]
async fn what_the_bank_takes_on_top_of_a_refund_is_told_and_in_the_books() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    assert_eq!(refund(&admin, &order, total).await.status, 201);
    settle(&shop).await;
    Contested::of(&shop, &order, total).is("lost").await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    assert_eq!(lost_cents(&shop, &order).await, total);
    let mut alerted = shop.alerted().await;
    alerted.sort();
    assert_eq!(alerted, ["dispute-closed 1", "paid-back-twice 1"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_dispute_that_is_told_of_before_the_money_is_booked_after_it() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = cards::order(&ana).await;
    let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "credit_card"})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
    Contested::of(&shop, &order, total).is("lost").await;
    assert_eq!(moved(&shop, &order).await, Vec::<String>::new());
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    assert_eq!(moved(&shop, &order).await, [format!("dispute_out:{total}")]);
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_was_not_sent_waits_for_the_end_of_the_dispute() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    for (end, refunded, paid) in [("won", "done", "refunded"), ("lost", "failed", "charged_back")] {
        let (order, total) = paid_by_card(&ana).await;
        assert_eq!(refund(&admin, &order, total).await.status, 201);
        let dispute = Contested::of(&shop, &order, total);
        dispute.is("needs_response").await;
        let before = shop.control().refunds().len();
        shop.drain().await;
        assert_eq!(shop.control().refunds().len(), before, "the buyer's bank may give it back already");
        dispute.is(end).await;
        settle(&shop).await;
        let status: String = shop.sql(&format!("SELECT status FROM refunds WHERE order_id = '{order}'")).await;
        assert_eq!((status.as_str(), payments(&shop, &order).await), (refunded, vec![format!("credit_card:{paid}")]), "{end}");
    }
    shop.close().await;
}

async fn settle_by_hand(admin: &Customer<'_>, id: Uuid, body: &Value) -> Answer {
    admin.post(&format!("/api/admin/disputes/{id}/settle"), body).await
}

#[actix_web::test]
async fn what_the_provider_leaves_unclear_stays_open_until_an_administrator_ends_it() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let dispute = Contested::of(&shop, &order, total);
    dispute.is("needs_response").await;
    let id = dispute.row_id().await;
    for _ in 0..2 {
        dispute.is("prevented").await; // money moved, and nobody says for whom
    }
    assert_eq!(
        (dispute.row().await.as_str(), payments(&shop, &order).await),
        ("contested/unclear", vec!["credit_card:disputed".into()])
    );
    assert_eq!(shop.alerted().await, ["dispute-opened 1", "dispute-unclear 1"]);
    assert_eq!(refund(&admin, &order, 100).await.status, 409);
    let listed = admin.get("/api/admin/disputes?open=true&state=unclear").await;
    let items = &listed.body["items"];
    assert_eq!((listed.status, items.as_array().unwrap().len()), (200, 1), "{}", listed.body);
    assert_eq!((&items[0]["id"], &items[0]["amount_cents"], &items[0]["taken_cents"]), (&json!(id), &json!(total), &json!(0)));
    assert_eq!(admin.get("/api/admin/disputes?open=false").await.body["total"], 0);
    assert_eq!(admin.get("/api/admin/disputes?provider=openpix").await.body["total"], 0);

    for wrong in [
        json!({"outcome": "won", "amount_cents": 5, "note": "x"}),
        json!({"outcome": "lost", "amount_cents": total + 1, "note": "x"}),
        json!({"outcome": "lost", "note": ""}),
        json!({"outcome": "unclear", "note": "x"}),
    ] {
        assert_eq!(settle_by_hand(&admin, id, &wrong).await.status, 422, "{wrong}");
    }
    let lost =
        settle_by_hand(&admin, id, &json!({"outcome": "lost", "amount_cents": 800, "note": "extrato de 2 de dezembro"})).await;
    assert_eq!(lost.status, 200, "{}", lost.body);
    assert_eq!((&lost.body["state"], &lost.body["taken_cents"]), (&json!("lost"), &json!(800)));
    assert_eq!(lost.body["closed_by"], format!("admin:{}", admin.id));
    assert_eq!(payments(&shop, &order).await, ["credit_card:partially_charged_back"]);
    // It was a mistake: an administrator's word can be taken back, and nothing unclear overrules it.
    dispute.is("prevented").await;
    let won = settle_by_hand(&admin, id, &json!({"outcome": "won", "note": "o extrato era de outro pedido"})).await;
    assert_eq!((won.status, &won.body["taken_cents"]), (200, &json!(0)), "{}", won.body);
    assert_eq!(moved(&shop, &order).await, ["dispute_out:800", "dispute_back:800"]);
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    // A verdict of the provider's does.
    dispute.is("lost").await;
    shop.drain().await;
    assert_eq!(dispute.row().await, "contested/won", "older than what was settled, as far as a webhook can tell");
    let logged: Vec<String> = shop.sql("SELECT array_agg(action || ' ' || (after ->> 'state') ORDER BY id) FROM audit_log").await;
    assert_eq!(logged, ["dispute.settle lost", "dispute.settle won"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_verdict_in_the_provider_s_books_overrules_an_administrator_s() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    shop.control().dispute(&order).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    let id: Uuid = shop.sql("SELECT id FROM disputes").await;
    let early = settle_by_hand(&admin, id, &json!({"outcome": "won", "note": "cedo"})).await;
    assert_eq!(early.status, 409, "Stripe decides it: {}", early.body);
    shop.execute("UPDATE disputes SET state = 'unclear'").await;
    shop.execute(
        "INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, reason, actor, cause)
         SELECT order_id, subject, subject_id, to_state, 'unclear', '', actor, cause FROM order_history WHERE subject = 'dispute'",
    )
    .await;
    assert_eq!(settle_by_hand(&admin, id, &json!({"outcome": "won", "note": "assim parecia"})).await.status, 200);
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"]);
    watch(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:paid"], "that it is open still is no verdict");
    shop.control().set_shop_url("http://127.0.0.1:9");
    shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
    watch(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    assert_eq!(moved(&shop, &order).await, [format!("dispute_out:{total}")]);
    let again = settle_by_hand(&admin, id, &json!({"outcome": "won", "note": "não"})).await;
    assert_eq!(again.status, 409, "{}", again.body);
    shop.close().await;
}

#[actix_web::test]
async fn only_an_administrator_sees_and_ends_disputes() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, total) = paid_by_card(&ana).await;
    let dispute = Contested::of(&shop, &order, total);
    dispute.is("prevented").await;
    let id = dispute.row_id().await;
    let body = json!({"outcome": "won", "note": "x"});
    let paths = [format!("/api/admin/disputes/{id}/settle"), format!("/api/admin/disputes/{id}/evidence")];
    assert_eq!((shop.get("/api/admin/disputes").await.status, ana.get("/api/admin/disputes").await.status), (401, 403));
    for path in &paths {
        assert_eq!((shop.post(path, &body).await.status, ana.post(path, &body).await.status), (401, 403), "{path}");
    }
    let admin = shop.admin().await;
    assert_eq!(settle_by_hand(&admin, Uuid::now_v7(), &body).await.status, 404);
    let documents = json!({"documents": [{"url": "https://loja.test/nota.pdf", "description": "Nota"}]});
    let evidence = admin.post(&paths[1], &documents).await;
    assert_eq!(evidence.status, 409, "Stripe takes it in its dashboard alone: {}", evidence.body);
    let unsafe_one = json!({"documents": [{"url": "http://loja.test/nota.pdf", "description": "Nota"}]});
    assert_eq!(admin.post(&paths[1], &unsafe_one).await.status, 422);
    assert_eq!(settle_by_hand(&admin, id, &body).await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn books_that_cannot_be_read_stop_no_other_provider_s() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let (order, _) = paid_by_card(&ana).await;
    shop.control().set_shop_url("http://127.0.0.1:9");
    shop.control().dispute(&order).unwrap();
    shop.control().next_calls("stripe", Fault::Status(503), 20);
    watch(&shop).await;
    assert_eq!(shop.sql::<String>("SELECT state FROM jobs WHERE kind = 'watch_disputes'").await, "waiting");
    shop.control().clear_faults();
    shop.close().await;
}
