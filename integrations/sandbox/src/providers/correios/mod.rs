//! Correios under a contract: `/correios/token/…`, prices and deadlines, and where parcels are.

use actix_web::web::{self, ServiceConfig};

use crate::providers::correios::wire::{error_body, token};
use crate::world::Provider;

mod prices;
mod track;
mod wire;

pub(crate) const PROVIDER: Provider = Provider { name: "correios", routes, error: error_body, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/token/v1/autentica/cartaopostagem", web::post().to(token)).configure(prices::routes).configure(track::routes);
}
