//! The webhooks of PIX providers: one way in for all of them, however each proves who it is.

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
use crate::sale::states::PaymentStatus;
use crate::webhooks::{inbox, slim};

/// A signature without a time in it is valid for ever: older news are only a hint, and the provider is asked.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long after a payment's check its returns are looked at.
const AFTER_CHECK: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    received: bool,
}

/// News of a PIX charge or refund, from ProPay. Signed: `X-Propay-Signature` is the hex HMAC-SHA256 of the raw body.
///
/// A repeat of an event is answered like the first, and does nothing.
#[utoipa::path(
    tag = "webhooks", params(("X-Propay-Signature" = String, Header)), request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = Received), (status = 401, body = Problem, description = "Not signed, or wrongly"),
        (status = 404, body = Problem, description = "ProPay is not configured")))]
#[post("/api/webhooks/payment")]
pub(super) async fn propay(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    take_all(&app, "propay", &delivery).await
}

/// News of a PIX charge, from OpenPix. Signed: `x-webhook-signature` (RSA) or `X-OpenPix-Signature` (HMAC).
///
/// It is only a hint: OpenPix is asked before anything moves. The ping of a registration is answered 200 and does nothing.
#[utoipa::path(
    tag = "webhooks", params(("x-webhook-signature" = Option<String>, Header), ("X-OpenPix-Signature" = Option<String>, Header)),
    request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = Received), (status = 401, body = Problem, description = "Not signed, or wrongly"),
        (status = 404, body = Problem, description = "OpenPix is not configured")))]
#[post("/api/webhooks/openpix")]
pub(super) async fn openpix(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    take_all(&app, "openpix", &delivery).await
}

/// Received PIX and returns, from a bank (Pix API of the Central Bank). The address holds the secret: `?hmac=…`.
///
/// It is only a hint: the bank is asked before anything moves. Several PIX may come in one call.
#[utoipa::path(
    tag = "webhooks", params(("hmac" = String, Query)), request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = Received), (status = 401, body = Problem, description = "Without the secret, or with another"),
        (status = 404, body = Problem, description = "No bank is configured")))]
#[post("/api/webhooks/pix")]
pub(super) async fn bank(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    take_all(&app, "bacen", &delivery).await
}

/// The same: banks append `/pix` to the address that they were given.
#[utoipa::path(
    tag = "webhooks", params(("hmac" = String, Query)), request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = Received), (status = 401, body = Problem, description = "Without the secret, or with another"),
        (status = 404, body = Problem, description = "No bank is configured")))]
#[post("/api/webhooks/pix/pix")]
pub(super) async fn bank_appended(app: web::Data<App>, Raw(delivery): Raw) -> Result<HttpResponse> {
    take_all(&app, "bacen", &delivery).await
}

/// Every notice in a transaction of its own: one that cannot be applied keeps no other out, and is told again.
async fn take_all(app: &App, provider: &str, delivery: &Delivery) -> Result<HttpResponse> {
    let pix = app.providers.pix_named(provider).ok_or(Error::NotFound("This address"))?;
    let notices = pix.open(delivery).inspect_err(|_| {
        metrics::counter!("vitrine_webhooks_forged_total", "provider" => pix.name()).increment(1);
    })?; // forged: nothing was parsed, nothing is kept
    let request_id = request::id();
    let mut outcome = Ok(());
    for notice in &notices {
        let id = EventId::new();
        let taken = cause::scope("webhook", &id.to_string(), take(app, pix, id, notice, &request_id)).await;
        outcome = outcome.and(taken);
    }
    app.jobs_were_pushed();
    outcome?;
    Ok(HttpResponse::Ok().json(Received { received: true }))
}

/// The event and its effect, or neither.
async fn take(app: &App, pix: &dyn PixProvider, id: EventId, notice: &Notice, request_id: &str) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let named = (notice.event_id.as_str(), notice.event.as_str());
    let body = slim::keep(pix.name(), &notice.body);
    debug_assert!(
        notice.news == PixNews::Other || pix.reread(&body.clone().into()).first().map(|again| &again.news) == Some(&notice.news),
        "what is kept of an event says what the event said"
    );
    if !inbox::first_time(&tx, id, pix.name(), named, &body, request_id).await? {
        return Ok(());
    }
    let done = apply(&tx, pix.name(), &notice.news).await?;
    inbox::close(app, tx, id, pix.name(), done).await
}

/// What became of it, in a word, and the order that it was about.
async fn apply(tx: &Transaction<'_>, provider: &'static str, news: &PixNews) -> Result<(&'static str, Option<OrderId>)> {
    let Effect { applied, order } = match news {
        PixNews::Paid(paid) if paid.created_at.is_some_and(|at| Timestamp::now().duration_since(at) > MAX_AGE) => {
            return look(tx, provider, PaymentId(paid.payment_id)).await;
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
        PixNews::Look { payment_id } => return look(tx, provider, PaymentId(*payment_id)).await,
        PixNews::LookAtRefund { refund_id, payment_id } => {
            return look_at_refund(tx, provider, *refund_id, payment_id.map(PaymentId)).await;
        }
        PixNews::Disputed(theirs) => dispute::watch::record_hint(tx, provider, theirs).await?,
        PixNews::Other => return Ok(("unknown", None)),
    };
    Ok((applied.word(), order))
}

/// A hint about a payment of ours: the provider is asked, at once.
async fn look(tx: &Transaction<'_>, provider: &'static str, payment: PaymentId) -> Result<(&'static str, Option<OrderId>)> {
    let Some(order) = store::order_of(tx, provider, payment).await? else { return Ok(("unknown", None)) };
    jobs::push_now(tx, Job::CheckPayment { payment }).await?;
    Ok(("hint", Some(order)))
}

/// The same about a refund. One that is none of ours is found among all of its payment's.
async fn look_at_refund(
    tx: &Transaction<'_>,
    provider: &'static str,
    key: Option<Uuid>,
    payment: Option<PaymentId>,
) -> Result<(&'static str, Option<OrderId>)> {
    let known = match key {
        Some(key) => refund::settle::find_by_key(tx, provider, key).await?,
        None => None,
    };
    if let Some((payment, refund, true)) = known {
        jobs::push_now(tx, Job::SendRefund { refund }).await?;
        return Ok(("hint", store::order_of(tx, provider, payment).await?));
    }
    let Some(payment) = payment.or(known.map(|(payment, ..)| payment)) else { return Ok(("unknown", None)) };
    let Some(payment) = store::find(tx, payment).await?.filter(|payment| payment.provider == provider) else {
        return Ok(("unknown", None));
    };
    let look = Job::LookAtRefunds { payment: payment.id };
    if payment.captured.is_zero() {
        // That it was paid at all is news too: money cannot go back before it came.
        jobs::push_now(tx, Job::CheckPayment { payment: payment.id }).await?;
        jobs::push_at(tx, look, Timestamp::now() + AFTER_CHECK).await?;
    } else {
        jobs::push_now(tx, look).await?;
    }
    Ok(("hint", Some(payment.order_id)))
}

/// Applies a kept event again. What it did before it does not do twice. The caller commits.
pub(super) async fn replay(tx: &Transaction<'_>, pix: &dyn PixProvider, id: EventId, body: Vec<u8>) -> Result<&'static str> {
    let Some(notice) = pix.reread(&body.into()).into_iter().next() else { return Ok("unknown") };
    let (outcome, order) = cause::scope("webhook", &id.to_string(), apply(tx, pix.name(), &notice.news)).await?;
    inbox::note(tx, id, outcome, order).await?;
    Ok(outcome)
}
