//! A freight quote that the client carries for us: signed, bound to destination, items and price, and good for half an hour.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_kit::Money;

use crate::error::{Error, Result};
use crate::ids::VariantId;
use crate::seal::Keys;

/// How long checkout takes a quote, in seconds.
pub const VALIDITY_S: i64 = 30 * 60;
/// No quote of ours is longer, not even that of the fullest cart.
const MAX_TOKEN: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuotedItem {
    #[serde(rename = "v")]
    pub variant: VariantId,
    #[serde(rename = "q")]
    pub quantity: i32,
}

/// One option of one answer. Short names: it travels inside the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub id: Uuid,
    /// Destination, 8 digits.
    pub cep: String,
    /// In variant order, each variant once.
    pub items: Vec<QuotedItem>,
    #[serde(rename = "pr")]
    pub provider: String,
    #[serde(rename = "ca")]
    pub carrier: String,
    #[serde(rename = "se")]
    pub service: String,
    #[serde(rename = "sc")]
    pub service_code: String,
    /// What the carrier asks, in centavos; never zero.
    #[serde(rename = "ct")]
    pub price: Money,
    /// Working days until delivery, handling included.
    #[serde(rename = "d")]
    pub days: u32,
    /// From past quotes, because no carrier could be asked.
    #[serde(rename = "es", default, skip_serializing_if = "std::ops::Not::not")]
    pub estimate: bool,
    /// Unix seconds.
    #[serde(rename = "ex")]
    pub expires_at: i64,
    /// What the carrier was told, for the day the price is disputed.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Value>,
}

impl Quote {
    /// The token that a client carries to the checkout.
    pub fn seal(&self, keys: &Keys) -> String {
        keys.sign(&serde_json::to_vec(self).expect("strings, integers and plain JSON always serialise"))
    }

    /// Reads a token back. One that is forged, changed or too old is an invalid field (422).
    pub fn open(keys: &Keys, token: &str, now: Timestamp) -> Result<Self> {
        let signed = if token.len() <= MAX_TOKEN { keys.verify(token) } else { None };
        let quote = signed.and_then(|payload| serde_json::from_slice::<Self>(&payload).ok());
        let quote = quote.ok_or_else(|| Error::field("quote_token", "is not one of ours: ask for the freight again"))?;
        if now.as_second() >= quote.expires_at {
            return Err(Error::field("quote_token", "has expired: ask for the freight again"));
        }
        Ok(quote)
    }

    /// Whether it was asked for exactly these items (in any order, each variant once) and this CEP of 8 digits.
    pub fn fits(&self, items: &[(VariantId, i32)], cep: &str) -> Result<()> {
        if self.cep != cep {
            return Err(Error::field("quote_token", "is for another CEP: ask for the freight again"));
        }
        let mut wanted: Vec<QuotedItem> = items.iter().map(|&(variant, quantity)| QuotedItem { variant, quantity }).collect();
        wanted.sort_unstable();
        if self.items != wanted {
            return Err(Error::field("quote_token", "is for other items than the cart's: ask for the freight again"));
        }
        Ok(())
    }

    /// What was asked and answered, in full words, for `orders.freight_quote`.
    pub fn record(&self) -> Value {
        let items: Vec<Value> =
            self.items.iter().map(|item| json!({"variant_id": item.variant, "quantity": item.quantity})).collect();
        json!({
            "id": self.id,
            "cep": self.cep,
            "items": items,
            "asked": self.asked,
            "provider": self.provider,
            "carrier": self.carrier,
            "service": self.service,
            "service_code": self.service_code,
            "price_cents": self.price,
            "days": self.days,
            "estimate": self.estimate,
            "expires_at": Timestamp::from_second(self.expires_at).ok(),
        })
    }
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
