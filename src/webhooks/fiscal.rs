//! The webhooks of the providers of invoices. They are not signed: a secret proves who sends them. Each is only a hint.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::Transaction;
use uuid::Uuid;
use vitrine_kit::Delivery;
use vitrine_kit::fiscal::FiscalNotice;

use crate::app::App;
use crate::cause;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::ids::{EventId, InvoiceId, OrderId};
use crate::jobs::{self, Job};
use crate::request;
use crate::sale::outcome::EventOutcome;
use crate::webhooks::{inbox, slim};

/// Takes news about invoices, from Focus NFe
///
/// The secret stands in the header `X-Focus-Token`. It is only a hint: Focus NFe is asked before anything changes here.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"ref": "01a1fe4e07857243a93fcc241c46a4e2", "status": "autorizado"})),
    params(("X-Focus-Token" = String, Header, description = "The secret")),
    responses(
        (status = 200, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: without the secret, or with another"),
        (status = 404, body = Problem, description = "`not-found`: Focus NFe is not configured")))]
#[post("/api/webhooks/focusnfe")]
pub(super) async fn focusnfe(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    receive_invoice_hints(&app, "focusnfe", &delivery).await
}

/// Takes news about invoices, from eNotas
///
/// The secret stands in the address (`?token=…`) or in the header `X-Token`. It is only a hint: eNotas is asked before anything
/// changes here.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"tipo": "NF-e", "nfeId": "01a1fe4e07857243a93fcc241c46a4e2", "nfeStatus": "Autorizada"})),
    params(
        ("token" = Option<String>, Query, description = "The secret, where the header has none"),
        ("X-Token" = Option<String>, Header, description = "The secret, where the address has none")),
    responses(
        (status = 200, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: without the secret, or with another"),
        (status = 404, body = Problem, description = "`not-found`: eNotas is not configured")))]
#[post("/api/webhooks/enotas")]
pub(super) async fn enotas(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    receive_invoice_hints(&app, "enotas", &delivery).await
}

/// Each hint has a transaction of its own.
async fn receive_invoice_hints(app: &App, provider: &'static str, delivery: &Delivery) -> Result<HttpResponse> {
    let has_secret = app.config.nfe.provider.as_ref().is_some_and(|settings| settings.webhook_secret.is_some());
    let fiscal = app.providers.fiscal.as_deref().filter(|fiscal| fiscal.name() == provider && has_secret);
    let notices = fiscal.ok_or(Error::NotFound("This address"))?.open(delivery).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => provider).increment(1);
    })?; // a forged delivery is neither parsed nor kept
    let request_id = request::id();
    for notice in &notices {
        let id = EventId::new();
        cause::scope("webhook", &id.to_string(), record_invoice_hint(app, provider, id, notice, delivery, &request_id)).await?;
    }
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().finish())
}

/// Writes down the event and queues the question to the provider in one transaction.
async fn record_invoice_hint(
    app: &App,
    provider: &'static str,
    id: EventId,
    notice: &FiscalNotice,
    delivery: &Delivery,
    request_id: &str,
) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let body = slim::kept_fields(provider, &delivery.body);
    if !inbox::first_time(&tx, id, provider, (&notice.event_id, &notice.event), &body, request_id).await? {
        return Ok(());
    }
    let done = queue_invoice_check(&tx, provider, notice.reference.as_deref()).await?;
    inbox::finish_event(app, tx, id, provider, done).await
}

/// Queues the job that asks the provider about an invoice of ours.
async fn queue_invoice_check(
    tx: &Transaction<'_>,
    provider: &str,
    reference: Option<&str>,
) -> Result<(EventOutcome, Option<OrderId>)> {
    const FIND: &str =
        "SELECT order_id, cancel_reason IS NOT NULL AS is_being_cancelled FROM invoices WHERE id = $1 AND provider = $2";
    let id = reference.and_then(|text| Uuid::try_parse(text).ok()).map(InvoiceId);
    let Some(id) = id else { return Ok((EventOutcome::Unknown, None)) };
    let Some(row) = db::query_opt(tx, FIND, &[&id, &provider]).await? else { return Ok((EventOutcome::Unknown, None)) };
    jobs::push_now(tx, Job::SendInvoice { invoice: id }).await?;
    if row.get("is_being_cancelled") {
        jobs::push_now(tx, Job::CancelInvoice { invoice: id }).await?;
    }
    Ok((EventOutcome::Hint, Some(row.get("order_id"))))
}

/// Applies a kept event again: the provider is asked about all invoices of its order. The caller commits.
pub(super) async fn replay_invoice_hint(tx: &Transaction<'_>, provider: &str, id: EventId) -> Result<EventOutcome> {
    const FIND: &str = "
        SELECT i.id, i.order_id FROM webhook_events e JOIN invoices i ON i.order_id = e.order_id AND i.provider = e.provider
         WHERE e.id = $1 AND e.provider = $2";
    let rows = db::query(tx, FIND, &[&id, &provider]).await?;
    let hints: Vec<_> = rows.iter().map(|row| (Job::SendInvoice { invoice: row.get("id") }, None)).collect();
    let outcome = if hints.is_empty() { EventOutcome::Unknown } else { EventOutcome::Hint };
    cause::scope("webhook", &id.to_string(), jobs::push_all_now(tx, &hints)).await?;
    inbox::note_outcome(tx, id, outcome, rows.first().map(|row| row.get("order_id"))).await?;
    Ok(outcome)
}
