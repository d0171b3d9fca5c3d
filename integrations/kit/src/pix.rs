//! The contract of a PIX provider. Each verb is one call; what it may be repeated with is said here.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::breaker::{Breaker, Lane};
use crate::dispute::{Dispute, Document};
use crate::refund::Retry;
pub use crate::refund::{NewRefund, Refund, RefundStatus, TheirRefund};
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
    /// An earlier call for this payment may have succeeded.
    pub is_repeat: bool,
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

/// Money received, as it stands in their books: for the daily comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Ours, where the charge was made by us.
    pub payment_id: Option<Uuid>,
    /// Their name for it: txid or PaymentIntent.
    pub reference: String,
    pub amount: Money,
    pub refunded: Money,
    pub paid_at: Option<Timestamp>,
}

/// A page of what went back: of the money received in some time, or (Stripe) in that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnsPage {
    pub received: Vec<Returns>,
    pub is_last: bool,
}

/// What went back of one payment, whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returns {
    /// Ours, where the charge was made by us.
    pub payment_id: Option<Uuid>,
    /// Their name for the payment, where they do not tell ours: the PaymentIntent.
    pub reference: Option<String>,
    /// These are all that ever went back of it.
    pub is_whole: bool,
    pub refunds: Vec<TheirRefund>,
}

/// A verified webhook, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The provider's event id: the inbox takes each once.
    pub event_id: String,
    /// Their name for it, kept for the operator.
    pub event: String,
    pub news: PixNews,
    /// What the inbox keeps, so that it can be read again by [`PixProvider::reread`]: the body, or this notice's part of it.
    pub body: Bytes,
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
        retry: Retry,
        /// Their words on why.
        said: Option<String>,
    },
    /// Something happened to a charge, on too weak a proof to believe it: they are asked before anything moves.
    Look {
        payment_id: Uuid,
    },
    /// The same of a refund, which need not be ours: a payer's bank takes money back by itself (MED), and people use the
    /// provider's own pages.
    LookAtRefund {
        /// If it is a row of ours, it is asked about. An id of their making may look like one.
        refund_id: Option<Uuid>,
        /// Else all refunds of this are.
        payment_id: Option<Uuid>,
    },
    /// Word of a dispute: the payer's bank wants the money back (MED). Only a hint, which need not name any payment: read it
    /// with [`PixProvider::read_dispute`] before anything moves.
    Disputed(Dispute),
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

    /// `None`: they do not know it, so after an `Unknown` it was certainly not created. The lane says whether a buyer waits; all
    /// other verbs but `create_charge` are the background's.
    async fn read_charge(&self, payment_id: Uuid, lane: Lane) -> Result<Option<Charge>, ProviderError>;

    /// Makes an unpaid charge unpayable. Repeating is harmless.
    async fn void_charge(&self, payment_id: Uuid) -> Result<Voided, ProviderError>;

    /// Gives money back. Repeating with the same `refund_id` gives it back once.
    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError>;

    /// `None`: they do not know it.
    async fn read_refund(&self, refund: &NewRefund) -> Result<Option<Refund>, ProviderError>;

    /// All refunds of a charge, also those that we did not ask for. `None`: they have no such list.
    async fn refunds_of(&self, payment_id: Uuid) -> Result<Option<Vec<TheirRefund>>, ProviderError>;

    /// All money received in `[from, to)`. `None`: they have no such list, and each charge is read by itself.
    async fn received(&self, from: Timestamp, to: Timestamp) -> Result<Option<Vec<Received>>, ProviderError>;

    /// One page, from 0 on, of the money received in `[from, to)`, each with all that went back of it until now: one call. `None`:
    /// they have no such list.
    async fn returns(&self, from: Timestamp, to: Timestamp, page: u32) -> Result<Option<ReturnsPage>, ProviderError>;

    /// The dispute of a payment as it stands. `None`: they know of none.
    async fn read_dispute(&self, end_to_end_id: &str) -> Result<Option<Dispute>, ProviderError>;

    /// Every dispute that began since then, the oldest first. `None`: they have no such list.
    async fn disputes(&self, since: Timestamp) -> Result<Option<Vec<Dispute>>, ProviderError>;

    /// Sends what speaks for the shop, by the dispute's [`evidence_ref`](Dispute::evidence_ref). They fetch each document from its
    /// address.
    async fn submit_evidence(&self, evidence_ref: &str, documents: &[Document]) -> Result<(), ProviderError>;

    /// Checks the signature over the raw bytes, then reads. No default: a forgotten check must not compile.
    /// What is signed but strange is a notice too, kept for the operator; a ping of theirs is none.
    fn open(&self, delivery: &Delivery) -> Result<Vec<Notice>, Forged>;

    /// Reads a [`Notice::body`] that was verified when it came.
    fn reread(&self, body: &Bytes) -> Vec<Notice>;

    /// One for each lane: the buyers', then the background's.
    fn breakers(&self) -> Vec<Arc<Breaker>>;
}
