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
use crate::audit_log::{self, Action};
use crate::db::{self, sql};
use crate::error::{Error, Problem, Result};
use crate::http::json::Query;
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{OrderId, ShipmentId};
use crate::jobs::{self, Job};
use crate::providers::names::FreightProvider;
use crate::sale::locks;
use crate::sale::named::OrderPath;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list).service(buy);
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListShipments {
    /// Only labels in this state.
    #[garde(skip)]
    status: Option<State>,
    /// Only those of this order.
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
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// A label and its state.
#[derive(Debug, Serialize, ToSchema)]
struct ShipmentView {
    /// The label.
    id: ShipmentId,
    /// The order.
    order_id: OrderId,
    /// The order's number.
    #[schema(example = "0A1B2-C3D4E")]
    order_number: String,
    /// Which parcel of the order, from 1.
    #[schema(minimum = 1, example = 1)]
    volume: i16,
    /// Who sells it.
    #[schema(value_type = FreightProvider)]
    provider: String,
    /// The provider's own number of it; null: not yet known.
    #[schema(example = "ORD-202611123456", required = true)]
    protocol: Option<String>,
    /// How far it is.
    #[schema(value_type = State)]
    status: String,
    /// The carrier's service, as the buyer reads it: `PAC`.
    #[schema(example = "PAC")]
    carrier: String,
    /// The carrier's service, by the provider's code.
    #[schema(example = "1")]
    service_code: String,
    /// Its share of what the carrier asked at checkout, in centavos.
    #[schema(value_type = i64, example = 1850, minimum = 0)]
    quoted_cents: Money,
    /// What the label costs, in centavos; null while it is not known.
    #[schema(value_type = Option<i64>, example = 1790, minimum = 0, required = true)]
    price_cents: Option<Money>,
    /// What it costs more than was quoted, in centavos; negative: less. Null while it is not known.
    #[schema(value_type = Option<i64>, minimum = -100000000000000i64, maximum = 100000000000000i64, example = -60, required = true)]
    difference_cents: Option<Money>,
    /// The freight was an estimate from past quotes.
    is_estimate: bool,
    /// The carrier's number of the parcel; null: not yet known.
    #[schema(required = true, example = "AA123456785BR")]
    tracking_number: Option<String>,
    /// Where it can be printed; null: not yet. Opens without signing in to the provider: it shows who receives the parcel.
    #[schema(format = "uri", required = true)]
    label_url: Option<String>,
    /// Why it cannot be bought or given back; null: nothing is wrong.
    #[schema(required = true, example = "The provider is away")]
    error: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
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
#[schema(as = ShipmentTotals)]
struct Totals {
    /// How many labels.
    #[schema(example = 1, minimum = 0)]
    labels: i64,
    /// What they cost, in centavos.
    #[schema(value_type = i64, example = 1790, minimum = 0)]
    price_cents: Money,
    /// What was quoted for them, in centavos.
    #[schema(value_type = i64, example = 1850, minimum = 0)]
    quoted_cents: Money,
    /// What labels cost more than was quoted, in centavos; negative: less.
    #[schema(value_type = i64, minimum = -100000000000000i64, maximum = 100000000000000i64, example = -60)]
    difference_cents: Money,
}

/// A page, and the sums of all labels that match.
#[derive(Debug, Serialize, ToSchema)]
struct Shipments {
    /// The labels of this page.
    items: Vec<ShipmentView>,
    /// How many there are in all. A list may count no further than 10,000: that number means so many, or more.
    #[schema(example = 1, minimum = 0)]
    total: i64,
    /// How many a page shows at most.
    #[schema(example = 20, minimum = 0)]
    limit: i64,
    /// How many were skipped.
    #[schema(example = 0, minimum = 0)]
    offset: i64,
    /// Send it as `cursor` for the next page; null on the last page.
    #[schema(required = true, example = "IjAxYTFmZTRlIg")]
    next_cursor: Option<String>,
    /// The sums of all labels that match.
    totals: Totals,
}

/// `$1` to `$5`: the filters of the list.
const FITS: &str = "
    ($1::text IS NULL OR s.status = $1) AND ($2::uuid IS NULL OR s.order_id = $2) AND (NOT $3::bool OR s.error IS NOT NULL)
    AND ($4::timestamptz IS NULL OR s.created_at >= $4) AND ($5::timestamptz IS NULL OR s.created_at < $5)";

/// Lists labels
///
/// The newest first, and their cost compared with the quote.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListShipments),
    responses(
        (status = 200, body = Shipments, description = "The labels of this page, and the sums of all that match"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/shipments")]
async fn list(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListShipments>) -> Result<HttpResponse> {
    const PAGE: &str =
        sql!(SELECT, " WHERE ", FITS, " AND ($6::uuid IS NULL OR s.id < $6) ORDER BY s.id DESC LIMIT $7 OFFSET $8");
    const COUNT: &str = sql!("SELECT count(*) FROM (SELECT FROM shipments s WHERE ", FITS, " LIMIT $6) counted");
    const SUMS: &str = sql!(
        "SELECT count(*) AS labels, coalesce(sum(price_cents), 0)::bigint AS price, coalesce(sum(quoted_cents), 0)::bigint AS quoted,
                coalesce(sum(difference_cents), 0)::bigint AS difference
           FROM shipments s WHERE ",
        FITS,
        " AND s.price_cents IS NOT NULL
            AND s.status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')"
    );
    let place: Place<ShipmentId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let status = ask.status.map(State::as_str);
    let filters: [&(dyn ToSql + Sync); 5] = [&status, &ask.order_id, &ask.stuck, &ask.from, &ask.to];
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

/// Buys an order's label
///
/// Where the shop buys by hand, where one failed, or again for one that was given back or ran out. A label that is bought
/// already is not bought again.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 202, body = List<ShipmentView>, description = "Its labels, all on one page"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: it is not paid, it is gone, or its freight is not Melhor Envio's")))]
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
    audit_log::record(&tx, admin.0.actor(), Action::OrderLabel, &order.to_string(), None, None).await?;
    jobs::push_now(&tx, Job::BuyLabel { order }).await?;
    const LIVE: &str = sql!(SELECT, " WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired') ORDER BY s.volume");
    let items: Vec<ShipmentView> = db::query(&tx, LIVE, &[&order]).await?.iter().map(view).collect();
    tx.commit().await?;
    app.jobs_were_pushed();
    let total = items.len() as i64;
    Ok(HttpResponse::Accepted().json(List { items, total, limit: total, offset: 0, next_cursor: None }))
}
