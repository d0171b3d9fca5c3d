//! What news of money did to our rows.

use crate::ids::OrderId;

/// What became of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// It was known.
    AlreadyDone,
    /// Money for an order that cannot take it: recorded, and refunded.
    Surplus,
    /// It is not what we asked for: nothing moved, the operator is told.
    Mismatch,
    /// We know no such payment or refund: kept for the operator.
    UnknownPayment,
    /// Nothing was believed: the provider is asked.
    Hint,
    /// Too late to matter.
    Ignored,
}

impl Applied {
    /// For the inbox.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "applied",
            Self::AlreadyDone => "already done",
            Self::Surplus => "surplus",
            Self::Mismatch => "mismatch",
            Self::UnknownPayment => "unknown",
            Self::Hint => "hint",
            Self::Ignored => "ignored",
        }
    }
}

/// What news did, and the order that it was about, where we know one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    pub applied: Applied,
    pub order: Option<OrderId>,
}

impl Effect {
    /// About no order of ours.
    pub fn of(applied: Applied) -> Self {
        Self { applied, order: None }
    }

    pub fn on(order: OrderId, applied: Applied) -> Self {
        Self { applied, order: Some(order) }
    }
}
