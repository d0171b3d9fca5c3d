//! ProPay's webhook.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::Transaction;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::pix::{Notice, PixNews};
use vitrine_kit::{Delivery, signature};

use crate::app::App;
use crate::cause;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::http::request_id;
use crate::ids::{EventId, PaymentId, RefundId};
use crate::jobs::{self, Job};
use crate::payments::apply::{self, News};
use crate::payments::status::Status;
use crate::webhooks::inbox;

/// A signature without a time in it is valid for ever: older news are only a hint, and the provider is asked.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 7);

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    received: bool,
}

/// News of a PIX charge or refund, from ProPay. Signed: `X-Propay-Signature` is the hex HMAC-SHA256 of the raw body.
///
/// A repeat of an event is answered like the first, and does nothing.
#[utoipa::path(
    tag = "webhooks", params(("X-Propay-Signature" = String, Header)), request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = Received), (status = 401, body = Problem, description = "Not signed, or wrongly")))]
#[post("/api/webhooks/payment")]
pub(super) async fn payment(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    let pix = &app.providers.pix;
    let notice = pix.open(&delivery).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => pix.name()).increment(1);
    })?; // forged: nothing was parsed, nothing is kept
    let (id, request_id) = (EventId::new(), request_id::current());
    cause::scope("webhook", &id.to_string(), take(&app, id, &notice, &delivery, &request_id)).await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(Received { received: true }))
}

/// The event and its effect, or neither.
async fn take(app: &App, id: EventId, notice: &Notice, delivery: &Delivery, request_id: &str) -> Result<()> {
    let provider = app.providers.pix.name();
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if inbox::first_time(&tx, id, provider, (&notice.event_id, &notice.event), &delivery.body, request_id).await? {
        let (outcome, order) = apply(&tx, provider, &notice.news).await?;
        inbox::note(&tx, id, outcome, order).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What became of it, in a word, and the order that it was about.
async fn apply(
    tx: &Transaction<'_>,
    provider: &'static str,
    news: &PixNews,
) -> Result<(&'static str, Option<crate::ids::OrderId>)> {
    let (applied, order): News = match news {
        PixNews::Paid(paid) if paid.created_at.is_some_and(|at| Timestamp::now().duration_since(at) > MAX_AGE) => {
            jobs::push(tx, Job::CheckPayment { payment: PaymentId(paid.payment_id) }).await?;
            return Ok(("hint", paid.order_id.map(crate::ids::OrderId)));
        }
        PixNews::Paid(paid) => apply::paid(tx, provider, paid).await?,
        PixNews::Expired { payment_id } => apply::ended(tx, provider, PaymentId(*payment_id), Status::Expired).await?,
        PixNews::Cancelled { payment_id } => apply::ended(tx, provider, PaymentId(*payment_id), Status::Cancelled).await?,
        PixNews::RefundDone { refund_id } => apply::refund_done(tx, provider, RefundId(*refund_id)).await?,
        PixNews::RefundFailed { refund_id } => apply::refund_failed(tx, provider, RefundId(*refund_id)).await?,
        PixNews::Other => return Ok(("unknown", None)),
    };
    Ok((applied.word(), order))
}

/// Applies a kept event again, for an operator. What it did before it does not do twice.
///
/// The caller commits. Errors: 404 no such event; 409 its provider is not configured.
pub async fn replay(app: &App, tx: &Transaction<'_>, id: EventId) -> Result<&'static str> {
    const FIND: &str = "SELECT provider, body FROM webhook_events WHERE id = $1 FOR UPDATE";
    let row = db::query_opt(tx, FIND, &[&id]).await?.ok_or(Error::NotFound("The event"))?;
    let (provider, body): (String, Vec<u8>) = (row.get("provider"), row.get("body"));
    let pix = &app.providers.pix;
    if pix.name() != provider {
        return Err(Error::Conflict(format!("The provider {provider} is not configured: its events cannot be read")));
    }
    // It was verified when it came. Signed anew, it takes the same way in as all others: there is no second one.
    let secret = app.config.pix.propay_to_go_secret.expose_secret();
    let signature = signature::hmac_sha256_hex(secret.as_bytes(), &body);
    let notice = pix.open(&Delivery::new(body.into(), vec![("x-propay-signature".into(), signature)], ""))?;
    let (outcome, order) = cause::scope("webhook", &id.to_string(), apply(tx, pix.name(), &notice.news)).await?;
    inbox::note(tx, id, outcome, order).await?;
    Ok(outcome)
}
