//! Melhor Envio, labels: cart, checkout, generate, print, tracking, cancel. There are no idempotency keys: a label that is
//! put into the cart twice is there twice.

use std::collections::BTreeMap;

use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::books::parcels::{Parcel, ParcelStatus, ParcelStep};
use crate::books::{Books, Extra};
use crate::providers::melhorenvio::wanted::{price, problems};
use crate::providers::melhorenvio::wire::{NAME, Problems, decimal, error_body, invalid, problem, read, refuse, text};
use crate::providers::melhorenvio::{news, parcels, print};
use crate::providers::quote::SERVICES;
use crate::world::World;
use crate::world::orders::SendWebhook;

const PAGE: usize = 10;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/api/v2/me/cart", web::post().to(put_in_cart))
        .route("/api/v2/me/cart", web::get().to(list_cart))
        .route("/api/v2/me/cart/{id}", web::get().to(show))
        .route("/api/v2/me/cart/{id}", web::delete().to(remove))
        .route("/api/v2/me/shipment/checkout", web::post().to(checkout))
        .route("/api/v2/me/shipment/generate", web::post().to(generate))
        .route("/api/v2/me/shipment/print", web::post().to(print))
        .route("/api/v2/me/shipment/tracking", web::post().to(tracking))
        .route("/api/v2/me/shipment/cancellable", web::post().to(cancellable))
        .route("/api/v2/me/shipment/cancel", web::post().to(cancel))
        .route("/api/v2/me/orders/search", web::get().to(search))
        .route("/api/v2/me/orders", web::get().to(list_orders))
        .route("/api/v2/me/orders/{id}", web::get().to(show))
        .route("/api/v2/me/balance", web::get().to(show_balance))
        .route("/labels/{ids}", web::get().to(print::label));
}

async fn put_in_cart(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let body: Value = match read(&body) {
        Ok(body) => body,
        Err(problems) => return invalid(&problems),
    };
    let service = SERVICES.iter().find(|service| body["service"].as_u64() == Some(u64::from(service.id)));
    let problems = problems(&body, service);
    let (Some(service), true) = (service, problems.is_empty()) else { return invalid(&problems) };
    let (price_cents, days) = match price(service, &body) {
        Ok(priced) => priced,
        Err(why) => return invalid(&problem("service", why)),
    };
    let (id, now) = (Uuid::new_v4().to_string(), Timestamp::now());
    let parcel = Parcel {
        provider: NAME.to_owned(),
        protocol: format!("ORD-{}{}", now.strftime("%Y%m%d"), &id[..6].to_uppercase()),
        tag: body["options"]["tags"][0]["tag"].as_str().map(str::to_owned),
        status: ParcelStatus::Pending,
        service_id: service.id,
        service: service.name.to_owned(),
        company: service.company.1.to_owned(),
        price_cents,
        days,
        invoice_key: body["options"]["invoice"]["key"].as_str().map(str::to_owned),
        tracking: None,
        sent: Extra(body),
        scans: Vec::new(),
        created_at: now,
        updated_at: now,
        paid_at: None,
        generated_at: None,
        posted_at: None,
        delivered_at: None,
        canceled_at: None,
        expired_at: None,
        moves_at: None,
        id,
    };
    world.write(|books| {
        books.put(parcel.clone());
        news::tell(&world, books, &parcel, "order.created", SendWebhook::Once);
    });
    let mut answer = view(&parcel);
    answer["price"] = json!(parcel.price_cents as f64 / 100.0); // a number here, a text everywhere else
    HttpResponse::Created().json(answer)
}

/// Local times of Brasília, without saying so.
fn view(parcel: &Parcel) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| Offset::constant(-3).to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string());
    json!({
        "id": parcel.id,
        "protocol": parcel.protocol,
        "service_id": parcel.service_id,
        "price": decimal(parcel.price_cents),
        "delivery_min": parcel.days - 1,
        "delivery_max": parcel.days,
        "status": parcel.status.name(),
        "tracking": parcel.tracking,
        "self_tracking": parcel.tracking,
        "melhorenvio_tracking": parcel.tracking,
        "tags": parcel.sent["options"]["tags"],
        "created_at": at(Some(parcel.created_at)),
        "paid_at": at(parcel.paid_at),
        "generated_at": at(parcel.generated_at),
        "posted_at": at(parcel.posted_at),
        "delivered_at": at(parcel.delivered_at),
        "canceled_at": at(parcel.canceled_at),
        "expired_at": at(parcel.expired_at),
    })
}

#[derive(Deserialize)]
struct PageNumber {
    page: Option<usize>,
}

async fn list_cart(req: HttpRequest, world: Data<World>, ask: Query<PageNumber>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    pages(&world, ask.page, |p| p.status == ParcelStatus::Pending)
}

/// What was bought, the newest first.
async fn list_orders(req: HttpRequest, world: Data<World>, ask: Query<PageNumber>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    pages(&world, ask.page, |p| p.paid_at.is_some())
}

fn pages(world: &World, page: Option<usize>, fits: impl Fn(&Parcel) -> bool) -> HttpResponse {
    let page = page.unwrap_or(1).max(1);
    let labels: Vec<Value> = world.write(|books| books.parcels.rows.iter().rev().filter(|p| fits(p)).map(view).collect());
    let shown: Vec<&Value> = labels.iter().skip((page - 1) * PAGE).take(PAGE).collect();
    let last_page = labels.len().div_ceil(PAGE).max(1);
    HttpResponse::Ok()
        .json(json!({"current_page": page, "last_page": last_page, "per_page": PAGE, "total": labels.len(), "data": shown}))
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

/// What was bought, by its id, its protocol, its tracking number, or the document of who sends or receives it. Neither the cart
/// nor tags are looked through. Nothing found is no body.
async fn search(req: HttpRequest, world: Data<World>, ask: Query<Search>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let fits = |p: &&Parcel| {
        let documents =
            ["from", "to"].into_iter().flat_map(|who| ["document", "company_document"].map(|field| text(&p.sent[who], field)));
        let words = [p.id.as_str(), p.protocol.as_str(), p.tracking.as_deref().unwrap_or("")];
        p.paid_at.is_some() && documents.chain(words).any(|word| !word.is_empty() && word == ask.q)
    };
    let found: Vec<Value> = world.write(|books| books.parcels.rows.iter().filter(fits).map(view).collect());
    if found.is_empty() { HttpResponse::NoContent().finish() } else { HttpResponse::Ok().json(found) }
}

async fn show(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    match world.write(|books| books.parcels.get(&id).filter(|p| !p.is_gone()).map(view)) {
        Some(label) => HttpResponse::Ok().json(label),
        None => HttpResponse::NotFound().json(error_body(404)),
    }
}

async fn remove(req: HttpRequest, world: Data<World>, id: Path<String>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    world.write(|books| match books.parcels.get(&id).filter(|p| !p.is_gone()).cloned() {
        None => HttpResponse::NotFound().json(error_body(404)),
        Some(p) if p.status == ParcelStatus::Pending => {
            books.put(Parcel { status: ParcelStatus::Canceled, canceled_at: Some(Timestamp::now()), ..p });
            HttpResponse::NoContent().finish()
        }
        Some(_) => invalid(&problem("id", "A etiqueta não está mais no carrinho.")),
    })
}

#[derive(Deserialize)]
struct Orders {
    orders: Vec<String>,
}

/// The labels that are named; one that is not there ends it.
fn named(books: &Books, ids: &[String]) -> Result<Vec<Parcel>, Problems> {
    let found: Option<Vec<Parcel>> = ids.iter().map(|id| books.parcels.get(id).filter(|p| !p.is_gone()).cloned()).collect();
    match found {
        Some(parcels) if !parcels.is_empty() => Ok(parcels),
        _ => Err(problem("orders", "O campo orders selecionado é inválido.")),
    }
}

/// Authorizes, reads, and does it under one lock.
fn with_orders(
    req: &HttpRequest,
    world: &World,
    body: &[u8],
    act: impl FnOnce(&mut Books, Vec<Parcel>) -> Result<Value, Problems>,
) -> HttpResponse {
    if let Some(refusal) = refuse(req, world) {
        return refusal;
    }
    let outcome = read::<Orders>(body).and_then(|ask| {
        world.write(|books| {
            let parcels = named(books, &ask.orders)?;
            act(books, parcels)
        })
    });
    match outcome {
        Ok(answer) => HttpResponse::Ok().json(answer),
        Err(problems) => invalid(&problems),
    }
}

async fn checkout(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    with_orders(&req, &world, &body, |books, parcels| {
        if parcels.iter().any(|p| p.status != ParcelStatus::Pending) {
            return Err(problem("orders", "Uma das etiquetas não está no carrinho."));
        }
        let total: i64 = parcels.iter().map(|p| p.price_cents).sum();
        if total > parcels::balance(&world, books) {
            return Err(problem("balance", "Saldo insuficiente para a compra das etiquetas."));
        }
        let now = Timestamp::now();
        let mut views = Vec::new();
        for parcel in parcels {
            let paid = Parcel { status: ParcelStatus::Released, paid_at: Some(now), updated_at: now, ..parcel };
            books.put(paid.clone());
            news::tell(&world, books, &paid, "order.released", SendWebhook::Once);
            views.push(view(&paid));
        }
        let id = Uuid::new_v4().to_string();
        let protocol = format!("PUR-{}{}", now.strftime("%Y%m%d"), &id[..6].to_uppercase());
        Ok(
            json!({"purchase": {"id": id, "protocol": protocol, "total": decimal(total), "status": "paid", "paid_at": now.to_string(), "orders": views}}),
        )
    })
}

async fn generate(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    with_orders(&req, &world, &body, |books, parcels| {
        let mut answers = Map::new();
        for parcel in parcels {
            let (status, message) = match parcel.status {
                ParcelStatus::Released if parcel.moves_at.is_none() => (true, "Envio gerado com sucesso"),
                ParcelStatus::Pending => (false, "A etiqueta ainda não foi paga"),
                _ => (false, "Envio já gerado"),
            };
            answers.insert(parcel.id.clone(), json!({"status": status, "message": message}));
            if status {
                parcels::begin_label(&world, books, parcel);
            }
        }
        Ok(Value::Object(answers))
    })
}

async fn print(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    with_orders(&req, &world, &body, |_, parcels| {
        if parcels.iter().any(|p| p.generated_at.is_none()) {
            return Err(problem("orders", "A etiqueta ainda não foi gerada."));
        }
        let ids: Vec<&str> = parcels.iter().map(|p| p.id.as_str()).collect();
        Ok(json!({"url": format!("{}/melhorenvio/labels/{}", world.url, ids.join(","))}))
    })
}

/// Those that they do not know are left out.
async fn tracking(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let ask: Orders = match read(&body) {
        Ok(ask) => ask,
        Err(problems) => return invalid(&problems),
    };
    let found: BTreeMap<String, Value> = world.write(|books| {
        let known = ask.orders.iter().filter_map(|id| books.parcels.get(id)).filter(|p| !p.is_gone());
        known.map(|p| (p.id.clone(), view(p))).collect()
    });
    HttpResponse::Ok().json(found)
}

fn can_be_given_back(parcel: &Parcel) -> bool {
    matches!(parcel.status, ParcelStatus::Released | ParcelStatus::Generated)
}

async fn cancellable(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    with_orders(&req, &world, &body, |_, parcels| {
        Ok(parcels.iter().map(|p| (p.id.clone(), json!({"cancellable": can_be_given_back(p)}))).collect::<Map<_, _>>().into())
    })
}

#[derive(Deserialize)]
struct Cancel {
    order: CancelOrder,
}

#[derive(Deserialize)]
struct CancelOrder {
    id: String,
    reason_id: String,
    description: String,
}

async fn cancel(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let CancelOrder { id, reason_id, description } = match read::<Cancel>(&body) {
        Ok(ask) => ask.order,
        Err(problems) => return invalid(&problems),
    };
    if reason_id.is_empty() || description.is_empty() {
        return invalid(&problem("order.reason_id", "O campo reason_id é obrigatório."));
    }
    world.write(|books| {
        let parcel = match named(books, std::slice::from_ref(&id)) {
            Ok(mut parcels) => parcels.remove(0),
            Err(problems) => return invalid(&problems),
        };
        let done = parcel.status == ParcelStatus::Canceled
            || parcels::go(&world, books, parcel, ParcelStep::Cancel, SendWebhook::Once).is_ok();
        HttpResponse::Ok().json(json!({id: {"canceled": done}}))
    })
}

async fn show_balance(req: HttpRequest, world: Data<World>) -> HttpResponse {
    if let Some(refusal) = refuse(&req, &world) {
        return refusal;
    }
    let balance = world.write(|books| parcels::balance(&world, books));
    HttpResponse::Ok().json(json!({"balance": decimal(balance), "reserved": "0.00", "debts": "0.00"}))
}
