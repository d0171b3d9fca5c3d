//! Stripe: card payments, refunds, disputes, and the events about them.

use actix_web::web::ServiceConfig;

use crate::providers::stripe::wire::{NAME, error_body};
use crate::world::Provider;

pub(crate) mod card;
pub(crate) mod disputes;
mod intents;
pub(crate) mod refunds;
mod view;
mod wire;

pub(crate) const PROVIDER: Provider = Provider {
    name: NAME,
    routes,
    error: error_body,
    webhook: Some(view::envelopes),
    stamp: Some(view::stamp),
    stores_failures: true,
    has_key: true,
};

fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(intents::routes).configure(refunds::routes).configure(disputes::routes);
}
