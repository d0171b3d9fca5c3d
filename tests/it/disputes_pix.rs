//! Contested PIX at OpenPix: a webhook that names no charge is a hint, the dispute is read before it counts, and their list tells of
//! those that no webhook told of.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use vitrine::config::PixSettings;
use vitrine::ids::PaymentId;
use vitrine::jobs::{self, Job};
use vitrine_sandbox::{AmountForm, DisputeStatus, MoveDispute, NewDispute, Refund, RefundStatus, SendWebhook, TakeBack};

use crate::cards::{count, payments, settle, state};
use crate::seller;
use crate::shop::{Answer, Shop};

const LIMIT: Duration = Duration::from_secs(20);

async fn openpix() -> Shop {
    Shop::open_with(&[("PIX_PROVIDER", "openpix")]).await
}

/// Bought and paid by PIX.
struct Paid {
    order: String,
    total: i64,
    /// OpenPix knows the payment alone, and no order.
    charge: String,
    end_to_end_id: String,
}

async fn paid(shop: &Shop) -> Paid {
    let mug = shop.product("Caneca").price(4_000).create().await;
    let order = seller::buys(shop, &[(&mug, 1)]).await;
    let charge: String = shop.sql(&format!("SELECT id::text FROM payments WHERE order_id = '{order}'")).await;
    shop.pays(&charge).await;
    shop.drain().await;
    assert_eq!(state(shop, &order).await, "processing/paid");
    let total = shop.sql(&format!("SELECT total_cents FROM orders WHERE id = '{order}'")).await;
    let end_to_end_id = shop.control().charge(&charge).unwrap().end_to_end_id.unwrap();
    Paid { order, total, charge, end_to_end_id }
}

/// News and jobs come to rest.
async fn rest(shop: &Shop) {
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
}

async fn refund(shop: &Shop, order: &str, cents: i64) -> Answer {
    shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": cents, "reason": "Acordo"})).await
}

async fn watch(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
}

async fn moved(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(kind || ':' || amount_cents ORDER BY id), '{}') FROM money_movements";
    shop.sql(&format!("{list} WHERE order_id = '{order}' AND dispute_id IS NOT NULL")).await
}

/// A webhook with their own signature over it, whatever it says.
async fn tell(shop: &Shop, body: &Value) {
    let body = body.to_string();
    let is_openpix = |settings: &PixSettings| match settings {
        PixSettings::OpenPix(openpix) => openpix.webhook_secret.clone(),
        _ => None,
    };
    let secret = shop.app.config.pix.providers.iter().find_map(is_openpix).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose_secret().as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, body.as_bytes()));
    let request = shop.request("POST", "/api/webhooks/openpix").header("X-OpenPix-Signature", &signature);
    assert_eq!(request.body("application/json", body).send().await.status, 200);
}

fn event(end_to_end_id: &str, status: &str) -> Value {
    json!({"event": "OPENPIX:DISPUTE_CREATED", "dispute": {"status": status, "endToEndId": end_to_end_id, "name": "Ana Silva",
        "email": "ana@example.com", "phoneNumber": "+5511999990000", "value": "4000", "disputeReason": "Golpe"}})
}

#[actix_web::test]
async fn a_dispute_is_found_by_its_pix_holds_the_money_and_ends_as_they_decide() {
    let shop = openpix().await;
    for (form, end, of_payment, of_order) in [
        (AmountForm::Number, DisputeStatus::Lost, "charged_back", "refunded"),
        (AmountForm::Text, DisputeStatus::Won, "paid", "paid"),
        (AmountForm::Absent, DisputeStatus::Canceled, "paid", "paid"),
    ] {
        let Paid { order, total, charge, end_to_end_id } = paid(&shop).await;
        let stored: Option<String> = shop.sql(&format!("SELECT end_to_end_id FROM payments WHERE order_id = '{order}'")).await;
        assert_eq!(stored, None, "a charge of theirs is read without it");
        shop.control().open_dispute(&NewDispute::of(&charge).form(form)).unwrap();
        rest(&shop).await;
        assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
        let stored: String = shop.sql(&format!("SELECT end_to_end_id FROM payments WHERE order_id = '{order}'")).await;
        assert_eq!(stored, end_to_end_id);
        let amount: Option<i64> = shop.sql(&format!("SELECT amount_cents FROM disputes WHERE order_id = '{order}'")).await;
        assert_eq!(amount, if form == AmountForm::Absent { None } else { Some(total) });
        assert_eq!(refund(&shop, &order, 100).await.status, 409, "the bank may give it back already");
        shop.control().move_dispute(&MoveDispute::to(&charge, DisputeStatus::UnderReview)).unwrap();
        rest(&shop).await;
        let row = format!("SELECT state || ' ' || word FROM disputes WHERE order_id = '{order}'");
        assert_eq!(shop.sql::<String>(&row).await, "under_review IN_REVIEW");
        assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
        shop.control().close_dispute(&charge, end).unwrap();
        rest(&shop).await;
        assert_eq!(payments(&shop, &order).await, [format!("pix:{of_payment}")], "{end:?}");
        assert_eq!(state(&shop, &order).await, format!("processing/{of_order}"));
        let taken = if end == DisputeStatus::Lost { vec![format!("dispute_out:{total}")] } else { vec![] };
        assert_eq!(moved(&shop, &order).await, taken);
        // Late and repeated, the first word of it changes nothing.
        tell(&shop, &event(&end_to_end_id, "OPENED")).await;
        rest(&shop).await;
        assert_eq!(payments(&shop, &order).await, [format!("pix:{of_payment}")], "{end:?}");
    }
    assert_eq!(count(&shop, "refunds").await, 0);
    assert_eq!(shop.alerted().await, ["dispute-opened 1", "dispute-closed 1"].repeat(3));
    shop.close().await;
}

#[actix_web::test]
async fn the_alert_names_the_day_on_which_the_time_for_evidence_ends() {
    let shop = openpix().await;
    let Paid { charge, .. } = paid(&shop).await;
    shop.control().open_dispute(&NewDispute::of(&charge)).unwrap();
    rest(&shop).await;
    let due: Timestamp = shop.sql("SELECT due_by FROM disputes").await;
    let left = due.duration_since(Timestamp::now());
    assert!(left > SignedDuration::from_hours(71) && left <= SignedDuration::from_hours(72), "three days: {left}");
    let day = due.to_zoned(vitrine::calendar::zone()).strftime("%d/%m/%Y %H:%M").to_string();
    assert_eq!(shop.alerted().await, ["dispute-opened 1"]);
    let text: String = shop.sql("SELECT text FROM alerts").await;
    assert!(text.contains(&format!("o prazo é {day}")), "{text}");
    shop.close().await;
}

#[actix_web::test]
async fn evidence_goes_where_the_webhook_said_while_the_dispute_is_open() {
    let shop = openpix().await;
    let Paid { order, charge, .. } = paid(&shop).await;
    shop.control().dispute(&charge).unwrap();
    rest(&shop).await;
    let listed = shop.admin().await.get("/api/admin/disputes?open=true&provider=openpix").await;
    let found = &listed.body["items"][0];
    assert_eq!((&found["takes_evidence"], &found["order_id"]), (&json!(true), &json!(order)), "{}", listed.body);
    let path = format!("/api/admin/disputes/{}/evidence", found["id"].as_str().unwrap());
    let documents = json!({"documents": [{"url": "https://loja.test/nota.pdf", "description": "Nota fiscal"}]});
    for _ in 0..2 {
        assert_eq!(shop.admin().await.post(&path, &documents).await.status, 200);
    }
    let sent = shop.control().disputes()[0].documents.clone();
    assert_eq!((sent[0].url.as_str(), &sent[0].correlation_id), ("https://loja.test/nota.pdf", &sent[1].correlation_id));
    shop.control().close_dispute(&charge, DisputeStatus::Won).unwrap();
    rest(&shop).await;
    assert_eq!(shop.admin().await.post(&path, &documents).await.status, 409);
    shop.close().await;
}

#[actix_web::test]
async fn a_hint_that_their_books_do_not_bear_out_changes_nothing() {
    let shop = openpix().await;
    let Paid { order, charge, end_to_end_id, .. } = paid(&shop).await;
    let rows = async || {
        let aside = ["jobs", "webhook_events"];
        shop.row_counts().await.into_iter().filter(|(table, _)| !aside.contains(&table.as_str())).collect::<Vec<_>>()
    };
    let before = rows().await;
    for (id, status) in [
        (end_to_end_id.as_str(), "OPENED"),
        (&end_to_end_id, "ACCEPTED"),
        ("E99999999202611301200aaaaaaaaaaa", "ACCEPTED"),
        ("not an id/../..", "ACCEPTED"),
    ] {
        tell(&shop, &event(id, status)).await;
        rest(&shop).await;
        assert_eq!(payments(&shop, &order).await, ["pix:paid"], "{id} {status}");
    }
    assert_eq!(rows().await, before);
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    assert_eq!(count(&shop, "webhook_events WHERE event LIKE 'OPENPIX:DISPUTE%' AND outcome = 'hint'").await, 3);
    assert_eq!(count(&shop, "jobs WHERE kind = 'look_at_dispute' AND state = 'dead'").await, 0);
    // And a true one is believed as their books have it, whatever it says.
    shop.control().open_dispute(&NewDispute::of(&charge).webhook(SendWebhook::Lost)).unwrap();
    let mut lie = event(&end_to_end_id, "ACCEPTED");
    lie["event"] = json!("OPENPIX:DISPUTE_ACCEPTED");
    lie["dispute"]["id"] = json!("feedfeedfeedfeedfeedfeed");
    tell(&shop, &lie).await;
    rest(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
    assert_eq!(moved(&shop, &order).await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn a_dispute_that_no_webhook_told_of_is_in_their_list() {
    let shop = openpix().await;
    let whole = paid(&shop).await;
    let part = paid(&shop).await;
    shop.control().open_dispute(&NewDispute::of(&whole.charge).webhook(SendWebhook::Lost)).unwrap();
    shop.control().open_dispute(&NewDispute::of(&part.charge).amount_cents(900).webhook(SendWebhook::Lost)).unwrap();
    watch(&shop).await;
    for one in [&whole, &part] {
        assert_eq!(payments(&shop, &one.order).await, ["pix:disputed"]);
    }
    for one in [&whole, &part] {
        shop.control().move_dispute(&MoveDispute::to(&one.charge, DisputeStatus::Lost).webhook(SendWebhook::Lost)).unwrap();
    }
    for _ in 0..2 {
        watch(&shop).await;
    }
    assert_eq!(payments(&shop, &whole.order).await, ["pix:charged_back"]);
    assert_eq!(moved(&shop, &whole.order).await, [format!("dispute_out:{}", whole.total)]);
    assert_eq!(payments(&shop, &part.order).await, ["pix:partially_charged_back"]);
    assert_eq!(moved(&shop, &part.order).await, ["dispute_out:900"]);
    assert_eq!(refund(&shop, &part.order, part.total).await.status, 409, "the payer's bank has a part of it");
    assert_eq!(refund(&shop, &part.order, part.total - 900).await.status, 201);
    settle(&shop).await;
    assert_eq!(state(&shop, &part.order).await, "processing/refunded");
    shop.close().await;
}

#[actix_web::test]
async fn what_a_lost_dispute_took_is_booked_once_also_where_their_list_of_refunds_has_it() {
    let shop = openpix().await;
    let look = async |order: &str| {
        let payment = PaymentId(shop.sql(&format!("SELECT id FROM payments WHERE order_id = '{order}'")).await);
        jobs::push_now(&shop.app.db().await.unwrap(), Job::LookAtRefunds { payment }).await.unwrap();
        shop.drain().await;
    };
    let Paid { order, total, charge, .. } = paid(&shop).await;
    shop.control().dispute(&charge).unwrap();
    rest(&shop).await;
    shop.control().take_back_as(&TakeBack::of(&charge, "MED0001", total).webhook(SendWebhook::Lost)).unwrap();
    for _ in 0..2 {
        look(&order).await;
        assert_eq!((payments(&shop, &order).await, count(&shop, "refunds").await), (vec!["pix:disputed".to_owned()], 0));
    }
    shop.control().close_dispute(&charge, DisputeStatus::Lost).unwrap();
    rest(&shop).await;
    for _ in 0..2 {
        look(&order).await;
    }
    assert_eq!(payments(&shop, &order).await, ["pix:charged_back"]);
    assert_eq!((moved(&shop, &order).await, count(&shop, "refunds").await), (vec![format!("dispute_out:{total}")], 0));
    // One that they decide for the shop has taken nothing: what went back meanwhile somebody gave back on their pages.
    let Paid { order, charge, .. } = paid(&shop).await;
    shop.control().open_dispute(&NewDispute::of(&charge).amount_cents(500)).unwrap();
    rest(&shop).await;
    shop.control().take_back_as(&TakeBack::of(&charge, "painel", 500)).unwrap();
    rest(&shop).await;
    assert_eq!(count(&shop, "refunds").await, 0, "it waits for the end");
    shop.control().close_dispute(&charge, DisputeStatus::Won).unwrap();
    rest(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["pix:partially_refunded"]);
    assert_eq!(moved(&shop, &order).await, Vec::<String>::new());
    assert!(!shop.alerted().await.iter().any(|alert| alert.starts_with("paid-back-twice")));
    shop.close().await;
}

/// OpenPix blocks what a dispute is about until it ends, so no more goes back than came. The shop, which was not told, waits.
#[actix_web::test]
async fn a_refund_that_meets_a_dispute_nobody_told_of_waits_for_its_end_and_nothing_goes_back_twice() {
    let shop = openpix().await;
    for (form, end, of_payment, of_refund) in [
        (AmountForm::Absent, DisputeStatus::Lost, "charged_back", "failed"),
        (AmountForm::Number, DisputeStatus::Lost, "charged_back", "failed"),
        (AmountForm::Absent, DisputeStatus::Won, "partially_refunded", "done"),
        (AmountForm::Text, DisputeStatus::Canceled, "partially_refunded", "done"),
    ] {
        let Paid { order, total, charge, .. } = paid(&shop).await;
        shop.control().open_dispute(&NewDispute::of(&charge).form(form).webhook(SendWebhook::Lost)).unwrap();
        assert_eq!(refund(&shop, &order, 500).await.status, 201, "nobody here knows of it");
        rest(&shop).await;
        let status = format!("SELECT status FROM refunds WHERE order_id = '{order}'");
        assert_eq!(shop.sql::<String>(&status).await, "waiting");
        watch(&shop).await;
        assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
        shop.control().close_dispute(&charge, end).unwrap();
        rest(&shop).await;
        settle(&shop).await;
        assert_eq!(payments(&shop, &order).await, [format!("pix:{of_payment}")], "{form:?} {end:?}");
        assert_eq!(shop.sql::<String>(&status).await, of_refund, "{form:?} {end:?}");
        let (gone, taken) = went_back(&shop, &charge);
        let expected = if end == DisputeStatus::Lost { (0, total) } else { (500, 0) };
        assert_eq!((gone, taken), expected, "{form:?} {end:?}");
        let sums = format!("SELECT array[refunded_cents::bigint, lost_cents::bigint] FROM payments WHERE order_id = '{order}'");
        assert_eq!(shop.sql::<Vec<i64>>(&sums).await, [gone, taken], "{form:?} {end:?}");
    }
    assert!(!shop.alerted().await.iter().any(|alert| alert.starts_with("paid-back-twice")));
    shop.close().await;
}

/// By their books: what was refunded of a charge, and what its disputes took.
fn went_back(shop: &Shop, charge: &str) -> (i64, i64) {
    let is_done = |refund: &&Refund| refund.payment_id == charge && refund.status == RefundStatus::Done;
    let refunded = shop.control().refunds().iter().filter(is_done).map(|refund| refund.amount_cents).sum();
    let disputes = shop.control().disputes();
    (refunded, disputes.iter().filter(|dispute| dispute.payment_id == charge).map(|dispute| dispute.taken_cents()).sum())
}
