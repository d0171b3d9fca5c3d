//! OpenPix (Woovi): `/openpix/api/v1/charge` and its refunds.

use std::sync::atomic::Ordering;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Books, Call, Charge, ChargeStatus, Extra, Payer, Refund, RefundStatus};
use crate::control::Refused;
use crate::server::Provider;
use crate::webhooks::wire_time_ms;
use crate::world::World;
use crate::{brcode, documents, openpix_webhook, pix, signature};

pub(crate) const PROVIDER: Provider =
    Provider { name: "openpix", routes, error: error_body, webhook: Some(openpix_webhook::envelopes), ..Provider::SILENT };

const TEXT_MAX: usize = 140;
const EXPIRES_MIN_S: i64 = 300;
const EXPIRES_DEFAULT_S: i64 = 24 * 3600;
const PAGE: usize = 100;
/// Their BR Codes show so much of the txid.
const TXID_SHOWN: usize = 25;

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v1/charge", web::post().to(create))
        .route("/api/v1/charge", web::get().to(list))
        .route("/api/v1/charge/{id}", web::get().to(show))
        .route("/api/v1/charge/{id}", web::delete().to(void))
        .route("/api/v1/charge/{id}", web::patch().to(change))
        .route("/api/v1/charge/{id}/refund", web::post().to(refund))
        .route("/api/v1/charge/{id}/refund", web::get().to(list_refunds))
        .route("/qr/{file}", web::get().to(pix::qr));
}

/// There is no code: a status and a sentence.
struct Failure(u16, String);

type Answer = Result<HttpResponse, Failure>;

fn refuse<T>(why: &str) -> Result<T, Failure> {
    Err(Failure(400, why.to_owned()))
}

impl From<Refused> for Failure {
    fn from(why: Refused) -> Self {
        let text = match why {
            Refused::NotFound => "Cobrança não encontrada".into(),
            Refused::AlreadyPaid => "A cobrança já foi paga".into(),
            Refused::RefundExceedsPayment => "O valor do reembolso é maior que o valor disponível".into(),
            Refused::NotPayable(_) | Refused::Invalid(_) => why.to_string(),
        };
        Failure(400, text)
    }
}

fn error_body(status: u16) -> Value {
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
    let is_ours = |call: &&Call| call.provider == PROVIDER.name;
    let calls = || world.read(|books| books.calls().rev().take_while(|call| call.at > since).filter(is_ours).count());
    allowed > 0 && calls() > allowed
}

fn guarded(req: &HttpRequest, world: &World, inside: impl FnOnce() -> Answer) -> HttpResponse {
    let app_id = req.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("");
    if app_id != world.cfg.openpix_app_id {
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

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure(400, error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewCharge {
    #[serde(rename = "correlationID")]
    correlation_id: String,
    value: i64,
    #[serde(default)]
    comment: String,
    expires_in: Option<i64>,
    expires_date: Option<Timestamp>,
    customer: Option<Customer>,
    #[serde(default)]
    additional_info: Vec<Info>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Customer {
    name: String,
    #[serde(rename = "taxID")]
    tax_id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Info {
    key: String,
    value: String,
}

impl NewCharge {
    fn check(&self, now: Timestamp) -> Result<(), Failure> {
        if self.correlation_id.trim().is_empty() {
            return refuse("O correlationID é obrigatório");
        }
        if self.value <= 0 {
            return refuse("O valor da cobrança deve ser maior que zero");
        }
        if self.comment.chars().count() > TEXT_MAX {
            return refuse("O comentário deve ter no máximo 140 caracteres");
        }
        if self.expires_in.is_some_and(|s| s < EXPIRES_MIN_S) || self.expires_date.is_some_and(|at| at <= now) {
            return refuse("A expiração deve ser de no mínimo 300 segundos");
        }
        if self.kind.as_ref().is_some_and(|kind| kind != "DYNAMIC") {
            return refuse("O sandbox só conhece cobranças DYNAMIC");
        }
        let Some(customer) = &self.customer else {
            return Ok(());
        };
        if customer.name.trim().is_empty() {
            return refuse("O nome do cliente é obrigatório");
        }
        let known = [&customer.tax_id, &customer.email, &customer.phone].iter().filter(|one| one.is_some()).count();
        if known != 1 {
            return refuse("O cliente precisa de taxID, email ou phone, e de um só deles"); // `oneOf`, says their schema
        }
        if customer.tax_id.as_ref().is_some_and(|tax_id| !documents::is_tax_id(tax_id)) {
            return refuse("O taxID do cliente é inválido");
        }
        Ok(())
    }

    fn charge(self, world: &World, now: Timestamp, request_hash: String) -> Charge {
        let txid = Uuid::new_v4().simple().to_string();
        let link = Uuid::new_v4();
        let url = format!("pix.openpix.test/qr/v2/{txid}");
        let amount = format!("{}.{:02}", self.value / 100, self.value % 100);
        let (name, city) = (&world.cfg.merchant_name, &world.cfg.merchant_city);
        let order = self.additional_info.iter().find(|info| info.key.eq_ignore_ascii_case("pedido"));
        let lives = SignedDuration::from_secs(self.expires_in.unwrap_or(EXPIRES_DEFAULT_S));
        let in_time = || now.saturating_add(lives).unwrap_or(now);
        let payer = self.customer.as_ref().map(|customer| Payer {
            name: customer.name.clone(),
            tax_id: customer.tax_id.clone().unwrap_or_default(),
            email: customer.email.clone(),
        });
        Charge {
            provider: PROVIDER.name.into(),
            payment_id: self.correlation_id,
            order_id: order.map(|info| info.value.clone()).unwrap_or_default(),
            copy_paste: brcode::dynamic_of(&url, &amount, name, city, &txid[..TXID_SHOWN]),
            status: ChargeStatus::Pending,
            amount_cents: self.value,
            paid_cents: None,
            refunded_cents: 0,
            description: self.comment,
            payer,
            created_at: now,
            expires_at: if self.expires_in.is_none() { self.expires_date.unwrap_or_else(in_time) } else { in_time() },
            paid_at: None,
            end_to_end_id: None,
            request_hash,
            card: None,
            extra: Extra(json!({
                "paymentLinkID": link,
                "globalID": STANDARD.encode(format!("Charge:{}", &txid[..24])),
                "additionalInfo": self.additional_info,
                "phone": self.customer.and_then(|customer| customer.phone),
            })),
            txid,
        }
    }
}

#[derive(Deserialize)]
struct CreateQuery {
    #[serde(default)]
    return_existing: bool,
}

async fn create(req: HttpRequest, world: Data<World>, query: Query<CreateQuery>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let new: NewCharge = parse(&body)?;
        let now = Timestamp::now();
        new.check(now)?;
        let charge = world.write(|books| {
            if let Some(old) = books.charges.get(&new.correlation_id) {
                if query.return_existing && old.provider == PROVIDER.name {
                    return Ok(old.clone()); // whatever is asked for now
                }
                return refuse("Já existe uma cobrança com este correlationID");
            }
            let charge = new.charge(&world, now, signature::sha256_hex(&body));
            books.put(charge.clone());
            Ok(charge)
        })?;
        Ok(HttpResponse::Ok().json(json!({
            "charge": charge_view(&world, &charge), "correlationID": charge.payment_id, "brCode": charge.copy_paste,
        })))
    })
}

/// By correlationID, or by any of the ids that they gave it.
fn find(books: &Books, id: &str) -> Result<Charge, Failure> {
    let theirs = |c: &&Charge| c.provider == PROVIDER.name && (c.extra["paymentLinkID"] == id || c.extra["globalID"] == id);
    let found = books.charge_at(PROVIDER.name, id).or_else(|| books.charges().iter().find(theirs));
    found.cloned().ok_or(Refused::NotFound.into())
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        let charge = world.write(|books| find(books, &id))?;
        Ok(HttpResponse::Ok().json(json!({"charge": charge_view(&world, &charge)})))
    })
}

#[derive(Deserialize)]
struct ListQuery {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    status: Option<String>,
    skip: Option<usize>,
    limit: Option<usize>,
}

async fn list(req: HttpRequest, world: Data<World>, query: Query<ListQuery>) -> HttpResponse {
    guarded(&req, &world, || {
        let (skip, limit) = (query.skip.unwrap_or(0), query.limit.unwrap_or(PAGE).clamp(1, PAGE));
        let wanted = |c: &&Charge| {
            c.provider == PROVIDER.name
                && query.start.is_none_or(|start| c.created_at >= start)
                && query.end.is_none_or(|end| c.created_at <= end)
                && query.status.as_ref().is_none_or(|status| status == status_of(c))
        };
        let mut found: Vec<Charge> =
            world.write(|books| books.charges().iter().rev().filter(wanted).skip(skip).take(limit + 1).cloned().collect());
        let more = found.len() > limit;
        found.truncate(limit);
        let charges: Vec<Value> = found.iter().map(|charge| charge_view(&world, charge)).collect();
        let page = json!({"skip": skip, "limit": limit, "hasPreviousPage": skip > 0, "hasNextPage": more});
        Ok(HttpResponse::Ok().json(json!({"charges": charges, "pageInfo": page})))
    })
}

async fn void(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let charge = find(books, &id)?;
            pix::cancel(&world, books, &charge).map_err(Failure::from)
        })?;
        Ok(HttpResponse::Ok().json(json!({"status": "OK", "id": *id})))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    expires_date: Timestamp,
}

async fn change(req: HttpRequest, world: Data<World>, id: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let Change { expires_date } = parse(&body)?;
        let charge = world.write(|books| {
            let mut charge = find(books, &id)?;
            if charge.status != ChargeStatus::Pending || expires_date <= Timestamp::now() {
                return refuse("A expiração não pode ser alterada");
            }
            charge.expires_at = expires_date;
            books.put(charge.clone());
            Ok(charge)
        })?;
        Ok(HttpResponse::Ok().json(json!({"charge": charge_view(&world, &charge)})))
    })
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
            let new = pix::NewRefund { refund_id, amount_cents, reason, request_hash, extra: Extra::default() };
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

/// They know three: one that was voided has ended, and a refund changes nothing.
fn status_of(charge: &Charge) -> &'static str {
    match charge.status {
        ChargeStatus::Pending => "ACTIVE",
        ChargeStatus::Expired | ChargeStatus::Cancelled => "EXPIRED",
        ChargeStatus::Paid | ChargeStatus::PartiallyRefunded | ChargeStatus::Refunded => "COMPLETED",
    }
}

pub(crate) fn charge_view(world: &World, charge: &Charge) -> Value {
    let extra = &charge.extra;
    let status = status_of(charge);
    let image = format!("{}/openpix/qr/{}.png", world.url, charge.payment_id);
    let expires_in = charge.expires_at.duration_since(charge.created_at).as_secs();
    let mut customer = charge.payer.as_ref().map(customer_view);
    if let Some(customer) = &mut customer {
        customer["phone"] = extra["phone"].clone();
    }
    let mut view = json!({
        "status": status,
        "correlationID": charge.payment_id,
        "value": charge.amount_cents,
        "comment": charge.description,
        "discount": 0,
        "valueWithDiscount": charge.amount_cents,
        "identifier": charge.txid,
        "transactionID": charge.txid,
        "paymentLinkID": extra["paymentLinkID"],
        "paymentLinkUrl": format!("https://openpix.test/pay/{}", extra["paymentLinkID"].as_str().unwrap_or("")),
        "qrCodeImage": image,
        "brCode": charge.copy_paste,
        "pixKey": world.cfg.pix_key,
        "expiresIn": expires_in,
        "expiresDate": wire_time_ms(charge.expires_at),
        "type": "DYNAMIC",
        "createdAt": wire_time_ms(charge.created_at),
        "updatedAt": wire_time_ms(charge.paid_at.unwrap_or(charge.created_at)),
        "globalID": extra["globalID"],
        "additionalInfo": extra["additionalInfo"],
        "customer": customer,
        "paymentMethods": {"pix": {
            "method": "PIX_COB", "txId": charge.txid, "fee": 50, "value": charge.amount_cents, "status": status,
            "brCode": charge.copy_paste, "qrCodeImage": image,
        }},
    });
    if let Some(at) = charge.paid_at {
        view["paidAt"] = json!(wire_time_ms(at));
    }
    view
}

/// A document is plain text on the way in and an object on the way out.
pub(crate) fn customer_view(payer: &Payer) -> Value {
    let kind = if payer.tax_id.len() == 11 { "BR:CPF" } else { "BR:CNPJ" };
    let tax_id = if payer.tax_id.is_empty() { Value::Null } else { json!({"taxID": payer.tax_id, "type": kind}) };
    let hash = signature::sha256_hex(format!("{}{}", payer.tax_id, payer.name).as_bytes());
    let id = Uuid::try_parse(&hash[..32]).unwrap_or_default(); // the same person, the same id
    json!({"name": payer.name, "email": payer.email, "taxID": tax_id, "correlationID": id})
}

pub(crate) fn refund_status(refund: &Refund) -> &'static str {
    match refund.status {
        RefundStatus::Processing => "IN_PROCESSING",
        RefundStatus::Done => "CONFIRMED",
        RefundStatus::Failed => "REJECTED",
    }
}

fn refund_view(refund: &Refund) -> Value {
    json!({
        "status": refund_status(refund),
        "value": refund.amount_cents,
        "correlationID": refund.extra["natureza"].is_null().then_some(&refund.refund_id), // nobody named one that was taken
        "endToEndId": refund.end_to_end_id,
        "time": wire_time_ms(refund.created_at),
        "comment": refund.reason,
    })
}
