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
use super::kind::Kind;
use super::store::Channel;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::error::{Error, Problem, Result};
use crate::http::json::{Path, Query};
use crate::http::list::{self, Place};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::{MessageId, OrderId};
use crate::providers::names::MessageProvider;
use crate::sale::states::MessageStatus;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list_messages).service(show).service(retry);
}

/// A mail or an SMS to a customer, or a mail to the operator.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// The message.
    pub id: MessageId,
    /// What it is about.
    #[schema(value_type = Kind)]
    pub kind: String,
    /// How it is sent.
    #[schema(value_type = Channel)]
    pub channel: String,
    /// The order that it is about; null: none.
    #[schema(required = true)]
    pub order_id: Option<OrderId>,
    /// Masked; null once the person was erased.
    #[schema(example = "a***@example.com", required = true)]
    pub recipient: Option<String>,
    /// Empty for an SMS.
    #[schema(example = "Pedido 0A1B2-C3D4E recebido")]
    pub subject: String,
    /// How far it is.
    pub status: MessageState,
    /// Who sends it.
    #[schema(value_type = MessageProvider)]
    pub provider: String,
    /// Why it failed, or why the last try did; null: nothing is wrong.
    #[schema(required = true, example = "The provider is away")]
    pub error: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the provider took it; null: not yet.
    #[schema(required = true)]
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
            status: status_of(row)?,
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
    /// The text with its layout. Null for an SMS, and once the text is no longer kept.
    #[schema(example = "<p>Olá, Ana</p>", required = true)]
    pub html: Option<String>,
    /// The plain text; null once it is no longer kept.
    #[schema(example = "Olá, Ana", required = true)]
    pub text: Option<String>,
}

fn masked(to: &str) -> String {
    match (Email::parse(to), Phone::parse(to)) {
        (Ok(email), _) => email.masked(),
        (_, Ok(phone)) => phone.masked(),
        _ => "***".to_owned(),
    }
}

/// How far a message is. The table has no word for `sending`: it is queued and claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    Queued,
    Sending,
    Sent,
    Delivered,
    Bounced,
    Failed,
}

fn status_of(row: &Row) -> Result<MessageState> {
    let is_claimed = row.get::<_, Option<Timestamp>>("claimed_at").is_some();
    Ok(match row.try_get("status")? {
        MessageStatus::Queued if is_claimed => MessageState::Sending,
        MessageStatus::Queued => MessageState::Queued,
        MessageStatus::Sent => MessageState::Sent,
        MessageStatus::Delivered => MessageState::Delivered,
        MessageStatus::Bounced => MessageState::Bounced,
        MessageStatus::Failed => MessageState::Failed,
    })
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those about this order.
    #[garde(skip)]
    order_id: Option<OrderId>,
    /// Only those in this state; a message that is being sent is `queued`.
    #[garde(skip)]
    status: Option<MessageStatus>,
    /// Only those about this.
    #[garde(skip)]
    kind: Option<Kind>,
    /// Only those that are sent so.
    #[garde(skip)]
    channel: Option<Channel>,
    /// A part of the address, or of the subject; at least three characters. Case and accents do not matter.
    #[garde(inner(length(chars, max = 254)))]
    #[param(max_length = 254)]
    q: Option<String>,
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(length(chars, max = 200))]
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Lists messages
///
/// Mails and SMS that were sent, wait to be sent, or could not be, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListQuery),
    responses(
        (status = 200, body = List<MessageView>, description = "The messages of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/messages")]
async fn list_messages(app: web::Data<App>, _admin: Admin, Query(query): Query<ListQuery>) -> Result<HttpResponse> {
    let place = Place::of(query.limit, query.offset, query.cursor.as_deref())?;
    let (kind, channel) = (query.kind.map(Kind::word), query.channel.map(Channel::word));
    let filter = Filter { order: query.order_id, status: query.status, kind, channel, q: list::part(query.q.as_deref())? };
    let page = desk::list_messages(&app.db().await?, &filter, &place, MessageView::from_row).await?;
    let List { items, total, limit, offset, next_cursor } = page;
    let items = items.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// Shows a message
///
/// With its stored text.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, body = OpenMessage, description = "The message"),
        (status = 404, body = Problem, description = "`not-found`: there is no such message")))]
#[get("/api/admin/messages/{id}")]
async fn show(app: web::Data<App>, _admin: Admin, Path(id): Path<MessageId>) -> Result<HttpResponse> {
    let row = desk::find_message(&app.db().await?, id).await?.ok_or(Error::NotFound("The message"))?;
    let message = OpenMessage { message: MessageView::from_row(&row)?, html: row.get("html"), text: row.get("body") };
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(message))
}

/// Sends a failed message again
///
/// As it was written.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, body = MessageView, description = "The message as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such message"),
        (status = 409, body = Problem,
            description = "`conflict`: it has not failed, its text is not kept any more, it says what is no longer so, or it might arrive twice")))]
#[post("/api/admin/messages/{id}/retry")]
async fn retry(app: web::Data<App>, admin: Admin, Path(id): Path<MessageId>) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    desk::retry(&tx, &app, id, admin.0.actor()).await?;
    audit_log::record(&tx, admin.0.actor(), Action::MessageRetry, &id.to_string(), None, None).await?;
    let row = desk::find_message(&tx, id).await?.ok_or(Error::NotFound("The message"))?;
    let message = MessageView::from_row(&row)?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(message))
}
