//! Stripe's webhook: the signature is checked first, then the event is read. Events come in any order, and more than once.

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use vitrine_kit::dispute::{Dispute, State};
use vitrine_kit::pix::TheirRefund;
use vitrine_kit::{Delivery, Forged, Money, signature};

use crate::{IntentStatus, Stripe, dispute, wire};

#[cfg(test)]
mod tests;

/// An older delivery is a replay. A time ahead of ours is taken, as Stripe's own libraries do: only Stripe can sign it, and a
/// server whose clock is slow would refuse every webhook.
const TOLERANCE_S: i64 = 300;

/// A verified event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `evt_…`, the same on every repeat: the inbox keeps each once.
    pub event_id: String,
    /// Their name for it, kept for the operator.
    pub event: String,
    /// Compare with [`Stripe::is_live`].
    pub livemode: Option<bool>,
    pub news: CardNews,
    /// What the inbox keeps, to be read again by [`Stripe::reread`].
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardNews {
    Succeeded(Paid),
    /// A card was refused. Not final: the buyer may try another.
    Failed {
        intent_id: String,
        payment_id: Option<Uuid>,
        /// The bank's reason, or Stripe's code: `insufficient_funds`.
        code: String,
        message: String,
    },
    Canceled {
        intent_id: String,
        payment_id: Option<Uuid>,
    },
    Processing {
        intent_id: String,
        payment_id: Option<Uuid>,
    },
    /// How much of a charge was refunded so far. The refunds themselves are in the intent's list.
    Refunded {
        intent_id: Option<String>,
        charge: String,
        amount_refunded: Money,
    },
    /// The present state of a refund. Even a done one may fail later.
    Refund {
        intent_id: Option<String>,
        charge: Option<String>,
        refund: TheirRefund,
    },
    /// The present state of a dispute. A lost one may still be won by an appeal.
    Dispute(Dispute),
    /// Signed, but without effect here.
    Other,
}

/// "It was paid": every field is compared with our row before anything moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub intent_id: String,
    pub payment_id: Option<Uuid>,
    pub order_id: Option<Uuid>,
    pub amount_received: Money,
    /// Lower-case: `brl`.
    pub currency: String,
    pub paid_at: Option<Timestamp>,
    /// `ch_…`.
    pub charge: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: String,
    r#type: String,
    #[serde(default, deserialize_with = "wire::lenient")]
    livemode: Option<bool>,
    #[serde(default, deserialize_with = "wire::lenient")]
    created: Option<i64>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Stripe {
    /// Checks the signature over the raw bytes and the time, then reads. A signed event that cannot be read is `Other`.
    pub fn open(&self, delivery: &Delivery, now: Timestamp) -> Result<Event, Forged> {
        let secret = self.webhook_secret.expose_secret();
        let header = delivery.header("stripe-signature").ok_or(Forged)?;
        let part = |name: &'static str| {
            let pairs = header.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
        };
        let sent_at = part("t").next().ok_or(Forged)?;
        let second: i64 = sent_at.parse().map_err(|_| Forged)?;
        if secret.is_empty() || now.as_second().saturating_sub(second) > TOLERANCE_S {
            return Err(Forged); // with an empty secret anybody could sign
        }
        let signed = [sent_at.as_bytes(), b".", &delivery.body].concat();
        let right = signature::hmac_sha256_hex(secret.as_bytes(), &signed);
        // Several while a secret is being rolled.
        if !part("v1").any(|given| given.as_bytes().ct_eq(right.as_bytes()).into()) {
            return Err(Forged);
        }
        Ok(self.reread(&delivery.body))
    }

    /// Reads an [`Event::body`] that was verified before. Without an id, the event's id is made of its bytes, so that a repeat
    /// has the same.
    pub fn reread(&self, body: &Bytes) -> Event {
        match serde_json::from_slice::<Envelope>(body) {
            Ok(event) if !event.id.is_empty() => {
                let news = news(&event).unwrap_or(CardNews::Other);
                Event { event_id: event.id, event: event.r#type, livemode: event.livemode, news, body: body.clone() }
            }
            _ => {
                let event_id = format!("body:{}", signature::hmac_sha256_hex(b"stripe", body));
                let event = "unreadable".to_owned();
                Event { event_id, event, livemode: None, news: CardNews::Other, body: body.clone() }
            }
        }
    }
}

fn news(event: &Envelope) -> Option<CardNews> {
    let object = event.data.as_ref()?.object;
    match event.r#type.as_str() {
        "payment_intent.succeeded" => paid(read(object)?, event.created),
        "payment_intent.payment_failed" => {
            let intent: wire::Intent = read(object)?;
            let payment_id = intent.payment_id();
            let error = intent.last_payment_error.unwrap_or_default();
            Some(CardNews::Failed { intent_id: intent.id, payment_id, code: error.code(), message: error.message() })
        }
        "payment_intent.canceled" => {
            let intent: wire::Intent = read(object)?;
            Some(CardNews::Canceled { payment_id: intent.payment_id(), intent_id: intent.id })
        }
        "payment_intent.processing" => {
            let intent: wire::Intent = read(object)?;
            Some(CardNews::Processing { payment_id: intent.payment_id(), intent_id: intent.id })
        }
        "charge.refunded" => {
            let charge: wire::Charge = read(object)?;
            let amount_refunded = Money::from_cents(charge.amount_refunded?);
            Some(CardNews::Refunded { intent_id: charge.intent_id(), charge: charge.id, amount_refunded })
        }
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            let refund: wire::Refund = read(object)?;
            let (intent_id, charge) = (refund.intent_id(), refund.charge_id());
            Some(CardNews::Refund { intent_id, charge, refund: TheirRefund::from(&refund) })
        }
        // Each event has the dispute's state at that time; after an appeal only the last one may come.
        "charge.dispute.closed" => Some(CardNews::Dispute(ended(read::<dispute::Theirs>(object)?.into()))),
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => Some(CardNews::Dispute(read::<dispute::Theirs>(object)?.into())),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(object: &RawValue) -> Option<T> {
    serde_json::from_str(object.get()).ok()
}

/// Reads the state of a closed dispute. If its status is still an open one, Stripe does not say who won.
fn ended(dispute: Dispute) -> Dispute {
    let state = if dispute.state.is_open() { State::Unclear } else { dispute.state };
    Dispute { state, ..dispute }
}

/// Nothing where the intent itself does not say that it succeeded, and with how much: the payment's check asks.
fn paid(intent: wire::Intent, event_created: Option<i64>) -> Option<CardNews> {
    if intent.status() != IntentStatus::Succeeded {
        return None;
    }
    let charged_at = intent.charge().and_then(wire::Charge::paid_at);
    Some(CardNews::Succeeded(Paid {
        payment_id: intent.payment_id(),
        order_id: intent.order_id(),
        amount_received: intent.received()?,
        currency: intent.currency.to_ascii_lowercase(),
        paid_at: charged_at.or_else(|| wire::time(event_created)),
        charge: intent.charge_id(),
        intent_id: intent.id,
    }))
}
