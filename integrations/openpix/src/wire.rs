//! OpenPix's format.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::http::Refusal;
use vitrine_kit::pix::{self, ChargeStatus, RefundStatus, TheirRefund};
use vitrine_kit::refund::{Nature, Retry};

/// The shortest lifetime that OpenPix accepts.
const SHORTEST_LIFE_S: u32 = 300;
/// The longest comment that OpenPix accepts.
const MAX_COMMENT: usize = 140;

fn comment(text: &str) -> String {
    text.chars().take(MAX_COMMENT).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewCharge<'a> {
    #[serde(rename = "correlationID")]
    correlation_id: Uuid,
    value: Money,
    expires_in: u32,
    comment: String,
    customer: Customer<'a>,
}

/// The schema requires a name and one more of document, e-mail and phone. No more than that is sent.
#[derive(Serialize)]
struct Customer<'a> {
    name: &'a str,
    #[serde(rename = "taxID")]
    tax_id: &'a str,
}

impl<'a> From<&'a pix::NewCharge> for NewCharge<'a> {
    fn from(new: &'a pix::NewCharge) -> Self {
        Self {
            correlation_id: new.payment_id,
            value: new.amount,
            expires_in: new.expires_in_s.max(SHORTEST_LIFE_S),
            comment: comment(&new.description),
            customer: Customer { name: &new.payer.name, tax_id: new.payer.tax_id.as_str() },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChargeAnswer {
    charge: Charge,
    br_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Charge {
    status: Status,
    #[serde(rename = "correlationID")]
    correlation_id: String,
    value: Money,
    #[serde(rename = "transactionID")]
    transaction_id: Option<String>,
    identifier: Option<String>,
    br_code: Option<String>,
    qr_code_image: Option<String>,
    expires_date: Option<Timestamp>,
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<i64>,
    paid_at: Option<Timestamp>,
    /// Not in every answer, and not documented as a whole.
    #[serde(default)]
    pix: Value,
    #[serde(default)]
    payment_methods: Value,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    Active,
    Completed,
    Expired,
}

/// A number, or (as their schema says) the same as a text. What is neither counts as absent: there may be an `expiresDate`.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

impl ChargeAnswer {
    /// `qrCodeImage` is an address, not a picture; we draw it from the code. Errors: it is not about our payment, or has no end.
    pub(crate) fn into_charge(self, payment_id: Uuid) -> Result<pix::Charge, &'static str> {
        let Self { charge: theirs, br_code } = self;
        if theirs.correlation_id.parse() != Ok(payment_id) {
            return Err("answered about another charge");
        }
        let settled = |field: &str| {
            let found = theirs.pix.get(field).or_else(|| theirs.payment_methods.get("pix")?.get(field));
            found.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let paid_at = theirs.paid_at.or_else(|| settled("time")?.parse().ok());
        let expires_at = theirs.expires_at().ok_or("answered without saying when the charge ends")?;
        let end_to_end_id = settled("endToEndId");
        Ok(pix::Charge {
            payment_id,
            status: match theirs.status {
                Status::Active => ChargeStatus::Pending,
                Status::Completed => ChargeStatus::Paid,
                Status::Expired => ChargeStatus::Expired,
            },
            amount: theirs.value,
            txid: named(theirs.transaction_id).or(named(theirs.identifier)).unwrap_or_default(),
            copy_paste: theirs.br_code.or(br_code).unwrap_or_default().trim().to_owned(),
            qr_code: None,
            qr_code_url: theirs.qr_code_image,
            expires_at,
            paid_at,
            end_to_end_id,
            refunded: Money::ZERO,
        })
    }
}

/// An empty name counts as absent.
fn named(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

impl Charge {
    fn expires_at(&self) -> Option<Timestamp> {
        let reckoned = || self.created_at?.checked_add(SignedDuration::from_secs(self.expires_in?)).ok();
        self.expires_date.or_else(reckoned)
    }
}

/// The charge with what went back of it.
pub(crate) fn refunded(charge: pix::Charge, refunds: &[Refund]) -> pix::Charge {
    let done = refunds.iter().filter(|refund| matches!(refund.status, StatusOfRefund::Confirmed));
    let refunded = Money::sum(done.map(|refund| refund.value)).unwrap_or(charge.amount);
    let status = match refunded {
        Money::ZERO => ChargeStatus::Paid,
        all if all >= charge.amount => ChargeStatus::Refunded,
        _ => ChargeStatus::PartiallyRefunded,
    };
    pix::Charge { status, refunded, ..charge }
}

#[derive(Serialize)]
pub(crate) struct NewRefund {
    #[serde(rename = "correlationID")]
    correlation_id: Uuid,
    value: Money,
    comment: String,
}

impl From<&pix::NewRefund> for NewRefund {
    fn from(new: &pix::NewRefund) -> Self {
        Self { correlation_id: new.refund_id, value: new.amount, comment: comment(&new.reason) }
    }
}

#[derive(Deserialize)]
pub(crate) struct RefundAnswer {
    pub(crate) refund: Refund,
}

#[derive(Deserialize)]
pub(crate) struct Refunds {
    pub(crate) refunds: Vec<Refund>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refund {
    status: StatusOfRefund,
    value: Money,
    /// Not our id if the refund was made on OpenPix's pages.
    #[serde(rename = "correlationID")]
    correlation_id: Option<String>,
    end_to_end_id: Option<String>,
}

/// The words of both routes. An unknown word is kept: the refund has not ended, and an administrator may have to look.
#[derive(Deserialize, Clone)]
#[serde(from = "String")]
enum StatusOfRefund {
    InProcessing,
    Confirmed,
    Rejected,
    Other(String),
}

impl From<String> for StatusOfRefund {
    fn from(word: String) -> Self {
        match word.as_str() {
            "IN_PROCESSING" => Self::InProcessing,
            "CONFIRMED" | "REFUNDED" => Self::Confirmed,
            "REJECTED" | "NOT_ACCOMPLISHED" => Self::Rejected,
            _ => Self::Other(word),
        }
    }
}

impl Refund {
    pub(crate) fn id(&self) -> Option<Uuid> {
        self.correlation_id.as_ref()?.parse().ok()
    }

    pub(crate) fn into_refund(self, refund_id: Uuid) -> pix::Refund {
        let (status, said) = self.status();
        pix::Refund { refund_id, status, amount: self.value, end_to_end_id: self.end_to_end_id, said }
    }

    /// The word that we do not know. OpenPix does not say why a refund was rejected.
    fn status(&self) -> (RefundStatus, Option<String>) {
        match &self.status {
            StatusOfRefund::InProcessing => (RefundStatus::Processing, None),
            StatusOfRefund::Confirmed => (RefundStatus::Done, None),
            StatusOfRefund::Rejected => (RefundStatus::Failed(Retry::Unsaid), None),
            StatusOfRefund::Other(word) => (RefundStatus::Unclear, Some(comment(word))),
        }
    }
}

impl From<Refund> for TheirRefund {
    fn from(theirs: Refund) -> Self {
        let (refund_id, (status, said)) = (theirs.id(), theirs.status());
        let reference = theirs.end_to_end_id.or(theirs.correlation_id).unwrap_or_default();
        // OpenPix does not distinguish what a bank took back (MED) from refunds made on its pages.
        Self { refund_id, reference, status, amount: theirs.value, nature: Nature::Unsaid, said }
    }
}

/// Whether a refused refund may be asked for again. There are no codes, and texts vary: they only decide this.
pub(crate) fn retry(_: &str, message: &str) -> Retry {
    Retry::read(message)
}

/// `{"error": "text"}`, or the same as a list. There is no code, so the status is used.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = body.get("error").or_else(|| body.pointer("/errors/0/message"))?;
    Some(Refusal { code: String::new(), message: text.as_str().unwrap_or_default().to_owned() })
}
