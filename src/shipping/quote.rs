//! A freight quote that the client keeps for us: signed, bound to destination, items and price, and valid for half an hour.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::shipping::Volume;

use super::{Free, PICKUP};
use crate::error::{Error, Result};
use crate::ids::VariantId;
use crate::seal::Keys;

/// How long the checkout accepts a quote, in seconds.
pub const VALIDITY_S: i64 = 30 * 60;
/// The longest token that is read; ours are shorter, even for a full cart.
const MAX_TOKEN: usize = 32 * 1024;
/// A longer token leaves out the carrier's answer.
const MAX_WITH_ANSWER: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuotedItem {
    #[serde(rename = "v")]
    pub variant: VariantId,
    #[serde(rename = "q")]
    pub quantity: i32,
}

/// One option of one answer. Field names are short because they travel in the token.
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
    /// The carrier's price in centavos; zero only for pickup.
    #[serde(rename = "ct")]
    pub price: Money,
    /// Working days until delivery, handling included.
    #[serde(rename = "d")]
    pub days: u32,
    /// From past quotes, because no carrier answered.
    #[serde(rename = "es", default, skip_serializing_if = "std::ops::Not::not")]
    pub estimate: bool,
    /// Unix seconds.
    #[serde(rename = "ex")]
    pub expires_at: i64,
    /// What the carrier was asked, for a dispute about the price.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Value>,
    /// The boxes that the price is for.
    #[serde(rename = "vo", default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// What the carrier answered, for the same; null where it would be too long.
    #[serde(rename = "an", default, skip_serializing_if = "Value::is_null")]
    pub answer: Value,
    /// Why the buyer was shown free freight.
    #[serde(rename = "fr", default, skip_serializing_if = "Option::is_none")]
    pub free: Option<Free>,
}

impl Quote {
    /// The token for the client.
    pub fn seal(&self, keys: &Keys) -> String {
        let sign =
            |quote: &Self| keys.sign(&serde_json::to_vec(quote).expect("strings, integers and plain JSON always serialise"));
        let token = sign(self);
        if token.len() <= MAX_WITH_ANSWER || self.answer.is_null() {
            return token;
        }
        sign(&Self { answer: Value::Null, ..self.clone() })
    }

    /// Reads a token. One that is forged, changed or expired is an invalid field (422).
    pub fn open(keys: &Keys, token: &str, now: Timestamp) -> Result<Self> {
        let signed = if token.len() <= MAX_TOKEN { keys.verify(token) } else { None };
        let quote = signed.and_then(|payload| serde_json::from_slice::<Self>(&payload).ok());
        let quote = quote.ok_or_else(|| Error::field("quote_token", "is not one of ours: ask for the freight again"))?;
        if now.as_second() >= quote.expires_at {
            return Err(Error::field("quote_token", "has expired: ask for the freight again"));
        }
        Ok(quote)
    }

    /// Checks that it was quoted for exactly these items (in any order, each variant once) and this CEP of 8 digits.
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

    /// The freight that the buyer pays, and why it may be zero. `goods`: the present subtotal less the coupon. Freight that was
    /// shown as free and no longer is gets refused (422): nobody pays more than they were shown, and nothing is free by accident.
    pub fn charge(&self, goods: Money, coupon_frees: bool) -> Result<(Money, Option<Free>)> {
        if self.provider == PICKUP {
            return Ok((Money::ZERO, Some(Free::Pickup)));
        }
        if self.price <= Money::ZERO {
            return Err(Error::field("quote_token", "has no price: ask for the freight again"));
        }
        match self.free {
            Some(Free::Rule { min_subtotal_cents }) if goods < min_subtotal_cents && !coupon_frees => {
                let message = format!(
                    "is free from {min_subtotal_cents} on, and the goods are {goods} with this coupon: ask for the freight of the cart again, with the coupon in it"
                );
                Err(Error::field("quote_token", message))
            }
            Some(free @ Free::Rule { min_subtotal_cents }) if goods >= min_subtotal_cents => Ok((Money::ZERO, Some(free))),
            _ if coupon_frees => Ok((Money::ZERO, Some(Free::Coupon))),
            None => Ok((self.price, None)),
            Some(_) => Err(Error::field("quote_token", "is free with a coupon that is gone: ask for the freight again")),
        }
    }

    /// Question and answer with full field names, for `orders.freight_quote`. `free`: why the buyer pays nothing.
    pub fn record(&self, free: Option<Free>) -> Value {
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
            "volumes": self.volumes, // read again when the label is bought
            "answer": self.answer,
            "free": free,
        })
    }
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
