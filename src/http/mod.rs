//! Request tools that know no feature.

pub mod client_ip;
pub mod idempotency;
pub mod json;
pub mod page;
pub mod rate_limit;
pub mod raw;
pub mod request_id;
pub mod who;
