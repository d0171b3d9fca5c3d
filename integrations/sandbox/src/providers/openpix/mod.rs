//! OpenPix (Woovi): charges, their refunds, and what it tells the shop.

use actix_web::web::{self, ServiceConfig};

use crate::providers::openpix::wire::{NAME, error_body};
use crate::providers::pix;
use crate::world::Provider;

mod charges;
pub(crate) mod disputes;
pub(crate) mod key;
mod refunds;
mod transactions;
mod view;
mod webhook;
mod wire;

pub(crate) const PROVIDER: Provider =
    Provider { name: NAME, routes, error: error_body, webhook: Some(webhook::envelopes), has_key: true, ..Provider::SILENT };

fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(charges::routes)
        .configure(refunds::routes)
        .configure(disputes::routes)
        .configure(transactions::routes)
        .route("/qr/{file}", web::get().to(pix::qr));
}
