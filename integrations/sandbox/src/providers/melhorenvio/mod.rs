//! Melhor Envio: freight quotes, labels, and what happens to the parcels.

use actix_web::web::ServiceConfig;

use crate::providers::melhorenvio::wire::{NAME, error_body};
use crate::world::Provider;

pub(crate) mod labels;
pub(crate) mod news;
pub(crate) mod parcels;
mod print;
mod quotes;
mod wanted;
mod wire;

pub(crate) const PROVIDER: Provider = Provider { name: NAME, routes, error: error_body, has_key: true, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(quotes::routes).configure(labels::routes);
}
