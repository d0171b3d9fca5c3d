//! The webhooks of PIX providers. All take the same steps; only the proof of the sender differs.

use actix_web::{HttpResponse, post, web};
use deadpool_postgres::Transaction;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use vitrine_kit::Delivery;
use vitrine_kit::pix::{Notice, PixNews, PixProvider};

use crate::app::App;
use crate::cause;
use crate::error::{Error, Problem, Result};
use crate::http::raw::Raw;
use crate::ids::{EventId, OrderId, PaymentId};
use crate::jobs::{self, Job};
use crate::payments::charge::record;
use crate::payments::effect::Effect;
use crate::payments::store;
use crate::payments::{capture, dispute, refund};
use crate::request;
use crate::sale::outcome::EventOutcome;
use crate::sale::states::PaymentStatus;
use crate::webhooks::{inbox, slim};

/// A signature without a time never expires, so it may be an old delivery sent again. Older notices are only a hint: the provider
/// is asked.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long after the check of a payment its refunds are read.
const AFTER_CHECK: SignedDuration = SignedDuration::from_mins(10);

/// The event was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    /// Always `true`.
    received: bool,
}

/// Takes news about PIX, from ProPay
///
/// A charge or a refund has changed. `X-Propay-Signature` is the hex HMAC-SHA256 of the raw body. A repeated event gets the
/// same answer and has no further effect.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"id": "evt_1", "event": "payment.completed", "payment_id": "pay_1", "amount_cents": 10782, "currency": "BRL", "status": "completed"})),
    params(("X-Propay-Signature" = String, Header, description = "The signature of the raw body")),
    responses(
        (status = 200, body = Received, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: it is not signed, or wrongly"),
        (status = 404, body = Problem, description = "`not-found`: ProPay is not configured")))]
#[post("/api/webhooks/payment")]
pub(super) async fn propay(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    receive_pix_notices(&app, "propay", &delivery).await
}

/// Takes news about PIX, from OpenPix
///
/// A charge, a refund or a dispute has changed. Signed: `x-webhook-signature` (RSA) or `X-OpenPix-Signature` (HMAC). It is only
/// a hint: OpenPix is asked before anything changes here. The ping of a registration is answered 200, and nothing happens.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"event": "OPENPIX:CHARGE_COMPLETED", "charge": {"correlationID": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "status": "COMPLETED", "value": 10782}})),
    params(
        ("x-webhook-signature" = Option<String>, Header, description = "The RSA signature of the raw body"),
        ("X-OpenPix-Signature" = Option<String>, Header, description = "The HMAC of the raw body")),
    responses(
        (status = 200, body = Received, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: it is not signed, or wrongly"),
        (status = 404, body = Problem, description = "`not-found`: OpenPix is not configured")))]
#[post("/api/webhooks/openpix")]
pub(super) async fn openpix(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    receive_pix_notices(&app, "openpix", &delivery).await
}

/// Takes received PIX, from a bank
///
/// PIX and returns, by the Pix API of the Central Bank. The address holds the secret: `?hmac=…`. It is only a hint: the bank is
/// asked before anything changes here. Several PIX may come in one call.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"pix": [{"endToEndId": "E00038166202611011234abcdef12345", "txid": "9d36b84fc70b478fb95c12729b90ca25", "valor": "107.82", "horario": "2026-11-01T12:34:56Z"}]})),
    params(("hmac" = String, Query, description = "The secret of the address")),
    responses(
        (status = 200, body = Received, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: without the secret, or with another"),
        (status = 404, body = Problem, description = "`not-found`: no bank is configured")))]
#[post("/api/webhooks/pix")]
pub(super) async fn bank(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    receive_pix_notices(&app, "bacen", &delivery).await
}

/// Takes received PIX, from a bank that appends /pix
///
/// The same as `POST /api/webhooks/pix`: banks append `/pix` to the address that they were given.
#[utoipa::path(
    tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"pix": [{"endToEndId": "E00038166202611011234abcdef12345", "txid": "9d36b84fc70b478fb95c12729b90ca25", "valor": "107.82", "horario": "2026-11-01T12:34:56Z"}]})),
    params(("hmac" = String, Query, description = "The secret of the address")),
    responses(
        (status = 200, body = Received, description = "It was taken"),
        (status = 401, body = Problem, description = "`bad-signature`: without the secret, or with another"),
        (status = 404, body = Problem, description = "`not-found`: no bank is configured")))]
#[post("/api/webhooks/pix/pix")]
pub(super) async fn bank_appended(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    receive_pix_notices(&app, "bacen", &delivery).await
}

/// Each notice has a transaction of its own: one that cannot be applied does not stop the others. The answer is then an error, so
/// that the provider sends the delivery again.
async fn receive_pix_notices(app: &App, provider: &str, delivery: &Delivery) -> Result<HttpResponse> {
    let pix = app.providers.pix_named(provider).ok_or(Error::NotFound("This address"))?;
    let notices = pix.open(delivery).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => pix.name()).increment(1);
    })?; // a forged delivery is neither parsed nor kept
    let request_id = request::id();
    let mut outcome = Ok(());
    for notice in &notices {
        let id = EventId::new();
        let taken = cause::scope("webhook", &id.to_string(), record_pix_notice(app, pix, id, notice, &request_id)).await;
        outcome = outcome.and(taken);
    }
    app.jobs_were_pushed();
    outcome?;
    Ok(HttpResponse::Ok().json(Received { received: true }))
}

/// Writes down the event and its effect in one transaction.
async fn record_pix_notice(app: &App, pix: &dyn PixProvider, id: EventId, notice: &Notice, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let named = (notice.event_id.as_str(), notice.event.as_str());
    let body = slim::kept_fields(pix.name(), &notice.body);
    debug_assert!(
        notice.news == PixNews::Other || pix.reread(&body.clone().into()).first().map(|again| &again.news) == Some(&notice.news),
        "the kept fields must read as the whole event does"
    );
    if !inbox::first_time(&tx, id, pix.name(), named, &body, request_id).await? {
        return Ok(());
    }
    let done = apply_pix_news(&tx, pix.name(), &notice.news).await?;
    inbox::finish_event(app, tx, id, pix.name(), done).await
}

/// Applies a notice. Returns its outcome for the inbox, and the order that it is about.
async fn apply_pix_news(tx: &Transaction<'_>, provider: &'static str, news: &PixNews) -> Result<(EventOutcome, Option<OrderId>)> {
    let Effect { applied, order } = match news {
        PixNews::Paid(paid) if paid.created_at.is_some_and(|at| Timestamp::now().duration_since(at) > MAX_AGE) => {
            return queue_payment_check(tx, provider, PaymentId(paid.payment_id)).await;
        }
        PixNews::Paid(paid) => capture::record_paid(tx, provider, paid).await?,
        PixNews::Expired { payment_id } => {
            record::record_ended(tx, provider, PaymentId(*payment_id), PaymentStatus::Expired).await?
        }
        PixNews::Cancelled { payment_id } => {
            record::record_ended(tx, provider, PaymentId(*payment_id), PaymentStatus::Cancelled).await?
        }
        PixNews::RefundDone { refund_id } => refund::settle::record_done(tx, provider, *refund_id).await?,
        PixNews::RefundFailed { refund_id, retry, said } => {
            refund::settle::record_failed(tx, provider, *refund_id, *retry, said.as_deref()).await?
        }
        PixNews::Look { payment_id } => return queue_payment_check(tx, provider, PaymentId(*payment_id)).await,
        PixNews::LookAtRefund { refund_id, payment_id } => {
            return queue_refund_check(tx, provider, *refund_id, payment_id.map(PaymentId)).await;
        }
        PixNews::Disputed(theirs) => dispute::watch::record_hint(tx, provider, theirs).await?,
        PixNews::Other => return Ok((EventOutcome::Unknown, None)),
    };
    Ok((applied, order))
}

/// Queues the job that asks the provider about a payment of ours.
async fn queue_payment_check(
    tx: &Transaction<'_>,
    provider: &'static str,
    payment: PaymentId,
) -> Result<(EventOutcome, Option<OrderId>)> {
    let Some(order) = store::order_of(tx, provider, payment).await? else { return Ok((EventOutcome::Unknown, None)) };
    jobs::push_now(tx, Job::CheckPayment { payment }).await?;
    Ok((EventOutcome::Hint, Some(order)))
}

/// Queues the job that asks the provider about a refund of ours. For a refund that we do not know, all refunds of its payment are
/// read.
async fn queue_refund_check(
    tx: &Transaction<'_>,
    provider: &'static str,
    key: Option<Uuid>,
    payment: Option<PaymentId>,
) -> Result<(EventOutcome, Option<OrderId>)> {
    let known = match key {
        Some(key) => refund::settle::find_by_key(tx, provider, key).await?,
        None => None,
    };
    if let Some((payment, refund, true)) = known {
        jobs::push_now(tx, Job::SendRefund { refund }).await?;
        return Ok((EventOutcome::Hint, store::order_of(tx, provider, payment).await?));
    }
    let Some(payment) = payment.or(known.map(|(payment, ..)| payment)) else { return Ok((EventOutcome::Unknown, None)) };
    let Some(payment) = store::find(tx, payment).await?.filter(|payment| payment.provider == provider) else {
        return Ok((EventOutcome::Unknown, None));
    };
    let look = Job::LookAtRefunds { payment: payment.id };
    if payment.captured.is_zero() {
        // Money cannot go back before it came: we have not heard yet that the payment is paid.
        jobs::push_now(tx, Job::CheckPayment { payment: payment.id }).await?;
        jobs::push_at(tx, look, Timestamp::now() + AFTER_CHECK).await?;
    } else {
        jobs::push_now(tx, look).await?;
    }
    Ok((EventOutcome::Hint, Some(payment.order_id)))
}

/// Applies a kept event again. Effects that it already had are not repeated. The caller commits.
pub(super) async fn replay_pix_notice(
    tx: &Transaction<'_>,
    pix: &dyn PixProvider,
    id: EventId,
    body: Vec<u8>,
) -> Result<EventOutcome> {
    let Some(notice) = pix.reread(&body.into()).into_iter().next() else { return Ok(EventOutcome::Unknown) };
    let (outcome, order) = cause::scope("webhook", &id.to_string(), apply_pix_news(tx, pix.name(), &notice.news)).await?;
    inbox::note_outcome(tx, id, outcome, order).await?;
    Ok(outcome)
}
