//! What ProPay tells the shop: `POST /api/webhooks/payment`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::books::Books;
use crate::formats::signature;
use crate::formats::time::wire_time;
use crate::world::World;
use crate::world::news::{Envelope, News};

/// Why a refund is refused or fails: the account holds too little.
pub(crate) const NO_BALANCE: &str = "insufficient_balance";

/// An event, signed with the secret of this direction.
pub(crate) fn envelopes(world: &World, _: &Books, news: &News<'_>) -> Vec<Envelope> {
    let (charge, refund, event) = match *news {
        News::Charge(charge, event) => (charge, None, event),
        News::Refund(charge, refund, event) => (charge, Some(refund), event),
        News::Dispute(..) | News::Nfe(_) => return Vec::new(),
    };
    let event_id = format!("evt_{}", Uuid::now_v7());
    let mut body = json!({
        "id": event_id,
        "event": event,
        "created_at": wire_time(Timestamp::now()),
        "payment_id": charge.payment_id,
        "order_id": charge.order_id,
        "txid": charge.txid,
        "amount_cents": charge.paid_cents.unwrap_or(charge.amount_cents),
        "currency": "BRL",
        "end_to_end_id": charge.end_to_end_id,
        "paid_at": charge.paid_at.map(wire_time),
    });
    if let Some(refund) = refund {
        body["refund_id"] = json!(refund.refund_id);
        body["amount_cents"] = json!(refund.amount_cents);
        body["end_to_end_id"] = json!(refund.end_to_end_id);
        if refund.failed_for_balance() {
            body["failure_code"] = json!(NO_BALANCE);
        }
    }
    let body = body.to_string();
    let signature = signature::sign_hex(&world.cfg.propay_webhook_secret, body.as_bytes());
    let headers = BTreeMap::from([
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-propay-signature".to_owned(), signature),
        ("x-request-id".to_owned(), Uuid::now_v7().to_string()),
    ]);
    vec![Envelope { event_id, event: event.to_owned(), path: "/api/webhooks/payment".into(), headers, body }]
}
