//! What providers tell us: verified over the raw bytes, then taken once, with its effect, in one transaction.

pub mod inbox;
mod payment;
mod resend;

use utoipa_actix_web::service_config::ServiceConfig;

pub use payment::replay;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(payment::payment).service(resend::resend);
}
