//! The states of a payment, and which of them follow from sums alone.

use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The row is there; the provider may not know of it yet.
    Creating,
    /// The provider was asked, and gave no clear answer.
    Unknown,
    /// The buyer can pay it.
    Pending,
    Paid,
    /// It was never payable.
    Failed,
    Expired,
    Cancelled,
    /// Money that came for an order that cannot take it: on its way back.
    Surplus,
    PartiallyRefunded,
    Refunded,
    /// The payer's bank contests it: the money is held until the dispute ends.
    Disputed,
    /// A dispute was lost: the money is gone.
    ChargedBack,
}

impl Status {
    /// Of a row. A word of a later release is a state in which nothing moves by itself.
    pub fn of(text: &str) -> Self {
        match text {
            "creating" => Self::Creating,
            "unknown" => Self::Unknown,
            "pending" => Self::Pending,
            "paid" => Self::Paid,
            "failed" => Self::Failed,
            "expired" => Self::Expired,
            "cancelled" => Self::Cancelled,
            "surplus" => Self::Surplus,
            "partially_refunded" => Self::PartiallyRefunded,
            "refunded" => Self::Refunded,
            "charged_back" => Self::ChargedBack,
            _ => Self::Disputed,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Surplus => "surplus",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::ChargedBack => "charged_back",
        }
    }

    /// Money may still come by it. An order has at most one such payment.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Creating | Self::Unknown | Self::Pending)
    }

    /// Money has come by it, whatever became of it.
    pub fn is_captured(self) -> bool {
        matches!(self, Self::Paid | Self::Surplus | Self::PartiallyRefunded | Self::Refunded | Self::Disputed | Self::ChargedBack)
    }

    /// A captured payment's state once `returned` of `captured` has gone back. A surplus stays one until all of it has.
    pub fn after_refunds(self, captured: Money, returned: Money) -> Self {
        match self {
            Self::Paid | Self::PartiallyRefunded | Self::Refunded => match returned {
                sum if sum >= captured => Self::Refunded,
                sum if sum > Money::ZERO => Self::PartiallyRefunded,
                _ => Self::Paid,
            },
            Self::Surplus if returned >= captured => Self::Refunded,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Status; 12] = [
        Status::Creating,
        Status::Unknown,
        Status::Pending,
        Status::Paid,
        Status::Failed,
        Status::Expired,
        Status::Cancelled,
        Status::Surplus,
        Status::PartiallyRefunded,
        Status::Refunded,
        Status::Disputed,
        Status::ChargedBack,
    ];

    #[test]
    fn every_state_reads_back_as_itself() {
        for status in ALL {
            assert_eq!(Status::of(status.as_str()), status);
        }
    }

    proptest! {
        /// However a payment is refunded, piece by piece, its state says what the sum says.
        #[test]
        fn the_state_after_refunds_is_a_function_of_the_sums(
            captured in 1_i64..1_000_000, pieces in prop::collection::vec(1_i64..500_000, 0..8)
        ) {
            let (mut status, mut surplus, mut returned) = (Status::Paid, Status::Surplus, 0);
            for piece in pieces {
                returned = (returned + piece).min(captured);
                let (c, r) = (Money::from_cents(captured), Money::from_cents(returned));
                status = status.after_refunds(c, r);
                surplus = surplus.after_refunds(c, r);
                let whole = returned == captured;
                prop_assert_eq!(status, if whole { Status::Refunded } else { Status::PartiallyRefunded });
                prop_assert_eq!(surplus, if whole { Status::Refunded } else { Status::Surplus });
            }
        }

        #[test]
        fn what_never_captured_does_not_move_by_refunds(index in 0_usize..12, returned in 0_i64..100) {
            let status = ALL[index];
            if !status.is_captured() || matches!(status, Status::Disputed | Status::ChargedBack) {
                prop_assert_eq!(status.after_refunds(Money::from_cents(100), Money::from_cents(returned)), status);
            }
        }
    }
}
