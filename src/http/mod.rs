//! Request tools that know no feature.

pub mod head;
pub mod idempotency;
pub mod json;
pub mod list;
pub mod page;
pub mod rate_limit;
pub mod raw;
pub mod request_id;
pub mod who;

use actix_web::HttpRequest;

use crate::lang::Lang;

/// The language that the browser prefers.
pub fn spoken(req: &HttpRequest) -> Lang {
    req.headers().get("accept-language").and_then(|value| value.to_str().ok()).map(Lang::accepted).unwrap_or_default()
}
