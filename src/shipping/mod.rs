//! Freight: asked of every carrier at once, signed so that checkout can trust it, estimated from the past when all are away.

pub mod quote;

use utoipa_actix_web::service_config::ServiceConfig;

pub use quote::{Quote, QuotedItem};

pub fn routes(_cfg: &mut ServiceConfig<'_>) {}
