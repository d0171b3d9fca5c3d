//! The public state of an order, for anybody who has its number.

use std::fmt;

use actix_web::{HttpResponse, get, web};
use bytes::BytesMut;
use jiff::Timestamp;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Path;
use crate::ids::OrderId;
use crate::sale::address::tracking_url;
use crate::sale::named;
use crate::sale::states::{OrderPaymentStatus, OrderStatus, UnknownWord, states};

/// What anybody with the number may know: no name, no address, no document, no price.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tracking {
    /// The order's number.
    #[schema(example = "0A1B2-C3D4E")]
    pub number: String,
    /// How far it is.
    pub status: OrderStatus,
    /// What became of its money.
    pub payment_status: OrderPaymentStatus,
    /// The carrier's service, as the buyer reads it: `PAC`.
    #[schema(example = "PAC")]
    pub carrier: String,
    /// The carrier's number of the parcel; null: not yet known.
    #[schema(required = true, example = "AA123456785BR")]
    pub tracking_number: Option<String>,
    /// Working days from posting.
    #[schema(example = 7, minimum = 0)]
    pub delivery_days: i32,
    /// What was sold.
    pub items: Vec<TrackedItem>,
    /// What happened to it, the oldest first.
    pub history: Vec<TrackedStep>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// The public page that shows the same.
    #[schema(format = "uri")]
    pub tracking_url: String,
}

/// A line of an order that anybody may see.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrackedItem {
    /// The product's name.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// How many pieces were sold.
    #[schema(minimum = 0, example = 2)]
    pub quantity: i32,
}

states! {
    /// What a step tells: a state of the order or of its money; `parcel`: the carrier's news of the parcel.
    TrackedStatus {
        Pending = "pending",
        Paid = "paid",
        Processing = "processing",
        Shipped = "shipped",
        Delivered = "delivered",
        Cancelled = "cancelled",
        Returned = "returned",
        Expired = "expired",
        Failed = "failed",
        PartiallyRefunded = "partially_refunded",
        Refunded = "refunded",
        Parcel = "parcel",
    }
}

/// Something that happened to an order or its parcel.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrackedStep {
    /// What it tells.
    pub status: TrackedStatus,
    /// The carrier's own code of its news; null: it is no news of a carrier.
    #[schema(example = "BDE/01", required = true)]
    pub code: Option<String>,
    /// In Portuguese, for people.
    #[schema(example = "Pedido enviado")]
    pub description: String,
    /// Where the parcel was; null: nobody says.
    #[schema(example = "São Paulo/SP", required = true)]
    pub place: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Follows a parcel
///
/// The public state of an order, by its own number or the carrier's. No name, no address, no document, no price.
#[utoipa::path(
    tag = "orders",
    params(
        ("number" = String, Path,
            description = "The order's number, or the carrier's", max_length = 60, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = Tracking, description = "The order as anybody may see it"),
        (status = 404, body = Problem, description = "`not-found`: no order has this number")))]
#[get("/api/orders/tracking/{number}")]
pub async fn show_tracking(app: web::Data<App>, Path(number): Path<String>) -> Result<HttpResponse> {
    let tracking = find(&app, &number).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(tracking))
}

pub async fn find(app: &App, number: &str) -> Result<Tracking> {
    const FIND: &str = "
        SELECT id, number, status, payment_status, carrier, tracking_number, delivery_days, created_at FROM orders
         WHERE number = ANY ($1) OR upper(tracking_number) = ANY ($1) ORDER BY (number = ANY ($1)) DESC, id DESC LIMIT 1";
    const ITEMS: &str = "SELECT name, quantity FROM order_lines WHERE order_id = $1 ORDER BY position";
    // Carriers give whole seconds. Events of one second are sorted: the order is prepared, the parcel moves, the order is
    // shipped.
    const HISTORY: &str = "
        SELECT status, code, description, place, at FROM (
            SELECT to_state AS status, NULL AS code, NULL AS description, NULL AS place, at,
                   CASE WHEN to_state IN ('pending', 'paid', 'processing') THEN 0 ELSE 2 END AS place_in_second
              FROM order_history WHERE order_id = $1 AND subject IN ('order', 'payment_status') AND to_state <> 'pending_payment'
            UNION ALL
            SELECT 'parcel', code, description, place, happened_at, 1 FROM shipment_events WHERE order_id = $1) AS steps
         ORDER BY date_trunc('second', at), place_in_second, at, status, code";
    if number.len() > 60 {
        return Err(Error::NotFound("The order"));
    }
    let db = app.db().await?;
    let row = db::query_opt(&db, FIND, &[&named::readings(number)]).await?.ok_or(Error::NotFound("The order"))?;
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
        history: history.iter().map(step).collect::<Result<_>>()?,
        created_at: row.get("created_at"),
    })
}

fn step(row: &tokio_postgres::Row) -> Result<TrackedStep> {
    let status: TrackedStatus = row.try_get("status")?;
    let description = row.get::<_, Option<String>>("description").unwrap_or_else(|| status.in_portuguese().to_owned());
    Ok(TrackedStep { status, code: row.get("code"), description, place: row.get("place"), at: row.get("at") })
}

impl TrackedStatus {
    pub fn in_portuguese(self) -> &'static str {
        match self {
            Self::Pending => "Pedido recebido, aguardando pagamento",
            Self::Paid => "Pagamento confirmado",
            Self::Processing => "Pedido em preparação",
            Self::Shipped => "Pedido enviado",
            Self::Delivered => "Pedido entregue",
            Self::Cancelled => "Pedido cancelado",
            Self::Returned => "Pedido devolvido",
            Self::Expired => "Prazo de pagamento encerrado",
            Self::Failed => "Pagamento não aprovado",
            Self::PartiallyRefunded => "Parte do valor devolvida",
            Self::Refunded => "Valor devolvido",
            Self::Parcel => "Pedido atualizado",
        }
    }
}

impl From<OrderStatus> for TrackedStatus {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Self::Pending,
            OrderStatus::Processing => Self::Processing,
            OrderStatus::Shipped => Self::Shipped,
            OrderStatus::Delivered => Self::Delivered,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Returned => Self::Returned,
        }
    }
}
