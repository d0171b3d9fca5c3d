//! The SQL of the administrators' list of messages.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::send;
use super::store::{self, BLOCKED_WHY, Channel, WITHDRAWN};
use crate::app::App;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::http::list::{self, Place, list_page};
use crate::http::page::List;
use crate::ids::{MessageId, OrderId};
use crate::jobs::{self, Job};
use crate::sale::states::MessageStatus;

/// The filters of the list.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub order: Option<OrderId>,
    pub status: Option<MessageStatus>,
    pub kind: Option<&'a str>,
    pub channel: Option<&'a str>,
    /// A part of the address, or of the subject.
    pub q: Option<&'a str>,
}

/// `$1` to `$4` of every statement of the list.
const FITS: &str = "
    ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR kind = $3)
    AND ($4::text IS NULL OR channel = $4)";
const COLUMNS: &str = "id, kind, channel, order_id, recipient, subject, status, claimed_at, provider, error, created_at, sent_at";

/// Newest first; `read` makes an item of a row with [`COLUMNS`].
pub async fn list_messages<Item>(
    db: &impl GenericClient,
    filter: &Filter<'_>,
    place: &Place<MessageId>,
    read: impl Fn(&Row) -> Item,
) -> Result<List<Item>> {
    const LIST: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM messages WHERE ",
        FITS,
        " AND ($5::uuid IS NULL OR id < $5) ORDER BY id DESC LIMIT $6 OFFSET $7"
    );
    const COUNT: &str = sql!("SELECT count(*) FROM (SELECT FROM messages WHERE ", FITS, " LIMIT $5) counted");
    const FOUND: &str = "
        WITH found AS MATERIALIZED (
            SELECT id FROM messages WHERE plain(coalesce(recipient, '') || ' ' || subject) LIKE plain($5))";
    const LIST_FOUND: &str = sql!(
        FOUND,
        " SELECT ",
        COLUMNS,
        " FROM messages WHERE id = ANY(ARRAY(SELECT found.id FROM found)) AND ",
        FITS,
        " AND ($6::uuid IS NULL OR id < $6) ORDER BY id DESC LIMIT $7 OFFSET $8"
    );
    const COUNT_FOUND: &str = sql!(
        FOUND,
        " SELECT count(*) FROM (SELECT FROM messages WHERE id = ANY(ARRAY(SELECT found.id FROM found)) AND ",
        FITS,
        " LIMIT $6) counted"
    );
    let Filter { order, status, kind, channel, q } = filter;
    let item = |row: &Row| (row.get("id"), read(row));
    match q {
        Some(q) => {
            let filters: [&(dyn ToSql + Sync); 5] = [order, status, kind, channel, &list::holding(q)];
            list_page(db, (LIST_FOUND, COUNT_FOUND), &filters, place, item).await
        }
        None => list_page(db, (LIST, COUNT), &[order, status, kind, channel], place, item).await,
    }
}

/// One message with its text.
pub async fn find_message(db: &impl GenericClient, id: MessageId) -> Result<Option<Row>> {
    const FIND: &str = "
        SELECT id, kind, channel, order_id, recipient, subject, status, claimed_at, provider, error, created_at, sent_at, html, body
          FROM messages WHERE id = $1";
    db::query_opt(db, FIND, &[&id]).await
}

/// Queues a failed message again. The caller commits.
///
/// Errors: 404; 409 it has not failed, its text is not kept any more, what it says is no longer so, or it might arrive twice.
pub async fn retry(tx: &Transaction<'_>, app: &App, id: MessageId, actor: Actor) -> Result<()> {
    const FIND: &str = "
        SELECT order_id, channel, status, error, body IS NOT NULL AS has_words, provider_ref IS NOT NULL AS was_taken, open_tries,
               coalesce(extract(epoch FROM now() - tried_at)::bigint, 0) AS open_for_s, batch_id IS NOT NULL AS was_in_batch
          FROM messages WHERE id = $1 FOR NO KEY UPDATE";
    const ORDER: &str = "SELECT order_id FROM messages WHERE id = $1";
    const QUEUE: &str = "UPDATE messages SET status = 'queued', error = NULL WHERE id = $1";
    let order: Option<OrderId> = db::query_opt(tx, ORDER, &[&id]).await?.ok_or(Error::NotFound("The message"))?.get(0);
    store::lock_order(tx, order).await?;
    let row = db::query_one(tx, FIND, &[&id]).await?;
    let open_tries: i16 = row.get("open_tries");
    let might_double = if row.get::<_, &str>("channel") == Channel::Sms.word() {
        open_tries > 0
    } else {
        send::may_be_doubled(app, open_tries, row.get("open_for_s"), row.get("was_in_batch"))
    };
    let error: Option<&str> = row.get("error");
    let refusal = match row.try_get::<_, MessageStatus>("status")? {
        MessageStatus::Failed if row.get("was_taken") => Some("The provider took the message and could not deliver it"),
        MessageStatus::Failed if error == Some(WITHDRAWN) => Some("What the message says is no longer so"),
        MessageStatus::Failed if error == Some(BLOCKED_WHY) => Some("The address bounced or complained before"),
        MessageStatus::Failed if !row.get::<_, bool>("has_words") => Some("The message's text is no longer kept"),
        MessageStatus::Failed if might_double => Some("The message may have arrived: it might be there twice"),
        MessageStatus::Failed => None,
        MessageStatus::Queued | MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Bounced => {
            Some("The message has not failed")
        }
    };
    if let Some(refusal) = refusal {
        return Err(Error::Conflict(refusal.into()));
    }
    db::execute(tx, QUEUE, &[&id]).await?;
    store::record_message_history(
        tx,
        order,
        id,
        (Some(MessageStatus::Failed), MessageStatus::Queued),
        "sent again by hand",
        actor,
    )
    .await?;
    jobs::push(tx, Job::MailMessage { message: id }).await
}
