//! The states of an order, of its money, of a refund, an invoice, a dispute and a message: the words of the tables, as enums.

use std::fmt;

use bytes::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A word of a table that this release does not know.
#[derive(Debug, thiserror::Error)]
#[error("{word:?} is no {what} that this release knows")]
pub struct UnknownWord {
    pub(crate) what: &'static str,
    pub(crate) word: String,
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
pub(crate) use states;

states! {
    /// How far an order is. `pending`: placed, and not paid yet. `processing`: paid, and it is invoiced, packed and sent. `shipped`,
    /// `delivered`. `cancelled`: it ended before it left the shop. `returned`: all goods and all money are back after it had left.
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

    /// What an order says of its money. `expired`: it was not paid in time. `cancelled`: it was cancelled before it was paid.
    /// `refunded`: all money went back to the buyer, or was taken back by the payer's bank.
    OrderPaymentStatus {
        PendingPayment = "pending_payment",
        Paid = "paid",
        Failed = "failed",
        /// It was not paid in time.
        Expired = "expired",
        /// It was cancelled before it was paid.
        Cancelled = "cancelled",
        PartiallyRefunded = "partially_refunded",
        /// All of the money went back to the buyer, or was taken back by the payer's bank; or the order ended, and had cost nothing.
        Refunded = "refunded",
    }

    /// The state of one payment. `creating`, `unknown` and `pending` wait for money. `failed`: it was never payable. `surplus`: money that
    /// came for an order that cannot take it, and goes back. `disputed`: the payer's bank contests it. `partially_charged_back`,
    /// `charged_back`: lost disputes took some of it, or nothing is left.
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
        /// Lost disputes took a part of it.
        PartiallyChargedBack = "partially_charged_back",
        /// Nothing is left of it, and lost disputes took all or some.
        ChargedBack = "charged_back",
    }

    /// Whether a paid order that has not left may go on: `orders.on_hold`.
    SaleState {
        On = "on",
        /// A refund of all its money failed. Nothing is sent or invoiced until a person says so.
        OnHold = "on_hold",
    }

    /// The state of one refund. `pending`: the provider was not asked yet. `processing`: it has it in hand. `unknown`: it gave no clear
    /// answer. `waiting`: refused for now, and tried again for days. `done`, `failed`.
    RefundStatus {
        /// The row and its reserve are there; the provider was not asked yet.
        Pending = "pending",
        /// The provider has it in hand.
        Processing = "processing",
        /// The provider was asked, and gave no clear answer.
        Unknown = "unknown",
        /// Refused for now (the account holds too little, a limit, the hour): it is tried again for days, and keeps its reserve.
        Waiting = "waiting",
        /// The money is back with the buyer.
        Done = "done",
        /// The money did not go back.
        Failed = "failed",
    }

    /// How far an NF-e is. `pending`: wanted. `processing`: the provider has it in hand. `authorized`. `rejected`: refused, and it can be
    /// mended and tried again. `denied`: refused, and its number is lost. `cancelled`.
    InvoiceStatus {
        /// Wanted; the provider may not know of it yet.
        Pending = "pending",
        /// The provider has it in hand.
        Processing = "processing",
        Authorized = "authorized",
        /// Refused with its number unspent: mended, it is tried again.
        Rejected = "rejected",
        /// Refused, and its number is lost: only another one can follow.
        Denied = "denied",
        Cancelled = "cancelled",
    }

    /// How far a mail or an SMS is. `queued`: written, and not sent yet. `sent`: the provider took it. `delivered`. `bounced`: the address
    /// does not exist, or its reader wants no more mail. `failed`.
    MessageStatus {
        /// Written, and not sent yet.
        Queued = "queued",
        /// The provider took it.
        Sent = "sent",
        /// The provider says that it arrived.
        Delivered = "delivered",
        /// The address does not exist, or its reader wants no more mail.
        Bounced = "bounced",
        /// It was not sent, or the provider could not deliver it.
        Failed = "failed",
    }

    /// What a dispute is about. `inquiry`: the bank asks, and has taken nothing. `contested`: the money is taken or held.
    DisputeStage {
        /// The bank asks, and has taken nothing. It may be answered by a refund.
        Inquiry = "inquiry",
        /// The money is taken or held: a refund on top of it would pay twice.
        Contested = "contested",
    }

    /// How a dispute stands. `open`: it waits for the shop's answer. `under_review`: for the bank's. `unclear`: the provider does not say
    /// where the money is. `won`: the money is the shop's. `lost`: it is the buyer's. `closed`: over, and nothing was taken.
    DisputeState {
        /// It waits for the shop's answer.
        Open = "open",
        /// It waits for the bank's.
        UnderReview = "under_review",
        /// The provider's word for it does not tell where the money is: it stays open until somebody has looked.
        Unclear = "unclear",
        /// The money is the shop's.
        Won = "won",
        /// The money is the buyer's. An appeal may still win it back.
        Lost = "lost",
        /// Over without a verdict, and nothing was taken by it.
        Closed = "closed",
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

    /// Money has come by it, whatever became of it.
    pub const CAPTURED: [Self; 7] = [
        Self::Paid,
        Self::Surplus,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Disputed,
        Self::PartiallyChargedBack,
        Self::ChargedBack,
    ];

    /// [`Self::LIVE`] as a statement writes it: `status IN` before it.
    pub const LIVE_SQL: &str = "('creating', 'unknown', 'pending')";

    /// Money may still come by it.
    pub fn is_live(self) -> bool {
        Self::LIVE.contains(&self)
    }

    /// Money has come by it, whatever became of it.
    pub fn is_captured(self) -> bool {
        Self::CAPTURED.contains(&self)
    }
}

impl RefundStatus {
    /// It has not come to an end.
    pub const OPEN: [Self; 4] = [Self::Pending, Self::Processing, Self::Unknown, Self::Waiting];

    /// [`Self::OPEN`] as a statement writes it: `status IN` before it.
    pub const OPEN_SQL: &str = "('pending', 'processing', 'unknown', 'waiting')";

    /// It has not come to an end.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

impl InvoiceStatus {
    /// Its word from the tax authority is still to come.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// It is nothing any more, and never will be.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Denied | Self::Cancelled)
    }
}

impl DisputeState {
    /// It can still go either way.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::UnderReview | Self::Unclear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_that_statements_name_are_those_of_the_enums() {
        let list = |words: Vec<&str>| format!("('{}')", words.join("', '"));
        assert_eq!(PaymentStatus::LIVE_SQL, list(PaymentStatus::LIVE.iter().map(|status| status.as_str()).collect()));
        assert_eq!(RefundStatus::OPEN_SQL, list(RefundStatus::OPEN.iter().map(|status| status.as_str()).collect()));
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
        for state in SaleState::ALL {
            assert_eq!(SaleState::parse(state.as_str()).ok(), Some(*state));
        }
        for status in InvoiceStatus::ALL {
            assert_eq!(InvoiceStatus::parse(status.as_str()).ok(), Some(*status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::parse(status.as_str()).ok(), Some(*status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        for state in DisputeState::ALL {
            assert_eq!(DisputeState::parse(state.as_str()).ok(), Some(*state));
        }
        for stage in DisputeStage::ALL {
            assert_eq!(DisputeStage::parse(stage.as_str()).ok(), Some(*stage));
        }
        assert!(OrderStatus::parse("lost").is_err());
    }
}
