//! Where an order goes, and the public address at which it can be followed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the parcel goes: a copy, made when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShippingAddress {
    pub recipient: String,
    /// Eight digits.
    pub cep: String,
    pub street: String,
    pub number: String,
    pub complement: Option<String>,
    pub district: String,
    pub city: String,
    pub state: String,
    pub ibge_city: Option<String>,
    pub phone: Option<String>,
}

/// Where anybody with the order's number can follow it.
pub fn tracking_url(public_url: &str, number: &str) -> String {
    format!("{public_url}/tracking/{number}")
}
