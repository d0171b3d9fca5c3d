//! An order's invoice, for whoever may see the order.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

use super::documents::{self, Document};
use super::link::Link;
use crate::app::App;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Query;
use crate::http::who::Visitor;
use crate::ids::OrderId;
use crate::sale::named::OrderPath;
use crate::sale::states::InvoiceStatus;
use crate::sale::viewer::Viewer;

/// The NF-e of an order.
#[derive(Debug, Serialize, ToSchema)]
struct Invoice {
    #[schema(value_type = uuid::Uuid)]
    id: crate::ids::InvoiceId,
    /// `pending`, `processing`, `authorized`, `rejected`, `denied` or `cancelled`.
    status: InvoiceStatus,
    /// `homologacao` has no fiscal value.
    environment: String,
    /// The access key, 44 characters.
    chave: Option<String>,
    number: Option<String>,
    series: Option<String>,
    #[schema(value_type = i64)]
    total_cents: Money,
    currency: &'static str,
    /// Opens without signing in: the link carries its own right to this one document.
    danfe_url: Option<String>,
    xml_url: Option<String>,
    /// Why it is not authorised. To the buyer only that it is being looked after.
    message: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    authorized_at: Option<Timestamp>,
}

/// The order's fiscal invoice (NF-e)
#[utoipa::path(tag = "orders", security((), ("bearer" = [])), responses((status = 200, body = Invoice),
    (status = 404, body = Problem, description = "No such order, not yours, or no invoice yet")))]
#[get("/api/orders/{id}/invoice")]
pub(super) async fn show(app: web::Data<App>, visitor: Visitor, OrderPath(order): OrderPath) -> Result<HttpResponse> {
    const FIND: &str = "
        SELECT i.id, i.status, i.environment, i.chave, i.number, i.series, i.total_cents, i.message, i.authorized_at,
               i.danfe IS NOT NULL AS has_danfe, i.xml IS NOT NULL AS has_xml
          FROM orders o JOIN invoices i ON i.order_id = o.id AND i.purpose = 'sale'
         WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)
         ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1";
    let viewer = Viewer::of(&app, &visitor, order).await?;
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
        currency: "BRL",
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

/// The printed form of the invoice (DANFE)
#[utoipa::path(tag = "orders", params(Link), security((), ("bearer" = [])), responses((status = 200, content_type = "application/pdf"),
    (status = 404, body = Problem, description = "No such order, not yours, or no document yet")))]
#[get("/api/orders/{id}/invoice/danfe")]
pub(super) async fn danfe(
    app: web::Data<App>,
    visitor: Visitor,
    OrderPath(order): OrderPath,
    Query(link): Query<Link>,
) -> Result<HttpResponse> {
    let bytes = file(&app, &visitor, order, &link, DANFE).await?;
    Ok(documents::answer(Document::Danfe, bytes, "danfe"))
}

/// The invoice itself (XML)
#[utoipa::path(tag = "orders", params(Link), security((), ("bearer" = [])), responses((status = 200, content_type = "application/xml"),
    (status = 404, body = Problem, description = "No such order, not yours, or no document yet")))]
#[get("/api/orders/{id}/invoice/xml")]
pub(super) async fn xml(
    app: web::Data<App>,
    visitor: Visitor,
    OrderPath(order): OrderPath,
    Query(link): Query<Link>,
) -> Result<HttpResponse> {
    let bytes = file(&app, &visitor, order, &link, XML).await?;
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
async fn file(app: &App, visitor: &Visitor, order: OrderId, link: &Link, sql: &str) -> Result<Vec<u8>> {
    let (all, user) = link.scope(app, visitor, order).await?;
    let row = db::query_opt(&app.db().await?, sql, &[&order, &all, &user]).await?;
    Ok(row.ok_or(Error::NotFound("The document"))?.get("file"))
}
