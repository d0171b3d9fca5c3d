//! What the shop writes about, and the subject of each in both languages.

use super::digest::Digest;
use super::facts::money;
use super::templates::Story;
use crate::lang::Lang;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Welcome,
    PasswordReset,
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
    pub const ALL: [Self; 11] = [
        Self::Welcome,
        Self::PasswordReset,
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

    /// Whether it stays unsent where an earlier mail bounced or was called spam.
    pub fn heeds_blocks(self) -> bool {
        !matches!(self, Self::PasswordReset | Self::Alert)
    }

    pub fn subject(self, story: &Story<'_>) -> String {
        let number = story.order.map_or("", |order| order.number.as_str());
        let shop = story.shop.name.as_str();
        let refund = story.refund.map(|refund| money(refund.amount_cents, story.lang)).unwrap_or_default();
        if self == Self::Alert {
            return format!("[{shop}] {}", story.digest.map(Digest::title).unwrap_or_default());
        }
        match story.lang {
            Lang::Pt => match self {
                Self::Welcome | Self::Alert => format!("Sua conta em {shop} está pronta"),
                Self::PasswordReset => format!("Redefina sua senha – {shop}"),
                Self::OrderPlaced => format!("Recebemos seu pedido {number}"),
                Self::ExpiryReminder => format!("O PIX do pedido {number} está quase vencendo"),
                Self::OrderPaid => format!("Pagamento confirmado – pedido {number}"),
                Self::OrderShipped => format!("Seu pedido {number} está a caminho"),
                Self::OrderDelivered => format!("Seu pedido {number} foi entregue"),
                Self::OrderCancelled => format!("Seu pedido {number} foi cancelado"),
                Self::Refunded => format!("Reembolso de {refund} – pedido {number}"),
                Self::Invoice => format!("Nota fiscal do pedido {number}"),
            },
            Lang::En => match self {
                Self::Welcome | Self::Alert => format!("Your account at {shop} is ready"),
                Self::PasswordReset => format!("Reset your password – {shop}"),
                Self::OrderPlaced => format!("We have your order {number}"),
                Self::ExpiryReminder => format!("The PIX for order {number} is about to expire"),
                Self::OrderPaid => format!("Payment confirmed – order {number}"),
                Self::OrderShipped => format!("Your order {number} is on its way"),
                Self::OrderDelivered => format!("Your order {number} was delivered"),
                Self::OrderCancelled => format!("Your order {number} was cancelled"),
                Self::Refunded => format!("Refund of {refund} – order {number}"),
                Self::Invoice => format!("Invoice for order {number}"),
            },
        }
    }
}
