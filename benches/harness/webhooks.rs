//! Notices of paid PIX, signed as ProPay signs them, beside pgbench with the very statements of those notices.

use std::cell::Cell;

use serde_json::json;
use tokio_postgres::Row as DbRow;
use uuid::Uuid;
use vitrine_kit::signature::hmac_sha256_hex;

use crate::Bench;
use crate::beside::{Requests, Work, beside_pgbench, open_shops};
use crate::rows::Row;
use crate::shared::buyers::{Offers, Wish, request};
use crate::shared::shop::{PROPAY_SECRET, Shop};

const CLIENTS: usize = 16;
/// Payments that nobody has been told of, the oldest first.
const UNPAID: &str = "
    SELECT id, order_id, amount_cents, provider_ref FROM payments WHERE status = 'pending' AND provider_ref IS NOT NULL ORDER BY id DESC LIMIT $1";

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let mut shops = open_shops(bench, "webhooks").await;
    let mut offers = Vec::new();
    for shop in &shops {
        offers.push(shop.offers(Wish { lines: 1, hot: false, pix: true }).await);
    }
    let work = Work {
        name: "a paid PIX, 16 connections",
        unit: "notices/s",
        clients: CLIENTS,
        each: (bench.options.orders / 4 / CLIENTS).max(4),
        marker: "INSERT INTO webhook_events",
        effect: "SELECT count(*) FROM payments WHERE status = 'paid'",
        wanted: [None, None],
    };
    let told = Cell::new(0);
    let notices = async |shop: &Shop, n: usize, each| notices(shop, &offers[n], each, &told).await;
    let rows = vec![beside_pgbench(bench, &mut shops, &work, notices).await];
    for shop in shops {
        shop.close(&bench.cluster).await;
    }
    rows
}

/// Places so many orders with a PIX each. Returns the notices that they were paid.
async fn notices(shop: &Shop, offers: &Offers, each: usize, told: &Cell<usize>) -> Requests {
    let orders = shop.fill_all(offers, CLIENTS, each).await;
    shop.send_all(&orders).await;
    let count = i64::try_from(CLIENTS * each).unwrap();
    let payments = shop.db().await.query(UNPAID, &[&count]).await.unwrap();
    assert_eq!(payments.len(), CLIENTS * each, "each order has a PIX that waits");
    let notice = |payment| {
        told.set(told.get() + 1);
        notice(payment, told.get())
    };
    payments.chunks(each).map(|payments| payments.iter().map(notice).collect()).collect()
}

fn notice(payment: &DbRow, n: usize) -> Vec<u8> {
    let (id, order): (Uuid, Uuid) = (payment.get(0), payment.get(1));
    let (amount, txid): (i64, String) = (payment.get(2), payment.get(3));
    let now = jiff::Timestamp::now().to_string();
    let event = json!({
        "id": format!("evt_bench_{n}"), "event": "payment.paid", "created_at": now, "payment_id": id, "order_id": order, "txid": txid,
        "amount_cents": amount, "currency": "BRL", "end_to_end_id": format!("E{n:031}"), "paid_at": now,
    });
    let body = event.to_string();
    let signature = hmac_sha256_hex(PROPAY_SECRET.as_bytes(), body.as_bytes());
    request("POST", "/api/webhooks/payment", &[("x-propay-signature", &signature)], &body)
}
