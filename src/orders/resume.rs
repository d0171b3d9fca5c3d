//! An administrator ends the hold of a sale.

use actix_web::{HttpResponse, post, web};
use serde_json::json;

use super::store;
use super::view::OrderView;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::error::{Error, Problem, Result};
use crate::http::who::Admin;
use crate::sale::locks;
use crate::sale::named::OrderPath;
use crate::sale::off::{Standing, end_hold, is_on_hold, queue_jobs_after_change, sale_is_off};
use crate::sale::viewer::Viewer;

/// Lets a sale go on
///
/// Ends the hold of a sale, which began when a refund of all its money failed. Its invoice and its label are made again if
/// needed.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = OrderView, description = "The order as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: it is not on hold; `sale-is-off`: its money is on its way back once more, or its goods are")))]
#[post("/api/admin/orders/{id}/resume")]
pub async fn resume_order(app: web::Data<App>, admin: Admin, OrderPath(id): OrderPath) -> Result<HttpResponse> {
    let viewer = Viewer::Admin(admin.0.id);
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let order = locks::lock_order(&tx, id, viewer).await?;
    if !is_on_hold(&tx, order.id).await? {
        return Err(Error::Conflict(format!("The order is {} ({}), and not on hold", order.status, order.payment_status)));
    }
    end_hold(&tx, order.id, viewer.actor()).await?;
    if sale_is_off(&tx, order.id).await? {
        return Err(Error::SaleIsOff("Another refund of its money is on its way, or its goods are back: the sale cannot go on"));
    }
    queue_jobs_after_change(&tx, order.id, Standing::OnHold).await?;
    audit_log::record(&tx, viewer.actor(), Action::OrderResume, &order.id.to_string(), Some(json!({"on_hold": true})), None)
        .await?;
    let answer = store::find_order(&tx, order.id, viewer, &app.config.http.public_url).await?;
    let answer = answer.ok_or(Error::NotFound("The order"))?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}
