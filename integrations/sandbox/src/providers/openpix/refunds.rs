//! OpenPix's refunds: `/openpix/api/v1/charge/{id}/refund`.

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::books::{Extra, RefundOrigin};
use crate::formats::signature;
use crate::providers::openpix::view::refund_view;
use crate::providers::openpix::wire::{TEXT_MAX, find, guarded, parse, refuse};
use crate::providers::pix;
use crate::world::World;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v1/charge/{id}/refund", web::post().to(refund))
        .route("/api/v1/charge/{id}/refund", web::get().to(list_refunds));
}

#[derive(Deserialize)]
struct NewRefund {
    #[serde(rename = "correlationID")]
    correlation_id: String,
    /// The rest, if it is not there.
    value: Option<i64>,
    #[serde(default)]
    comment: String,
}

async fn refund(req: HttpRequest, world: Data<World>, id: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let new: NewRefund = parse(&body)?;
        if new.correlation_id.trim().is_empty() || new.comment.chars().count() > TEXT_MAX {
            return refuse("correlationID ou comment inválido");
        }
        let refund = world.write(|books| {
            let charge = find(books, &id)?;
            if !charge.status.was_paid() {
                return refuse("A cobrança não foi paga");
            }
            if books.refunds.get(&new.correlation_id).is_some() {
                return refuse("Já existe um reembolso com este correlationID");
            }
            let amount_cents = new.value.unwrap_or_else(|| pix::refundable(books, &charge));
            if amount_cents <= 0 {
                return refuse("O valor do reembolso deve ser maior que zero");
            }
            let NewRefund { correlation_id: refund_id, comment: reason, .. } = new;
            let request_hash = signature::sha256_hex(&body);
            let new = pix::NewRefund {
                refund_id,
                amount_cents,
                reason,
                request_hash,
                origin: RefundOrigin::Shop,
                extra: Extra::default(),
            };
            Ok(pix::refund(&world, books, &charge, new)?)
        })?;
        Ok(HttpResponse::Ok().json(json!({"refund": refund_view(&refund)})))
    })
}

async fn list_refunds(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let charge = find(books, &id)?;
            let refunds: Vec<Value> = books.refunds_of(&charge.payment_id).map(refund_view).collect();
            Ok(HttpResponse::Ok().json(json!({"refunds": refunds})))
        })
    })
}
