//! `/api/admin/invoices`: what was emitted, what stands in the way, and the levers.

use actix_web::{HttpResponse, get, post, web};
use deadpool_postgres::GenericClient;
use garde::Validate;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use vitrine_kit::{Money, sefaz};

use super::company::is_ibge_city;
use super::readiness::{Known, Readiness};
use super::words::{CorrectionStatus, Environment, Purpose};
use super::{cancel as withdrawal, correct as letters, issue, problem, returns, store};
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::calendar;
use crate::db::{self, sql};
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query, typed};
use crate::http::list::{Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{InvoiceId, OrderId};
use crate::jobs::{self, Job};
use crate::providers::names::InvoiceProvider;
use crate::sale::locks;
use crate::sale::named::OrderPath;
use crate::sale::states::InvoiceStatus;
use crate::text::is_hidden;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadyOn {
    /// The day of the sale whose rules are applied; left out: today. `rules_change_on` in the answer names the next that differ.
    #[garde(skip)]
    #[param(value_type = Option<String>, format = Date)]
    on: Option<Date>,
}

/// Checks what stands in the way of invoices
///
/// Before a sale meets it: today, or on a day on which other tax rules hold.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ReadyOn),
    responses(
        (status = 200, body = Readiness, description = "What stands in the way"),
        (status = 422, body = Problem, description = "`invalid`: it is not a day")))]
#[get("/api/admin/invoices/readiness")]
pub(super) async fn readiness(app: web::Data<App>, _admin: Admin, Query(ask): Query<ReadyOn>) -> Result<HttpResponse> {
    let day = ask.on.unwrap_or_else(|| calendar::day_of(Timestamp::now()));
    let judged = Known::read(&app).await?.judge(&app, &[day]).await?;
    Ok(HttpResponse::Ok().json(judged.first()))
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListInvoices {
    /// Only invoices in this state.
    #[garde(skip)]
    status: Option<InvoiceStatus>,
    /// Only those of this order.
    #[garde(skip)]
    order_id: Option<OrderId>,
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

/// A carta de correção.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceCorrection)]
struct Correction {
    /// Its number among the invoice's, from 1. The last one replaces all before it.
    #[schema(minimum = 1, maximum = 20, example = 1)]
    sequence: i32,
    /// What it says.
    #[schema(example = "O endereço do destinatário é Avenida Paulista, 1001")]
    text: String,
    /// How far it is.
    status: CorrectionStatus,
    /// What the tax authority said; null: nothing yet.
    #[schema(required = true, example = "Evento registrado e vinculado a NF-e")]
    message: Option<String>,
}

/// An invoice as the shop sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdminInvoice {
    /// The invoice.
    id: InvoiceId,
    /// The order.
    order_id: OrderId,
    /// The order's number.
    #[schema(example = "0A1B2-C3D4E")]
    order_number: String,
    /// What it is for.
    #[schema(value_type = Purpose)]
    purpose: String,
    /// Who sends it to the tax authority.
    #[schema(value_type = InvoiceProvider)]
    provider: String,
    /// Where it was sent.
    #[schema(value_type = Environment)]
    environment: String,
    /// How far it is.
    status: InvoiceStatus,
    /// The access key, 44 characters; null: not yet known.
    #[schema(required = true, example = "35261111222333000181550010000000421000000429")]
    chave: Option<String>,
    /// Its number; null: not yet known.
    #[schema(required = true, example = "42")]
    number: Option<String>,
    /// Its series; null: not yet known.
    #[schema(required = true, example = "1")]
    series: Option<String>,
    /// Its total in centavos.
    #[schema(value_type = i64, minimum = 0, example = 12632)]
    total_cents: Money,
    /// The tax authority's code; null: none.
    #[schema(required = true, example = "778")]
    code: Option<String>,
    /// The tax authority's reason, in Portuguese; null: none.
    #[schema(required = true, example = "Rejeicao: NCM inexistente")]
    message: Option<String>,
    /// What we refused ourselves, field by field; null: nothing.
    #[schema(value_type = Option<Vec<problem::Problem>>, required = true)]
    problems: Option<Value>,
    /// Why it could not be cancelled; null: it was not tried, or could.
    #[schema(required = true, example = "Rejeicao: prazo de cancelamento superior ao previsto")]
    cancel_refused: Option<String>,
    /// Whether its XML is here.
    has_xml: bool,
    /// Whether its printed form is here.
    has_danfe: bool,
    /// Its cartas de correção, the oldest first.
    #[schema(value_type = Vec<Correction>)]
    corrections: Value,
    /// The time of issue that it names.
    issued_at: Timestamp,
    /// When the tax authority authorised it; null: it did not.
    #[schema(required = true)]
    authorized_at: Option<Timestamp>,
    /// When it was cancelled; null: it was not.
    #[schema(required = true)]
    cancelled_at: Option<Timestamp>,
    /// When it was made.
    created_at: Timestamp,
}

const SELECT: &str = "
    SELECT i.id, i.order_id, i.purpose, i.provider, i.environment, i.status, i.chave, i.number, i.series, i.total_cents, i.code, i.message,
           i.problems, i.cancel_refused, i.xml IS NOT NULL AS has_xml, i.danfe IS NOT NULL AS has_danfe, i.issued_at, i.authorized_at,
           i.cancelled_at, i.created_at, o.number AS order_number,
           coalesce((SELECT jsonb_agg(jsonb_build_object('sequence', c.sequence, 'text', c.text, 'status', c.status, 'message', c.message)
                                      ORDER BY c.sequence) FROM invoice_corrections c WHERE c.invoice_id = i.id), '[]') AS corrections
      FROM invoices i JOIN orders o ON o.id = i.order_id";

fn view(row: &Row) -> AdminInvoice {
    AdminInvoice {
        id: row.get("id"),
        order_id: row.get("order_id"),
        order_number: row.get("order_number"),
        purpose: row.get("purpose"),
        provider: row.get("provider"),
        environment: row.get("environment"),
        status: row.get("status"),
        chave: row.get("chave"),
        number: row.get("number"),
        series: row.get("series"),
        total_cents: row.get("total_cents"),
        code: row.get("code"),
        message: row.get("message"),
        problems: row.get("problems"),
        cancel_refused: row.get("cancel_refused"),
        has_xml: row.get("has_xml"),
        has_danfe: row.get("has_danfe"),
        corrections: row.get("corrections"),
        issued_at: row.get("issued_at"),
        authorized_at: row.get("authorized_at"),
        cancelled_at: row.get("cancelled_at"),
        created_at: row.get("created_at"),
    }
}

/// Lists invoices
///
/// Of all orders, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListInvoices),
    responses(
        (status = 200, body = List<AdminInvoice>, description = "The invoices of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/invoices")]
pub(super) async fn list(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListInvoices>) -> Result<HttpResponse> {
    const COUNT: &str = "
        SELECT count(*) FROM (
            SELECT FROM invoices i WHERE ($1::text IS NULL OR i.status = $1) AND ($2::uuid IS NULL OR i.order_id = $2) LIMIT $3) counted";
    const PAGE: &str = sql!(
        SELECT,
        " WHERE ($1::text IS NULL OR i.status = $1) AND ($2::uuid IS NULL OR i.order_id = $2) AND ($3::uuid IS NULL OR i.id < $3)
          ORDER BY i.id DESC LIMIT $4 OFFSET $5"
    );
    let place: Place<InvoiceId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let filters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&ask.status, &ask.order_id];
    let page = list_page(&app.db().await?, (PAGE, COUNT), &filters, &place, |row| (row.get("id"), view(row))).await?;
    Ok(HttpResponse::Ok().json(page))
}

async fn show(db: &impl GenericClient, id: InvoiceId) -> Result<HttpResponse> {
    const FIND: &str = sql!(SELECT, " WHERE i.id = $1");
    let row = db::query_opt(db, FIND, &[&id]).await?.ok_or(Error::NotFound("The invoice"))?;
    Ok(HttpResponse::Ok().json(view(&row)))
}

/// What was corrected before an invoice is tried again.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"ibge_city": "3550308"}))]
pub(super) struct RetryInvoice {
    /// The IBGE's code of the buyer's city, 7 digits, where the CEP does not tell it.
    #[garde(inner(custom(is_ibge_city)))]
    #[serde(deserialize_with = "typed")]
    #[schema(max_length = 20)]
    ibge_city: Option<String>,
}

/// Tries a rejected invoice again
///
/// After its cause was mended.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = RetryInvoice,
    params(("id" = InvoiceId, Path, description = "The invoice")),
    responses(
        (status = 200, body = AdminInvoice, description = "The invoice as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such invoice"),
        (status = 409, body = Problem, description = "`conflict`: it is not rejected, or it is to be cancelled")))]
#[post("/api/admin/invoices/{id}/retry")]
pub(super) async fn retry(
    app: web::Data<App>,
    admin: Admin,
    body: Json<RetryInvoice>,
    Path(id): Path<InvoiceId>,
) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let invoice = store::lock(&tx, id).await?.ok_or(Error::NotFound("The invoice"))?;
    if invoice.cancel_reason.is_some() {
        return Err(Error::Conflict("The invoice is to be cancelled: it is not tried again".into()));
    }
    if !store::reopen(&tx, &invoice, body.ibge_city.as_deref(), admin.0.actor()).await? {
        return Err(Error::Conflict(format!("The invoice is {}: only a rejected one is tried again", invoice.status)));
    }
    jobs::push_now(&tx, Job::SendInvoice { invoice: id }).await?;
    audit_log::record(
        &tx,
        admin.0.actor(),
        Action::InvoiceRetry,
        &id.to_string(),
        None,
        Some(json!({"ibge_city": body.ibge_city})),
    )
    .await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    show(&db, id).await
}

/// Why an invoice is cancelled.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Pedido cancelado pelo comprador"}))]
pub(super) struct CancelInvoice {
    /// What the tax authority is told: 15 to 255 characters.
    #[garde(length(chars, min = 15, max = 255), custom(one_line), custom(plain))]
    #[schema(min_length = 15, max_length = 255)]
    reason: String,
}

fn one_line(text: &str, (): &()) -> garde::Result {
    if text.chars().any(is_hidden) { Err(garde::Error::new("must be text on one line")) } else { Ok(()) }
}

/// What the tax authority's schema does not take (emoji, double spaces) is left out on the way: enough must remain.
fn plain(text: &str, (): &()) -> garde::Result {
    let left = sefaz::text(text, 1000).chars().count();
    if left < 15 { Err(garde::Error::new("must have 15 characters that an invoice can hold")) } else { Ok(()) }
}

/// Cancels an invoice
///
/// While its goods are still here. The order stays as it is.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = CancelInvoice,
    params(("id" = InvoiceId, Path, description = "The invoice")),
    responses(
        (status = 200, body = AdminInvoice, description = "The invoice as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such invoice"),
        (status = 409, body = Problem,
            description = "`conflict`: it is over already, its goods have left, or another invoice gives the sale back")))]
#[post("/api/admin/invoices/{id}/cancel")]
pub(super) async fn cancel(
    app: web::Data<App>,
    admin: Admin,
    body: Json<CancelInvoice>,
    Path(id): Path<InvoiceId>,
) -> Result<HttpResponse> {
    withdrawal::cancel_by_hand(&app, id, &body.reason, admin.0.actor()).await?;
    show(&app.db().await?, id).await
}

/// What a carta de correção says.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "O endereço do destinatário é Avenida Paulista, 1001"}))]
pub(super) struct CorrectInvoice {
    /// The whole correction, 15 to 1000 characters: the last one replaces all before it.
    #[garde(length(chars, min = 15, max = 1000), custom(one_line), custom(plain))]
    #[schema(min_length = 15, max_length = 1000)]
    text: String,
}

/// Sends a carta de correção
///
/// It cannot touch value, tax, or who buys.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = CorrectInvoice,
    params(("id" = InvoiceId, Path, description = "The invoice")),
    responses(
        (status = 202, body = AdminInvoice, description = "The invoice with its corrections"),
        (status = 404, body = Problem, description = "`not-found`: there is no such invoice"),
        (status = 409, body = Problem,
            description = "`conflict`: it is not authorised, it is too late, another correction is on its way, or there are twenty")))]
#[post("/api/admin/invoices/{id}/corrections")]
pub(super) async fn correct(
    app: web::Data<App>,
    admin: Admin,
    body: Json<CorrectInvoice>,
    Path(id): Path<InvoiceId>,
) -> Result<HttpResponse> {
    letters::request(&app, id, &body.text, admin.0.actor()).await?;
    let mut answer = show(&app.db().await?, id).await?;
    *answer.status_mut() = actix_web::http::StatusCode::ACCEPTED;
    Ok(answer)
}

/// Emits an order's invoice
///
/// Where it has no live one: after one was cancelled or denied, or where none was emitted yet. Where the sale stands, emits the
/// return invoice that is missing.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 202, body = AdminInvoice, description = "The invoice"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order"),
        (status = 409, body = Problem,
            description = "`conflict`: nothing is missing, the order is not paid, or nobody emits invoices here")))]
#[post("/api/admin/orders/{id}/invoice")]
pub(super) async fn issue_again(app: web::Data<App>, admin: Admin, OrderPath(order): OrderPath) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    locks::lock_order_for_shop(&tx, order).await?.ok_or(Error::NotFound("The order"))?;
    let made = match issue::start(&tx, &app, order, admin.0.actor()).await? {
        Some(sale) => Some(sale),
        None => returns::follow_sums(&tx, order, None, false, admin.0.actor()).await?.first().copied(),
    };
    let Some(id) = made else {
        let why = "The order has a live invoice, is not paid, or no provider of invoices is configured";
        return Err(Error::Conflict(why.into()));
    };
    audit_log::record(&tx, admin.0.actor(), Action::InvoiceIssue, &id.to_string(), None, None).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    let mut answer = show(&db, id).await?;
    *answer.status_mut() = actix_web::http::StatusCode::ACCEPTED;
    Ok(answer)
}
