//! Request tools that know no feature.

pub mod asker;
pub mod body;
pub mod connection;
pub mod head;
pub mod idempotency;
pub mod json;
pub mod list;
mod memory;
pub mod methods;
mod objects;
pub mod page;
pub mod rate_limit;
pub mod raw;
pub mod request_id;
pub mod storable;
pub mod who;

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptLanguage, Header};

use crate::lang::Lang;

/// The language that the browser prefers.
pub fn spoken(req: &HttpRequest) -> Lang {
    AcceptLanguage::parse(req).map(|header| Lang::accepted(&header)).unwrap_or_default()
}
