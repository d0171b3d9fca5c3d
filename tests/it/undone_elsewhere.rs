//! A sale that is undone in a provider's panel or by the payer's bank: its label and invoice are dropped.

use std::time::Duration;

use serde_json::json;
use vitrine::jobs::{self, Job};
use vitrine_sandbox::{DisputeStatus, Fault, NfeStatus, ParcelStep, Pay, SendWebhook};

use crate::invoices::{goes_on, open};
use crate::shipments;
use crate::shop::{Product, Shop};

const LIMIT: Duration = Duration::from_secs(20);

/// Bought by card and paid: the order's id.
async fn paid_by_card(shop: &Shop, ware: &Product) -> String {
    let ana = shop.customer().await;
    let placed = ana.buy(&[(ware, 2)]).await;
    let order = placed.body["id"].as_str().unwrap().to_owned();
    let paying = ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "credit_card"})).await;
    assert_eq!(paying.status, 200, "{}", paying.body);
    shop.control().pay(Pay::of(&order)).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    order
}

/// Refunds the whole amount in Stripe's dashboard.
async fn refund_there(shop: &Shop, order: &str) {
    let intent = shop.control().charge(order).unwrap().txid;
    let secret = shop.app.config.stripe.as_ref().unwrap().secret_key.clone();
    let call = reqwest::Client::new()
        .post(format!("{}/stripe/v1/refunds", shop.sandbox.url()))
        .bearer_auth(secrecy::ExposeSecret::expose_secret(&secret))
        .form(&[("payment_intent", intent.as_str())]);
    assert_eq!(call.send().await.unwrap().status(), 200);
    assert!(shop.control().settled(LIMIT).await);
    shop.drain_ahead(jiff::SignedDuration::from_secs(90)).await;
}

async fn standing(shop: &Shop) -> (usize, i64) {
    let invoices = shop.control().nfes().iter().filter(|nfe| nfe.status == NfeStatus::Authorized).count();
    (invoices, shop.sql("SELECT count(*) FROM shipments WHERE status NOT IN ('cancelled', 'expired')").await)
}

#[actix_web::test]
async fn a_sale_that_was_refunded_in_the_provider_s_panel_has_neither_label_nor_invoice() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid_by_card(&shop, &ware).await;
    goes_on(&shop).await;
    assert_eq!(standing(&shop).await, (1, 1));
    refund_there(&shop, &order).await;
    goes_on(&shop).await;
    assert_eq!(standing(&shop).await, (0, 0));
    shop.close().await;
}

#[actix_web::test]
async fn one_that_had_left_is_given_back_on_paper_once_somebody_says_that_it_came_back() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid_by_card(&shop, &ware).await;
    goes_on(&shop).await;
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
    refund_there(&shop, &order).await;
    goes_on(&shop).await;
    let purposes = || shop.control().nfes().iter().map(|nfe| (nfe.draft.purpose, nfe.status)).collect::<Vec<(u8, NfeStatus)>>();
    assert_eq!(purposes(), [(1, NfeStatus::Authorized)]);
    assert_eq!(shop.alerted().await, ["refund-made-elsewhere 1"]);
    let back = json!({"reason": "Voltou pelo correio", "restock": true});
    assert_eq!(shop.admin().await.post(&format!("/api/orders/{order}/returns"), &back).await.status, 201);
    goes_on(&shop).await;
    assert_eq!(purposes(), [(1, NfeStatus::Authorized), (4, NfeStatus::Authorized)]);
    shop.close().await;
}

/// Stripe's webhooks are lost; the recurring check runs.
async fn look_at_disputes(shop: &Shop) {
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
    goes_on(shop).await;
}

#[actix_web::test]
async fn a_dispute_that_no_webhook_told_of_is_found_and_has_its_end() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid_by_card(&shop, &ware).await;
    goes_on(&shop).await;
    shop.control().set_shop_url("http://127.0.0.1:9");
    let payment = "SELECT status FROM payments";
    look_at_disputes(&shop).await;
    assert_eq!((shop.sql::<String>(payment).await.as_str(), shop.alerted().await.len()), ("paid", 0));

    shop.control().dispute(&order).unwrap();
    look_at_disputes(&shop).await;
    look_at_disputes(&shop).await;
    assert_eq!((shop.sql::<String>(payment).await.as_str(), standing(&shop).await), ("disputed", (1, 1)));
    assert_eq!(shop.alerted().await, ["dispute-opened 1"]);

    shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
    look_at_disputes(&shop).await;
    look_at_disputes(&shop).await;
    assert_eq!(shop.sql::<String>(payment).await, "charged_back");
    assert_eq!(shop.alerted().await, ["dispute-opened 1", "dispute-closed 1"]);
    assert_eq!(standing(&shop).await, (0, 0), "what is not paid for is neither sent nor invoiced");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM money_movements WHERE kind = 'dispute_out'").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_lost_dispute_of_goods_that_had_left_gives_nothing_back_on_paper() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid_by_card(&shop, &ware).await;
    goes_on(&shop).await;
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await.status, 200);
    shop.control().dispute(&order).unwrap();
    shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    goes_on(&shop).await;
    assert_eq!(shop.sql::<String>("SELECT status || '/' || payment_status FROM orders").await, "shipped/refunded");
    let purposes: Vec<_> = shop.control().nfes().iter().map(|nfe| (nfe.draft.purpose, nfe.status)).collect();
    assert_eq!(purposes, [(1, NfeStatus::Authorized)]);
    shop.close().await;
}

#[actix_web::test]
async fn a_stand_in_without_disputes_stops_nothing() {
    let (shop, _) = open("focusnfe").await;
    shop.control().next_calls("stripe", Fault::Status(404), 1);
    jobs::push_now(&shop.app.db().await.unwrap(), Job::WatchDisputes).await.unwrap();
    shop.drain().await;
    assert_eq!(shop.sql::<String>("SELECT state FROM jobs WHERE kind = 'watch_disputes'").await, "waiting");
    shop.close().await;
}

#[actix_web::test]
async fn a_parcel_that_left_while_its_money_was_away_is_caught_up_with_once_that_is_back() {
    let shop = shipments::shop().await;
    let mug = shop.product("Caneca").create().await;
    let order = paid_by_card(&shop, &mug).await;
    shipments::rest(&shop).await;
    let admin = shop.admin().await;
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "desistiu"})).await.status, 201);
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind = 'drop_label'").await; // too late
    shipments::rest(&shop).await;
    let parcel = shop.control().parcels()[0].id.clone();
    for step in [ParcelStep::Post, ParcelStep::Deliver] {
        shop.control().move_parcel(&parcel, step, SendWebhook::Once).unwrap();
        shipments::rest(&shop).await;
    }
    let state = "SELECT status || '/' || payment_status FROM orders";
    assert_eq!(shop.sql::<String>(state).await, "processing/refunded");
    let refund: uuid::Uuid = shop.sql("SELECT id FROM refunds").await;
    shop.control().bounce_refund(&refund.to_string()).unwrap();
    shipments::rest(&shop).await;
    assert_eq!(shop.sql::<String>(state).await, "delivered/paid");
    let told = "SELECT count(*) FROM messages WHERE kind = 'order_delivered'";
    assert_eq!(shop.sql::<i64>(told).await, 1);
    shop.close().await;
}

/// Its invoice was cancelled because of a refund; that failed, and nobody has said yet that the sale goes on.
#[actix_web::test]
async fn a_parcel_that_left_while_its_sale_was_on_hold_is_invoiced_all_the_same() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid_by_card(&shop, &ware).await;
    goes_on(&shop).await;
    assert_eq!(standing(&shop).await, (1, 1));
    let parcel = shop.control().parcels()[0].id.clone();
    shop.control().fail_refunds(1);
    let admin = shop.admin().await;
    assert_eq!(admin.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "desistiu"})).await.status, 201);
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind = 'drop_label'").await; // too late
    let goes_on_today = async || {
        for _ in 0..4 {
            shop.drain_ahead(jiff::SignedDuration::from_mins(30)).await;
            assert!(shop.control().settled(LIMIT).await);
        }
    };
    goes_on_today().await;
    assert_eq!((standing(&shop).await.0, shop.sql::<bool>("SELECT on_hold FROM orders").await), (0, true));
    shop.control().move_parcel(&parcel, ParcelStep::Post, SendWebhook::Lost).unwrap();
    shop.execute("UPDATE shipments SET heard_at = heard_at - interval '4 hours'").await;
    vitrine::shipments::track(&shop.app).await.unwrap();
    goes_on_today().await;
    assert_eq!(shop.sql::<String>("SELECT status || '/' || payment_status FROM orders").await, "shipped/paid");
    assert_eq!(standing(&shop).await.0, 1, "what has left has an invoice");
    shop.close().await;
}

/// A refund of all its money failed before its invoice was given up for it: the sale is on hold, and its invoice stands.
async fn on_hold_with_its_invoice(shop: &Shop, ware: &Product) -> String {
    let order = paid_by_card(shop, ware).await;
    goes_on(shop).await;
    shop.control().fail_refunds(1);
    let asked = shop.admin().await.post(&format!("/api/orders/{order}/refund"), &json!({"reason": "desistiu"})).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind = 'drop_invoice' AND state = 'waiting'").await;
    for _ in 0..4 {
        shop.drain_ahead(jiff::SignedDuration::from_mins(30)).await;
        assert!(shop.control().settled(LIMIT).await);
    }
    assert_eq!(shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'drop_invoice' AND state = 'waiting'").await, 1);
    goes_on(shop).await;
    let on_hold: bool = shop.sql(&format!("SELECT on_hold FROM orders WHERE id = '{order}'")).await;
    assert_eq!((standing(shop).await.0, on_hold), (1, true), "what becomes of it a person decides");
    order
}

#[actix_web::test]
async fn a_sale_on_hold_loses_its_invoice_once_its_money_or_its_goods_are_back_after_all() {
    let (shop, ware) = open("focusnfe").await;
    let admin = shop.admin().await;
    for end in ["tried again", "paid otherwise", "asked for again", "taken by the bank", "refunded there", "goods back"] {
        let order = on_hold_with_its_invoice(&shop, &ware).await;
        let refund: uuid::Uuid = shop.sql(&format!("SELECT id FROM refunds WHERE order_id = '{order}'")).await;
        let post = async |path: String, body: serde_json::Value| {
            let answer = admin.post(&path, &body).await;
            assert!((200..300).contains(&answer.status), "{end}: {}", answer.body);
        };
        match end {
            "tried again" => post(format!("/api/admin/refunds/{refund}/retry"), json!(null)).await,
            "paid otherwise" => post(format!("/api/admin/refunds/{refund}/settle"), json!({"note": "TED 4711"})).await,
            "asked for again" => post(format!("/api/orders/{order}/refund"), json!({"reason": "outra vez"})).await,
            "taken by the bank" => {
                shop.control().dispute(&order).unwrap();
                shop.control().close_dispute(&order, DisputeStatus::Lost).unwrap();
                assert!(shop.control().settled(LIMIT).await);
            }
            "refunded there" => refund_there(&shop, &order).await,
            _ => post(format!("/api/orders/{order}/returns"), json!({"reason": "Ficou na loja", "restock": true})).await,
        }
        goes_on(&shop).await;
        assert_eq!(standing(&shop).await, (0, 0), "{end}");
    }
    shop.close().await;
}
