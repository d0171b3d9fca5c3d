//! Refunds as an administrator looks after them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::RefundView;
use super::{otherwise, retry};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::idempotency::IdempotencyKey;
use crate::http::json::{Json, Path};
use crate::http::who::Admin;
use crate::ids::RefundId;

/// Tries a refund again
///
/// One that waits for its next try, or that failed. One that failed reserves its money again. The answer says where it stands;
/// whether the provider takes it is known a moment later.
#[utoipa::path(
    tag = "payments", security(("bearer" = [])),
    params(
        ("id" = RefundId, Path, description = "The refund"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key answers the first answer again")),
    responses(
        (status = 202, body = RefundView, description = "The refund as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such refund"),
        (status = 409, body = Problem,
            description = "`conflict`: it is under way, done, or came back, or its money is not there any more; `idempotency-key-in-flight`")))]
#[post("/api/admin/refunds/{id}/retry")]
pub(in crate::payments) async fn retry_refund(
    app: web::Data<App>,
    admin: Admin,
    id: Path<RefundId>,
    key: IdempotencyKey,
) -> Result<HttpResponse> {
    let claim = key.bind(format!("{} retry-refund:{}", admin.0.actor(), id.0), Vec::new())?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some(claim) = &claim
        && let Some(first) = claim.take(&tx).await?
    {
        return Ok(first.answer());
    }
    let refund = retry::retry_refund(&tx, id.0, admin.0.actor()).await?;
    if let Some(claim) = &claim {
        claim.finish(&tx, StatusCode::ACCEPTED, &refund).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Accepted().json(refund))
}

/// How the shop paid it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "TED de 3 de dezembro, comprovante 4711"}))]
struct SettleRefund {
    /// How, when and where it can be looked up: "TED de 3 de dezembro, comprovante 4711".
    #[garde(length(chars, max = 500), custom(is_said))]
    #[schema(min_length = 1, max_length = 500)]
    note: String,
}

fn is_said(note: &str, (): &()) -> garde::Result {
    if note.trim().is_empty() { Err(garde::Error::new("must say how it was paid")) } else { Ok(()) }
}

/// Records that a refund was paid another way
///
/// The shop paid a failed refund's amount to the buyer another way, because the provider will not make it. It is done from then
/// on, beside the provider's books. The buyer gets the mail of a refund.
#[utoipa::path(
    tag = "payments", security(("bearer" = [])), request_body = SettleRefund,
    params(
        ("id" = RefundId, Path, description = "The refund"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body answer the first answer again")),
    responses(
        (status = 200, body = RefundView, description = "The refund as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such refund"),
        (status = 409, body = Problem,
            description = "`conflict`: it has not failed, or its money is not there any more; `idempotency-key-in-flight`")))]
#[post("/api/admin/refunds/{id}/settle")]
pub(in crate::payments) async fn settle_refund(
    app: web::Data<App>,
    admin: Admin,
    body: Json<SettleRefund>,
    id: Path<RefundId>,
    key: IdempotencyKey,
) -> Result<HttpResponse> {
    let actor = admin.0.actor();
    let claim = key.bind(format!("{actor} settle-refund:{}", id.0), body.fingerprint())?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some(claim) = &claim
        && let Some(first) = claim.take(&tx).await?
    {
        return Ok(first.answer());
    }
    let refund = otherwise::settle_otherwise(&tx, id.0, &body.note, actor).await?;
    if let Some(claim) = &claim {
        claim.finish(&tx, StatusCode::OK, &refund).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(refund))
}
