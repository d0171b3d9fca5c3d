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
use crate::http::who::Admin;
use crate::ids::{LineId, OrderId};
use crate::invoices;
use crate::sale::goods::{Goods, RestockItem};
use crate::sale::locks::{self, LockedOrder};
use crate::sale::named::OrderPath;
use crate::sale::off::{queue_jobs_after_change, standing};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::viewer::Viewer;
use crate::sale::{life, stock};
use crate::text::is_hidden;

/// Goods that came back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Tamanho errado", "restock_items": [{"line_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "quantity": 1}]}))]
pub struct ReturnGoods {
    /// Why they came back.
    #[garde(length(chars, min = 1, max = 140), custom(no_control))]
    #[schema(min_length = 1, max_length = 140)]
    reason: String,
    /// Puts all remaining goods back on the shelf, except those in `write_off_items`.
    #[serde(default)]
    #[garde(skip)]
    restock: bool,
    /// Puts these pieces back on the shelf.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    #[schema(max_items = 100)]
    restock_items: Vec<RestockItem>,
    /// These pieces are lost or spoilt: they are out of the sale, and go back on no shelf.
    #[serde(default)]
    #[garde(length(max = 100), dive)]
    #[schema(max_items = 100)]
    write_off_items: Vec<RestockItem>,
}

fn no_control(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must not have control characters")) } else { Ok(()) }
}

/// What came back of an order, by the sums of all calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct Returned {
    /// The order.
    pub order_id: OrderId,
    /// How far it is.
    pub status: OrderStatus,
    /// What became of its money.
    pub payment_status: OrderPaymentStatus,
    /// All of the money is back with the buyer, or on its way.
    pub money_is_back: bool,
    /// Its lines.
    pub items: Vec<ReturnedLine>,
}

/// What came back of a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReturnedLine {
    /// The line.
    pub line_id: LineId,
    /// The SKU of the variant.
    #[schema(example = "CAM-AZUL-M")]
    pub sku: String,
    /// The product's name.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// How many pieces were sold.
    #[schema(minimum = 0, example = 2)]
    pub quantity: i32,
    /// How many went back on the shelf.
    #[schema(example = 1, minimum = 0)]
    pub restocked: i32,
    /// How many are lost or spoilt.
    #[schema(example = 0, minimum = 0)]
    pub written_off: i32,
    /// How many can still come back.
    #[schema(example = 1, minimum = 0)]
    pub left: i32,
}

/// Records that goods came back
///
/// Of a paid order, without a refund. The order's state follows from the sums of goods and money.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])), request_body = ReturnGoods,
    params(
        ("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body answer the first answer again")),
    responses(
        (status = 201, body = Returned, description = "What came back by now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: not so much is left, or the order is not paid; `idempotency-key-in-flight`"),
        (status = 422, body = Problem,
            description = "`invalid`: nothing is named, a line twice, or one of another order; `idempotency-key-reused`")))]
#[post("/api/orders/{id}/returns")]
pub async fn return_goods(
    app: web::Data<App>,
    admin: Admin,
    body: Json<ReturnGoods>,
    OrderPath(order): OrderPath,
    key: IdempotencyKey,
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
    let before = standing(tx, id).await?;
    let back_for_sale = stock::take_back(tx, id, goods, actor, reason).await?;
    life::follow_sums(tx, id, actor).await?;
    invoices::returns::follow_sums(tx, id, None, false, actor).await?;
    queue_jobs_after_change(tx, id, before).await?;
    Ok(back_for_sale)
}

/// Shows what came back of an order
///
/// And what still can.
#[utoipa::path(
    tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = Returned, description = "What came back by now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order")))]
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
