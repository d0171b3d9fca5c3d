//! The Central Bank's PIX API as Efí serves it: `/bacen/oauth/token`, `/bacen/v2/cob`, `/bacen/v2/pix`.

use actix_web::web::{self, ServiceConfig};

use crate::providers::bacen::wire::{NAME, error_body, token};
use crate::providers::pix;
use crate::world::Provider;

mod charges;
pub(crate) mod received;
mod wire;

pub(crate) const PROVIDER: Provider =
    Provider { name: NAME, routes, error: error_body, webhook: Some(received::envelopes), has_key: true, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/oauth/token", web::post().to(token))
        .route("/qr/{file}", web::get().to(pix::qr))
        .configure(charges::routes)
        .configure(received::routes);
}
