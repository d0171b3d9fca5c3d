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
use crate::webhooks::inbox;

/// What became of a text, from Africa's Talking. They sign nothing: the token in the address proves them.
///
/// A repeat of a report is answered like the first, and does nothing. So is a report of a text that is not ours.
#[utoipa::path(
    tag = "webhooks", params(("token" = String, Query)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200), (status = 401, body = Problem, description = "Without the token, or with another"),
        (status = 404, body = Problem, description = "SMS_PROVIDER is not africastalking")))]
#[post("/api/webhooks/africastalking")]
pub(super) async fn africastalking(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    let Some(provider) = &app.providers.sms else { return Err(Error::NotFound("This address")) };
    let report = open_report(provider.webhook_secret(), &delivery).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => NAME).increment(1);
    })?; // forged: nothing was parsed, nothing is kept
    if report.id.is_empty() {
        return Ok(HttpResponse::Ok().finish()); // a report of nothing
    }
    let (id, request_id) = (EventId::new(), request::id());
    cause::scope("webhook", &id.to_string(), take(&app, id, &report, &request_id)).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The report and its effect, or neither.
async fn take(app: &App, id: EventId, report: &Report, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let (event_id, body) = (report.event_id(), sms::without_number(report));
    if inbox::first_time(&tx, id, NAME, (&event_id, &report.status), &body, request_id).await? {
        let (outcome, order) = sms::apply_sms_report(&tx, report).await?;
        inbox::note(&tx, id, outcome, order).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A kept report once more.
pub(super) async fn replay(tx: &Transaction<'_>, id: EventId, body: &[u8]) -> Result<&'static str> {
    let (outcome, order) = sms::apply_sms_report(tx, &read_report(body)).await?;
    inbox::note(tx, id, outcome, order).await?;
    Ok(outcome)
}
