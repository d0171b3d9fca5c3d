//! Messages as an admin sees them.

use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::{Email, Phone};

use super::desk::{self, Filter};
use crate::app::App;
use crate::audit_log;
use crate::error::{Error, Result};
use crate::http::json::{Path, Query};
use crate::http::list::{self, Place};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{MessageId, OrderId};
use crate::sale::states::MessageStatus;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list_messages).service(show).service(retry);
}

/// A mail or an SMS to a customer, or a mail to the operator.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    pub id: MessageId,
    /// `welcome`, `password_reset`, `order_placed`, `expiry_reminder`, `order_paid`, `order_shipped`, `order_delivered`,
    /// `order_cancelled`, `refunded`, `invoice` or `alert`.
    pub kind: String,
    /// `email` or `sms`.
    pub channel: String,
    pub order_id: Option<OrderId>,
    /// Masked; null once the person was erased.
    pub recipient: Option<String>,
    /// Empty for an SMS.
    pub subject: String,
    /// `queued`, `sending`, `sent`, `delivered`, `bounced` or `failed`.
    pub status: String,
    pub provider: String,
    /// Why it failed, or why the last try did.
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub sent_at: Option<Timestamp>,
}

impl MessageView {
    fn from_row(row: &Row) -> Result<Self> {
        let recipient: Option<&str> = row.get("recipient");
        Ok(Self {
            id: row.get("id"),
            kind: row.get("kind"),
            channel: row.get("channel"),
            order_id: row.get("order_id"),
            recipient: recipient.map(masked),
            subject: row.get("subject"),
            status: status_of(row)?.to_owned(),
            provider: row.get("provider"),
            error: row.get("error"),
            created_at: row.get("created_at"),
            sent_at: row.get("sent_at"),
        })
    }
}

/// A message with its stored text. A mark stands for the capability in a link.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenMessage {
    #[serde(flatten)]
    pub message: MessageView,
    /// Null for an SMS, and once the text is no longer kept.
    pub html: Option<String>,
    pub text: Option<String>,
}

fn masked(to: &str) -> String {
    match (Email::parse(to), Phone::parse(to)) {
        (Ok(email), _) => email.masked(),
        (_, Ok(phone)) => phone.masked(),
        _ => "***".to_owned(),
    }
}

/// The table has no state for a message that is being sent: it is queued and claimed.
fn status_of(row: &Row) -> Result<&'static str> {
    let status: MessageStatus = row.try_get("status")?;
    let is_claimed = row.get::<_, Option<Timestamp>>("claimed_at").is_some();
    Ok(if status == MessageStatus::Queued && is_claimed { "sending" } else { status.as_str() })
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    #[garde(skip)]
    order_id: Option<OrderId>,
    #[garde(skip)]
    status: Option<MessageStatus>,
    #[garde(length(chars, max = 40))]
    kind: Option<String>,
    /// `email` or `sms`.
    #[garde(inner(custom(is_channel)))]
    channel: Option<String>,
    /// A part of the address, or of the subject; at least three characters. Case and accents do not matter.
    #[garde(inner(length(chars, max = 254)))]
    q: Option<String>,
    #[garde(skip)]
    limit: Option<i64>,
    #[garde(skip)]
    offset: Option<i64>,
    #[garde(length(chars, max = 200))]
    cursor: Option<String>,
}

fn is_channel(channel: &str, _: &()) -> garde::Result {
    if matches!(channel, "email" | "sms") { Ok(()) } else { Err(garde::Error::new("must be email or sms")) }
}

/// Messages that were sent, wait to be sent, or could not be, newest first.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(ListQuery), responses((status = 200, body = List<MessageView>)))]
#[get("/api/admin/messages")]
async fn list_messages(app: web::Data<App>, _admin: Admin, Query(query): Query<ListQuery>) -> Result<HttpResponse> {
    let place = Place::of(query.limit, query.offset, query.cursor.as_deref())?;
    let (kind, channel, q) = (query.kind.as_deref(), query.channel.as_deref(), list::part(query.q.as_deref())?);
    let filter = Filter { order: query.order_id, status: query.status, kind, channel, q };
    let page = desk::list_messages(&app.db().await?, &filter, &place, MessageView::from_row).await?;
    let List { items, total, limit, offset, next_cursor } = page;
    let items = items.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// One message with its text.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = MessageId, Path)),
    responses((status = 200, body = OpenMessage), (status = 404)))]
#[get("/api/admin/messages/{id}")]
async fn show(app: web::Data<App>, _admin: Admin, Path(id): Path<MessageId>) -> Result<HttpResponse> {
    let row = desk::find_message(&app.db().await?, id).await?.ok_or(Error::NotFound("The message"))?;
    let message = OpenMessage { message: MessageView::from_row(&row)?, html: row.get("html"), text: row.get("body") };
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(message))
}

/// Sends a failed message again, as it was written.
#[utoipa::path(tag = "admin", security(("bearer" = [])), params(("id" = MessageId, Path)),
    responses((status = 200, body = MessageView), (status = 404),
        (status = 409, description = "It has not failed, says what is no longer so, or might arrive twice")))]
#[post("/api/admin/messages/{id}/retry")]
async fn retry(app: web::Data<App>, admin: Admin, Path(id): Path<MessageId>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    desk::retry(&tx, &app, id, admin.0.actor()).await?;
    audit_log::record(&tx, admin.0.actor(), "message.retry", &id.to_string(), None, None).await?;
    let row = desk::find_message(&tx, id).await?.ok_or(Error::NotFound("The message"))?;
    let message = MessageView::from_row(&row)?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(message))
}
