//! Freight: every carrier is asked at once; the price is signed for the checkout; it is estimated when all carriers are away.
//! Also the shop's own rules: packing (`packing`), free freight (`free`) and pickup.

mod carriers;
mod free;
mod freight;
mod history;
mod http;
pub mod packing;
mod parcel;
pub mod quote;
mod region;
mod settings;

use serde_json::Value;
use vitrine_kit::Money;
use vitrine_kit::shipping::Volume;

pub use free::Free;
pub use http::routes;
pub use quote::{Quote, QuotedItem};
pub use settings::ShippingSettings;

/// The provider of pickup orders: nothing is sent, no label is bought.
pub const PICKUP: &str = "pickup";

/// One service of a carrier, before it is signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offer {
    provider: String,
    carrier: String,
    service: String,
    service_code: String,
    price: Money,
    /// Working days with the carrier.
    days: u32,
    /// The provider's boxes; empty: ours.
    volumes: Vec<Volume>,
    /// The provider's answer about it.
    answer: Value,
}
