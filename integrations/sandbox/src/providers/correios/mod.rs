//! Correios under a contract: `/correios/token/…`, prices and deadlines, and where parcels are.

use actix_web::web::{self, ServiceConfig};

use crate::providers::correios::wire::{NAME, error_body, token};
use crate::world::Provider;

mod prices;
mod track;
mod wire;

pub(crate) const PROVIDER: Provider = Provider { name: NAME, routes, error: error_body, has_key: true, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/token/v1/autentica/cartaopostagem", web::post().to(token)).configure(prices::routes).configure(track::routes);
}
