//! The methods of payment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A method of payment: `pix` or `credit_card`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentMethod)]
pub enum Method {
    Pix,
    CreditCard,
}

impl Method {
    pub const ALL: [Self; 2] = [Self::Pix, Self::CreditCard];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pix => "pix",
            Self::CreditCard => "credit_card",
        }
    }

    /// Reads a row. Unknown values map to `CreditCard`.
    pub fn of(text: &str) -> Self {
        if text == "pix" { Self::Pix } else { Self::CreditCard }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pix => "PIX",
            Self::CreditCard => "Cartão de crédito",
        }
    }
}
