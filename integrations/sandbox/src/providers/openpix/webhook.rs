//! What OpenPix tells the shop: `POST /api/webhooks/openpix`, signed in both of its ways.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::disputes::Dispute;
use crate::books::{Books, Charge, Refund, RefundOrigin};
use crate::formats::time::wire_time_ms;
use crate::providers::openpix::view::{charge_view, customer_view, refund_status};
use crate::providers::openpix::{disputes, key};
use crate::providers::pix;
use crate::world::World;
use crate::world::news::{Envelope, News};

pub(crate) fn envelopes(world: &World, books: &Books, news: &News<'_>) -> Vec<Envelope> {
    let (event, mut body) = match *news {
        News::Charge(charge, "payment.paid") => ("OPENPIX:CHARGE_COMPLETED", completed(world, charge)),
        News::Charge(charge, "payment.expired") => {
            let mut charge = charge_view(world, charge);
            charge["status"] = json!("EXPIRED");
            ("OPENPIX:CHARGE_EXPIRED", json!({"charge": charge}))
        }
        News::Refund(charge, refund, "refund.done") if refund.origin != RefundOrigin::Shop => {
            ("OPENPIX:TRANSACTION_REFUND_RECEIVED", taken_back(world, charge, refund))
        }
        News::Refund(charge, refund, "refund.done") => ("PIX_TRANSACTION_REFUND_SENT_CONFIRMED", refunded(charge, refund)),
        News::Refund(charge, refund, "refund.failed") => ("PIX_TRANSACTION_REFUND_SENT_REJECTED", refunded(charge, refund)),
        News::Dispute(charge, dispute, event) => return of_dispute(world, charge, dispute, event),
        News::Charge(charge, event) => {
            let last = books.disputes_of(&charge.payment_id).next_back();
            return last.map(|dispute| of_dispute(world, charge, dispute, event)).unwrap_or_default();
        }
        News::Refund(..) | News::Nfe(_) => return Vec::new(),
    };
    body["event"] = json!(event);
    body["company"] = json!({"id": "624f46f9e93f9f521c8308d7", "name": world.cfg.merchant_name, "taxID": "11222333000181"});
    vec![signed(world, event, body.to_string())]
}

/// Of the PIX alone: no charge, no company.
fn of_dispute(world: &World, charge: &Charge, dispute: &Dispute, event: &str) -> Vec<Envelope> {
    let told = disputes::told(charge, dispute, event).map(|(event, mut body)| {
        body["event"] = json!(event);
        signed(world, event, body.to_string())
    });
    told.into_iter().collect()
}

/// They have no event id: ours is for the books alone.
fn signed(world: &World, event: &str, body: String) -> Envelope {
    let secret = &world.cfg.openpix_webhook_secret;
    let headers = BTreeMap::from([
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-openpix-signature".to_owned(), key::sign_sha1(secret, body.as_bytes())),
        ("x-webhook-signature".to_owned(), key::sign_rsa(body.as_bytes())),
    ]);
    let path = "/api/webhooks/openpix".into();
    Envelope { event_id: Uuid::now_v7().to_string(), event: event.to_owned(), path, headers, body }
}

fn completed(world: &World, charge: &Charge) -> Value {
    let at = charge.paid_at.unwrap_or_else(Timestamp::now); // now: a lie that was ordered
    let payer = charge.payer.as_ref().map_or(Value::Null, customer_view);
    let mut view = charge_view(world, charge);
    view["status"] = json!("COMPLETED");
    view["paidAt"] = json!(wire_time_ms(at));
    view["payer"] = payer.clone();
    json!({
        "charge": view,
        "pix": {
            "value": charge.paid_cents.unwrap_or(charge.amount_cents),
            "time": wire_time_ms(at),
            "endToEndId": charge.end_to_end_id.clone().unwrap_or_else(|| pix::end_to_end_id('E', at)),
            "transactionID": charge.txid,
            "infoPagador": "",
            "payer": payer,
            "type": "PAYMENT",
            "createdAt": wire_time_ms(at),
            "globalID": charge.extra["globalID"],
        },
        "account": {},
    })
}

/// Of a refund that the account did not ask for: it names the charge alone.
fn taken_back(world: &World, charge: &Charge, refund: &Refund) -> Value {
    json!({
        "charge": charge_view(world, charge),
        "pix": {
            "value": refund.amount_cents,
            "time": wire_time_ms(refund.created_at),
            "endToEndId": refund.end_to_end_id,
            "type": "REFUND",
            "createdAt": wire_time_ms(refund.created_at),
        },
        "refund": {"value": refund.amount_cents, "status": refund_status(refund), "endToEndId": refund.end_to_end_id},
    })
}

fn refunded(charge: &Charge, refund: &Refund) -> Value {
    json!({
        "refundTransaction": {
            "value": refund.amount_cents,
            "time": wire_time_ms(Timestamp::now()),
            "endToEndId": refund.end_to_end_id,
            "status": refund_status(refund),
            "type": "REFUND",
            "partial": Some(refund.amount_cents) != charge.paid_cents,
            "createdAt": wire_time_ms(refund.created_at),
        },
        "originalTransaction": {"value": charge.paid_cents, "endToEndId": charge.end_to_end_id, "type": "PAYMENT"},
        "account": {},
    })
}
