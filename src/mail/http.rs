//! Messages as an admin sees them.

use actix_web::{HttpResponse, get, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Email;

use super::store::{self, Filter};
use crate::app::App;
use crate::error::Result;
use crate::http::json::Query;
use crate::http::page::{List, bounds, cursor_of, read_cursor};
use crate::http::who::Admin;
use crate::ids::{MessageId, OrderId};

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list);
}

/// A mail to a customer or to the operator.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    pub id: MessageId,
    /// `order_placed`, `order_paid`, `order_shipped`, `order_cancelled`, `refunded`, `password_reset` or `alert`.
    pub kind: String,
    pub channel: String,
    pub order_id: Option<OrderId>,
    /// Masked; null once the person was erased.
    pub recipient: Option<String>,
    pub subject: String,
    /// `queued`, `sent`, `delivered`, `bounced` or `failed`.
    pub status: String,
    pub provider: String,
    /// The last trouble with it.
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub sent_at: Option<Timestamp>,
}

impl MessageView {
    fn from_row(row: &Row) -> Self {
        let recipient: Option<&str> = row.get("recipient");
        Self {
            id: row.get("id"),
            kind: row.get("kind"),
            channel: row.get("channel"),
            order_id: row.get("order_id"),
            recipient: recipient.map(|to| Email::parse(to).map_or_else(|_| "***".to_owned(), |to| to.masked())),
            subject: row.get("subject"),
            status: row.get("status"),
            provider: row.get("provider"),
            error: row.get("error"),
            created_at: row.get("created_at"),
            sent_at: row.get("sent_at"),
        }
    }
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    #[garde(skip)]
    order_id: Option<OrderId>,
    /// `queued`, `sent`, `delivered`, `bounced` or `failed`.
    #[garde(inner(custom(is_status)))]
    status: Option<String>,
    #[garde(length(max = 40))]
    kind: Option<String>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(length(max = 200))]
    cursor: Option<String>,
}

fn is_status(status: &str, _: &()) -> garde::Result {
    let known = ["queued", "sent", "delivered", "bounced", "failed"];
    if known.contains(&status) { Ok(()) } else { Err(garde::Error::new(format!("must be one of {}", known.join(", ")))) }
}

/// Mails that were sent, wait to be sent, or could not be, newest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListQuery), responses((status = 200, body = List<MessageView>)))]
#[get("/api/admin/messages")]
async fn list(app: web::Data<App>, _admin: Admin, Query(query): Query<ListQuery>) -> Result<HttpResponse> {
    let (limit, offset) = bounds(query.limit, query.offset)?;
    let after: Option<MessageId> = query.cursor.as_deref().map(read_cursor).transpose()?;
    let filter = Filter { order: query.order_id, status: query.status.as_deref(), kind: query.kind.as_deref() };
    // One more than asked, to know whether there is another page.
    let (rows, total) = store::list_messages(&app.db().await?, &filter, (limit + 1, offset), after).await?;
    let mut items: Vec<_> = rows.iter().map(MessageView::from_row).collect();
    let has_more = items.len() as i64 > limit;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| has_more).map(|last| cursor_of(&last.id));
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}
