//! The refunds of all orders: which wait for something, and why.

use actix_web::{HttpResponse, get, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use vitrine_kit::Money;

use crate::app::App;
use crate::currency::Currency;
use crate::db::sql;
use crate::error::{Problem, Result};
use crate::http::json::Query;
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::providers::names::PaymentProvider;
use crate::sale::states::RefundStatus;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListRefunds {
    /// Only refunds in this state. `waiting`: refused for now, and tried again by itself. `failed`: it waits for an
    /// administrator.
    #[garde(skip)]
    status: Option<RefundStatus>,
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

/// A refund with its order and its next try.
#[derive(Debug, Serialize, ToSchema)]
struct ListedRefund {
    /// The refund.
    refund_id: RefundId,
    /// The order.
    order_id: OrderId,
    /// The order's number.
    #[schema(example = "0A1B2-C3D4E")]
    order_number: String,
    /// The payment.
    payment_id: PaymentId,
    /// Whose payment it is.
    #[schema(value_type = PaymentProvider)]
    provider: String,
    /// The amount in centavos.
    #[schema(value_type = i64, minimum = 0, example = 5990)]
    amount_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    #[schema(value_type = Currency)]
    currency: String,
    /// How far it is.
    status: RefundStatus,
    /// Why the money is given back.
    #[schema(example = "Defeito na costura")]
    reason: String,
    /// Why it waits or failed, in the provider's words.
    #[schema(required = true, example = "The provider is away")]
    error: Option<String>,
    /// When the provider first refused it for now; null: it did not.
    #[schema(required = true)]
    waits_since: Option<Timestamp>,
    /// When the provider is asked next; null: it is being asked, or nobody asks any more.
    #[schema(required = true)]
    next_try_at: Option<Timestamp>,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

fn view(row: &Row) -> Result<ListedRefund> {
    Ok(ListedRefund {
        refund_id: row.get("id"),
        order_id: row.get("order_id"),
        order_number: row.get("number"),
        payment_id: row.get("payment_id"),
        provider: row.get("provider"),
        amount_cents: row.get("amount_cents"),
        currency: row.get("currency"),
        status: row.try_get("status")?,
        reason: row.get("reason"),
        error: row.get("error"),
        waits_since: row.get("waits_since"),
        next_try_at: row.get("next_try_at"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

/// What [`view`] reads. A refund's next try is the job that sends it.
const VIEW: &str = "
    SELECT r.id, r.order_id, o.number, r.payment_id, p.provider, r.amount_cents, p.currency, r.status, r.reason, r.error, r.waits_since,
           (SELECT j.run_at FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state = 'waiting') AS next_try_at,
           r.created_at, r.updated_at
      FROM refunds r JOIN orders o ON o.id = r.order_id JOIN payments p ON p.id = r.payment_id ";

/// Lists refunds
///
/// Of all orders, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListRefunds),
    responses(
        (status = 200, body = List<ListedRefund>, description = "The refunds of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/refunds")]
pub(super) async fn list_refunds(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListRefunds>) -> Result<HttpResponse> {
    const ALL: &str = sql!(VIEW, "WHERE $1::uuid IS NULL OR r.id < $1 ORDER BY r.id DESC LIMIT $2 OFFSET $3");
    const COUNT_ALL: &str = "SELECT count(*) FROM (SELECT FROM refunds LIMIT $1) counted";
    // A statement of its own: with an OR for "all" a kept plan could not use the index of the states.
    const OF_STATUS: &str = sql!(
        VIEW,
        "WHERE r.status = $1 AND r.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
         ORDER BY r.id DESC LIMIT $3 OFFSET $4"
    );
    const COUNT_OF_STATUS: &str = "SELECT count(*) FROM (SELECT FROM refunds WHERE status = $1 LIMIT $2) counted";
    let place: Place<RefundId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let (db, read) = (app.db().await?, |row: &Row| (row.get("id"), view(row)));
    let page = match &ask.status {
        Some(status) => list_page(&db, (OF_STATUS, COUNT_OF_STATUS), &[status], &place, read).await?,
        None => list_page(&db, (ALL, COUNT_ALL), &[], &place, read).await?,
    };
    let List { items, total, limit, offset, next_cursor } = page;
    let items = items.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}
