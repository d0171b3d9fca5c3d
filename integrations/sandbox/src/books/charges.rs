//! Charges and what goes back of them, at any provider.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::books::card::Card;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }
}

/// Who is asked to pay. The document stays out of `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    pub name: String,
    pub tax_id: String,
    pub email: Option<String>,
}

impl std::fmt::Debug for Payer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payer").finish_non_exhaustive()
    }
}

/// What else a provider was told, in its own words. Names and documents are in it: out of `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extra(pub serde_json::Value);

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extra").finish_non_exhaustive()
    }
}

impl std::ops::Deref for Extra {
    type Target = serde_json::Value;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A charge at some provider: by PIX, or by card if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub provider: String,
    pub payment_id: String,
    pub order_id: String,
    pub txid: String,
    pub status: ChargeStatus,
    /// What was asked for.
    pub amount_cents: i64,
    /// What the payer sent; may be short or over.
    pub paid_cents: Option<i64>,
    /// Sum of the refunds that are done.
    pub refunded_cents: i64,
    pub description: String,
    pub payer: Option<Payer>,
    pub copy_paste: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub end_to_end_id: Option<String>,
    /// SHA-256 of the request that made it: a repeat must be the same.
    pub request_hash: String,
    #[serde(default)]
    pub card: Option<Card>,
    #[serde(default)]
    pub extra: Extra,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    Processing,
    Done,
    Failed,
}

/// Who made money go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundOrigin {
    /// The shop, by a call.
    #[default]
    Shop,
    /// Somebody on the provider's own pages.
    Dashboard,
    /// The bank by itself (MED).
    Bank,
}

/// How a provider lets the shop know that its account holds too little for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    /// The call is refused, and there is no refund.
    AtOnce,
    /// The refund is taken, and fails.
    Fails,
    /// The refund is taken, and waits until the account is funded.
    Waits,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub provider: String,
    pub refund_id: String,
    pub payment_id: String,
    pub amount_cents: i64,
    pub reason: String,
    pub status: RefundStatus,
    pub end_to_end_id: String,
    pub created_at: Timestamp,
    pub settles_at: Timestamp,
    #[serde(default)]
    pub origin: RefundOrigin,
    /// The account held too little for it when it was asked for.
    #[serde(default)]
    pub shortage: Option<Shortage>,
    pub request_hash: String,
    #[serde(default)]
    pub extra: Extra,
}

impl Refund {
    /// It will not settle before the account is funded.
    pub fn waits_for_balance(&self) -> bool {
        self.status == RefundStatus::Processing && self.shortage == Some(Shortage::Waits) && self.settles_at == Timestamp::MAX
    }

    /// A return that nobody asked for: it is in process until it is decided.
    pub fn is_held(&self) -> bool {
        self.status == RefundStatus::Processing && self.origin != RefundOrigin::Shop && self.settles_at == Timestamp::MAX
    }

    /// The account held too little, and that was its end.
    pub fn failed_for_balance(&self) -> bool {
        self.status == RefundStatus::Failed && self.shortage == Some(Shortage::Fails)
    }
}

/// A refund that was asked for and not taken: the account held too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Ours: the same refund may be refused several times.
    pub id: String,
    pub provider: String,
    pub refund_id: String,
    pub payment_id: String,
    pub amount_cents: i64,
    pub at: Timestamp,
}
