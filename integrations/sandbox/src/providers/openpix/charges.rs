//! OpenPix's charges: `/openpix/api/v1/charge`.

use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Charge, ChargeStatus, Extra, Payer};
use crate::formats::{brcode, documents, signature};
use crate::providers::openpix::view::{charge_view, status_of};
use crate::providers::openpix::wire::{Failure, NAME, PAGE, TEXT_MAX, find, guarded, parse, refuse};
use crate::providers::pix;
use crate::world::World;

const EXPIRES_MIN_S: i64 = 300;
const EXPIRES_DEFAULT_S: i64 = 24 * 3600;
/// Their BR Codes show so much of the txid.
const TXID_SHOWN: usize = 25;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v1/charge", web::post().to(create))
        .route("/api/v1/charge", web::get().to(list))
        .route("/api/v1/charge/{id}", web::get().to(show))
        .route("/api/v1/charge/{id}", web::delete().to(void))
        .route("/api/v1/charge/{id}", web::patch().to(change));
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
            provider: NAME.into(),
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
                if query.return_existing && old.provider == NAME {
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
            c.provider == NAME
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
