//! Refunds as an administrator looks after them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};

use super::retry;
use super::view::RefundView;
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::idempotency::IdempotencyKey;
use crate::http::json::Path;
use crate::http::who::Admin;
use crate::ids::RefundId;

/// Tries a refund at once that waits for its next try, or that failed.
///
/// One that failed reserves its money again. The answer says where it stands; whether the provider takes it is known a moment later.
#[utoipa::path(
    tag = "payments", security(("bearer" = [])), params(("id" = RefundId, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = RefundView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is under way, done, or came back; or its money is not there any more")))]
#[post("/api/admin/refunds/{id}/retry")]
pub(in crate::payments) async fn retry_refund(
    app: web::Data<App>,
    admin: Admin,
    id: Path<RefundId>,
    key: IdempotencyKey,
) -> Result<HttpResponse> {
    let claim = key.bind(format!("{} retry-refund:{}", admin.0.actor(), id.0), Vec::new());
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
