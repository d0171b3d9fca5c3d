//! The refunds of all orders: which wait for something, and why.

use actix_web::{HttpResponse, get, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use vitrine_kit::Money;

use crate::app::App;
use crate::db::sql;
use crate::error::Result;
use crate::http::json::Query;
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::sale::states::RefundStatus;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListRefunds {
    /// `waiting`: refused for now, and tried again by itself. `failed`: it waits for an administrator.
    #[garde(skip)]
    status: Option<RefundStatus>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

/// A refund with its order and its next try.
#[derive(Debug, Serialize, ToSchema)]
struct ListedRefund {
    refund_id: RefundId,
    order_id: OrderId,
    order_number: String,
    payment_id: PaymentId,
    provider: String,
    #[schema(value_type = i64)]
    amount_cents: Money,
    currency: String,
    status: RefundStatus,
    /// Why the money is given back.
    reason: String,
    /// Why it waits or failed, in the provider's words.
    error: Option<String>,
    /// When the provider first refused it for now; null: it did not.
    waits_since: Option<Timestamp>,
    /// When the provider is asked next; null: it is being asked, or nobody asks any more.
    next_try_at: Option<Timestamp>,
    created_at: Timestamp,
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

/// Refunds, newest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListRefunds), responses((status = 200, body = List<ListedRefund>)))]
#[get("/api/admin/refunds")]
pub(super) async fn list_refunds(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListRefunds>) -> Result<HttpResponse> {
    const ALL: &str = sql!(VIEW, "WHERE $1::uuid IS NULL OR r.id < $1 ORDER BY r.id DESC LIMIT $2 OFFSET $3");
    const COUNT_ALL: &str = "SELECT count(*) FROM refunds";
    // A statement of its own: with an OR for "all" a kept plan could not use the index of the states.
    const OF_STATUS: &str = sql!(
        VIEW,
        "WHERE r.status = $1 AND r.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
         ORDER BY r.id DESC LIMIT $3 OFFSET $4"
    );
    const COUNT_OF_STATUS: &str = "SELECT count(*) FROM refunds WHERE status = $1";
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
