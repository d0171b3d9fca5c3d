//! ProPay, the private PIX gateway: `/propay/v1/payments` and its refunds.

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Charge, ChargeStatus, Extra, Payer, Refund, RefundOrigin};
use crate::formats::time::wire_time;
use crate::formats::{brcode, documents, signature};
use crate::providers::pix;
use crate::providers::propay::webhook::NO_BALANCE;
use crate::world::orders::Refused;
use crate::world::{Provider, World};

mod webhook;

pub(crate) const PROVIDER: Provider =
    Provider { name: "propay", routes, error: error_body, webhook: Some(webhook::envelopes), has_key: true, ..Provider::SILENT };

const AMOUNT_MAX_CENTS: i64 = 10_000_000_000;
const EXPIRES_MAX_S: i64 = 7 * 24 * 3600;
const TEXT_MAX: usize = 140;

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v1/payments", web::post().to(create))
        .route("/v1/payments/{id}", web::get().to(show))
        .route("/v1/payments/{id}", web::delete().to(void))
        .route("/v1/payments/{id}/refunds", web::post().to(refund))
        .route("/v1/payments/{id}/refunds/{refund_id}", web::get().to(show_refund))
        .route("/health", web::get().to(health))
        .route("/qr/{file}", web::get().to(pix::qr));
}

/// An answer that is not a success: status, code, message, field.
struct Failure(u16, &'static str, String, Option<&'static str>);

type Answer = Result<HttpResponse, Failure>;

fn fail<T>(status: u16, code: &'static str, message: &str, field: &'static str) -> Result<T, Failure> {
    Err(Failure(status, code, message.to_owned(), (!field.is_empty()).then_some(field)))
}

impl From<Refused> for Failure {
    fn from(why: Refused) -> Self {
        let (status, code) = match why {
            Refused::NotFound => (404, "not_found"),
            Refused::AlreadyPaid => (409, "already_paid"),
            Refused::RefundExceedsPayment => (409, "refund_exceeds_payment"),
            Refused::NoBalance => (422, NO_BALANCE),
            Refused::NotPayable(_) | Refused::Invalid(_) => (422, "invalid_request"),
        };
        Failure(status, code, why.to_string(), None)
    }
}

fn error_body(status: u16) -> Value {
    let code = match status {
        401 | 403 => "invalid_token",
        404 => "not_found",
        409 => "idempotency_conflict",
        429 => "rate_limited",
        400..=499 => "invalid_request",
        _ => "provider_unavailable",
    };
    json!({"error": {"code": code, "message": "ordered by the sandbox's control"}, "request_id": Uuid::now_v7()})
}

/// Checks the token, then answers; every answer carries the caller's request id.
fn guarded(req: &HttpRequest, world: &World, inside: impl FnOnce() -> Answer) -> HttpResponse {
    let request_id = match header(req, "x-request-id") {
        "" => Uuid::now_v7().to_string(),
        given => given.to_owned(),
    };
    let mut answer = match authorize(req, world).and_then(|()| inside()) {
        Ok(answer) => answer,
        Err(Failure(status, code, message, field)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut error = json!({"code": code, "message": message});
            if let Some(field) = field {
                error["field"] = json!(field);
            }
            HttpResponse::build(status).json(json!({"error": error, "request_id": request_id}))
        }
    };
    if let Ok(value) = request_id.parse() {
        let name = actix_web::http::header::HeaderName::from_static("x-request-id");
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn header<'a>(req: &'a HttpRequest, name: &str) -> &'a str {
    req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn authorize(req: &HttpRequest, world: &World) -> Result<(), Failure> {
    let Some(token) = header(req, "authorization").strip_prefix("Bearer ") else {
        return fail(401, "invalid_token", "there is no bearer token", "");
    };
    if world.is_revoked(PROVIDER.name) {
        return fail(401, "invalid_token", "the token's signature is wrong", "");
    }
    let now = Timestamp::now().as_second();
    signature::check_jwt(token, &world.cfg.propay_incoming_secret, "propay", now)
        .or_else(|why| fail(401, "invalid_token", why, ""))
}

/// The JSON body of a POST, and its hash: a repeat must be the same document, however it is spelled.
fn parse<T: serde::de::DeserializeOwned>(req: &HttpRequest, body: &[u8]) -> Result<(T, String), Failure> {
    if !header(req, "content-type").starts_with("application/json") {
        return fail(400, "invalid_request", "the content type is not application/json", "");
    }
    let bad = |error: serde_json::Error| Failure(400, "invalid_request", error.to_string(), None);
    let document: Value = serde_json::from_slice(body).map_err(bad)?;
    let hash = signature::sha256_hex(document.to_string().as_bytes()); // a map's keys are sorted
    Ok((serde_json::from_value(document).map_err(bad)?, hash))
}

fn check_key(req: &HttpRequest, id: &str, field: &'static str) -> Result<(), Failure> {
    if header(req, "idempotency-key") != id {
        return fail(400, "invalid_request", "the Idempotency-Key must be there and equal the id in the body", field);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
        return fail(422, "invalid_request", "an id has 1 to 64 letters, digits, - and _", field);
    }
    Ok(())
}

#[derive(Deserialize)]
struct NewPayment {
    payment_id: String,
    order_id: String,
    amount_cents: i64,
    currency: String,
    expires_in: i64,
    #[serde(default)]
    description: String,
    payer: Option<Payer>,
}

impl NewPayment {
    fn check(&self) -> Result<(), Failure> {
        if !(1..=AMOUNT_MAX_CENTS).contains(&self.amount_cents) {
            return fail(422, "invalid_amount", "the amount is not positive, or too large", "amount_cents");
        }
        if self.currency != "BRL" {
            return fail(422, "invalid_request", "the currency is not BRL", "currency");
        }
        if !(1..=EXPIRES_MAX_S).contains(&self.expires_in) {
            return fail(422, "invalid_request", "a charge lives from one second to seven days", "expires_in");
        }
        if self.order_id.is_empty() {
            return fail(422, "invalid_request", "the order id is empty", "order_id");
        }
        if self.description.chars().count() > TEXT_MAX {
            return fail(422, "invalid_request", "the description is longer than 140 characters", "description");
        }
        let Some(payer) = &self.payer else {
            return Ok(());
        };
        if payer.name.trim().is_empty() {
            return fail(422, "invalid_payer", "the payer has no name", "payer.name");
        }
        if !documents::is_tax_id(&payer.tax_id) {
            return fail(422, "invalid_payer", "not a CPF or CNPJ", "payer.tax_id");
        }
        if payer.email.as_ref().is_some_and(|email| !email.contains('@')) {
            return fail(422, "invalid_payer", "not an e-mail address", "payer.email");
        }
        Ok(())
    }

    fn charge(self, world: &World, request_hash: String) -> Charge {
        // A txid has 26 to 35 letters and digits: the id without dashes, or a hash of a strange id.
        let txid = match Uuid::parse_str(&self.payment_id) {
            Ok(id) => id.simple().to_string(),
            Err(_) => signature::sha256_hex(self.payment_id.as_bytes())[..32].to_owned(),
        };
        let url = format!("pix.sandbox.invalid/v2/{txid}");
        let now = Timestamp::now();
        Charge {
            provider: PROVIDER.name.to_owned(),
            copy_paste: brcode::dynamic(&url, &world.cfg.merchant_name, &world.cfg.merchant_city),
            txid,
            payment_id: self.payment_id,
            order_id: self.order_id,
            status: ChargeStatus::Pending,
            amount_cents: self.amount_cents,
            paid_cents: None,
            refunded_cents: 0,
            description: self.description,
            payer: self.payer,
            created_at: now,
            expires_at: now.saturating_add(SignedDuration::from_secs(self.expires_in)).unwrap_or(now),
            paid_at: None,
            end_to_end_id: None,
            request_hash,
            card: None,
            extra: Extra::default(),
        }
    }
}

async fn create(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let (new, hash) = parse::<NewPayment>(&req, &body)?;
        check_key(&req, &new.payment_id, "payment_id")?;
        let (mut answer, charge) = world.write(|books| {
            if let Some(old) = books.charges.get(&new.payment_id) {
                if old.request_hash != hash {
                    return fail(409, "idempotency_conflict", "the same key with another body", "payment_id");
                }
                return Ok((HttpResponse::Ok(), old.clone()));
            }
            new.check()?;
            let charge = new.charge(&world, hash);
            books.put(charge.clone());
            Ok((HttpResponse::Created(), charge))
        })?;
        Ok(answer.json(view(&world, &charge)))
    })
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        let charge = world.write(|books| books.charge_at(PROVIDER.name, &id).cloned()).ok_or(Refused::NotFound)?;
        Ok(HttpResponse::Ok().json(view(&world, &charge)))
    })
}

async fn void(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        let charge = world.write(|books| {
            let charge = books.charge_at(PROVIDER.name, &id).cloned().ok_or(Refused::NotFound)?;
            pix::cancel(&world, books, &charge)
        })?;
        Ok(HttpResponse::Ok().json(view(&world, &charge)))
    })
}

#[derive(Deserialize)]
struct NewRefund {
    refund_id: String,
    amount_cents: i64,
    #[serde(default)]
    reason: String,
}

async fn refund(req: HttpRequest, world: Data<World>, id: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let (new, hash) = parse::<NewRefund>(&req, &body)?;
        check_key(&req, &new.refund_id, "refund_id")?;
        world.write(|books| {
            let charge = books.charge_at(PROVIDER.name, &id).cloned().ok_or(Refused::NotFound)?;
            if let Some(old) = books.refunds.get(&new.refund_id) {
                if old.request_hash != hash || old.payment_id != charge.payment_id {
                    return fail(409, "idempotency_conflict", "the same key with another body", "refund_id");
                }
                return Ok(HttpResponse::Ok().json(refund_view(old)));
            }
            if new.amount_cents <= 0 {
                return fail(422, "invalid_amount", "the amount is not positive", "amount_cents");
            }
            let NewRefund { refund_id, amount_cents, reason } = new;
            let new = pix::NewRefund {
                refund_id,
                amount_cents,
                reason,
                request_hash: hash,
                origin: RefundOrigin::Shop,
                extra: Extra::default(),
            };
            let refund = pix::refund(&world, books, &charge, new)?;
            Ok(HttpResponse::Created().json(refund_view(&refund)))
        })
    })
}

async fn show_refund(req: HttpRequest, world: Data<World>, ids: Path<(String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        let (payment_id, refund_id) = ids.into_inner();
        let refund = world.write(|books| books.refunds.get(&refund_id).cloned());
        let refund = refund.filter(|refund| refund.payment_id == payment_id).ok_or(Refused::NotFound)?;
        Ok(HttpResponse::Ok().json(refund_view(&refund)))
    })
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

fn view(world: &World, charge: &Charge) -> Value {
    json!({
        "payment_id": charge.payment_id,
        "order_id": charge.order_id,
        "status": charge.status,
        "amount_cents": charge.paid_cents.unwrap_or(charge.amount_cents), // once paid, what came
        "currency": "BRL",
        "txid": charge.txid,
        "copy_paste": charge.copy_paste,
        "qr_code": world.picture(&charge.copy_paste),
        "qr_code_url": format!("{}/propay/qr/{}.png", world.url, charge.payment_id),
        "expires_at": wire_time(charge.expires_at),
        "provider": "openpix",
        "end_to_end_id": charge.end_to_end_id,
        "paid_at": charge.paid_at.map(wire_time),
        "refunded_cents": charge.refunded_cents,
    })
}

fn refund_view(refund: &Refund) -> Value {
    let mut view = json!({
        "refund_id": refund.refund_id,
        "payment_id": refund.payment_id,
        "status": refund.status,
        "amount_cents": refund.amount_cents,
        "end_to_end_id": refund.end_to_end_id,
    });
    if refund.failed_for_balance() {
        view["failure_code"] = json!(NO_BALANCE);
    }
    view
}
