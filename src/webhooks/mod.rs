//! Webhooks of providers. The signature is checked over the raw bytes; then the event is written down once, with its effect, in
//! one transaction.

mod africastalking;
mod fiscal;
pub mod inbox;
mod melhorenvio;
mod pix;
mod resend;
mod slim;
mod stripe;

use deadpool_postgres::Transaction;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::EventId;
use crate::sale::outcome::EventOutcome;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(pix::propay)
        .service(pix::openpix)
        .service(pix::bank)
        .service(pix::bank_appended)
        .service(stripe::card)
        .service(fiscal::focusnfe)
        .service(fiscal::enotas)
        .service(resend::resend)
        .service(africastalking::africastalking)
        .service(melhorenvio::melhorenvio)
        .service(melhorenvio::melhorenvio_probe);
}

/// Applies a kept event again, for an operator. Effects that it already had are not repeated.
///
/// The caller commits. Errors: 404 no such event; 409 its provider is not configured, or its body is not kept any more.
pub async fn replay_event(app: &App, tx: &Transaction<'_>, id: EventId) -> Result<EventOutcome> {
    const FIND: &str = "SELECT provider, event_id, body FROM webhook_events WHERE id = $1 FOR UPDATE";
    let row = db::query_opt(tx, FIND, &[&id]).await?.ok_or(Error::NotFound("The event"))?;
    let (provider, event_id, body): (String, String, Vec<u8>) = (row.get("provider"), row.get("event_id"), row.get("body"));
    if app.providers.fiscal.as_ref().is_some_and(|fiscal| fiscal.name() == provider) {
        return fiscal::replay_invoice_hint(tx, &provider, id).await;
    }
    if body.is_empty() {
        return Err(Error::Conflict("The event's body is not kept any more, so it cannot be read again".into()));
    }
    if provider == vitrine_stripe::NAME
        && let Some(stripe) = &app.providers.stripe
    {
        return stripe::replay_card_event(tx, stripe, id, body).await;
    }
    if provider == vitrine_melhorenvio::NAME && app.providers.melhorenvio.is_some() {
        return melhorenvio::replay_label_event(tx, id, body).await;
    }
    match provider.as_str() {
        vitrine_resend::NAME => return resend::replay_mail_event(tx, id, &event_id, &body).await,
        vitrine_africastalking::NAME => return africastalking::replay_sms_report(tx, id, &body).await,
        _ => {}
    }
    match app.providers.pix_named(&provider) {
        Some(pix) => pix::replay_pix_notice(tx, pix, id, body).await,
        None => Err(Error::Conflict(format!("The provider {provider} is not configured: its events cannot be read"))),
    }
}
