//! Stripe's objects as it writes them, and the events that carry them: `POST /api/webhooks/stripe`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::books::card::{Card, CardStage};
use crate::books::disputes::Dispute;
use crate::books::{Books, Charge, ChargeStatus, Refund, RefundStatus};
use crate::formats::signature;
use crate::providers::stripe::wire::new_id;
use crate::world::World;
use crate::world::news::{Envelope, News};

const API_VERSION: &str = "2026-09-30.endive";

pub(crate) fn status_of(charge: &Charge, card: &Card) -> &'static str {
    match (charge.status, card.stage) {
        (ChargeStatus::Cancelled | ChargeStatus::Expired, _) => "canceled",
        (ChargeStatus::Paid | ChargeStatus::PartiallyRefunded | ChargeStatus::Refunded, _) => "succeeded",
        (ChargeStatus::Pending, CardStage::Waiting) => "requires_payment_method",
        (ChargeStatus::Pending, CardStage::Action) => "requires_action",
        (ChargeStatus::Pending, CardStage::Processing) => "processing",
    }
}

pub(crate) fn intent(charge: &Charge, card: &Card) -> Value {
    let extra = &charge.extra;
    let next_action = match card.stage {
        CardStage::Action => json!({"type": "use_stripe_sdk", "use_stripe_sdk": {}}),
        CardStage::Waiting | CardStage::Processing => Value::Null,
    };
    let methods = match &extra["allowed_payment_method_types"] {
        Value::Null => json!(["card", "boleto", "link"]), // what is switched on in the dashboard
        allowed => allowed.clone(),
    };
    json!({
        "id": charge.txid,
        "object": "payment_intent",
        "allowed_payment_method_types": extra["allowed_payment_method_types"],
        "amount": charge.amount_cents,
        "amount_capturable": 0,
        "amount_received": charge.paid_cents.unwrap_or(0),
        "automatic_payment_methods": extra["automatic_payment_methods"],
        "canceled_at": if charge.status == ChargeStatus::Cancelled { extra["canceled_at"].clone() } else { Value::Null },
        "cancellation_reason": card.cancellation_reason,
        "capture_method": "automatic",
        "client_secret": charge.copy_paste,
        "confirmation_method": "automatic",
        "created": charge.created_at.as_second(),
        "currency": card.currency,
        "customer": extra["customer"],
        "description": (!charge.description.is_empty()).then_some(&charge.description),
        "last_payment_error": card.decline.as_ref().map(|decline| {
            let mut error = decline_error(card);
            error["charge"] = json!(card.charge_id);
            error["message"] = json!(decline.message);
            error
        }),
        "latest_charge": card.charge_id,
        "livemode": false,
        "metadata": card.metadata,
        "next_action": next_action,
        "payment_method": extra["payment_method"],
        "payment_method_types": methods,
        "receipt_email": extra["receipt_email"],
        "status": status_of(charge, card),
    })
}

/// `card_error` in the words of the last decline.
pub(crate) fn decline_error(card: &Card) -> Value {
    let Some(decline) = &card.decline else {
        return Value::Null;
    };
    let mut error = json!({"type": "card_error", "code": decline.code, "message": decline.message});
    if let Some(code) = &decline.decline_code {
        error["decline_code"] = json!(code);
    }
    error
}

/// The attempt with a card: `ch_…`.
pub(crate) fn attempt(books: &Books, charge: &Charge, card: &Card) -> Value {
    let was_paid = charge.status.was_paid();
    let status = match card.decline {
        Some(_) => "failed",
        None if was_paid => "succeeded",
        None => "pending",
    };
    let going = books.refunds_of(&charge.payment_id).filter(|refund| refund.status != RefundStatus::Failed);
    let refunded: i64 = going.map(|refund| refund.amount_cents).sum();
    let paid = charge.paid_cents.unwrap_or(0);
    json!({
        "id": card.charge_id,
        "object": "charge",
        "amount": charge.amount_cents,
        "amount_captured": paid,
        "amount_refunded": refunded,
        "captured": was_paid,
        "created": charge.paid_at.unwrap_or(charge.created_at).as_second(),
        "currency": card.currency,
        "disputed": books.disputes_of(&charge.payment_id).next().is_some(),
        "failure_code": card.decline.as_ref().map(|decline| &decline.code),
        "failure_message": card.decline.as_ref().map(|decline| &decline.message),
        "livemode": false,
        "metadata": card.metadata,
        "paid": was_paid,
        "payment_intent": charge.txid,
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242", "installments": null}},
        "refunded": was_paid && refunded >= paid,
        "status": status,
    })
}

pub(crate) fn refund(charge: &Charge, card: &Card, refund: &Refund) -> Value {
    let status = match refund.status {
        RefundStatus::Processing => "pending",
        RefundStatus::Done => "succeeded",
        RefundStatus::Failed => "failed",
    };
    let mut view = json!({
        "id": refund.extra["id"],
        "object": "refund",
        "amount": refund.amount_cents,
        "charge": card.charge_id,
        "created": refund.created_at.as_second(),
        "currency": card.currency,
        "metadata": refund.extra["metadata"],
        "payment_intent": charge.txid,
        "reason": (!refund.reason.is_empty()).then_some(&refund.reason),
        "status": status,
    });
    match refund.status {
        RefundStatus::Processing if refund.waits_for_balance() => view["pending_reason"] = json!("insufficient_funds"),
        RefundStatus::Processing => view["pending_reason"] = json!("processing"),
        RefundStatus::Done => {}
        RefundStatus::Failed if refund.failed_for_balance() => view["failure_reason"] = json!("insufficient_funds"),
        RefundStatus::Failed => view["failure_reason"] = json!("expired_or_canceled_card"),
    }
    view
}

pub(crate) fn dispute(charge: &Charge, card: &Card, dispute: &Dispute) -> Value {
    let moved =
        |cents: &i64| json!({"object": "balance_transaction", "type": "adjustment", "amount": cents, "currency": card.currency});
    let is_inquiry = dispute.status.is_inquiry() && dispute.moved_cents.is_empty();
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount_cents,
        "balance_transactions": dispute.moved_cents.iter().map(moved).collect::<Vec<_>>(),
        "charge": card.charge_id,
        "created": dispute.created_at.as_second(),
        "currency": card.currency,
        "evidence_details": {
            "due_by": dispute.due_by.as_second(),
            "has_evidence": !dispute.documents.is_empty(),
            "past_due": dispute.due_by < Timestamp::now(),
            "submission_count": dispute.documents.len(),
        },
        "is_charge_refundable": is_inquiry && dispute.status.is_open(),
        "livemode": false,
        "metadata": {},
        "payment_intent": charge.txid,
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "case_type": if is_inquiry { "inquiry" } else { "chargeback" }, "network_reason_code": "10.4"},
        },
        "reason": dispute.reason,
        "status": dispute.status.name(),
    })
}

/// Each of their own events about this news, by its common name or theirs.
pub(crate) fn envelopes(_: &World, books: &Books, news: &News<'_>) -> Vec<Envelope> {
    let (News::Charge(charge, _) | News::Refund(charge, ..) | News::Dispute(charge, ..)) = *news else {
        return Vec::new();
    };
    let Some(card) = &charge.card else {
        return Vec::new();
    };
    let of_intent = |event| vec![envelope(event, intent(charge, card))];
    match *news {
        News::Charge(_, event) => match event {
            "payment.paid" | "payment_intent.succeeded" => of_intent("payment_intent.succeeded"),
            "payment.failed" | "payment_intent.payment_failed" => of_intent("payment_intent.payment_failed"),
            "payment.processing" | "payment_intent.processing" => of_intent("payment_intent.processing"),
            "payment.requires_action" | "payment_intent.requires_action" => of_intent("payment_intent.requires_action"),
            "payment.cancelled" | "payment_intent.canceled" => of_intent("payment_intent.canceled"),
            event => match books.disputes_of(&charge.payment_id).next_back() {
                Some(last) => of_dispute(charge, card, last, event),
                None => Vec::new(),
            },
        },
        News::Dispute(_, of, event) => of_dispute(charge, card, of, event),
        News::Refund(_, back, event) => {
            let object = refund(charge, card, back);
            match event {
                "refund.created" => vec![envelope("refund.created", object)],
                "refund.done" => {
                    vec![envelope("refund.updated", object), envelope("charge.refunded", attempt(books, charge, card))]
                }
                "refund.failed" => vec![envelope("refund.updated", object.clone()), envelope("refund.failed", object)],
                _ => Vec::new(),
            }
        }
        News::Nfe(_) => Vec::new(),
    }
}

/// By its common name or theirs.
fn of_dispute(charge: &Charge, card: &Card, of: &Dispute, event: &str) -> Vec<Envelope> {
    let events = ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"];
    let name = event.strip_prefix("charge.").unwrap_or(event).strip_prefix("dispute.").filter(|name| events.contains(name));
    name.map(|name| envelope(&format!("charge.dispute.{name}"), dispute(charge, card, of))).into_iter().collect()
}

fn envelope(event: &str, object: Value) -> Envelope {
    let event_id = new_id("evt_1");
    let body = json!({
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": Timestamp::now().as_second(),
        "data": {"object": object},
        "livemode": false,
        "pending_webhooks": 1,
        "request": {"id": null, "idempotency_key": null},
        "type": event,
    });
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json; charset=utf-8".to_owned())]);
    Envelope { event_id, event: event.to_owned(), path: "/api/webhooks/stripe".into(), headers, body: body.to_string() }
}

/// Signed anew at each try: the time is in it, and theirs is five minutes. `v0` is a decoy, as theirs is.
pub(crate) fn stamp(world: &World, body: &str) -> BTreeMap<String, String> {
    let now = Timestamp::now().as_second();
    let v1 = sign(&world.cfg.stripe_webhook_secret, now, body);
    let v0 = sign("decoy", now, body);
    BTreeMap::from([("stripe-signature".to_owned(), format!("t={now},v1={v1},v0={v0}"))])
}

fn sign(secret: &str, at: i64, body: &str) -> String {
    signature::sign_hex(secret, format!("{at}.{body}").as_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_signature_is_the_documented_one() {
        assert_eq!(
            super::sign(
                "whsec_test_secret",
                1_790_000_000,
                r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}"#
            ),
            "7b8113cd94f67490d14bb1393d2cd3ce02f73dcd8718d3c17e15ad4856bb0476",
        );
    }
}
