//! `/api/admin/shipments`: labels, their cost compared with the quote, and the route that buys one.

use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Money;
use vitrine_melhorenvio::NAME;

use super::plan::{self, Plan};
use super::state::State;
use crate::app::App;
use crate::audit_log;
use crate::db::{self, sql};
use crate::error::{Error, Problem, Result};
use crate::http::json::Query;
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{OrderId, ShipmentId};
use crate::jobs::{self, Job};
use crate::sale::locks;
use crate::sale::named::OrderPath;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list).service(buy);
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListShipments {
    /// `pending`, `carted`, `released`, `generated`, `posted`, `undelivered`, `delivered`, `cancelled` or `expired`.
    #[garde(inner(custom(is_state)))]
    status: Option<String>,
    #[garde(skip)]
    order_id: Option<OrderId>,
    /// `true`: only those with an error.
    #[garde(skip)]
    #[serde(default)]
    stuck: bool,
    /// Made at this time or later.
    #[garde(skip)]
    from: Option<Timestamp>,
    /// Made before this time.
    #[garde(skip)]
    to: Option<Timestamp>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

fn is_state(text: &str, (): &()) -> garde::Result {
    if State::ALL.iter().any(|state| state.as_str() == text) {
        Ok(())
    } else {
        Err(garde::Error::new("is not a state of a label"))
    }
}

/// A label and its state.
#[derive(Debug, Serialize, ToSchema)]
struct ShipmentView {
    id: ShipmentId,
    order_id: OrderId,
    order_number: String,
    /// Which parcel of the order, from 1.
    volume: i16,
    provider: String,
    /// The provider's own number of it.
    protocol: Option<String>,
    status: String,
    carrier: String,
    service_code: String,
    /// Its share of what the carrier asked at checkout.
    #[schema(value_type = i64)]
    quoted_cents: Money,
    /// What the label costs; null while it is not known.
    #[schema(value_type = Option<i64>)]
    price_cents: Option<Money>,
    /// What it costs more than was quoted; negative: less.
    #[schema(value_type = Option<i64>)]
    difference_cents: Option<Money>,
    /// The freight was an estimate from past quotes.
    is_estimate: bool,
    tracking_number: Option<String>,
    /// Opens without signing in to the provider: it shows who receives the parcel.
    label_url: Option<String>,
    /// Why it cannot be bought or given back.
    error: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

const SELECT: &str = "
    SELECT s.id, s.order_id, o.number AS order_number, s.volume, s.provider, s.protocol, s.status, o.carrier, s.service_code, s.quoted_cents,
           s.price_cents, s.difference_cents, o.freight_estimate, s.tracking_number, s.label_url, s.error, s.created_at, s.updated_at
      FROM shipments s JOIN orders o ON o.id = s.order_id";

fn view(row: &Row) -> ShipmentView {
    ShipmentView {
        id: row.get("id"),
        order_id: row.get("order_id"),
        order_number: row.get("order_number"),
        volume: row.get("volume"),
        provider: row.get("provider"),
        protocol: row.get("protocol"),
        status: row.get("status"),
        carrier: row.get("carrier"),
        service_code: row.get("service_code"),
        quoted_cents: row.get("quoted_cents"),
        price_cents: row.get("price_cents"),
        difference_cents: row.get("difference_cents"),
        is_estimate: row.get("freight_estimate"),
        tracking_number: row.get("tracking_number"),
        label_url: row.get("label_url"),
        error: row.get("error"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// The sums of the labels that were bought and not given back.
#[derive(Debug, Serialize, ToSchema)]
struct Totals {
    labels: i64,
    #[schema(value_type = i64)]
    price_cents: Money,
    #[schema(value_type = i64)]
    quoted_cents: Money,
    /// What labels cost more than was quoted; negative: less.
    #[schema(value_type = i64)]
    difference_cents: Money,
}

/// A page, and the sums of all labels that match.
#[derive(Debug, Serialize, ToSchema)]
struct Shipments {
    items: Vec<ShipmentView>,
    total: i64,
    limit: i64,
    offset: i64,
    next_cursor: Option<String>,
    totals: Totals,
}

/// `$1` to `$5`: the filters of the list.
const FITS: &str = "
    ($1::text IS NULL OR s.status = $1) AND ($2::uuid IS NULL OR s.order_id = $2) AND (NOT $3::bool OR s.error IS NOT NULL)
    AND ($4::timestamptz IS NULL OR s.created_at >= $4) AND ($5::timestamptz IS NULL OR s.created_at < $5)";

/// Labels, newest first, and their cost compared with the quote.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListShipments), responses((status = 200, body = Shipments)))]
#[get("/api/admin/shipments")]
async fn list(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListShipments>) -> Result<HttpResponse> {
    const PAGE: &str =
        sql!(SELECT, " WHERE ", FITS, " AND ($6::uuid IS NULL OR s.id < $6) ORDER BY s.id DESC LIMIT $7 OFFSET $8");
    const COUNT: &str = sql!("SELECT count(*) FROM shipments s WHERE ", FITS);
    const SUMS: &str = sql!(
        "SELECT count(*) AS labels, coalesce(sum(price_cents), 0)::bigint AS price, coalesce(sum(quoted_cents), 0)::bigint AS quoted,
                coalesce(sum(difference_cents), 0)::bigint AS difference
           FROM shipments s WHERE ",
        FITS,
        " AND s.price_cents IS NOT NULL
            AND s.status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')"
    );
    let place: Place<ShipmentId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let filters: [&(dyn ToSql + Sync); 5] = [&ask.status, &ask.order_id, &ask.stuck, &ask.from, &ask.to];
    let db = app.db().await?;
    let List { items, total, limit, offset, next_cursor } =
        list_page(&db, (PAGE, COUNT), &filters, &place, |row| (row.get("id"), view(row))).await?;
    let row = db::query_one(&db, SUMS, &filters).await?;
    let totals = Totals {
        labels: row.get("labels"),
        price_cents: row.get("price"),
        quoted_cents: row.get("quoted"),
        difference_cents: row.get("difference"),
    };
    Ok(HttpResponse::Ok().json(Shipments { items, total, limit, offset, next_cursor, totals }))
}

/// Buys an order's label: where the shop buys by hand, where one failed, or again for one that was given back or ran out.
///
/// A label that is bought already is not bought again.
#[utoipa::path(tag = "admin", security(("bearer" = [])), responses((status = 202, body = List<ShipmentView>),
    (status = 404, body = Problem), (status = 409, body = Problem, description = "Not paid, gone, or not quoted by Melhor Envio")))]
#[post("/api/admin/orders/{id}/label")]
async fn buy(app: web::Data<App>, admin: Admin, OrderPath(order): OrderPath) -> Result<HttpResponse> {
    const FREIGHT: &str = "SELECT shipping_provider FROM orders WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let locked = locks::lock_order_for_shop(&tx, order).await?.ok_or(Error::NotFound("The order"))?;
    let row = db::query_one(&tx, FREIGHT, &[&order]).await?;
    let (status, provider): (_, &str) = (locked.status, row.get("shipping_provider"));
    if provider != NAME || app.providers.melhorenvio.is_none() {
        return Err(Error::Conflict(format!("Its freight is {provider}'s: only Melhor Envio's labels can be bought here")));
    }
    if plan::plan(&tx, &app, order, true, admin.0.actor()).await? == Plan::Nothing {
        return Err(Error::Conflict(format!("The order is {status}: there is nothing to be labelled")));
    }
    audit_log::record(&tx, admin.0.actor(), "order.label", &order.to_string(), None, None).await?;
    jobs::push_now(&tx, Job::BuyLabel { order }).await?;
    const LIVE: &str = sql!(SELECT, " WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired') ORDER BY s.volume");
    let items: Vec<ShipmentView> = db::query(&tx, LIVE, &[&order]).await?.iter().map(view).collect();
    tx.commit().await?;
    app.jobs_were_pushed();
    let total = items.len() as i64;
    Ok(HttpResponse::Accepted().json(List { items, total, limit: total, offset: 0, next_cursor: None }))
}
