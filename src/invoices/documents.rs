//! Every document of an order's invoices: of the sale, of what came back, and of their cancellations.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpResponse, get, web};
use deadpool_postgres::GenericClient;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::Money;

use super::link::{Link, Opened};
use super::pack::{self, Books, Month};
use super::words::Purpose;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::currency::Currency;
use crate::db::{self, sql};
use crate::error::{Error, Problem, Result};
use crate::http::json::Path;
use crate::http::who::Admin;
use crate::ids::InvoiceId;
use crate::sale::seen::ViewedOrder;
use crate::sale::states::InvoiceStatus;

/// One of an invoice's files: `danfe` (the printed form), `xml`, or `cancellation-xml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = InvoiceDocument)]
pub enum Document {
    /// Printed form.
    Danfe,
    Xml,
    /// The XML of its cancellation.
    CancellationXml,
}

impl Document {
    fn word(self) -> &'static str {
        match self {
            Self::Danfe => "danfe",
            Self::Xml => "xml",
            Self::CancellationXml => "cancellation-xml",
        }
    }
}

/// A file as it is sent: never run, never kept by others.
pub(super) fn answer(document: Document, bytes: Vec<u8>, name: &str) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("x-content-type-options", "nosniff")).insert_header((CACHE_CONTROL, "private, no-store"));
    match document {
        Document::Danfe => {
            let kind = if bytes.starts_with(b"%PDF") { "application/pdf" } else { "text/html; charset=utf-8" };
            answer
                .insert_header((CONTENT_TYPE, kind))
                .insert_header(("content-disposition", "inline; filename=\"danfe.pdf\""))
                // A provider's page may look like one of ours, but it must not act like one.
                .insert_header((
                    CONTENT_SECURITY_POLICY,
                    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
                ));
        }
        Document::Xml | Document::CancellationXml => {
            let disposition = format!("attachment; filename=\"{name}.xml\"");
            answer.insert_header((CONTENT_TYPE, "application/xml")).insert_header(("content-disposition", disposition));
        }
    }
    answer.body(bytes)
}

/// An invoice that the tax authority has authorised, also if it was cancelled later.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderInvoice {
    /// The invoice.
    id: InvoiceId,
    /// What it is for.
    #[schema(value_type = Purpose)]
    purpose: String,
    /// `authorized` or `cancelled`.
    status: InvoiceStatus,
    /// The access key, 44 characters; null: not known.
    #[schema(required = true, example = "35261111222333000181550010000000421000000429")]
    chave: Option<String>,
    /// Its number; null: not known.
    #[schema(example = "42", required = true)]
    number: Option<String>,
    /// Its series; null: not known.
    #[schema(required = true, example = "1")]
    series: Option<String>,
    /// Its total in centavos.
    #[schema(value_type = i64, example = 12632, minimum = 0)]
    total_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    currency: Currency,
    /// Its printed form. Opens without signing in, as the links of the order's invoice do. Null: not here yet.
    #[schema(format = "uri", required = true)]
    danfe_url: Option<String>,
    /// Its XML, opened in the same way; null: not here yet.
    #[schema(format = "uri", required = true)]
    xml_url: Option<String>,
    /// The XML of its cancellation, opened in the same way; null: there is none.
    #[schema(format = "uri", required = true)]
    cancellation_xml_url: Option<String>,
    /// When the tax authority authorised it; null: not known.
    #[schema(required = true)]
    authorized_at: Option<Timestamp>,
    /// When it was cancelled; null: it was not.
    #[schema(required = true)]
    cancelled_at: Option<Timestamp>,
}

/// All invoices of an order.
#[derive(Debug, Serialize, ToSchema)]
struct OrderInvoices {
    /// The oldest first.
    items: Vec<OrderInvoice>,
}

/// Lists all invoices of an order
///
/// Its sale, what came back, and what was cancelled.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = OrderInvoices, description = "The invoices that the tax authority has authorised"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order, or it is not yours")))]
#[get("/api/orders/{id}/invoices")]
pub(super) async fn list(app: Data<App>, ViewedOrder { id: order, viewer }: ViewedOrder) -> Result<HttpResponse> {
    const IS_SEEN: &str = "SELECT FROM orders o WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)";
    const LIST: &str = "
        SELECT i.id, i.purpose, i.status, i.chave, i.number, i.series, i.total_cents, i.authorized_at, i.cancelled_at,
               i.danfe IS NOT NULL AS danfe, i.xml IS NOT NULL AS xml, i.cancellation_xml IS NOT NULL AS cancellation_xml
          FROM invoices i WHERE i.order_id = $1 AND i.chave IS NOT NULL AND i.status IN ('authorized', 'cancelled') ORDER BY i.id";
    let (all, user) = viewer.scope();
    let db = app.db().await?;
    db::query_opt(&db, IS_SEEN, &[&order, &all, &user]).await?.ok_or(Error::NotFound("The order"))?;
    let token = app.keys.invoice_token(order, Timestamp::now());
    let mut items = Vec::new();
    for row in db::query(&db, LIST, &[&order]).await? {
        let id: InvoiceId = row.get("id");
        let link = |has: &str, file: &str| {
            let base = &app.config.http.public_url;
            row.get::<_, bool>(has).then(|| format!("{base}/api/orders/{order}/invoices/{id}/{file}?token={token}"))
        };
        items.push(OrderInvoice {
            id,
            danfe_url: link("danfe", "danfe"),
            xml_url: link("xml", "xml"),
            cancellation_xml_url: link("cancellation_xml", "cancellation-xml"),
            purpose: row.get("purpose"),
            status: row.try_get("status")?,
            chave: row.get("chave"),
            number: row.get("number"),
            series: row.get("series"),
            total_cents: row.get("total_cents"),
            currency: Currency::Brl,
            authorized_at: row.get("authorized_at"),
            cancelled_at: row.get("cancelled_at"),
        });
    }
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(OrderInvoices { items }))
}

/// Downloads a file of one of an order's invoices
///
/// `danfe` (the printed form), `xml`, or `cancellation-xml`. A document's link opens it without signing in.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])),
    params(
        ("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"),
        ("invoice" = InvoiceId, Path, description = "The invoice"),
        ("document" = Document, Path, description = "Which file"),
        Link),
    responses(
        (status = 200, content((String = "application/xml"), (String = "application/pdf"), (String = "text/html")), description = "The file"),
        (status = 404, body = Problem, description = "`not-found`: there is no such order or document, or it is not yours"),
        (status = 422, body = Problem, description = "`invalid`: a query parameter is wrong")))]
#[get("/api/orders/{id}/invoices/{invoice}/{document}")]
pub(super) async fn of_order(
    app: Data<App>,
    Opened { order, scope: (all, user) }: Opened,
    Path((_id, invoice, document)): Path<(String, InvoiceId, Document)>,
) -> Result<HttpResponse> {
    const FIND: &str = sql!(
        FILE,
        " JOIN orders o ON o.id = i.order_id WHERE i.id = $2 AND i.order_id = $3 AND ($4 OR o.user_id IS NOT DISTINCT FROM $5)"
    );
    let row = db::query_opt(&app.db().await?, FIND, &[&document.word(), &invoice, &order, &all, &user]).await?;
    found(document, row)
}

/// `$1` which one.
const FILE: &str = "
    SELECT i.chave, CASE $1::text WHEN 'danfe' THEN i.danfe WHEN 'xml' THEN i.xml ELSE i.cancellation_xml END AS file FROM invoices i";

fn found(document: Document, row: Option<tokio_postgres::Row>) -> Result<HttpResponse> {
    let row = row.ok_or(Error::NotFound("The document"))?;
    let bytes: Option<Vec<u8>> = row.get("file");
    let bytes = bytes.ok_or(Error::NotFound("The document"))?;
    let key = row.get::<_, Option<String>>("chave").unwrap_or_default();
    let name = if document == Document::CancellationXml { format!("{key}-can") } else { format!("{key}-nfe") };
    Ok(answer(document, bytes, &name))
}

/// Downloads a file of any invoice
///
/// `danfe` (the printed form), `xml`, or `cancellation-xml`.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = InvoiceId, Path, description = "The invoice"), ("document" = Document, Path, description = "Which file")),
    responses(
        (status = 200, content((String = "application/xml"), (String = "application/pdf"), (String = "text/html")), description = "The file"),
        (status = 404, body = Problem, description = "`not-found`: there is no such invoice or document")))]
#[get("/api/admin/invoices/{id}/{document}")]
pub(super) async fn of_admin(
    app: Data<App>,
    _admin: Admin,
    Path((invoice, document)): Path<(InvoiceId, Document)>,
) -> Result<HttpResponse> {
    const FIND: &str = sql!(FILE, " WHERE i.id = $2");
    found(document, db::query_opt(&app.db().await?, FIND, &[&document.word(), &invoice]).await?)
}

/// Downloads a month for the accountant
///
/// A ZIP: every XML, sums by CFOP and by tax, and whether they agree with the ledger.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(
        ("month" = String, Path,
            description = "The month, as `2026-11`", pattern = "^[0-9]{4}-[0-9]{2}$", example = "2026-11")),
    responses(
        (status = 200, content_type = "application/zip", body = String, description = "The ZIP"),
        (status = 422, body = Problem, description = "`invalid`: it is not a month")))]
#[get("/api/admin/accountant/{month}")]
pub(super) async fn accountant(app: Data<App>, admin: Admin, month: web::Path<String>) -> Result<HttpResponse> {
    let Some(month) = Month::parse(&month) else {
        return Err(Error::field("month", "must be a month, as 2026-11"));
    };
    let books = Books { pool: app.pool.clone(), environment: app.config.nfe.environment };
    let pieces = pack::pieces(books, month).await?;
    log(&app.db().await?, &admin, month).await?;
    let disposition = format!("attachment; filename=\"notas-{month}.zip\"");
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .insert_header(("content-disposition", disposition))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .streaming(pieces.map_err(actix_web::Error::from)))
}

/// Buyers' names and documents leave with it.
async fn log(db: &impl GenericClient, admin: &Admin, month: Month) -> Result<()> {
    audit_log::record(db, admin.0.actor(), Action::InvoiceAccountant, &month.to_string(), None, None).await
}
