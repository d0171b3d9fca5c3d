//! Resend's webhook.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::Transaction;
use jiff::Timestamp;
use vitrine_kit::Delivery;
use vitrine_resend::{NAME, ResendEvent};

use crate::app::App;
use crate::cause;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::ids::EventId;
use crate::mail::news;
use crate::request;
use crate::sale::outcome::EventOutcome;
use crate::webhooks::inbox;

/// Takes news about mails, from Resend
///
/// One was delivered, bounced or complained about. Signed by the scheme of Svix. A repeated event gets the same answer and has
/// no further effect.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"type": "email.delivered", "data": {"email_id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}})),
    params(
        ("Svix-Id" = String, Header, description = "The event's id"),
        ("Svix-Timestamp" = String, Header, description = "When it was signed, in seconds since 1970"),
        ("Svix-Signature" = String, Header, description = "The signatures of id, time and raw body")),
    responses(
        (status = 200, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: it is not signed, or wrongly"),
        (status = 404, body = Problem, description = "`not-found`: RESEND_WEBHOOK_SECRET is not set"),
        (status = 503, body = Problem, description = "`unavailable`: the mail is still being sent: send the event again")))]
#[post("/api/webhooks/resend")]
pub(super) async fn resend(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    let Some(secret) = &app.config.mail.resend_webhook_secret else { return Err(Error::NotFound("This address")) };
    let event = vitrine_resend::open_webhook(secret, &delivery, Timestamp::now()).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => NAME).increment(1);
    })?; // a forged delivery is neither parsed nor kept
    let (id, request_id) = (EventId::new(), request::id());
    cause::scope("webhook", &id.to_string(), record_mail_delivery(&app, id, &event, &delivery, &request_id)).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Writes down the event and its effect in one transaction.
async fn record_mail_delivery(app: &App, id: EventId, event: &ResendEvent, delivery: &Delivery, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let body = news::without_addresses(&delivery.body);
    if inbox::first_time(&tx, id, NAME, (&event.event_id, &event.event), &body, request_id).await? {
        let (outcome, order) = news::apply_mail_event(&tx, event).await?;
        inbox::note_outcome(&tx, id, outcome, order).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Applies a kept event again. Its addresses were not kept. The caller commits.
pub(super) async fn replay_mail_event(tx: &Transaction<'_>, id: EventId, event_id: &str, body: &[u8]) -> Result<EventOutcome> {
    let (outcome, order) = news::apply_mail_event(tx, &vitrine_resend::read_event(event_id, body)).await?;
    inbox::note_outcome(tx, id, outcome, order).await?;
    Ok(outcome)
}
