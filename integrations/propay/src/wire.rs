//! ProPay's format.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vitrine_kit::http::Refusal;
use vitrine_kit::pix::{self, ChargeStatus, Notice, PaidNews, PixNews, RefundStatus, Voided};
use vitrine_kit::refund::{Obstacle, Retry};
use vitrine_kit::{Money, signature};

#[derive(Serialize)]
pub(crate) struct NewCharge<'a> {
    payment_id: Uuid,
    order_id: Uuid,
    amount_cents: Money,
    currency: Currency,
    expires_in: u32,
    description: &'a str,
    payer: Payer<'a>,
}

#[derive(Serialize)]
struct Payer<'a> {
    name: &'a str,
    tax_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
}

/// The only currency that is accepted.
#[derive(Serialize, Deserialize)]
enum Currency {
    #[serde(rename = "BRL")]
    Brl,
}

#[derive(Deserialize)]
pub(crate) struct Charge {
    pub(crate) payment_id: Uuid,
    pub(crate) status: Status,
    amount_cents: Money,
    #[serde(rename = "currency")]
    _currency: Currency,
    txid: String,
    copy_paste: Option<String>,
    qr_code: Option<String>,
    qr_code_url: Option<String>,
    expires_at: Timestamp,
    paid_at: Option<Timestamp>,
    end_to_end_id: Option<String>,
    refunded_cents: Option<Money>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Pending,
    Paid,
    Expired,
    Cancelled,
    PartiallyRefunded,
    Refunded,
}

#[derive(Serialize)]
pub(crate) struct NewRefund<'a> {
    refund_id: Uuid,
    amount_cents: Money,
    reason: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Refund {
    pub(crate) refund_id: Uuid,
    /// `processing`, `done`, `failed`.
    status: String,
    amount_cents: Money,
    end_to_end_id: Option<String>,
    /// Why it failed, in one of the words of [`retry`].
    failure_code: Option<String>,
}

/// The known reasons of a refused refund, as the error of a call and as the reason of a failed refund.
pub(crate) fn retry(code: &str) -> Retry {
    match code {
        "insufficient_balance" => Retry::Later(Obstacle::Balance),
        "limit_exceeded" => Retry::Later(Obstacle::Limit),
        "outside_hours" => Retry::Later(Obstacle::Hours),
        "provider_unavailable" => Retry::Later(Obstacle::TheirSide),
        "refund_exceeds_payment"
        | "refund_window_closed"
        | "account_closed"
        | "idempotency_conflict"
        | "invalid_amount"
        | "invalid_request"
        | "not_found" => Retry::Never,
        _ => Retry::Unsaid,
    }
}

impl<'a> From<&'a pix::NewCharge> for NewCharge<'a> {
    fn from(new: &'a pix::NewCharge) -> Self {
        let payer = Payer {
            name: &new.payer.name,
            tax_id: new.payer.tax_id.as_str(),
            email: new.payer.email.as_ref().map(|email| email.as_str()),
        };
        Self {
            payment_id: new.payment_id,
            order_id: new.order_id,
            amount_cents: new.amount,
            currency: Currency::Brl,
            expires_in: new.expires_in_s,
            description: &new.description,
            payer,
        }
    }
}

impl<'a> From<&'a pix::NewRefund> for NewRefund<'a> {
    fn from(new: &'a pix::NewRefund) -> Self {
        Self { refund_id: new.refund_id, amount_cents: new.amount, reason: &new.reason }
    }
}

impl From<Charge> for pix::Charge {
    fn from(theirs: Charge) -> Self {
        Self {
            payment_id: theirs.payment_id,
            status: theirs.status.into(),
            amount: theirs.amount_cents,
            txid: theirs.txid,
            copy_paste: theirs.copy_paste.unwrap_or_default().trim().to_owned(),
            qr_code: theirs.qr_code,
            qr_code_url: theirs.qr_code_url,
            expires_at: theirs.expires_at,
            paid_at: theirs.paid_at,
            end_to_end_id: theirs.end_to_end_id,
            refunded: theirs.refunded_cents.unwrap_or_default(),
        }
    }
}

impl From<Status> for ChargeStatus {
    fn from(theirs: Status) -> Self {
        match theirs {
            Status::Pending => Self::Pending,
            Status::Paid => Self::Paid,
            Status::Expired => Self::Expired,
            Status::Cancelled => Self::Cancelled,
            Status::PartiallyRefunded => Self::PartiallyRefunded,
            Status::Refunded => Self::Refunded,
        }
    }
}

impl From<Refund> for pix::Refund {
    fn from(theirs: Refund) -> Self {
        let (status, said) = match theirs.status.as_str() {
            "processing" => (RefundStatus::Processing, None),
            "done" => (RefundStatus::Done, None),
            "failed" => (RefundStatus::Failed(failed(theirs.failure_code.as_deref())), theirs.failure_code),
            _ => (RefundStatus::Unclear, Some(theirs.status)),
        };
        Self { refund_id: theirs.refund_id, status, amount: theirs.amount_cents, end_to_end_id: theirs.end_to_end_id, said }
    }
}

/// The result of a void by the charge's state; `None`: it can still be paid.
pub(crate) fn voided(status: Status) -> Option<Voided> {
    match status {
        Status::Cancelled | Status::Expired => Some(Voided::Done),
        Status::Paid | Status::PartiallyRefunded | Status::Refunded => Some(Voided::AlreadyPaid),
        Status::Pending => None,
    }
}

pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        code: String,
        #[serde(default)]
        message: String,
    }
    let Envelope { error } = serde_json::from_slice(body).ok()?;
    Some(Refusal { code: error.code, message: error.message })
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event: String,
}

#[derive(Deserialize)]
struct Paid {
    payment_id: Uuid,
    order_id: Option<Uuid>,
    txid: Option<String>,
    amount_cents: Money,
    currency: String,
    end_to_end_id: Option<String>,
    paid_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct OfPayment {
    payment_id: Uuid,
}

#[derive(Deserialize)]
struct OfRefund {
    refund_id: Uuid,
    failure_code: Option<String>,
}

fn failed(code: Option<&str>) -> Retry {
    code.map_or(Retry::Unsaid, retry)
}

/// Reads a body with a right signature. One that cannot be read is `Other`. Without an id, the event's id is made of its bytes,
/// so that a repeat has the same.
pub(crate) fn notice(body: &Bytes) -> Notice {
    match serde_json::from_slice::<Event>(body) {
        Ok(Event { id, event }) if !id.is_empty() => {
            let news = news(&event, body).unwrap_or(PixNews::Other);
            Notice { event_id: id, event, news, body: body.clone() }
        }
        _ => {
            let event_id = format!("body:{}", signature::hmac_sha256_hex(b"propay", body));
            Notice { event_id, event: "unreadable".to_owned(), news: PixNews::Other, body: body.clone() }
        }
    }
}

fn news(event: &str, body: &[u8]) -> Option<PixNews> {
    let payment = || serde_json::from_slice::<OfPayment>(body).ok().map(|of| of.payment_id);
    let refund = || serde_json::from_slice::<OfRefund>(body).ok();
    match event {
        "payment.paid" => {
            let paid: Paid = serde_json::from_slice(body).ok()?;
            Some(PixNews::Paid(PaidNews {
                payment_id: paid.payment_id,
                order_id: paid.order_id,
                txid: paid.txid,
                amount: paid.amount_cents,
                currency: paid.currency,
                end_to_end_id: paid.end_to_end_id,
                paid_at: paid.paid_at,
                created_at: paid.created_at,
            }))
        }
        "payment.expired" => payment().map(|payment_id| PixNews::Expired { payment_id }),
        "payment.cancelled" => payment().map(|payment_id| PixNews::Cancelled { payment_id }),
        "refund.done" => refund().map(|of| PixNews::RefundDone { refund_id: of.refund_id }),
        "refund.failed" => refund().map(|of| PixNews::RefundFailed {
            refund_id: of.refund_id,
            retry: failed(of.failure_code.as_deref()),
            said: of.failure_code,
        }),
        _ => None,
    }
}
