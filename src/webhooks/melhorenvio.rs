//! Melhor Envio's webhook.

use actix_web::{HttpResponse, get, post, web};
use deadpool_postgres::Transaction;
use jiff::Timestamp;
use vitrine_melhorenvio::{NAME, News, Notice, open_webhook, reread};

use crate::app::App;
use crate::cause;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::ids::EventId;
use crate::request;
use crate::sale::outcome::EventOutcome;
use crate::shipments::news;
use crate::webhooks::{inbox, slim};

/// Takes news about labels, from Melhor Envio
///
/// `X-ME-Signature` is the base64 HMAC-SHA256 of the raw body. Their panel tests an address without a signature: the answer is
/// 200, and nothing happens. A repeated event gets the same answer and has no further effect.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"event": "order.posted", "data": {"id": "9a1b7d5e-1f77-4a0c-9f13-5cf6a1a6f001", "status": "posted", "tracking": "AA123456785BR"}})),
    params(("X-ME-Signature" = Option<String>, Header, description = "The signature of the raw body")),
    responses(
        (status = 200, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: it is wrongly signed"),
        (status = 404, body = Problem, description = "`not-found`: MELHORENVIO_WEBHOOK_SECRET is not set")))]
#[post("/api/webhooks/melhorenvio")]
pub(super) async fn melhorenvio(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    let Some(secret) = app.config.shipping.melhorenvio_webhook_secret() else { return Err(Error::NotFound("This address")) };
    let notice = open_webhook(secret, &delivery, Timestamp::now()).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => NAME).increment(1);
    })?; // a forged delivery is neither parsed nor kept
    if let Notice::News(news) = notice {
        let (id, request_id) = (EventId::new(), request::id());
        cause::scope("webhook", &id.to_string(), record_label_event(&app, id, &news, &request_id)).await?;
        app.jobs_were_pushed();
    }
    Ok(HttpResponse::Ok().finish())
}

/// Answers Melhor Envio's panel
///
/// It may test an address by GET before it saves it: nothing happens.
#[utoipa::path(
    get, tag = "webhooks",
    responses(
        (status = 200, description = "The address is right"),
        (status = 404, body = Problem, description = "`not-found`: MELHORENVIO_WEBHOOK_SECRET is not set")))]
#[get("/api/webhooks/melhorenvio")]
pub(super) async fn melhorenvio_probe(app: web::Data<App>) -> Result<HttpResponse> {
    match app.config.shipping.melhorenvio_webhook_secret() {
        Some(_) => Ok(HttpResponse::Ok().finish()),
        None => Err(Error::NotFound("This address")),
    }
}

/// Writes down the event and its effect in one transaction.
async fn record_label_event(app: &App, id: EventId, told: &News, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let body = slim::kept_fields(NAME, &told.body);
    if !inbox::first_time(&tx, id, NAME, (&told.event_id, &told.event), &body, request_id).await? {
        return Ok(());
    }
    let done = news::apply_label_news(&tx, told).await?;
    inbox::finish_event(app, tx, id, NAME, done).await
}

/// Applies a kept event again. Effects that it already had are not repeated. The caller commits.
pub(super) async fn replay_label_event(tx: &Transaction<'_>, id: EventId, body: Vec<u8>) -> Result<EventOutcome> {
    const RECEIVED: &str = "SELECT received_at FROM webhook_events WHERE id = $1";
    let received: Timestamp = db::query_one(tx, RECEIVED, &[&id]).await?.get("received_at");
    let told = reread(&body.into(), received);
    let (outcome, order) = cause::scope("webhook", &id.to_string(), news::apply_label_news(tx, &told)).await?;
    inbox::note_outcome(tx, id, outcome, order).await?;
    Ok(outcome)
}
