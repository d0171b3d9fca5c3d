//! Africa's Talking's delivery reports.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::Transaction;
use vitrine_africastalking::{NAME, Report, open_report, read_report};

use crate::app::App;
use crate::cause;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::ids::EventId;
use crate::mail::sms;
use crate::request;
use crate::sale::outcome::EventOutcome;
use crate::webhooks::inbox;

/// Takes reports about SMS, from Africa's Talking
///
/// Whether one was delivered. They do not sign: the token in the address proves who sends. A repeated report gets the same
/// answer and has no further effect. A report about an unknown SMS has none at all.
#[utoipa::path(
    tag = "webhooks", request_body(content = String, content_type = "application/x-www-form-urlencoded", example = "id=ATXid_1&status=Success"),
    params(("token" = String, Query, description = "The secret of the address")),
    responses(
        (status = 200, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: without the token, or with another"),
        (status = 404, body = Problem, description = "`not-found`: SMS_PROVIDER is not africastalking")))]
#[post("/api/webhooks/africastalking")]
pub(super) async fn africastalking(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    let Some(provider) = &app.providers.sms else { return Err(Error::NotFound("This address")) };
    let report = open_report(provider.webhook_secret(), &delivery).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => NAME).increment(1);
    })?; // a forged delivery is neither parsed nor kept
    if report.id.is_empty() {
        return Ok(HttpResponse::Ok().finish()); // it names no SMS
    }
    let (id, request_id) = (EventId::new(), request::id());
    cause::scope("webhook", &id.to_string(), record_sms_delivery(&app, id, &report, &request_id)).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Writes down the report and its effect in one transaction.
async fn record_sms_delivery(app: &App, id: EventId, report: &Report, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let (event_id, body) = (report.event_id(), sms::without_number(report));
    if inbox::first_time(&tx, id, NAME, (&event_id, &report.status), &body, request_id).await? {
        let (outcome, order) = sms::apply_sms_report(&tx, report).await?;
        inbox::note_outcome(&tx, id, outcome, order).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Applies a kept report again. The caller commits.
pub(super) async fn replay_sms_report(tx: &Transaction<'_>, id: EventId, body: &[u8]) -> Result<EventOutcome> {
    let (outcome, order) = sms::apply_sms_report(tx, &read_report(body)).await?;
    inbox::note_outcome(tx, id, outcome, order).await?;
    Ok(outcome)
}
