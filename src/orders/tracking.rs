//! The public state of an order, for anybody who has its number.

use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Path;
use crate::ids::OrderId;
use crate::sale::address::tracking_url;
use crate::sale::named;
use crate::sale::states::{OrderPaymentStatus, OrderStatus};

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

/// Something that happened to an order or its parcel.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrackedStep {
    /// A state of the order or of its money (`pending`, `paid`, `processing`, `shipped`, `delivered`, `cancelled`, …), or the
    /// carrier's own code.
    #[schema(example = "shipped")]
    pub status: String,
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
        SELECT status, description, place, at FROM (
            SELECT to_state AS status, NULL AS description, NULL AS place, at,
                   CASE WHEN to_state IN ('pending', 'paid', 'processing') THEN 0 ELSE 2 END AS place_in_second
              FROM order_history WHERE order_id = $1 AND subject IN ('order', 'payment_status') AND to_state <> 'pending_payment'
            UNION ALL
            SELECT code, description, place, happened_at, 1 FROM shipment_events WHERE order_id = $1) AS steps
         ORDER BY date_trunc('second', at), place_in_second, at, status";
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

/// The Portuguese text for a state.
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
