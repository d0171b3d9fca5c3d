//! The kinds of messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageKind)]
pub enum Kind {
    Welcome,
    PasswordReset,
    EmailConfirm,
    EmailChanged,
    PasswordChanged,
    PrivacyRequest,
    OrderLink,
    OrderPlaced,
    ExpiryReminder,
    OrderPaid,
    OrderShipped,
    OrderDelivered,
    OrderCancelled,
    Refunded,
    Invoice,
    Alert,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::Welcome,
        Self::PasswordReset,
        Self::EmailConfirm,
        Self::EmailChanged,
        Self::PasswordChanged,
        Self::PrivacyRequest,
        Self::OrderLink,
        Self::OrderPlaced,
        Self::ExpiryReminder,
        Self::OrderPaid,
        Self::OrderShipped,
        Self::OrderDelivered,
        Self::OrderCancelled,
        Self::Refunded,
        Self::Invoice,
        Self::Alert,
    ];

    /// The word in the table, in the provider's key and tag, and in the templates' names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::PasswordReset => "password_reset",
            Self::EmailConfirm => "email_confirm",
            Self::EmailChanged => "email_changed",
            Self::PasswordChanged => "password_changed",
            Self::PrivacyRequest => "privacy_request",
            Self::OrderLink => "order_link",
            Self::OrderPlaced => "order_placed",
            Self::ExpiryReminder => "expiry_reminder",
            Self::OrderPaid => "order_paid",
            Self::OrderShipped => "order_shipped",
            Self::OrderDelivered => "order_delivered",
            Self::OrderCancelled => "order_cancelled",
            Self::Refunded => "refunded",
            Self::Invoice => "invoice",
            Self::Alert => "alert",
        }
    }

    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether it is not sent to an address that bounced or complained.
    pub fn heeds_blocks(self) -> bool {
        !matches!(self, Self::PasswordReset | Self::EmailConfirm | Self::PrivacyRequest | Self::Alert)
    }

    /// Its place among the mails that wait for a call together: the lowest goes first. `None`: it always has a call of its own, because
    /// somebody waits for its link, or because it warns of a stranger.
    pub fn batch_rank(self) -> Option<i16> {
        match self {
            Self::PasswordReset
            | Self::EmailConfirm
            | Self::EmailChanged
            | Self::PasswordChanged
            | Self::PrivacyRequest
            | Self::OrderLink
            | Self::Alert => None,
            Self::OrderPlaced | Self::OrderPaid | Self::ExpiryReminder | Self::Refunded => Some(0),
            Self::Welcome | Self::OrderShipped | Self::OrderDelivered | Self::OrderCancelled | Self::Invoice => Some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::mail_goes_first;

    #[test]
    fn a_mail_that_always_goes_alone_is_also_written_before_the_others() {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Alert) {
            assert_eq!(mail_goes_first(&format!("mail_{}", kind.word())), kind.batch_rank().is_none(), "{kind:?}");
        }
    }
}
