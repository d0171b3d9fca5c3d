//! Being built.

pub mod cache;

use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(_cfg: &mut ServiceConfig<'_>) {}

/// What is cached about the catalog is wrong now.
pub async fn changed(_app: &crate::app::App) {}
