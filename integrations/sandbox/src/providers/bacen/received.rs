//! The other half of the Central Bank's PIX API: what was received, what goes back (`devolução`), and the webhook.

use std::collections::BTreeMap;

use actix_web::web::{self, Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Books, Charge, Extra, Refund, RefundOrigin, RefundStatus};
use crate::formats::signature;
use crate::formats::time::{wire_time, wire_time_ms};
use crate::providers::bacen::wire::{
    Failure, NAME, Window, cents, check_key, dashed, guarded, malformed, money, parse, problem, refuse,
};
use crate::providers::pix;
use crate::world::World;
use crate::world::news::{Envelope, News};
use crate::world::orders::Refused;

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/v2/pix", web::get().to(list))
        .route("/v2/pix/{e2eid}", web::get().to(show))
        .route("/v2/pix/{e2eid}/devolucao/{id}", web::put().to(give_back))
        .route("/v2/pix/{e2eid}/devolucao/{id}", web::get().to(show_refund))
        .route("/v2/webhook/{chave}", web::put().to(set_hook))
        .route("/v2/webhook/{chave}", web::get().to(show_hook))
        .route("/v2/webhook/{chave}", web::delete().to(remove_hook));
}

fn received(books: &Books, e2eid: &str) -> Result<Charge, Failure> {
    if e2eid.len() != 32 || !e2eid.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return malformed("e2eid", "deve seguir ^[a-zA-Z0-9]{32}$");
    }
    let ours = |c: &&Charge| c.provider == NAME && c.end_to_end_id.as_deref() == Some(e2eid);
    match books.charges().iter().rev().find(ours) {
        Some(charge) => Ok(charge.clone()),
        None => refuse(400, "pix_nao_encontrado", "Nenhum Pix com este e2eid"),
    }
}

async fn show(req: HttpRequest, world: Data<World>, e2eid: Path<String>) -> HttpResponse {
    guarded(&req, &world, || {
        world.write(|books| {
            let charge = received(books, &e2eid)?;
            Ok(HttpResponse::Ok().json(view(books, &charge)))
        })
    })
}

#[derive(Deserialize)]
struct Filter {
    txid: Option<String>,
}

async fn list(req: HttpRequest, world: Data<World>, window: Query<Window>, filter: Query<Filter>) -> HttpResponse {
    guarded(&req, &world, || {
        let (from, to) = window.check()?;
        world.write(|books| {
            let wanted = |c: &&Charge| {
                c.provider == NAME
                    && c.paid_at.is_some_and(|at| (from..=to).contains(&at))
                    && filter.txid.as_ref().is_none_or(|txid| *txid == c.txid)
            };
            let (parameters, here) = window.cut(books.charges().iter().filter(wanted).collect());
            let pix: Vec<Value> = here.into_iter().map(|charge| view(books, charge)).collect();
            Ok(HttpResponse::Ok().json(json!({"parametros": parameters, "pix": pix})))
        })
    })
}

#[derive(Deserialize)]
struct NewRefund {
    valor: String,
    #[serde(default)]
    natureza: Option<String>,
    #[serde(default)]
    descricao: String,
}

fn find_refund<'a>(books: &'a Books, charge: &Charge, id: &str) -> Option<&'a Refund> {
    books.refunds_of(&charge.payment_id).find(|refund| refund.extra["id"] == id)
}

async fn give_back(req: HttpRequest, world: Data<World>, ids: Path<(String, String)>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let (e2eid, id) = ids.into_inner();
        let new: NewRefund = parse(&body)?;
        if !(1..=35).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return malformed("id", "deve seguir ^[a-zA-Z0-9]{1,35}$");
        }
        if new.natureza.as_ref().is_some_and(|kind| kind != "ORIGINAL" && kind != "RETIRADA") {
            return malformed(".natureza", "ORIGINAL ou RETIRADA");
        }
        if new.descricao.chars().count() > 140 {
            return malformed(".descricao", "deve ter no máximo 140 caracteres");
        }
        let amount_cents = cents(".valor", &new.valor)?;
        world.write(|books| {
            let charge = received(books, &e2eid)?;
            if find_refund(books, &charge, &id).is_some() {
                return refuse(409, "devolucao_id_duplicado", "Já existe uma devolução com este id");
            }
            if amount_cents == 0 || amount_cents > pix::refundable(books, &charge) {
                return refuse(400, "valor_invalido", "O valor da devolução é zero ou maior que o disponível");
            }
            // Theirs is unique within a Pix alone.
            let free = |id: &String| books.refunds.get(id).is_none();
            let refund_id = Some(dashed(&id)).filter(free).unwrap_or_else(|| format!("{e2eid}-{id}"));
            let request_hash = signature::sha256_hex(&body);
            let extra = Extra(json!({"id": id, "natureza": new.natureza.as_deref().unwrap_or("ORIGINAL")}));
            let new = pix::NewRefund {
                refund_id,
                amount_cents,
                reason: new.descricao,
                request_hash,
                origin: RefundOrigin::Shop,
                extra,
            };
            match pix::refund(&world, books, &charge, new) {
                Ok(refund) => Ok(HttpResponse::Created().json(refund_view(&refund))),
                Err(Refused::NoBalance) => problem(400, "PixDevolucaoInvalida", "Saldo insuficiente para a devolução"),
                Err(why) => problem(400, "PixDevolucaoInvalida", &why.to_string()),
            }
        })
    })
}

async fn show_refund(req: HttpRequest, world: Data<World>, ids: Path<(String, String)>) -> HttpResponse {
    guarded(&req, &world, || {
        let (e2eid, id) = ids.into_inner();
        world.write(|books| {
            let charge = received(books, &e2eid)?;
            match find_refund(books, &charge, &id) {
                Some(refund) => Ok(HttpResponse::Ok().json(refund_view(refund))),
                None => refuse(400, "devolucao_nao_encontrada", "Nenhuma devolução com este id"),
            }
        })
    })
}

fn refund_view(refund: &Refund) -> Value {
    let status = match refund.status {
        RefundStatus::Processing => "EM_PROCESSAMENTO",
        RefundStatus::Done => "DEVOLVIDO",
        RefundStatus::Failed => "NAO_REALIZADO",
    };
    let mut view = json!({
        "id": refund.extra["id"],
        "rtrId": refund.end_to_end_id,
        "valor": money(refund.amount_cents),
        "natureza": refund.extra["natureza"].as_str().unwrap_or("ORIGINAL"),
        "horario": {"solicitacao": wire_time(refund.created_at)},
        "status": status,
    });
    if refund.extra["motivo"].is_string() {
        view["motivo"] = refund.extra["motivo"].clone();
    }
    match refund.status {
        RefundStatus::Processing => {}
        RefundStatus::Done => view["horario"]["liquidacao"] = json!(wire_time(refund.settles_at)),
        RefundStatus::Failed if refund.failed_for_balance() => view["motivo"] = json!("AM04 - Saldo insuficiente"),
        RefundStatus::Failed => view["motivo"] = json!("Devolução recusada pelo PSP do pagador"),
    }
    view
}

/// A Pix as it was received. On a charge that was not paid it is a lie, which can be ordered.
pub(crate) fn view(books: &Books, charge: &Charge) -> Value {
    let at = charge.paid_at.unwrap_or_else(Timestamp::now);
    let mut view = json!({
        "endToEndId": charge.end_to_end_id.clone().unwrap_or_else(|| pix::end_to_end_id('E', at)),
        "txid": charge.txid,
        "valor": money(charge.paid_cents.unwrap_or(charge.amount_cents)),
        "chave": charge.extra["chave"],
        "horario": wire_time_ms(at),
        "infoPagador": "",
    });
    let refunds: Vec<Value> = books.refunds_of(&charge.payment_id).map(refund_view).collect();
    if !refunds.is_empty() {
        view["devolucoes"] = json!(refunds);
    }
    view
}

#[derive(Deserialize)]
struct NewHook {
    #[serde(rename = "webhookUrl")]
    url: String,
}

async fn set_hook(req: HttpRequest, world: Data<World>, key: Path<String>, body: Bytes) -> HttpResponse {
    guarded(&req, &world, || {
        let NewHook { url } = parse(&body)?;
        check_key(&world, &key)?;
        if !url.starts_with("https://") && !url.starts_with("http://127.0.0.1") {
            return refuse(400, "webhook_invalido", "O endereço deve ser https");
        }
        world.bank().hooks.insert(key.clone(), (url.clone(), Timestamp::now()));
        Ok(HttpResponse::Ok().json(json!({"webhookUrl": url})))
    })
}

async fn show_hook(req: HttpRequest, world: Data<World>, key: Path<String>) -> HttpResponse {
    guarded(&req, &world, || match world.bank().hooks.get(key.as_str()) {
        Some((url, since)) => {
            Ok(HttpResponse::Ok().json(json!({"webhookUrl": url, "chave": *key, "criacao": wire_time(*since)})))
        }
        None => problem(404, "WebhookNaoEncontrado", "Nenhum webhook nesta chave"),
    })
}

async fn remove_hook(req: HttpRequest, world: Data<World>, key: Path<String>) -> HttpResponse {
    guarded(&req, &world, || match world.bank().hooks.remove(key.as_str()) {
        Some(_) => Ok(HttpResponse::NoContent().finish()),
        None => problem(404, "WebhookNaoEncontrado", "Nenhum webhook nesta chave"),
    })
}

/// The registered address without its host, or the one that everybody registers; `/pix` comes behind it.
fn hook_path(world: &World) -> String {
    let registered = world.bank().hooks.get(&world.cfg.pix_key).map(|(url, _)| url.clone());
    let path = registered.and_then(|url| {
        let (_, rest) = url.split_once("://")?;
        rest.find('/').map(|at| rest[at..].to_owned())
    });
    let secret: String = form_urlencoded::byte_serialize(world.cfg.pix_webhook_secret.as_bytes()).collect();
    path.unwrap_or_else(|| format!("/api/webhooks/pix?hmac={secret}&ignorar=")) + "/pix"
}

/// They tell of money that came, and of money that went back or could not. Nothing is signed.
pub(crate) fn envelopes(world: &World, books: &Books, news: &News<'_>) -> Vec<Envelope> {
    match *news {
        News::Charge(charge, "payment.paid" | "pix") | News::Refund(charge, _, "refund.done" | "refund.failed") => {
            vec![together(world, books, &[charge])]
        }
        _ => Vec::new(),
    }
}

/// Several of them in one call.
pub(crate) fn together(world: &World, books: &Books, charges: &[&Charge]) -> Envelope {
    let pix: Vec<Value> = charges.iter().map(|charge| view(books, charge)).collect();
    Envelope {
        event_id: Uuid::now_v7().to_string(),
        event: "pix".into(),
        path: hook_path(world),
        headers: BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]),
        body: json!({"pix": pix}).to_string(),
    }
}
