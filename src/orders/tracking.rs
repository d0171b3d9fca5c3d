//! Where a parcel is: set by the shop, read by anybody who has the number.

use actix_web::{HttpResponse, get, patch, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store;
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::http::json::{Json, Path};
use crate::http::who::SignedIn;
use crate::ids::OrderId;
use crate::jobs::{self, Job};
use crate::sale::address::tracking_url;
use crate::sale::history::{Change, record_change};
use crate::sale::life;
use crate::sale::locks::{self, LockedOrder};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::viewer::Viewer;
use crate::token::Role;

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTracking {
    #[garde(length(min = 4, max = 60), custom(is_code))]
    pub tracking_number: String,
    #[garde(length(min = 1, max = 60), custom(is_name))]
    pub carrier: String,
}

fn is_code(text: &str, _: &()) -> garde::Result {
    let sane = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if sane { Ok(()) } else { Err(garde::Error::new("must be letters, digits and dashes")) }
}

fn is_name(text: &str, _: &()) -> garde::Result {
    if text.chars().any(char::is_control) { Err(garde::Error::new("must be text on one line")) } else { Ok(()) }
}

/// Hands the order to a carrier: it is shipped, and the buyer is told
#[utoipa::path(tag = "orders", security(("bearer" = [])), request_body = SetTracking,
    responses((status = 200, body = super::view::OrderView), (status = 409), (status = 422)))]
#[patch("/api/orders/{id}/tracking")]
pub async fn set_tracking(
    app: web::Data<App>,
    user: SignedIn,
    Path(order): Path<OrderId>,
    body: Json<SetTracking>,
) -> Result<HttpResponse> {
    if !matches!(user.role, Role::Admin | Role::Shipper) {
        return Err(Error::Forbidden("This is for administrators and shippers"));
    }
    let viewer = Viewer::Admin(user.id);
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let found = locks::lock_order(&tx, order, viewer).await?;
    ship(&tx, &found, &body, Actor::Admin(user.id)).await?;
    let answer = store::find_order(&tx, order, viewer, &app.config.http.public_url).await?.ok_or(Error::NotFound("The order"))?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}

/// `processing` → `shipped`. A number that was mistyped can be set again; the same one changes nothing.
async fn ship(tx: &db::Transaction<'_>, order: &LockedOrder, new: &SetTracking, actor: Actor) -> Result<()> {
    const SHIP: &str = "
        UPDATE orders SET status = 'shipped', tracking_number = $2, carrier = $3, shipped_at = coalesce(shipped_at, now()), updated_at = now()
         WHERE id = $1 AND status IN ('processing', 'shipped') AND payment_status IN ('paid', 'partially_refunded')
           AND (tracking_number IS DISTINCT FROM $2 OR carrier <> $3)";
    let code = new.tracking_number.to_uppercase();
    match (order.status, order.payment_status) {
        (OrderStatus::Processing | OrderStatus::Shipped, OrderPaymentStatus::Paid | OrderPaymentStatus::PartiallyRefunded) => {}
        (OrderStatus::Pending, _) => return Err(Error::Conflict("The order is not paid yet: it cannot be shipped".into())),
        (status, payment) => return Err(Error::Conflict(format!("The order is {status} ({payment}): it cannot be shipped"))),
    }
    if db::execute(tx, SHIP, &[&order.id, &code, &new.carrier]).await? == 0 {
        return Ok(());
    }
    life::record_parcel_by_hand(tx, order.id, "posted", &code, actor).await?;
    if order.status == OrderStatus::Processing {
        let change = Change {
            subject: "order",
            subject_id: None,
            from: Some("processing"),
            to: "shipped",
            reason: "tracking number set",
            actor,
        };
        record_change(tx, order.id, &change).await?;
        jobs::push(tx, Job::DropLabel { order: order.id }).await?; // one that was not bought yet is not wanted any more
    }
    // A number that was corrected is told too: one mail per number.
    jobs::push(tx, Job::MailOrderShipped { order: order.id }).await
}

/// The order is with the buyer: for those that are fetched at the shop, and for carriers that tell nothing
#[utoipa::path(tag = "orders", security(("bearer" = [])), responses((status = 200, body = super::view::OrderView), (status = 404), (status = 409)))]
#[patch("/api/orders/{id}/delivered")]
pub async fn set_delivered(app: web::Data<App>, user: SignedIn, Path(order): Path<OrderId>) -> Result<HttpResponse> {
    if !matches!(user.role, Role::Admin | Role::Shipper) {
        return Err(Error::Forbidden("This is for administrators and shippers"));
    }
    let viewer = Viewer::Admin(user.id);
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let found = locks::lock_order(&tx, order, viewer).await?;
    hand_over(&tx, &found, Actor::Admin(user.id)).await?;
    let answer = store::find_order(&tx, order, viewer, &app.config.http.public_url).await?.ok_or(Error::NotFound("The order"))?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(answer))
}

/// One that is fetched leaves and arrives at the same moment. Saying it twice changes nothing more.
async fn hand_over(tx: &db::Transaction<'_>, order: &LockedOrder, actor: Actor) -> Result<()> {
    let now = Timestamp::now();
    match order.status {
        OrderStatus::Delivered => return Ok(()),
        OrderStatus::Shipped => jobs::push(tx, Job::DropLabel { order: order.id }).await?, // of a box that was to follow
        OrderStatus::Processing => {
            if !order.is_pickup || !life::mark_shipped(tx, order.id, None, now, actor, "fetched at the shop").await? {
                return Err(Error::Conflict("The order has not left yet: set its tracking number first".into()));
            }
        }
        status => return Err(Error::Conflict(format!("The order is {status}: it cannot be delivered"))),
    }
    life::mark_delivered(tx, order.id, now, actor, "delivered by hand").await?;
    life::record_parcel_by_hand(tx, order.id, "delivered", "", actor).await
}

/// What anybody with the number may know: no name, no address, no document, no price.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tracking {
    pub number: String,
    pub status: OrderStatus,
    pub payment_status: OrderPaymentStatus,
    pub carrier: String,
    pub tracking_number: Option<String>,
    /// Working days from posting.
    pub delivery_days: i32,
    pub items: Vec<TrackedItem>,
    pub history: Vec<TrackedStep>,
    pub created_at: Timestamp,
    pub tracking_url: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TrackedItem {
    pub name: String,
    pub quantity: i32,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TrackedStep {
    /// `pending`, `paid`, `processing`, `shipped`, `delivered`, `cancelled`, … or the carrier's own code.
    pub status: String,
    /// In Portuguese, for people.
    pub description: String,
    pub place: Option<String>,
    pub at: Timestamp,
}

/// The public state of an order, by its own number or the carrier's
#[utoipa::path(tag = "orders", responses((status = 200, body = Tracking), (status = 404)))]
#[get("/api/orders/tracking/{number}")]
pub async fn show_tracking(app: web::Data<App>, Path(number): Path<String>) -> Result<HttpResponse> {
    let tracking = find(&app, &number).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(tracking))
}

pub async fn find(app: &App, number: &str) -> Result<Tracking> {
    const FIND: &str = "
        SELECT id, number, status, payment_status, carrier, tracking_number, delivery_days, created_at FROM orders
         WHERE number = $1 OR upper(tracking_number) = $1 ORDER BY (number = $1) DESC, id DESC LIMIT 1";
    const ITEMS: &str = "SELECT name, quantity FROM order_lines WHERE order_id = $1 ORDER BY position";
    // Carriers tell whole seconds: within one, an order is prepared before its parcel moves, and has left once that has.
    const HISTORY: &str = "
        SELECT status, description, place, at FROM (
            SELECT to_state AS status, NULL AS description, NULL AS place, at,
                   CASE WHEN to_state IN ('pending', 'paid', 'processing') THEN 0 ELSE 2 END AS place_in_second
              FROM order_history WHERE order_id = $1 AND subject IN ('order', 'payment_status') AND to_state <> 'pending_payment'
            UNION ALL
            SELECT code, description, place, happened_at, 1 FROM shipment_events WHERE order_id = $1) AS steps
         ORDER BY date_trunc('second', at), place_in_second, at, status";
    let number = number.trim().to_uppercase();
    if number.len() > 60 {
        return Err(Error::NotFound("The order"));
    }
    let db = app.db().await?;
    let row = db::query_opt(&db, FIND, &[&number]).await?.ok_or(Error::NotFound("The order"))?;
    let id: OrderId = row.get("id");
    let of_order: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&id];
    let (items, history) = futures_util::try_join!(db::query(&db, ITEMS, &of_order), db::query(&db, HISTORY, &of_order))?;
    let number: String = row.get("number");
    Ok(Tracking {
        tracking_url: tracking_url(&app.config.http.public_url, &number),
        number,
        status: row.try_get("status")?,
        payment_status: row.try_get("payment_status")?,
        carrier: row.get("carrier"),
        tracking_number: row.get("tracking_number"),
        delivery_days: row.get("delivery_days"),
        items: items.iter().map(|row| TrackedItem { name: row.get("name"), quantity: row.get("quantity") }).collect(),
        history: history
            .iter()
            .map(|row| {
                let status: String = row.get("status");
                let description =
                    row.get::<_, Option<String>>("description").unwrap_or_else(|| in_portuguese(&status).to_owned());
                TrackedStep { status, description, place: row.get("place"), at: row.get("at") }
            })
            .collect(),
        created_at: row.get("created_at"),
    })
}

/// A state in the buyer's words.
pub fn in_portuguese(state: &str) -> &'static str {
    match state {
        "pending" => "Pedido recebido, aguardando pagamento",
        "paid" => "Pagamento confirmado",
        "processing" => "Pedido em preparação",
        "shipped" => "Pedido enviado",
        "delivered" => "Pedido entregue",
        "cancelled" => "Pedido cancelado",
        "returned" => "Pedido devolvido",
        "expired" => "Prazo de pagamento encerrado",
        "failed" => "Pagamento não aprovado",
        "partially_refunded" => "Parte do valor devolvida",
        "refunded" => "Valor devolvido",
        _ => "Pedido atualizado",
    }
}
