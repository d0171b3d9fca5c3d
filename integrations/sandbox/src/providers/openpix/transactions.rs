//! A settled PIX at OpenPix, by its end-to-end id or its txid: it alone says which charge it paid.

use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use crate::books::Charge;
use crate::formats::time::wire_time_ms;
use crate::providers::openpix::view::{customer_view, status_of};
use crate::providers::openpix::wire::{NAME, guarded, refuse};
use crate::world::World;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v1/transaction/{id}", web::get().to(show));
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let is_it = |charge: &&Charge| {
                charge.provider == NAME && (charge.end_to_end_id.as_deref() == Some(id.as_str()) || charge.txid == *id)
            };
            match books.charges().iter().rev().find(is_it).and_then(view) {
                Some(transaction) => Ok(HttpResponse::Ok().json(json!({"transaction": transaction}))),
                None => refuse("Transaction not found"),
            }
        })
    })
}

/// `None`: it was not paid.
fn view(charge: &Charge) -> Option<Value> {
    let at = wire_time_ms(charge.paid_at?);
    Some(json!({
        "customer": charge.payer.as_ref().map(customer_view),
        "charge": {"status": status_of(charge), "correlationID": charge.payment_id, "createdAt": wire_time_ms(charge.created_at)},
        "infoPagador": "",
        "value": charge.paid_cents,
        "time": at,
        "transactionID": charge.txid,
        "type": "PAYMENT",
        "endToEndId": charge.end_to_end_id,
    }))
}
