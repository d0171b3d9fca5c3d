//! Freight: asked of every carrier at once, signed so that checkout can trust it, estimated from the past when all are away.
//! The shop's own part: how goods become boxes (`packing`), when freight is free (`free`), and that one may fetch them.

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
pub use region::state_of;
pub use settings::ShippingSettings;

/// The provider of orders that the buyer fetches: nothing is sent, no label is bought.
pub const PICKUP: &str = "pickup";

/// One service that would carry the parcel, before it is signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offer {
    provider: String,
    carrier: String,
    service: String,
    service_code: String,
    price: Money,
    /// Working days in the carrier's hands.
    days: u32,
    /// As the provider packed it; empty: as we did.
    volumes: Vec<Volume>,
    /// The provider's own words about it.
    answer: Value,
}
