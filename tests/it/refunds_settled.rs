//! Refunds that the provider will not make: the shop pays the buyer another way, and an administrator records that.

use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::jobs::{self, Job};
use vitrine::token::Role;
use vitrine_sandbox::{DisputeStatus, MoveDispute, NewDispute, Pay, RefundStatus, SendWebhook, Shortage};

use crate::books;
use crate::cards::{self, count, paid_by_card, payments, settle, state, tell};
use crate::shop::{Answer, Customer, Shop};

const NOTE: &str = "TED de 3 de dezembro, comprovante 4711";

async fn pay_otherwise(admin: &Customer<'_>, id: Uuid, note: &str) -> Answer {
    admin.post(&format!("/api/admin/refunds/{id}/settle"), &json!({"note": note})).await
}

async fn retry(admin: &Customer<'_>, id: Uuid) -> Answer {
    admin.post(&format!("/api/admin/refunds/{id}/retry"), &Value::Null).await
}

async fn refund(admin: &Customer<'_>, order: &str, cents: i64) -> Uuid {
    let body = json!({"amount_cents": cents, "reason": "Avaria"});
    let answer = admin.post(&format!("/api/orders/{order}/refund"), &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["refund_id"].as_str().unwrap().parse().unwrap()
}

/// `amount:status` of an order's refunds, the oldest first.
async fn refunds(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(amount_cents || ':' || status ORDER BY id), '{}') FROM refunds";
    shop.sql(&format!("{list} WHERE order_id = '{order}'")).await
}

async fn last_refund(shop: &Shop, order: &str) -> Uuid {
    shop.sql(&format!("SELECT id FROM refunds WHERE order_id = '{order}' ORDER BY id DESC LIMIT 1")).await
}

/// The movements of an order's refunds, as `kind:amount`.
async fn moved(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(kind || ':' || amount_cents ORDER BY id), '{}') FROM money_movements";
    shop.sql(&format!("{list} WHERE order_id = '{order}' AND refund_id IS NOT NULL")).await
}

async fn alerted(shop: &Shop, key: &str) -> i64 {
    shop.alerted().await.iter().filter(|alert| alert.split(' ').next() == Some(key)).count() as i64
}

/// Stripe's books and ours of today agree.
async fn books_agree(shop: &Shop) {
    let reports = books::compare(shop).await;
    let report = reports.as_array().unwrap().iter().find(|report| report["provider"] == "stripe").unwrap();
    assert_eq!((&report["status"], &report["differences"]), (&json!("agrees"), &json!(0)), "{report}");
}

/// A card payment of another amount, of which a lost dispute took 400 before anybody here knew: the order, and what is left.
async fn disputed_surplus(ana: &Customer<'_>) -> (String, i64) {
    let (shop, control) = (ana.shop, ana.shop.control());
    let (order, total) = cards::order(ana).await;
    let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "credit_card"})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    control.pay(Pay::of(&order).amount_cents(total - 1).webhook(SendWebhook::Lost)).unwrap();
    control.open_dispute(&NewDispute::of(&order).amount_cents(400).webhook(SendWebhook::Lost)).unwrap();
    control.move_dispute(&MoveDispute::to(&order, DisputeStatus::Lost).webhook(SendWebhook::Lost)).unwrap();
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'check_payment'").await;
    settle(shop).await;
    assert_eq!(payments(shop, &order).await, ["credit_card:surplus"]);
    assert_eq!(refunds(shop, &order).await, [format!("{}:failed", total - 1)]);
    for _ in 0..2 {
        jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
        settle(shop).await;
    }
    (order, total - 401)
}

#[actix_web::test]
async fn what_stripe_refuses_of_a_disputed_surplus_is_paid_another_way_and_ends_there() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, left) = disputed_surplus(&ana).await;
    let whole = format!("{}:failed", left + 400);
    assert_eq!(refunds(&shop, &order).await, [whole.clone(), format!("{left}:failed")], "what is left was asked for, once");
    let (first, id) = (shop.sql::<Uuid>("SELECT id FROM refunds ORDER BY id LIMIT 1").await, last_refund(&shop, &order).await);
    assert_eq!(alerted(&shop, "refund-failed").await, 2);
    let told: String = shop.sql(&format!("SELECT text FROM alerts WHERE key = 'refund-failed:{id}'")).await;
    assert!(told.contains("charge_disputed") && told.contains(&format!("/api/admin/refunds/{id}/settle")), "{told}");
    assert_eq!(retry(&admin, id).await.status, 202);
    settle(&shop).await;
    assert_eq!(refunds(&shop, &order).await, [whole.clone(), format!("{left}:failed")], "they refuse it for ever");
    assert_eq!(pay_otherwise(&admin, first, NOTE).await.slug(), "conflict", "so much is not left");

    let path = format!("/api/admin/refunds/{id}/settle");
    let keyed = async |note: &str| {
        admin.request("POST", &path).header("Idempotency-Key", "ted-4711").json(&json!({"note": note})).send().await
    };
    let (settled, again) = (keyed(NOTE).await, keyed(NOTE).await);
    assert_eq!((settled.status, &settled.body["status"], &settled.body["note"]), (200, &json!("done"), &json!(NOTE)));
    assert_eq!((again.status, &again.body), (200, &settled.body), "a key repeats its first answer");
    assert_eq!(keyed("outra").await.status, 422, "and is of one request");
    assert_eq!(pay_otherwise(&admin, id, NOTE).await.slug(), "conflict", "it is done");
    settle(&shop).await;
    assert_eq!(refunds(&shop, &order).await, [whole, format!("{left}:done")]);
    assert_eq!(moved(&shop, &order).await, [format!("refund_otherwise:{left}")]);
    assert_eq!(payments(&shop, &order).await, ["credit_card:charged_back"]);
    assert!(shop.control().refunds().is_empty(), "the provider gave nothing back");
    let by: String = shop.sql(&format!("SELECT paid_otherwise_by FROM refunds WHERE id = '{id}'")).await;
    assert_eq!(by, format!("admin:{}", admin.id));
    assert_eq!(count(&shop, "audit_log WHERE action = 'refund.settle'").await, 1);
    let mail: String = shop.sql("SELECT body FROM messages WHERE kind = 'refunded'").await;
    assert!(mail.contains("pago diretamente a você") && !mail.contains("cartão"), "{mail}");
    books_agree(&shop).await;

    let seen = async |who: &Customer<'_>| {
        let listed = who.get(&format!("/api/orders/{order}/payments")).await;
        listed.body["items"][0]["refunds"][1].clone()
    };
    let (hers, theirs) = (seen(&ana).await, seen(&admin).await);
    assert!(hers["paid_otherwise_at"].is_string() && hers.get("note").is_none(), "{hers}");
    assert_eq!(theirs["note"], NOTE);

    // It was made after all, under the first key.
    let intent = shop.control().charge(&order).unwrap().txid;
    let object = json!({"id": "re_late", "object": "refund", "amount": left, "currency": "brl", "status": "succeeded",
        "payment_intent": intent, "metadata": {"refund_id": id}});
    assert_eq!(alerted(&shop, "refund-too-much").await, 0);
    tell(&shop, "refund.updated", &object).await;
    assert_eq!(alerted(&shop, "refund-too-much").await, 1);
    settle(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_came_back_is_paid_another_way_and_old_news_of_it_change_nothing() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, _) = paid_by_card(&ana).await;
    let id = refund(&admin, &order, 700).await;
    settle(&shop).await;
    let made = shop.control().refunds()[0].clone();
    shop.control().bounce_refund(&made.refund_id).unwrap();
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/paid");
    let refused = retry(&admin, id).await;
    assert!(refused.status == 409 && refused.body["detail"].as_str().unwrap().contains("/settle"), "{}", refused.body);
    assert_eq!(pay_otherwise(&admin, id, NOTE).await.status, 200);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/partially_refunded");
    let moves = ["refund:700", "refund_back:700", "refund_otherwise:700"];
    assert_eq!(moved(&shop, &order).await, moves);
    assert_eq!(count(&shop, "messages WHERE kind = 'refunded' AND status = 'sent'").await, 2, "and the buyer knows how");
    // The first word that it was done comes once more.
    let intent = shop.control().charge(&order).unwrap().txid;
    let object = json!({"id": made.extra["id"], "object": "refund", "amount": 700, "currency": "brl", "status": "succeeded",
        "payment_intent": intent, "metadata": {"refund_id": id}});
    tell(&shop, "refund.updated", &object).await;
    settle(&shop).await;
    assert_eq!((moved(&shop, &order).await.len(), alerted(&shop, "refund-too-much").await), (3, 0), "it is news of the past");
    books_agree(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn only_a_refund_that_failed_and_whose_money_is_there_is_paid_another_way() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    let id = refund(&admin, &order, total).await;
    let refused = async |what: &str| {
        let before = shop.row_counts().await;
        let answer = pay_otherwise(&admin, id, NOTE).await;
        assert_eq!((answer.status, answer.slug()), (409, "conflict"), "{what}: {}", answer.body);
        assert_eq!(shop.row_counts().await, before, "{what}");
    };
    refused("it is about to be sent").await;
    shop.control().lack_balance("stripe", Shortage::AtOnce, None).unwrap();
    shop.drain().await;
    assert_eq!(refunds(&shop, &order).await, [format!("{total}:waiting")]);
    refused("it waits").await;
    shop.execute("UPDATE refunds SET waits_since = now() - interval '7 days'").await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund'").await;
    settle(&shop).await;
    assert_eq!(refunds(&shop, &order).await, [format!("{total}:failed")]);
    shop.control().fund("stripe").unwrap();
    refund(&admin, &order, 1).await;
    settle(&shop).await;
    refused("a part went back by another refund").await;

    let part = refund(&admin, &order, 2).await;
    settle(&shop).await;
    assert_eq!(pay_otherwise(&admin, part, NOTE).await.slug(), "conflict", "it is done");
    assert_eq!(pay_otherwise(&admin, Uuid::now_v7(), NOTE).await.status, 404);
    for note in ["", "  ", &"x".repeat(501)] {
        assert_eq!(pay_otherwise(&admin, id, note).await.invalid_fields(), ["note"]);
    }
    let path = format!("/api/admin/refunds/{id}/settle");
    assert_eq!(admin.post(&path, &json!({})).await.status, 422);
    assert_eq!(shop.post(&path, &json!({"note": NOTE})).await.status, 401);
    for role in [Role::User, Role::Shipper] {
        assert_eq!(pay_otherwise(&shop.person(role).await, id, NOTE).await.slug(), "forbidden");
    }
    let statuses: Vec<_> = shop.control().refunds().iter().map(|refund| refund.status).collect();
    assert_eq!(statuses, [RefundStatus::Done, RefundStatus::Done]);
    shop.close().await;
}

#[actix_web::test]
async fn a_sale_whose_refund_was_paid_another_way_is_off_and_its_books_agree() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    shop.control().fail_refunds(1);
    let id = refund(&admin, &order, total).await;
    settle(&shop).await;
    assert_eq!(refunds(&shop, &order).await, [format!("{total}:failed")]);
    assert!(shop.sql::<bool>("SELECT on_hold FROM orders").await);
    let jobs_of = "jobs WHERE kind IN ('drop_label', 'drop_invoice')";
    let before = count(&shop, jobs_of).await;
    assert_eq!(pay_otherwise(&admin, id, NOTE).await.status, 200);
    settle(&shop).await;
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    assert_eq!(payments(&shop, &order).await, ["credit_card:refunded"]);
    assert_eq!(count(&shop, jobs_of).await, before + 2, "on hold its invoice may have stood still");
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(admin.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.slug(), "sale-is-off");
    books_agree(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn what_a_dispute_left_of_a_cancelled_order_goes_back_by_another_refund() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (order, total) = paid_by_card(&ana).await;
    assert_eq!(admin.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await.status, 200);
    let intent = shop.control().charge(&order).unwrap().txid;
    let dispute = async |status: &str| {
        let object = json!({"id": "dp_1", "object": "dispute", "amount": 400, "currency": "brl", "payment_intent": intent,
            "reason": "fraudulent", "status": status, "balance_transactions": [{"amount": -400}], "evidence_details": {"due_by": 0}});
        tell(&shop, "charge.dispute.updated", &object).await;
    };
    dispute("needs_response").await;
    shop.drain().await;
    assert_eq!(refunds(&shop, &order).await, [format!("{total}:pending")], "it waits for the dispute's end");
    for _ in 0..2 {
        dispute("lost").await;
        settle(&shop).await;
    }
    assert_eq!(refunds(&shop, &order).await, [format!("{total}:failed"), format!("{}:done", total - 400)]);
    assert_eq!(state(&shop, &order).await, "cancelled/refunded");
    shop.close().await;
}
