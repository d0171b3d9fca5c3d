//! Freight: asked of every carrier at once, signed so that checkout can trust it, estimated from the past when all are away.

mod carriers;
mod freight;
mod history;
mod http;
mod parcel;
pub mod quote;

use vitrine_kit::Money;

pub use carriers::Carriers;
pub use http::routes;
pub use quote::{Quote, QuotedItem};

/// One service that would carry the parcel, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    provider: String,
    carrier: String,
    service: String,
    service_code: String,
    price: Money,
    /// Working days in the carrier's hands.
    days: u32,
}
