//! The capability that a mail carries.

use crate::ids::{EmailChangeId, MessageId, OrderId, PrivacyRequestId, ResetId};
use crate::mail::kind::Kind;
use crate::seal::Keys;

/// What the link in a mail opens. Its token is made when the mail is sent, and not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The mail has no link that opens anything.
    None,
    Order(OrderId),
    Invoice(OrderId),
    Reset(ResetId),
    EmailChange(EmailChangeId),
    Privacy(PrivacyRequestId),
}

impl Link {
    /// The link of a mail that is in the table: `event` is its key, `<kind>:<id>…`.
    pub fn of(kind: Option<Kind>, order: Option<OrderId>, event: &str) -> Self {
        let id = event.split(':').nth(1).unwrap_or_default();
        match (kind, order) {
            (Some(Kind::Invoice), Some(order)) => Self::Invoice(order),
            (Some(Kind::PasswordReset), _) => id.parse().map_or(Self::None, Self::Reset),
            (Some(Kind::EmailConfirm), _) => id.parse().map_or(Self::None, Self::EmailChange),
            (Some(Kind::PrivacyRequest), _) => id.parse().map_or(Self::None, Self::Privacy),
            (_, Some(order)) => Self::Order(order),
            _ => Self::None,
        }
    }

    /// The token. It is the same for every try to send this message: a link's life begins when the message was written.
    pub fn token(self, keys: &Keys, message: MessageId) -> String {
        match self {
            Self::None => String::new(),
            Self::Order(order) => keys.order_token(order, message.made_at()),
            Self::Invoice(order) => keys.invoice_token(order, message.made_at()),
            Self::Reset(reset) => keys.reset_token(reset),
            Self::EmailChange(change) => keys.email_change_token(change),
            Self::Privacy(request) => keys.privacy_token(request),
        }
    }
}
