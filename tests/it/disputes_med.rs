//! What a payer's bank takes back of a PIX by itself (MED), at a shop whose PIX is a bank's: a lost dispute, found by its webhook or
//! without one. What somebody gives back on the bank's own pages is a refund, and says nothing about goods.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::ids::PaymentId;
use vitrine::jobs::{self, Job};
use vitrine::payments::{books, refund::adopt};
use vitrine_kit::Money;
use vitrine_kit::pix::{RefundStatus, TheirRefund};
use vitrine_kit::refund::{Med, Nature};
use vitrine_sandbox::{Fault, FaultOrder, Nature as Natureza, NfeStatus, ParcelStep, Pay, SendWebhook, TakeBack};

use crate::cards::{count, payments, settle, state};
use crate::invoices::goes_on;
use crate::shop::{Answer, Product, Shop};
use crate::{seller, shipments};

const LIMIT: Duration = Duration::from_secs(20);
const BANK: (&str, &str) = ("PIX_PROVIDER", "bacen");

async fn bank() -> Shop {
    Shop::open_with(&[BANK]).await
}

/// A shop with a bank's PIX that issues invoices, and its one product.
async fn invoicing() -> (Shop, Product) {
    let shop = Shop::open_with(&[BANK, ("NFE_PROVIDER", "focusnfe"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]).await;
    shop.sells_as("simples").await;
    let ware = shop.ware("SKU-1", 8_250).await;
    (shop, ware)
}

/// An order with a charge.
async fn charged(shop: &Shop) -> (String, i64) {
    let mug = shop.product("Caneca").price(4_000).create().await;
    let order = seller::buys(shop, &[(&mug, 1)]).await;
    let total = shop.sql(&format!("SELECT total_cents FROM orders WHERE id = '{order}'")).await;
    (order, total)
}

async fn paid(shop: &Shop) -> (String, i64) {
    let (order, total) = charged(shop).await;
    shop.pays(&order).await;
    shop.drain().await;
    assert_eq!(state(shop, &order).await, "processing/paid");
    (order, total)
}

async fn payment_of(shop: &Shop, order: &str) -> PaymentId {
    PaymentId(shop.sql(&format!("SELECT id FROM payments WHERE order_id = '{order}'")).await)
}

/// The bank takes so much back, and says so.
async fn takes(shop: &Shop, back: &TakeBack) {
    shop.control().take_back_as(back).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
}

async fn look(shop: &Shop, order: &str) {
    let payment = payment_of(shop, order).await;
    jobs::push_now(&shop.app.db().await.unwrap(), Job::LookAtRefunds { payment }).await.unwrap();
    shop.drain().await;
}

async fn watch(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
}

/// `stage/state:amount:reason` of an order's disputes, the oldest first.
async fn disputes(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(stage || '/' || state || ':' || amount_cents || ':' || reason ORDER BY id), '{}') FROM disputes";
    shop.sql(&format!("{list} WHERE order_id = '{order}'")).await
}

/// What moved by disputes, as `kind:amount`.
async fn moved(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(kind || ':' || amount_cents ORDER BY id), '{}') FROM money_movements";
    shop.sql(&format!("{list} WHERE order_id = '{order}' AND dispute_id IS NOT NULL")).await
}

async fn refund(shop: &Shop, order: &str, cents: i64) -> Answer {
    shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"amount_cents": cents, "reason": "Acordo"})).await
}

async fn ship(shop: &Shop, order: &str) {
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
}

/// Purpose and state of all invoices: 1 is a sale, 4 a return.
fn notes(shop: &Shop) -> Vec<(u8, NfeStatus)> {
    shop.control().nfes().iter().map(|nfe| (nfe.draft.purpose, nfe.status)).collect()
}

/// Both sides' money of today agrees.
async fn books_agree(shop: &Shop) {
    let today = books::now(&shop.app.db().await.unwrap()).await.unwrap().date();
    books::compare(&shop.app, today, "bacen").await.unwrap();
    let said: Value = shop.sql("SELECT to_jsonb(r) FROM reconciliations r WHERE provider = 'bacen'").await;
    assert_eq!(said["status"], "agrees", "{said}");
}

#[actix_web::test]
async fn what_a_bank_takes_is_a_lost_dispute_and_no_refund_of_the_shops() {
    let shop = bank().await;
    let (order, total) = paid(&shop).await;
    let charge = payment_of(&shop, &order).await;
    let parts = [
        (TakeBack::of(charge, "MED0001", 300).motivo("Golpe"), "partially_charged_back", "partially_refunded"),
        (
            TakeBack::of(charge, "deadbeefdeadbeefdeadbeefdeadbeef", total - 300).nature(Natureza::MedOperacional),
            "charged_back",
            "refunded",
        ),
    ];
    for (back, of_payment, of_order) in &parts {
        takes(&shop, back).await;
        assert_eq!(payments(&shop, &order).await, [format!("pix:{of_payment}")]);
        assert_eq!(state(&shop, &order).await, format!("processing/{of_order}"));
    }
    let rest = total - 300;
    let rows = ["contested/lost:300:MED_FRAUDE: Golpe".to_owned(), format!("contested/lost:{rest}:MED_OPERACIONAL")];
    assert_eq!(disputes(&shop, &order).await, rows, "two of one payment");
    assert_eq!(moved(&shop, &order).await, ["dispute_out:300".to_owned(), format!("dispute_out:{rest}")]);
    assert_eq!(count(&shop, "refunds").await, 0);
    assert_eq!(
        count(&shop, "messages WHERE kind = 'refunded'").await + count(&shop, "jobs WHERE kind = 'mail_refunded'").await,
        0
    );
    assert_eq!(shop.alerted().await, ["dispute-closed 1", "dispute-closed 1"]);
    let before = shop.row_counts().await.into_iter().filter(|(table, _)| table != "jobs").collect::<Vec<_>>();
    for _ in 0..3 {
        look(&shop, &order).await;
    }
    let after = shop.row_counts().await.into_iter().filter(|(table, _)| table != "jobs").collect::<Vec<_>>();
    assert_eq!(after, before, "reading it again changes nothing");
    books_agree(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn after_a_part_was_taken_no_more_is_refunded_than_is_left() {
    let shop = bank().await;
    let (order, total) = paid(&shop).await;
    takes(&shop, &TakeBack::of(payment_of(&shop, &order).await, "MED0001", 900)).await;
    assert_eq!(count(&shop, "jobs WHERE kind IN ('drop_label', 'drop_invoice')").await, 0, "a part does not undo the sale");
    assert_eq!(refund(&shop, &order, total - 899).await.status, 409);
    assert_eq!(refund(&shop, &order, total - 900).await.status, 201);
    settle(&shop).await;
    assert_eq!(payments(&shop, &order).await, ["pix:charged_back"]);
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    books_agree(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn what_a_bank_took_before_we_knew_that_it_was_paid_is_booked_with_the_payment() {
    let shop = bank().await;
    for part in [true, false] {
        let (order, total) = charged(&shop).await;
        shop.control().pay(Pay::of(&order).webhook(SendWebhook::Lost)).unwrap();
        let cents = if part { 300 } else { total };
        takes(&shop, &TakeBack::of(&order, "MED0001", cents)).await;
        let (of_payment, of_order) =
            if part { ("partially_charged_back", "partially_refunded") } else { ("charged_back", "refunded") };
        assert_eq!(payments(&shop, &order).await, [format!("pix:{of_payment}")]);
        assert_eq!(state(&shop, &order).await, format!("processing/{of_order}"));
        assert_eq!(moved(&shop, &order).await, [format!("dispute_out:{cents}")]);
    }
    assert_eq!(count(&shop, "refunds").await, 0);
    assert_eq!(shop.alerted().await, ["dispute-closed 1", "dispute-closed 1"]);
    shop.drain_ahead(SignedDuration::from_mins(11)).await;
    books_agree(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn what_a_bank_takes_of_an_order_that_the_shop_refunds() {
    let shop = bank().await;
    // A part went back: the bank takes the rest.
    let (order, total) = paid(&shop).await;
    assert_eq!(refund(&shop, &order, 300).await.status, 201);
    settle(&shop).await;
    takes(&shop, &TakeBack::of(&order, "MED0001", total - 300)).await;
    assert_eq!(payments(&shop, &order).await, ["pix:charged_back"]);
    assert_eq!(state(&shop, &order).await, "processing/refunded");
    // All of it was asked for, and nothing was sent yet: it goes back once.
    let (order, total) = paid(&shop).await;
    assert_eq!(refund(&shop, &order, total).await.status, 201);
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 hour' WHERE kind = 'send_refund' AND state = 'waiting'").await;
    takes(&shop, &TakeBack::of(&order, "MED0001", total)).await;
    settle(&shop).await;
    let status: String = shop.sql(&format!("SELECT status FROM refunds WHERE order_id = '{order}'")).await;
    assert_eq!((status.as_str(), payments(&shop, &order).await), ("failed", vec!["pix:charged_back".to_owned()]));
    assert_eq!(shop.alerted().await.iter().filter(|alert| alert.starts_with("paid-back-twice")).count(), 0);
    books_agree(&shop).await;
    // All of it went back, and a bank says that it took it as well.
    let (order, total) = paid(&shop).await;
    assert_eq!(refund(&shop, &order, total).await.status, 201);
    settle(&shop).await;
    bring_in(&shop, &order, Nature::Med(Med::Fraud), "D-MED", total).await;
    assert_eq!(payments(&shop, &order).await, ["pix:charged_back"]);
    assert_eq!(moved(&shop, &order).await, [format!("dispute_out:{total}")]);
    assert_eq!(shop.alerted().await.iter().filter(|alert| *alert == "paid-back-twice 1").count(), 1);
    shop.close().await;
}

/// A list of the bank's that has one return of that nature.
async fn bring_in(shop: &Shop, order: &str, nature: Nature, reference: &str, cents: i64) {
    let theirs = TheirRefund {
        refund_id: None,
        reference: reference.to_owned(),
        status: RefundStatus::Done,
        amount: Money::from_cents(cents),
        nature,
        said: Some("aviso".to_owned()),
    };
    let payment = payment_of(shop, order).await;
    let mut db = shop.app.db().await.unwrap();
    let tx = db.transaction().await.unwrap();
    let now = vitrine::db::clock(&tx).await.unwrap();
    adopt::bring_in_all(&tx, "bacen", payment, &[theirs], now).await.unwrap();
    tx.commit().await.unwrap();
    shop.drain().await;
}

#[actix_web::test]
async fn a_nature_that_nobody_knows_holds_the_money_until_a_person_has_looked() {
    let shop = bank().await;
    let (order, total) = paid(&shop).await;
    for _ in 0..2 {
        bring_in(&shop, &order, Nature::Other("MED_NOVO".into()), "D-NOVO", 500).await;
    }
    assert_eq!(disputes(&shop, &order).await, ["contested/unclear:500:MED_NOVO: aviso"]);
    assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
    assert_eq!(shop.alerted().await, ["dispute-unclear 1"]);
    assert_eq!(refund(&shop, &order, 100).await.status, 409);
    let id: Uuid = shop.sql("SELECT id FROM disputes").await;
    let settled = json!({"outcome": "lost", "note": "o extrato mostra a saída"});
    let answer = shop.admin().await.post(&format!("/api/admin/disputes/{id}/settle"), &settled).await;
    assert_eq!((answer.status, &answer.body["taken_cents"]), (200, &json!(500)), "{}", answer.body);
    bring_in(&shop, &order, Nature::Other("MED_NOVO".into()), "D-NOVO", 500).await;
    assert_eq!(payments(&shop, &order).await, ["pix:partially_charged_back"], "it is read again, and stays settled");
    assert_eq!(shop.sql::<i64>("SELECT lost_cents FROM payments").await + (total - 500), total);
    shop.drain().await;
    shop.close().await;
}

#[actix_web::test]
async fn a_return_in_process_holds_the_money_and_is_read_until_it_ends() {
    let shop = bank().await;
    for (is_made, of_payment, row) in [(true, "charged_back", "lost"), (false, "paid", "closed")] {
        let (order, total) = paid(&shop).await;
        let held = shop.control().take_back_as(&TakeBack::of(&order, "MED0001", total).held()).unwrap();
        look(&shop, &order).await;
        assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
        assert_eq!(refund(&shop, &order, 100).await.status, 409, "the bank may be giving it back");
        watch(&shop).await;
        assert_eq!(payments(&shop, &order).await, ["pix:disputed"]);
        shop.control().set_shop_url("http://127.0.0.1:9"); // no webhook tells of its end
        shop.control().decide_return(&held.refund_id, is_made).unwrap();
        watch(&shop).await;
        shop.control().set_shop_url(&shop.url);
        assert_eq!(payments(&shop, &order).await, [format!("pix:{of_payment}")]);
        let rows = disputes(&shop, &order).await;
        assert!(rows.len() == 1 && rows[0].starts_with(&format!("contested/{row}:{total}:MED_FRAUDE")), "{rows:?}");
    }
    assert_eq!(shop.alerted().await, ["dispute-opened 1", "dispute-closed 1", "dispute-opened 1", "dispute-closed 1"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_return_that_the_bank_undoes_brings_its_money_back() {
    let shop = bank().await;
    let (order, total) = paid(&shop).await;
    takes(&shop, &TakeBack::of(&order, "MED0001", total)).await;
    assert_eq!(payments(&shop, &order).await, ["pix:charged_back"]);
    let made = shop.control().refunds()[0].refund_id.clone();
    shop.control().bounce_refund(&made).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["pix:paid"]);
    assert_eq!(moved(&shop, &order).await, [format!("dispute_out:{total}"), format!("dispute_back:{total}")]);
    books_agree(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn goods_that_had_left_are_not_given_back_on_paper_before_somebody_says_that_they_came() {
    let sale = (1, NfeStatus::Authorized);
    for by_the_bank in [true, false] {
        let (shop, ware) = invoicing().await;
        let order = seller::buys(&shop, &[(&ware, 2)]).await;
        shop.pays(&order).await;
        goes_on(&shop).await;
        ship(&shop, &order).await;
        let total: i64 = shop.sql("SELECT total_cents FROM orders").await;
        let nature = if by_the_bank { Natureza::MedFraude } else { Natureza::Original };
        takes(&shop, &TakeBack::of(&order, "fora1", total).nature(nature)).await;
        goes_on(&shop).await;
        assert_eq!(state(&shop, &order).await, "shipped/refunded");
        assert_eq!(notes(&shop), [sale], "by the bank: {by_the_bank}");
        let told = if by_the_bank { "dispute-closed 1" } else { "refund-made-elsewhere 1" };
        assert_eq!(shop.alerted().await, [told]);
        let text: String = shop.sql("SELECT text FROM alerts").await;
        assert!(text.contains("nenhuma nota de devolução foi feita"), "{text}");
        let mails = count(&shop, "messages WHERE kind = 'refunded'").await;
        assert_eq!(mails, i64::from(!by_the_bank), "what the shop gave back the buyer is told of");
        let back = json!({"reason": "Voltou pelo correio", "restock": true});
        assert_eq!(shop.admin().await.post(&format!("/api/orders/{order}/returns"), &back).await.status, 201);
        goes_on(&shop).await;
        assert_eq!(notes(&shop), [sale, (4, NfeStatus::Authorized)]);
        assert_eq!(state(&shop, &order).await, "returned/refunded");
        shop.close().await;
    }
}

#[actix_web::test]
async fn what_is_not_sent_yet_is_neither_sent_nor_invoiced() {
    let (shop, ware) = invoicing().await;
    let order = seller::buys(&shop, &[(&ware, 2)]).await;
    shop.pays(&order).await;
    goes_on(&shop).await;
    let labels = "SELECT count(*) FROM shipments WHERE status NOT IN ('cancelled', 'expired')";
    assert_eq!((notes(&shop), shop.sql::<i64>(labels).await), (vec![(1, NfeStatus::Authorized)], 1));
    let total: i64 = shop.sql("SELECT total_cents FROM orders").await;
    takes(&shop, &TakeBack::of(&order, "MED0001", total)).await;
    goes_on(&shop).await;
    assert_eq!((notes(&shop), shop.sql::<i64>(labels).await), (vec![(1, NfeStatus::Cancelled)], 0));
    shop.close().await;
}

#[actix_web::test]
async fn a_label_whose_parcel_is_posted_stays() {
    let shop = shipments::shop_with(&[BANK]).await;
    let order = shipments::labelled(&shop).await;
    let parcel = shop.control().parcels()[0].id.clone();
    shop.control().move_parcel(&parcel, ParcelStep::Post, SendWebhook::Once).unwrap();
    shipments::rest(&shop).await;
    assert_eq!(shipments::order_status(&shop, &order).await, "shipped");
    let total: i64 = shop.sql("SELECT total_cents FROM orders").await;
    takes(&shop, &TakeBack::of(&order, "MED0001", total)).await;
    shipments::rest(&shop).await;
    assert_eq!(shipments::state(&shop, &order).await, "posted");
    assert_eq!(shop.alerted().await, ["dispute-closed 1"]);
    shop.close().await;
}

/// Eighty-five days pass over a payment, on both sides.
async fn grow_old(shop: &Shop, order: &str) {
    let age = Duration::from_secs(85 * 24 * 3600);
    shop.control().age_charge(order, age).unwrap();
    shop.execute(&format!("UPDATE payments SET paid_at = paid_at - interval '85 days' WHERE order_id = '{order}'")).await;
}

/// The days that the jobs have still to read from.
async fn to_read(shop: &Shop) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(payload ->> 'day'), '{}') FROM jobs WHERE kind = 'read_returns' AND state = 'waiting' AND payload ->> 'provider' = 'bacen'";
    shop.sql(list).await
}

#[actix_web::test]
async fn what_went_back_months_later_is_found_without_any_news_of_it() {
    let shop = bank().await;
    let (order, _) = paid(&shop).await;
    let (other, total) = paid(&shop).await;
    let (unheard, _) = charged(&shop).await;
    shop.control().pay(Pay::of(&unheard).webhook(SendWebhook::Lost)).unwrap();
    for (order, back) in [
        (&order, TakeBack::of(&order, "MED0001", 700)),
        (&other, TakeBack::of(&other, "painel1", total).nature(Natureza::Original)),
        (&unheard, TakeBack::of(&unheard, "MED0002", 500)),
    ] {
        grow_old(&shop, order).await;
        shop.control().take_back_as(&back.webhook(SendWebhook::Lost)).unwrap();
    }
    shop.drain().await;
    assert_eq!(payments(&shop, &order).await, ["pix:paid"]);
    let (today, first) = {
        let now = books::now(&shop.app.db().await.unwrap()).await.unwrap();
        (now.date(), now.date() - 95.days())
    };
    // The bank is away: the job waits where it stands.
    let away =
        FaultOrder { provider: "bacen".into(), fault: Fault::Status(503), count: 40, path_contains: Some("/v2/pix".into()) };
    shop.control().order_fault(away).unwrap();
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchReturns).await.unwrap();
    shop.drain().await;
    assert_eq!(to_read(&shop).await, [first.to_string()]);
    shop.control().clear_faults();
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'read_returns'").await;
    let asked = || shop.control().calls_to("bacen", "GET /bacen/v2/pix");
    let before = asked();
    shop.drain().await;
    assert_eq!((asked() - before, to_read(&shop).await), (20, vec![(first + 20.days()).to_string()]), "so many calls in a run");
    for _ in 0..5 {
        shop.drain_ahead(SignedDuration::from_mins(2)).await;
    }
    assert_eq!((asked() - before, to_read(&shop).await), (96, Vec::<String>::new()), "a call a day, today included: {today}");
    assert_eq!(payments(&shop, &order).await, ["pix:partially_charged_back"]);
    assert_eq!(payments(&shop, &other).await, ["pix:refunded"]);
    assert_eq!(payments(&shop, &unheard).await, ["pix:partially_charged_back"], "that it was paid at all was not known");
    assert_eq!(shop.alerted().await, ["dispute-closed 1", "dispute-closed 1"]);
    let weekly: Timestamp = shop.sql("SELECT run_at FROM jobs WHERE kind = 'watch_returns' AND state = 'waiting'").await;
    let wait = weekly.duration_since(Timestamp::now());
    assert!(wait > SignedDuration::from_hours(24 * 6) && wait < SignedDuration::from_hours(24 * 8), "{wait}");
    // A second round finds nothing to do.
    let rows = shop.row_counts().await.into_iter().filter(|(table, _)| table != "jobs").collect::<Vec<_>>();
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchReturns).await.unwrap();
    for _ in 0..6 {
        shop.drain_ahead(SignedDuration::from_mins(2)).await;
    }
    assert_eq!(shop.row_counts().await.into_iter().filter(|(table, _)| table != "jobs").collect::<Vec<_>>(), rows);
    shop.close().await;
}
