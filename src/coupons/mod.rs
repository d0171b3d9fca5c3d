//! Coupons: a share, an amount or the freight. The rules here are pure. The limit of uses is enforced by the row
//! (`UPDATE … WHERE uses < max_uses` in the checkout's transaction).

mod http;
mod input;
mod store;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::error::{Error, Result};
use crate::ids::CouponId;

pub use http::routes;

#[cfg(test)]
mod tests;

/// The longest code, in characters.
pub const MAX_CODE: usize = 40;

/// What a coupon takes off: `percent` of the subtotal, a `fixed` amount, or the freight (`free_shipping`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CouponKind)]
pub enum Kind {
    /// `value` per cent of the subtotal.
    Percent,
    /// `value` centavos.
    Fixed,
    /// The freight; `value` is 0.
    FreeShipping,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Fixed => "fixed",
            Self::FreeShipping => "free_shipping",
        }
    }

    /// Reads the column; its CHECK allows no other words.
    fn of(text: &str) -> Self {
        match text {
            "percent" => Self::Percent,
            "fixed" => Self::Fixed,
            _ => Self::FreeShipping,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    pub id: CouponId,
    pub code: String,
    pub kind: Kind,
    /// Per cent, centavos, or 0: see [`Kind`].
    pub value: i64,
    pub min_subtotal: Option<Money>,
    /// The discount never exceeds this.
    pub max_discount: Option<Money>,
    pub starts_at: Option<Timestamp>,
    /// The end; at this moment it is over.
    pub ends_at: Option<Timestamp>,
    pub max_uses: Option<i32>,
    pub max_uses_per_customer: Option<i32>,
    pub uses: i32,
    pub active: bool,
}

impl Coupon {
    /// Reads a row of `coupons`.
    pub fn from_row(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            code: row.get("code"),
            kind: Kind::of(row.get("kind")),
            value: row.get("value"),
            min_subtotal: row.get("min_subtotal_cents"),
            max_discount: row.get("max_discount_cents"),
            starts_at: row.get("starts_at"),
            ends_at: row.get("ends_at"),
            max_uses: row.get("max_uses"),
            max_uses_per_customer: row.get("max_uses_per_customer"),
            uses: row.get("uses"),
            active: row.get("active"),
        }
    }

    /// The discount on this subtotal, at most the subtotal; half a centavo is rounded up.
    pub fn discount(&self, subtotal: Money) -> Money {
        let wanted = match self.kind {
            Kind::Percent => subtotal.percent(u8::try_from(self.value.clamp(0, 100)).unwrap_or(0)),
            Kind::Fixed => Money::from_cents(self.value),
            Kind::FreeShipping => Money::ZERO,
        };
        let capped = self.max_discount.map_or(wanted, |most| wanted.min(most));
        capped.min(subtotal).max(Money::ZERO)
    }

    /// Whether the buyer pays no freight.
    pub fn frees_shipping(&self) -> bool {
        self.kind == Kind::FreeShipping
    }

    /// Why it cannot be used on this subtotal now, in words for the buyer; `None`: it can be used.
    /// The limit per person needs their CPF or CNPJ: see [`Coupon::refusal_to`].
    pub fn refusal(&self, subtotal: Money, now: Timestamp) -> Option<&'static str> {
        if !self.active {
            Some("This coupon is no longer active")
        } else if self.starts_at.is_some_and(|start| now < start) {
            Some("This coupon is not valid yet")
        } else if self.ends_at.is_some_and(|end| now >= end) {
            Some("This coupon has expired")
        } else if self.max_uses.is_some_and(|most| self.uses >= most) {
            Some("This coupon is used up")
        } else if self.min_subtotal.is_some_and(|least| subtotal < least) {
            Some("The subtotal is below this coupon's minimum")
        } else {
            None
        }
    }

    /// The same, for a person who has used it `person_uses` times.
    pub fn refusal_to(&self, person_uses: i64, subtotal: Money, now: Timestamp) -> Option<&'static str> {
        let spent = self.max_uses_per_customer.is_some_and(|most| person_uses >= i64::from(most));
        self.refusal(subtotal, now).or(spent.then_some("You have already used this coupon"))
    }
}

/// A code as it is stored: trimmed, upper case, 1 to 40 of `A-Z 0-9 _ -`. Any other text is refused: 422.
pub fn normalise(code: &str) -> Result<String> {
    let code = code.trim().to_ascii_uppercase();
    let sane = (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if sane { Ok(code) } else { Err(Error::field("code", "must be 1 to 40 letters, digits, '_' or '-'")) }
}
