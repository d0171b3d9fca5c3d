//! Alerts: those that the operator was mailed about, and those of the next mail.

use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};

use crate::alerts::Severity;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::{Path, Query};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::AlertId;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAlerts {
    /// Only alerts that are so severe.
    #[garde(skip)]
    severity: Option<Severity>,
    /// Only alerts that stand so.
    #[garde(skip)]
    #[param(inline)]
    status: Option<AlertStatus>,
    /// The beginning of the key: `refund-failed`, `job-dead:check_payment`.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200)]
    key: Option<String>,
    /// This day of the shop or later.
    #[garde(skip)]
    from: Option<Date>,
    /// This day or earlier.
    #[garde(skip)]
    to: Option<Date>,
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

/// Whether an administrator has seen an alert: `open` or `acknowledged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AlertStatus {
    Open,
    Acknowledged,
}

/// Something that an administrator should look at. One per key and day, however often it occurred.
#[derive(Debug, Serialize, ToSchema)]
struct AlertView {
    /// The alert.
    id: AlertId,
    /// What it is about; the same for every occurrence: `refund-failed:<refund>`.
    #[schema(example = "refund-failed:01a1fe4e-0785-7243-a93f-cc241c46a4e2")]
    key: String,
    /// The shop's day: America/Sao_Paulo.
    day: Date,
    /// How soon somebody should look.
    #[schema(value_type = Severity)]
    severity: String,
    /// The subject of its mail, in Portuguese.
    #[schema(example = "Um reembolso falhou")]
    subject: String,
    /// The text of the latest occurrence.
    #[schema(example = "O reembolso do pedido 0A1B2-C3D4E falhou")]
    text: String,
    /// The numbers of the first twenty orders that it was about.
    #[schema(example = json!(["0A1B2-C3D4E"]))]
    order_numbers: Vec<String>,
    /// How often it occurred.
    #[schema(minimum = 1, example = 3)]
    count: i64,
    /// When it first occurred on that day.
    first_at: Timestamp,
    /// When it last occurred.
    last_at: Timestamp,
    /// When the operator was last mailed about it; null: not yet.
    #[schema(required = true)]
    told_at: Option<Timestamp>,
    /// How many occurrences the last mail counted.
    #[schema(example = 3, minimum = 0)]
    told_count: i64,
    /// The cause of the latest occurrence: `request:…`, `job:…`, `webhook:…`.
    #[schema(example = "request:0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d")]
    cause: String,
    /// When an administrator acknowledged it; null: nobody has.
    #[schema(required = true)]
    acknowledged_at: Option<Timestamp>,
    /// Who acknowledged it: `admin:…`; null: nobody has.
    #[schema(example = "admin:01a1fe4e-0785-7243-a93f-cc241c46a4e2", required = true)]
    acknowledged_by: Option<String>,
}

fn view(row: &Row) -> AlertView {
    AlertView {
        id: row.get("id"),
        key: row.get("key"),
        day: row.get("day"),
        severity: row.get("severity"),
        subject: row.get("subject"),
        text: row.get("text"),
        order_numbers: row.get("order_numbers"),
        count: row.get("count"),
        first_at: row.get("first_at"),
        last_at: row.get("last_at"),
        told_at: row.get("told_at"),
        told_count: row.get("told_count"),
        cause: row.get("cause"),
        acknowledged_at: row.get("acknowledged_at"),
        acknowledged_by: row.get("acknowledged_by"),
    }
}

/// Lists alerts
///
/// The newest first. A new one is counted within seconds.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListAlerts),
    responses(
        (status = 200, body = List<AlertView>, description = "The alerts of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/alerts")]
pub(super) async fn list_alerts(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListAlerts>) -> Result<HttpResponse> {
    const LIST: &str = "
        SELECT id, key, day, severity, subject, text, order_numbers, count, first_at, last_at, told_at, told_count, cause,
               acknowledged_at, acknowledged_by
          FROM alerts
         WHERE ($1::text IS NULL OR severity = $1) AND ($2::boolean IS NULL OR (acknowledged_at IS NOT NULL) = $2)
           AND ($3::text IS NULL OR starts_with(key, $3)) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)
           AND ($6::uuid IS NULL OR id < $6)
         ORDER BY id DESC LIMIT $7 OFFSET $8";
    const COUNT: &str = "
        SELECT count(*) FROM (SELECT FROM alerts
         WHERE ($1::text IS NULL OR severity = $1) AND ($2::boolean IS NULL OR (acknowledged_at IS NOT NULL) = $2)
           AND ($3::text IS NULL OR starts_with(key, $3)) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)
         LIMIT $6) counted";
    let place: Place<AlertId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let severity = ask.severity.map(Severity::as_str);
    let is_acknowledged = ask.status.map(|status| status == AlertStatus::Acknowledged);
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [&severity, &is_acknowledged, &ask.key, &ask.from, &ask.to];
    let page = list_page(&app.db().await?, (LIST, COUNT), &filters, &place, |row| (row.get("id"), view(row))).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// Acknowledges an alert
///
/// No further mail is sent about its repeats. The same key on another day is another alert.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = AlertId, Path, description = "The alert")),
    responses(
        (status = 200, body = AlertView, description = "The alert as it is now; also if it was acknowledged before"),
        (status = 404, body = Problem, description = "`not-found`: there is no such alert")))]
#[post("/api/admin/alerts/{id}/acknowledge")]
pub(super) async fn acknowledge_alert(app: web::Data<App>, admin: Admin, id: Path<AlertId>) -> Result<HttpResponse> {
    const ACKNOWLEDGE: &str =
        "UPDATE alerts SET acknowledged_at = now(), acknowledged_by = $2 WHERE id = $1 AND acknowledged_at IS NULL";
    const FIND: &str = "
        SELECT id, key, day, severity, subject, text, order_numbers, count, first_at, last_at, told_at, told_count, cause,
               acknowledged_at, acknowledged_by
          FROM alerts WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let actor = admin.0.actor();
    let is_new = db::execute(&tx, ACKNOWLEDGE, &[&id.0, &actor.to_string()]).await? == 1;
    let alert = view(&db::query_opt(&tx, FIND, &[&id.0]).await?.ok_or(Error::NotFound("The alert"))?);
    if is_new {
        let after = Some(json!({"key": alert.key, "day": alert.day, "count": alert.count}));
        audit_log::record(&tx, actor, Action::AlertAcknowledge, &id.0.to_string(), None, after).await?;
    }
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(alert))
}
