//! Disputes: a payer's bank takes the money back, or asks before it does. Each is a row of its own; a charge may have several.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a dispute stands. The words are Stripe's; other providers have their own for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry: the bank asks, and takes nothing.
    WarningNeedsResponse,
    WarningUnderReview,
    /// The inquiry is over, and nothing came of it.
    WarningClosed,
    NeedsResponse,
    UnderReview,
    /// The money is the shop's.
    Won,
    /// The money is the payer's.
    Lost,
    /// Settled before there was a chargeback.
    Prevented,
    /// Whoever began it took it back. Stripe has no such word.
    Canceled,
}

impl DisputeStatus {
    pub fn is_inquiry(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed)
    }

    /// It can still go either way.
    pub fn is_open(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::WarningUnderReview | Self::NeedsResponse | Self::UnderReview)
    }

    /// Stripe's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Prevented => "prevented",
            Self::Canceled => "canceled",
        }
    }
}

/// How OpenPix writes the amount of a dispute: its documents show all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountForm {
    #[default]
    Number,
    Text,
    /// Not at all, and neither the payer nor a reason.
    Absent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    pub id: String,
    pub provider: String,
    pub payment_id: String,
    pub status: DisputeStatus,
    pub amount_cents: i64,
    pub reason: String,
    /// What it moved so far, one by one: below zero from the shop, above zero back to it.
    pub moved_cents: Vec<i64>,
    pub documents: Vec<Document>,
    pub form: AmountForm,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Until when the shop may answer.
    pub due_by: Timestamp,
}

/// What the shop handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub url: String,
    pub description: String,
    pub correlation_id: String,
    pub at: Timestamp,
}

impl Dispute {
    /// What it holds of the shop's money.
    pub fn taken_cents(&self) -> i64 {
        -self.moved_cents.iter().sum::<i64>()
    }

    /// What the shop cannot give back because of it: what it took, and until it ends what it is about. An inquiry holds nothing.
    pub fn held_cents(&self) -> i64 {
        let is_contested = self.status.is_open() && !self.status.is_inquiry();
        if is_contested { self.amount_cents.max(self.taken_cents()) } else { self.taken_cents() }
    }
}
