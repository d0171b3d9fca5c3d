//! An order's invoice, for whoever may see the order.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

use super::documents::{self, Document};
use super::link::{Link, Opened};
use super::words::Environment;
use crate::app::App;
use crate::currency::Currency;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::sale::seen::ViewedOrder;
use crate::sale::states::InvoiceStatus;

/// The NF-e of an order.
#[derive(Debug, Serialize, ToSchema)]
struct Invoice {
    /// The invoice.
    #[schema(value_type = uuid::Uuid)]
    id: crate::ids::InvoiceId,
    /// How far it is.
    status: InvoiceStatus,
    /// Where it was sent. `homologacao` has no fiscal value.
    #[schema(value_type = Environment)]
    environment: String,
    /// The access key, 44 characters; null: not yet known.
    #[schema(required = true, example = "35261111222333000181550010000000421000000429")]
    chave: Option<String>,
    /// Its number; null: not yet known.
    #[schema(example = "42", required = true)]
    number: Option<String>,
    /// Its series; null: not yet known.
    #[schema(required = true, example = "1")]
    series: Option<String>,
    /// Its total in centavos.
    #[schema(value_type = i64, example = 12632, minimum = 0)]
    total_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    currency: Currency,
    /// Its printed form. Opens without signing in: the link carries its own right to this one document. Null: not here yet.
    #[schema(format = "uri", required = true)]
    danfe_url: Option<String>,
    /// Its XML, opened in the same way; null: not here yet.
    #[schema(format = "uri", required = true)]
    xml_url: Option<String>,
    /// Why it is not authorised, to the shop; to the buyer only that it is being looked after. Null: there is nothing to say.
    #[schema(required = true, example = "Rejeicao: NCM inexistente")]
    message: Option<String>,
    /// When the tax authority authorised it; null: not yet.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    authorized_at: Option<Timestamp>,
}

/// Shows an order's invoice
///
/// The NF-e of its sale.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E")),
    responses(
        (status = 200, body = Invoice, description = "The invoice"),
        (status = 404, body = Problem,
            description = "`not-found`: there is no such order, it is not yours, or it has no invoice yet")))]
#[get("/api/orders/{id}/invoice")]
pub(super) async fn show(app: web::Data<App>, ViewedOrder { id: order, viewer }: ViewedOrder) -> Result<HttpResponse> {
    const FIND: &str = "
        SELECT i.id, i.status, i.environment, i.chave, i.number, i.series, i.total_cents, i.message, i.authorized_at,
               i.danfe IS NOT NULL AS has_danfe, i.xml IS NOT NULL AS has_xml
          FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
         WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)
         ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1";
    let (all, user) = viewer.scope();
    let row = db::query_opt(&app.db().await?, FIND, &[&order, &all, &user]).await?.ok_or(Error::NotFound("The invoice"))?;
    let now = Timestamp::now();
    let link = |has: &str, file: &str| {
        let url = format!(
            "{}/api/orders/{order}/invoice/{file}?token={}",
            app.config.http.public_url,
            app.keys.invoice_token(order, now)
        );
        row.get::<_, bool>(has).then_some(url)
    };
    let (status, message): (InvoiceStatus, Option<String>) = (row.try_get("status")?, row.get("message"));
    let shown = if all { message } else { for_the_buyer(status).map(str::to_owned) };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Invoice {
        id: row.get("id"),
        environment: row.get("environment"),
        chave: row.get("chave"),
        number: row.get("number"),
        series: row.get("series"),
        total_cents: row.get("total_cents"),
        currency: Currency::Brl,
        danfe_url: link("has_danfe", "danfe"),
        xml_url: link("has_xml", "xml"),
        message: shown,
        authorized_at: row.get("authorized_at"),
        status,
    }))
}

/// A rejection's reason speaks of the shop's tax data: that is not the buyer's business.
fn for_the_buyer(status: InvoiceStatus) -> Option<&'static str> {
    match status {
        InvoiceStatus::Pending | InvoiceStatus::Processing => Some("A nota fiscal está sendo emitida"),
        InvoiceStatus::Rejected | InvoiceStatus::Denied => Some("A loja está corrigindo a nota fiscal"),
        InvoiceStatus::Cancelled => Some("A nota fiscal foi cancelada"),
        InvoiceStatus::Authorized => None,
    }
}

/// Downloads the printed form of an order's invoice
///
/// The DANFE. Its link opens it without signing in.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"), Link),
    responses(
        (status = 200, content((String = "application/pdf"), (String = "text/html")), description = "The printed form"),
        (status = 404, body = Problem,
            description = "`not-found`: there is no such order, it is not yours, or the document is not here yet"),
        (status = 422, body = Problem, description = "`invalid`: a query parameter is wrong")))]
#[get("/api/orders/{id}/invoice/danfe")]
pub(super) async fn danfe(app: web::Data<App>, opened: Opened) -> Result<HttpResponse> {
    let bytes = file(&app, &opened, DANFE).await?;
    Ok(documents::answer(Document::Danfe, bytes, "danfe"))
}

/// Downloads the XML of an order's invoice
///
/// As the tax authority authorised it. Its link opens it without signing in.
#[utoipa::path(
    tag = "orders", security((), ("bearer" = [])),
    params(("id" = String, Path, description = "The order's id, or its number", max_length = 40, example = "0A1B2-C3D4E"), Link),
    responses(
        (status = 200, content_type = "application/xml", body = String, description = "The XML"),
        (status = 404, body = Problem,
            description = "`not-found`: there is no such order, it is not yours, or the document is not here yet"),
        (status = 422, body = Problem, description = "`invalid`: a query parameter is wrong")))]
#[get("/api/orders/{id}/invoice/xml")]
pub(super) async fn xml(app: web::Data<App>, opened: Opened) -> Result<HttpResponse> {
    let bytes = file(&app, &opened, XML).await?;
    Ok(documents::answer(Document::Xml, bytes, "nfe"))
}

const DANFE: &str = "
    SELECT i.danfe AS file FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
     WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3) AND i.danfe IS NOT NULL
     ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1";
const XML: &str = "
    SELECT i.xml AS file FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
     WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3) AND i.xml IS NOT NULL
     ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1";

/// `sql` is [`DANFE`] or [`XML`].
async fn file(app: &App, opened: &Opened, sql: &str) -> Result<Vec<u8>> {
    let Opened { order, scope: (all, user) } = opened;
    let row = db::query_opt(&app.db().await?, sql, &[order, all, user]).await?;
    Ok(row.ok_or(Error::NotFound("The document"))?.get("file"))
}
