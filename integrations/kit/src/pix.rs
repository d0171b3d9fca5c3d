//! The contract of a PIX provider. Each verb is one call; what it may be repeated with is said here.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Delivery, Email, Forged, Money, ProviderError, TaxId};

/// A charge to create. `payment_id` is our row's id: written before the call, and the idempotency key of every repeat.
#[derive(Debug, Clone)]
pub struct NewCharge {
    pub payment_id: Uuid,
    pub order_id: Uuid,
    pub amount: Money,
    /// How long the buyer has, in seconds.
    pub expires_in_s: u32,
    /// ASCII, at most 140 characters, no personal data.
    pub description: String,
    pub payer: Payer,
}

#[derive(Debug, Clone)]
pub struct Payer {
    pub name: String,
    pub tax_id: TaxId,
    pub email: Option<Email>,
}

/// What the provider says of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Our payment id, as the provider knows it.
    pub payment_id: Uuid,
    pub status: ChargeStatus,
    pub amount: Money,
    pub txid: String,
    /// The BR Code ("copia e cola"). Empty when a read answer leaves it out.
    pub copy_paste: String,
    /// `data:image/png;base64,…`; `None` where the provider draws none (we draw it from `copy_paste`).
    pub qr_code: Option<String>,
    /// Where the provider serves the picture, if it does.
    pub qr_code_url: Option<String>,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub end_to_end_id: Option<String>,
    pub refunded: Money,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeStatus {
    Pending,
    Paid,
    Expired,
    Cancelled,
    PartiallyRefunded,
    Refunded,
}

impl ChargeStatus {
    /// The money arrived, whatever became of it later.
    pub fn was_paid(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Refunded)
    }
}

/// The end of an attempt to void an unpaid charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voided {
    /// It can no longer be paid (also: it was already void, or never existed).
    Done,
    /// Too late: it was paid. Read it, then refund.
    AlreadyPaid,
}

/// A refund to make. `refund_id` is our row's id and the idempotency key.
#[derive(Debug, Clone)]
pub struct NewRefund {
    pub refund_id: Uuid,
    pub payment_id: Uuid,
    /// Known for a paid charge; some providers address the refund by it.
    pub end_to_end_id: Option<String>,
    pub amount: Money,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub refund_id: Uuid,
    pub status: RefundStatus,
    pub amount: Money,
    pub end_to_end_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStatus {
    Processing,
    Done,
    Failed,
}

/// A verified webhook, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The provider's event id: the inbox takes each once.
    pub event_id: String,
    /// Their name for it, kept for the operator.
    pub event: String,
    pub news: PixNews,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PixNews {
    Paid(PaidNews),
    Expired {
        payment_id: Uuid,
    },
    Cancelled {
        payment_id: Uuid,
    },
    RefundDone {
        refund_id: Uuid,
    },
    RefundFailed {
        refund_id: Uuid,
    },
    /// Signed, but of a type or shape that we do not know: kept for the operator, no effect.
    Other,
}

/// "It was paid": every field is compared with our row before anything moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidNews {
    pub payment_id: Uuid,
    pub order_id: Option<Uuid>,
    pub txid: Option<String>,
    pub amount: Money,
    pub currency: String,
    pub end_to_end_id: Option<String>,
    pub paid_at: Option<Timestamp>,
    /// When the provider made the event: an old one is only a hint, and the provider is asked.
    pub created_at: Option<Timestamp>,
}

/// A PIX provider: ProPay, OpenPix, any bank's Pix API.
#[async_trait]
pub trait PixProvider: Send + Sync + std::fmt::Debug {
    /// The name used in configuration, rows, metrics and logs.
    fn name(&self) -> &'static str;

    /// Creates the charge, or answers the one that an earlier, equal call created.
    async fn create_charge(&self, new: &NewCharge) -> Result<Charge, ProviderError>;

    /// `None`: they do not know it, so after an `Unknown` it was certainly not created.
    async fn read_charge(&self, payment_id: Uuid) -> Result<Option<Charge>, ProviderError>;

    /// Makes an unpaid charge unpayable. Repeating is harmless.
    async fn void_charge(&self, payment_id: Uuid) -> Result<Voided, ProviderError>;

    /// Gives money back. Repeating with the same `refund_id` gives it back once.
    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError>;

    /// `None`: they do not know it.
    async fn read_refund(&self, payment_id: Uuid, refund_id: Uuid) -> Result<Option<Refund>, ProviderError>;

    /// Checks the signature over the raw bytes, then reads. No default: a forgotten check must not compile.
    fn open(&self, delivery: &Delivery) -> Result<Notice, Forged>;
}
