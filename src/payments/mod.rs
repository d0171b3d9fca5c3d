//! Being built.

use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(_cfg: &mut ServiceConfig<'_>) {}
pub mod check;
pub mod pay;
pub mod reconcile;
pub mod refund;
pub mod void;
