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
use crate::audit_log;
use crate::db;
use crate::error::{Error, Result};
use crate::http::json::{Path, Query};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::AlertId;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAlerts {
    /// `critical`, `warning` or `info`.
    #[garde(inner(custom(is_severity)))]
    severity: Option<String>,
    /// `open` or `acknowledged`.
    #[garde(inner(custom(is_status)))]
    status: Option<String>,
    /// The beginning of the key: `refund-failed`, `job-dead:check_payment`.
    #[garde(inner(length(chars, max = 200)))]
    key: Option<String>,
    /// This day of the shop or later.
    #[garde(skip)]
    from: Option<Date>,
    /// This day or earlier.
    #[garde(skip)]
    to: Option<Date>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(inner(length(chars, max = 200)))]
    cursor: Option<String>,
}

fn is_severity(text: &str, (): &()) -> garde::Result {
    Severity::named(text).map(drop).ok_or_else(|| garde::Error::new("must be critical, warning or info"))
}

fn is_status(text: &str, (): &()) -> garde::Result {
    if matches!(text, "open" | "acknowledged") { Ok(()) } else { Err(garde::Error::new("must be open or acknowledged")) }
}

/// Something that an administrator should look at. One per key and day, however often it occurred.
#[derive(Debug, Serialize, ToSchema)]
struct AlertView {
    id: AlertId,
    /// What it is about; the same for every occurrence: `refund-failed:<refund>`.
    key: String,
    /// The shop's day: America/Sao_Paulo.
    day: Date,
    /// `critical`, `warning` or `info`.
    severity: String,
    /// The subject of its mail, in Portuguese.
    subject: String,
    /// The text of the latest occurrence.
    text: String,
    /// The numbers of the first twenty orders that it was about.
    order_numbers: Vec<String>,
    /// How often it occurred.
    count: i64,
    first_at: Timestamp,
    last_at: Timestamp,
    /// When the operator was last mailed about it; null: not yet.
    told_at: Option<Timestamp>,
    /// How many occurrences the last mail counted.
    told_count: i64,
    /// The cause of the latest occurrence: `request:…`, `job:…`, `webhook:…`.
    cause: String,
    acknowledged_at: Option<Timestamp>,
    /// `admin:…`
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

/// Alerts, newest first. A new one is counted within seconds.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListAlerts), responses((status = 200, body = List<AlertView>)))]
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
        SELECT count(*) FROM alerts
         WHERE ($1::text IS NULL OR severity = $1) AND ($2::boolean IS NULL OR (acknowledged_at IS NOT NULL) = $2)
           AND ($3::text IS NULL OR starts_with(key, $3)) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)";
    let place: Place<AlertId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let is_acknowledged = ask.status.as_deref().map(|status| status == "acknowledged");
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&ask.severity, &is_acknowledged, &ask.key, &ask.from, &ask.to];
    let page = list_page(&app.db().await?, (LIST, COUNT), &filters, &place, |row| (row.get("id"), view(row))).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// Acknowledges an alert: no further mail is sent about its repeats. The same key on another day is another alert.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = AlertId, Path)),
    responses((status = 200, body = AlertView, description = "Also if it was acknowledged before"), (status = 404)))]
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
        audit_log::record(&tx, actor, "alert.acknowledge", &id.0.to_string(), None, after).await?;
    }
    tx.commit().await?;
    Ok(HttpResponse::Ok().json(alert))
}
