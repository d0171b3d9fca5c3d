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
}
