//! Goods that come back without a refund in the same call.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use deadpool_postgres::GenericClient;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store;
use crate::app::App;
use crate::catalog;
use crate::error::{Error, Problem, Result};
use crate::http::idempotency::IdempotencyKey;
use crate::http::json::Json;
use crate::http::who::{Admin, AdminSent};
use crate::ids::{LineId, OrderId};
use crate::invoices;
use crate::sale::goods::{Goods, RestockItem};
use crate::sale::locks::{self, LockedOrder};
use crate::sale::named::OrderPath;
use crate::sale::off::{queue_jobs_after_change, sale_is_off};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::viewer::Viewer;
use crate::sale::{life, stock};
use crate::text::is_hidden;

/// Goods that came back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnGoods {
    #[garde(length(chars, min = 1, max = 140), custom(no_control))]
    reason: String,
    /// Puts all remaining goods back on the shelf, except those in `write_off_items`.
    #[serde(default)]
    #[garde(skip)]
    restock: bool,
    /// Puts these pieces back on the shelf.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    restock_items: Vec<RestockItem>,
    /// These pieces are lost or spoilt: they are out of the sale, and go back on no shelf.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    write_off_items: Vec<RestockItem>,
}

fn no_control(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must not have control characters")) } else { Ok(()) }
}

/// What came back of an order, by the sums of all calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct Returned {
    pub order_id: OrderId,
    pub status: OrderStatus,
    pub payment_status: OrderPaymentStatus,
    /// All of the money is back with the buyer, or on its way.
    pub money_is_back: bool,
    pub items: Vec<ReturnedLine>,
}

/// What came back of a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReturnedLine {
    pub line_id: LineId,
    pub sku: String,
    pub name: String,
    pub quantity: i32,
    pub restocked: i32,
    pub written_off: i32,
    /// How many can still come back.
    pub left: i32,
}

/// Records that goods of a paid order came back, without a refund. The order's state follows from the sums of goods and money
#[utoipa::path(tag = "orders", security(("bearer" = [])), request_body = ReturnGoods,
    params(("id" = String, Path, description = "Its id, or its number"), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Returned), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Not so much is left, or the order is not paid"), (status = 422, body = Problem)))]
#[post("/api/orders/{id}/returns")]
pub async fn return_goods(
    app: web::Data<App>,
    OrderPath(order): OrderPath,
    key: IdempotencyKey,
    AdminSent(admin, body): AdminSent<Json<ReturnGoods>>,
) -> Result<HttpResponse> {
    let viewer = Viewer::Admin(admin.0.id);
    let goods = Goods::asked(body.restock, &body.restock_items, &body.write_off_items)?;
    if goods.is_nothing() {
        return Err(Error::field("restock_items", "name what came back, here or in write_off_items, or set restock"));
    }
    let claim = key.bind(format!("{} return:{order}", viewer.actor()), body.fingerprint())?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some(claim) = &claim
        && let Some(first) = claim.take(&tx).await?
    {
        return Ok(first.answer());
    }
    let found = locks::lock_order(&tx, order, viewer).await?;
    let back_for_sale = take_back(&tx, &found, &goods, &body.reason, viewer).await?;
    let answer = read(&tx, order, viewer).await?;
    if let Some(claim) = &claim {
        claim.finish(&tx, StatusCode::CREATED, &answer).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    if back_for_sale {
        catalog::changed(&app).await;
    }
    Ok(HttpResponse::Created().json(answer))
}

/// Call this while holding the order's lock. `true`: a variant that was sold out is in stock again.
async fn take_back(tx: &impl GenericClient, order: &LockedOrder, goods: &Goods, reason: &str, viewer: Viewer) -> Result<bool> {
    if matches!(order.status, OrderStatus::Pending | OrderStatus::Cancelled) {
        return Err(Error::Conflict(format!("The order is {}: no goods of it can come back", order.status)));
    }
    let (id, actor) = (order.id, viewer.actor());
    let was_off = sale_is_off(tx, id).await?;
    let back_for_sale = stock::take_back(tx, id, goods, actor, reason).await?;
    life::follow_sums(tx, id, actor).await?;
    invoices::returns::follow_sums(tx, id, None, false, actor).await?;
    queue_jobs_after_change(tx, id, was_off).await?;
    Ok(back_for_sale)
}

/// What came back of an order, and what still can
#[utoipa::path(tag = "orders", security(("bearer" = [])), params(("id" = String, Path, description = "Its id, or its number")),
    responses((status = 200, body = Returned), (status = 404, body = Problem)))]
#[get("/api/orders/{id}/returns")]
pub async fn show_returns(app: web::Data<App>, admin: Admin, OrderPath(order): OrderPath) -> Result<HttpResponse> {
    let answer = read(&app.db().await?, order, Viewer::Admin(admin.0.id)).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(answer))
}

async fn read(db: &impl GenericClient, order: OrderId, viewer: Viewer) -> Result<Returned> {
    let found = locks::find_order(db, order, viewer).await?;
    let sums = stock::find_sums(db, order).await?.ok_or(Error::NotFound("The order"))?;
    let lines = store::list_lines(db, &[order]).await?;
    let item = |row: &tokio_postgres::Row| {
        let line = sums.line(row.get("id"))?;
        Some(ReturnedLine {
            line_id: line.id,
            sku: row.get("sku"),
            name: row.get("name"),
            quantity: line.sold,
            restocked: line.restocked,
            written_off: line.written_off,
            left: line.left(),
        })
    };
    Ok(Returned {
        order_id: order,
        status: found.status,
        payment_status: found.payment_status,
        money_is_back: sums.money_is_back,
        items: lines.iter().filter_map(item).collect(),
    })
}
