//! Stripe's webhook.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::{GenericClient, Transaction};
use jiff::Timestamp;
use uuid::Uuid;
use vitrine_kit::dispute::{Contested, Dispute};
use vitrine_kit::pix::PaidNews;
use vitrine_stripe::{CardNews, Event, NAME, Stripe};

use crate::app::App;
use crate::cause;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::ids::{EventId, OrderId, PaymentId};
use crate::jobs::{self, Job};
use crate::payments::capture;
use crate::payments::charge::record;
use crate::payments::dispute::record::{Source, record_dispute};
use crate::payments::effect::Effect;
use crate::payments::{refund, store};
use crate::request;
use crate::sale::outcome::EventOutcome;
use crate::sale::states::PaymentStatus;
use crate::webhooks::{inbox, slim};

/// Takes news about card payments, from Stripe
///
/// A payment, a refund or a dispute has changed. `Stripe-Signature` is over the raw body, at most five minutes old. A repeated
/// event gets the same answer and has no further effect.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"id": "evt_1Nf8", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_3Nf8", "object": "payment_intent", "amount": 10782, "currency": "brl"}}})),
    params(("Stripe-Signature" = String, Header, description = "When it was signed, and the signatures of time and raw body")),
    responses(
        (status = 200, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: it is not signed, wrongly, or too long ago"),
        (status = 404, body = Problem, description = "`not-found`: Stripe is not configured")))]
#[post("/api/webhooks/stripe")]
pub(super) async fn card(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    let Some(stripe) = &app.providers.stripe else { return Err(Error::NotFound("This address")) };
    let event = stripe.open(&delivery, Timestamp::now()).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => NAME).increment(1);
    })?; // a forged delivery is neither parsed nor kept
    let (id, request_id) = (EventId::new(), request::id());
    cause::scope("webhook", &id.to_string(), record_card_event(&app, stripe, id, &event, &request_id)).await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().finish())
}

/// Writes down the event and its effect in one transaction.
async fn record_card_event(app: &App, stripe: &Stripe, id: EventId, event: &Event, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let named = (event.event_id.as_str(), event.event.as_str());
    let body = slim::kept_fields(NAME, &event.body);
    debug_assert!(
        event.news == CardNews::Other || stripe.reread(&body.clone().into()).news == event.news,
        "the kept fields must read as the whole event does"
    );
    if !inbox::first_time(&tx, id, NAME, named, &body, request_id).await? {
        return Ok(());
    }
    let done = apply_card_event(&tx, stripe, event).await?;
    inbox::finish_event(app, tx, id, NAME, done).await
}

/// Applies a kept event again. Effects that it already had are not repeated. The caller commits.
pub(super) async fn replay_card_event(tx: &Transaction<'_>, stripe: &Stripe, id: EventId, body: Vec<u8>) -> Result<EventOutcome> {
    let event = stripe.reread(&body.into());
    let (outcome, order) = cause::scope("webhook", &id.to_string(), apply_card_event(tx, stripe, &event)).await?;
    inbox::note_outcome(tx, id, outcome, order).await?;
    Ok(outcome)
}

/// Applies an event. Returns its outcome for the inbox, and the order that it is about.
async fn apply_card_event(tx: &Transaction<'_>, stripe: &Stripe, event: &Event) -> Result<(EventOutcome, Option<OrderId>)> {
    // A shop in live mode ignores events of the test mode, and the other way round.
    if let (Some(ours), Some(theirs)) = (stripe.is_live(), event.livemode)
        && ours != theirs
    {
        return Ok((EventOutcome::WrongMode, None));
    }
    let Effect { applied, order } = apply_card_news(tx, &event.news).await?;
    Ok((applied, order))
}

async fn apply_card_news(tx: &Transaction<'_>, news: &CardNews) -> Result<Effect> {
    match news {
        CardNews::Succeeded(theirs) => {
            let Some(payment) = payment_of(tx, theirs.payment_id, Some(&theirs.intent_id), None).await? else { return unknown() };
            let paid = PaidNews {
                payment_id: payment.0,
                order_id: theirs.order_id,
                txid: Some(theirs.intent_id.clone()),
                amount: theirs.amount_received,
                currency: theirs.currency.to_uppercase(),
                end_to_end_id: theirs.charge.clone(),
                paid_at: theirs.paid_at,
                created_at: None, // the signature has a time in it
            };
            capture::record_paid(tx, NAME, &paid).await
        }
        CardNews::Failed { intent_id, payment_id, code, message } => {
            let Some(payment) = payment_of(tx, *payment_id, Some(intent_id), None).await? else { return unknown() };
            record::record_note(tx, NAME, payment, &format!("card refused: {code} {message}"), true).await
        }
        CardNews::Processing { intent_id, payment_id } => {
            let Some(payment) = payment_of(tx, *payment_id, Some(intent_id), None).await? else { return unknown() };
            record::record_note(tx, NAME, payment, "the bank is still processing it", false).await
        }
        CardNews::Canceled { intent_id, payment_id } => {
            let Some(payment) = payment_of(tx, *payment_id, Some(intent_id), None).await? else { return unknown() };
            record::record_ended(tx, NAME, payment, PaymentStatus::Cancelled).await
        }
        CardNews::Refunded { intent_id, charge, .. } => {
            // The event has the total that went back, not the refunds: those are read from Stripe.
            let Some(payment) = payment_of(tx, None, intent_id.as_deref(), Some(charge)).await? else { return unknown() };
            jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
            Ok(Effect { applied: EventOutcome::Applied, order: store::order_of(tx, NAME, payment).await? })
        }
        CardNews::Refund { intent_id, charge, refund } => {
            let Some(payment) = payment_of(tx, None, intent_id.as_deref(), charge.as_deref()).await? else { return unknown() };
            refund::adopt::record_provider_refund(tx, NAME, payment, refund).await
        }
        CardNews::Dispute(theirs) => record_card_dispute(tx, theirs).await,
        CardNews::Other => unknown(),
    }
}

/// Records the present state of a dispute.
async fn record_card_dispute(tx: &Transaction<'_>, theirs: &Dispute) -> Result<Effect> {
    let Some(payment) = store::find_contested(tx, NAME, &theirs.payment).await? else { return unknown() };
    record_dispute(tx, NAME, payment, theirs, Source::News).await
}

fn unknown() -> Result<Effect> {
    Ok(Effect::of(EventOutcome::Unknown))
}

/// Finds our payment by the id that we wrote into the intent, else by the intent's id, else by the charge's id. Events about a
/// charge may not name its intent.
async fn payment_of(
    tx: &impl GenericClient,
    ours: Option<Uuid>,
    intent: Option<&str>,
    charge: Option<&str>,
) -> Result<Option<PaymentId>> {
    if let Some(id) = ours {
        return Ok(Some(PaymentId(id)));
    }
    let named = Contested { payment_id: None, provider_ref: intent.map(str::to_owned), end_to_end_id: charge.map(str::to_owned) };
    store::find_contested(tx, NAME, &named).await
}
