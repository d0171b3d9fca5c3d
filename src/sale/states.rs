//! The states of an order, of its money, and of a refund: the words of the tables, as enums.

use std::fmt;

use bytes::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::Money;

/// A word of a table that this release does not know.
#[derive(Debug, thiserror::Error)]
#[error("{word:?} is no {what} that this release knows")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
}

/// Declares a state enum: the same word in SQL, JSON, logs and the OpenAPI document.
macro_rules! states {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of_word:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of_word])* $variant,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// Reads a word, as it stands in a table or in a query string.
            pub fn parse(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { what: stringify!($name), word: word.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'a> FromSql<'a> for $name {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
                Ok(Self::parse(<&str as FromSql>::from_sql(ty, raw)?)?)
            }

            fn accepts(ty: &Type) -> bool {
                <&str as FromSql>::accepts(ty)
            }
        }

        impl ToSql for $name {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
                self.as_str().to_sql(ty, out)
            }

            fn accepts(ty: &Type) -> bool {
                <&str as ToSql>::accepts(ty)
            }

            to_sql_checked!();
        }
    )*};
}

states! {
    /// How far an order is: `orders.status`.
    OrderStatus {
        /// Placed, and not paid yet.
        Pending = "pending",
        /// Paid: it is invoiced, packed and sent.
        Processing = "processing",
        Shipped = "shipped",
        Delivered = "delivered",
        /// It ended before it left the shop.
        Cancelled = "cancelled",
        /// All of its goods and all of its money are back, after it had left.
        Returned = "returned",
    }

    /// What an order says of its money: `orders.payment_status`.
    OrderPaymentStatus {
        PendingPayment = "pending_payment",
        Paid = "paid",
        Failed = "failed",
        /// It was not paid in time.
        Expired = "expired",
        /// It was cancelled before it was paid.
        Cancelled = "cancelled",
        PartiallyRefunded = "partially_refunded",
        /// All of the money went back to the buyer, or was taken back by the payer's bank.
        Refunded = "refunded",
    }

    /// The state of one payment, that is, of one charge: `payments.status`.
    PaymentStatus {
        /// The row is there; the provider may not know of it yet.
        Creating = "creating",
        /// The provider was asked, and gave no clear answer.
        Unknown = "unknown",
        /// The buyer can pay it.
        Pending = "pending",
        Paid = "paid",
        /// It was never payable.
        Failed = "failed",
        Expired = "expired",
        Cancelled = "cancelled",
        /// Money that came for an order that cannot take it: it goes back.
        Surplus = "surplus",
        PartiallyRefunded = "partially_refunded",
        Refunded = "refunded",
        /// The payer's bank contests it: nothing is refunded until the dispute ends.
        Disputed = "disputed",
        /// A dispute was lost: the money is gone.
        ChargedBack = "charged_back",
    }

    /// The state of one refund: `refunds.status`.
    RefundStatus {
        /// The row and its reserve are there; the provider was not asked yet.
        Pending = "pending",
        /// The provider has it in hand.
        Processing = "processing",
        /// The provider was asked, and gave no clear answer.
        Unknown = "unknown",
        /// The money is back with the buyer.
        Done = "done",
        /// The money did not go back.
        Failed = "failed",
    }
}

impl OrderStatus {
    /// The goods have left the shop.
    pub fn has_left(self) -> bool {
        matches!(self, Self::Shipped | Self::Delivered | Self::Returned)
    }
}

impl OrderPaymentStatus {
    /// No money is there.
    pub fn is_unpaid(self) -> bool {
        matches!(self, Self::PendingPayment | Self::Failed)
    }

    /// Money is there, all or some of it.
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded)
    }
}

impl PaymentStatus {
    /// Money may still come by it. An order has at most one such payment.
    pub const LIVE: [Self; 3] = [Self::Creating, Self::Unknown, Self::Pending];

    /// Money may still come by it.
    pub fn is_live(self) -> bool {
        Self::LIVE.contains(&self)
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

impl RefundStatus {
    /// It has not come to an end.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However money went back, in whatever pieces, the state is what the sum says.
        #[test]
        fn the_state_after_refunds_is_a_function_of_the_sums(
            captured in 1_i64..1_000_000, pieces in prop::collection::vec(1_i64..500_000, 0..8)
        ) {
            let (mut status, mut surplus, mut returned) = (PaymentStatus::Paid, PaymentStatus::Surplus, 0);
            for piece in pieces {
                returned = (returned + piece).min(captured);
                let (c, r) = (Money::from_cents(captured), Money::from_cents(returned));
                status = status.after_refunds(c, r);
                surplus = surplus.after_refunds(c, r);
                let whole = returned == captured;
                prop_assert_eq!(status, if whole { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded });
                prop_assert_eq!(surplus, if whole { PaymentStatus::Refunded } else { PaymentStatus::Surplus });
            }
        }

        #[test]
        fn what_never_captured_does_not_move_by_refunds(index in 0_usize..12, returned in 0_i64..100) {
            let status = PaymentStatus::ALL[index];
            if !status.is_captured() || matches!(status, PaymentStatus::Disputed | PaymentStatus::ChargedBack) {
                prop_assert_eq!(status.after_refunds(Money::from_cents(100), Money::from_cents(returned)), status);
            }
        }
    }

    #[test]
    fn a_word_is_read_as_the_state_that_writes_it() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::parse(status.as_str()).ok(), Some(*status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        for status in OrderPaymentStatus::ALL {
            assert_eq!(OrderPaymentStatus::parse(status.as_str()).ok(), Some(*status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::parse(status.as_str()).ok(), Some(*status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        for status in RefundStatus::ALL {
            assert_eq!(RefundStatus::parse(status.as_str()).ok(), Some(*status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        assert!(OrderStatus::parse("lost").is_err());
    }
}
