//! What all calls of OpenPix share: the app id, the limit, errors.

use std::sync::atomic::Ordering;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::books::{Books, Call, Charge};
use crate::world::World;
use crate::world::orders::Refused;

pub(crate) const NAME: &str = "openpix";
pub(crate) const TEXT_MAX: usize = 140;
/// So many of a list come at once.
pub(crate) const PAGE: usize = 100;

/// There is no code: a status and a sentence.
pub(crate) struct Failure(pub(crate) u16, pub(crate) String);

pub(crate) type Answer = Result<HttpResponse, Failure>;

pub(crate) fn refuse<T>(why: &str) -> Result<T, Failure> {
    Err(Failure(400, why.to_owned()))
}

impl From<Refused> for Failure {
    fn from(why: Refused) -> Self {
        let text = match why {
            Refused::NotFound => "Cobrança não encontrada".into(),
            Refused::AlreadyPaid => "A cobrança já foi paga".into(),
            Refused::RefundExceedsPayment => "O valor do reembolso é maior que o valor disponível".into(),
            Refused::NoBalance => "Saldo insuficiente para o reembolso".into(),
            Refused::NotPayable(_) | Refused::Invalid(_) => why.to_string(),
        };
        Failure(400, text)
    }
}

pub(crate) fn error_body(status: u16) -> Value {
    json!({"error": match status {
        401 | 403 => "appID inválido",
        404 => "Not Found",
        429 => "Too Many Requests",
        400..=499 => "Requisição inválida",
        _ => "Internal Server Error",
    }})
}

/// This call is one too many within a second, where they count.
fn is_too_fast(world: &World) -> bool {
    let allowed = world.openpix_calls_per_second.load(Ordering::Relaxed) as usize;
    let since = Timestamp::now() - SignedDuration::from_secs(1);
    let is_ours = |call: &&Call| call.provider == NAME;
    let calls = || world.read(|books| books.calls().rev().take_while(|call| call.at > since).filter(is_ours).count());
    allowed > 0 && calls() > allowed
}

pub(crate) fn guarded(req: &HttpRequest, world: &World, inside: impl FnOnce() -> Answer) -> HttpResponse {
    let app_id = req.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("");
    if app_id != world.cfg.openpix_app_id || world.is_revoked(NAME) {
        return HttpResponse::Unauthorized().json(error_body(401));
    }
    if is_too_fast(world) {
        return HttpResponse::TooManyRequests().json(error_body(429));
    }
    inside().unwrap_or_else(|Failure(status, why)| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        HttpResponse::build(status).json(json!({"error": why}))
    })
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure(400, error.to_string()))
}

/// By correlationID, or by any of the ids that they gave it.
pub(crate) fn find(books: &Books, id: &str) -> Result<Charge, Failure> {
    let theirs = |c: &&Charge| c.provider == NAME && (c.extra["paymentLinkID"] == id || c.extra["globalID"] == id);
    let found = books.charge_at(NAME, id).or_else(|| books.charges().iter().find(theirs));
    found.cloned().ok_or(Refused::NotFound.into())
}
