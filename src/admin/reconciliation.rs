//! The daily comparison with the providers' books: the list of days, one day as JSON or CSV, and the route that compares a day
//! again.

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::audit_log::{self, Action};
use crate::db::sql;
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::payments::books::{self, Report, Status, Summary};
use crate::providers::names::PaymentProvider;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListReconciliations {
    /// One day.
    #[garde(skip)]
    day: Option<Date>,
    /// This day or later.
    #[garde(skip)]
    from: Option<Date>,
    /// This day or earlier.
    #[garde(skip)]
    to: Option<Date>,
    /// Only days of this provider.
    #[garde(skip)]
    provider: Option<PaymentProvider>,
    /// Only days that compare so.
    #[garde(skip)]
    status: Option<Status>,
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

/// Lists compared days
///
/// Days compared with the providers' books, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListReconciliations),
    responses(
        (status = 200, body = List<Summary>, description = "The days of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/reports/reconciliation")]
pub(super) async fn list_reconciliations(
    app: web::Data<App>,
    _admin: Admin,
    Query(ask): Query<ListReconciliations>,
) -> Result<HttpResponse> {
    let too_old = |day: &Option<Date>| day.is_some_and(|day| day < books::OLDEST);
    for (field, day) in [("day", &ask.day), ("from", &ask.from), ("to", &ask.to)] {
        if too_old(day) {
            return Err(Error::field(field, format!("must not be before {}", books::OLDEST)));
        }
    }
    const WANTED: &str = "
          FROM reconciliations
         WHERE ($1::date IS NULL OR day = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
           AND ($4::text IS NULL OR provider = $4) AND ($5::text IS NULL OR status = $5)";
    const KEY: &str = r#"(to_char(day, 'YYYY-MM-DD ') || provider) COLLATE "C""#;
    const PAGE: &str = sql!(
        "SELECT ",
        books::store::SUMMARY,
        ", ",
        KEY,
        " AS key ",
        WANTED,
        " AND ($6::text IS NULL OR ",
        KEY,
        " < $6) ORDER BY ",
        KEY,
        " DESC LIMIT $7 OFFSET $8"
    );
    const COUNT: &str = sql!("SELECT count(*) FROM (SELECT ", WANTED, " LIMIT $6) counted");
    let place: Place<String> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let (provider, status) = (ask.provider.map(<&str>::from), ask.status.map(Status::as_str));
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [&ask.day, &ask.from, &ask.to, &provider, &status];
    let read = |row: &tokio_postgres::Row| (row.get("key"), books::store::summary_of(row));
    let page = list_page(&app.db().await?, (PAGE, COUNT), &filters, &place, read).await?;
    Ok(HttpResponse::Ok().json(page))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Shape {
    /// How it is written; without it, as `Accept` asks for.
    #[garde(skip)]
    #[param(inline)]
    format: Option<ReportFormat>,
}

/// How a report is written: `json` or `csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReportFormat {
    Json,
    Csv,
}

impl Shape {
    fn is_csv(&self, request: &HttpRequest) -> bool {
        let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.format.map_or_else(|| accepted.trim_start().starts_with("text/csv"), |format| format == ReportFormat::Csv)
    }
}

/// A day by the books of every provider and by ours.
#[derive(Debug, Serialize, ToSchema)]
struct Reconciliation {
    /// The shop's day: America/Sao_Paulo.
    day: Date,
    /// One report for each provider.
    providers: Vec<Report>,
}

/// Shows a compared day
///
/// A day's comparison with the providers' books, difference by difference.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("day" = Date, Path, description = "The shop's day, as `2026-11-30`"), Shape),
    responses(
        (status = 200, content((Reconciliation = "application/json"), (String = "text/csv")), description = "The day"),
        (status = 404, body = Problem, description = "`not-found`: the day has no report (yet)"),
        (status = 422, body = Problem, description = "`invalid`: there is no such format")))]
#[get("/api/admin/reports/reconciliation/{day}")]
pub(super) async fn show_reconciliation(
    app: web::Data<App>,
    _admin: Admin,
    day: Path<Date>,
    Query(shape): Query<Shape>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    if day.0 < books::OLDEST {
        return Err(Error::NotFound("The report")); // PostgreSQL has no dates this early
    }
    let providers = books::store::list(&app.db().await?, day.0).await?;
    if providers.is_empty() {
        return Err(Error::NotFound("The report"));
    }
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("cache-control", "private, no-store")).insert_header(("vary", "accept"));
    if !shape.is_csv(&request) {
        return Ok(answer.json(Reconciliation { day: day.0, providers }));
    }
    let name = format!("attachment; filename=\"reconciliation-{}.csv\"", day.0);
    let table = books::csv(&providers)?;
    Ok(answer.content_type("text/csv; charset=utf-8").insert_header(("content-disposition", name)).body(table))
}

/// Which day is compared.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompareDay)]
#[schema(example = json!({"day": "2026-11-30"}))]
struct Compare {
    /// `YYYY-MM-DD`, in the shop's time. For today, what has come in so far.
    #[garde(skip)]
    day: Date,
}

/// The comparisons that were queued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComparingDay)]
struct Comparing {
    /// The day.
    day: Date,
    /// Each provider gets a report of its own.
    #[schema(value_type = Vec<PaymentProvider>, example = json!(["openpix", "stripe"]))]
    providers: Vec<String>,
}

/// Compares a day now
///
/// With the providers' books. The new report replaces the earlier one.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = Compare,
    responses(
        (status = 202, body = Comparing, description = "The comparisons that were queued"),
        (status = 422, body = Problem, description = "`invalid`: the day is in the future, or too far back")))]
#[post("/api/admin/reports/reconciliation")]
pub(super) async fn compare_day(app: web::Data<App>, admin: Admin, body: Json<Compare>) -> Result<HttpResponse> {
    let day = body.day;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if day > books::now(&tx).await?.date() {
        return Err(Error::field("day", "has not come yet"));
    }
    if day < books::OLDEST {
        return Err(Error::field("day", format!("must not be before {}", books::OLDEST)));
    }
    let providers = books::order(&app, &tx, day).await?;
    let after = Some(json!({"providers": providers}));
    audit_log::record(&tx, admin.0.actor(), Action::ReconciliationCompare, &day.to_string(), None, after).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Accepted().json(Comparing { day, providers }))
}
