//! The SQL of messages. History rows are written under the order's row lock.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::templates::{Kind, Words};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{MessageId, OrderId, UserId};
use crate::orders::life::{self, Change};

/// A message to be written down.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// One message per event.
    pub event: &'a str,
    pub kind: Kind,
    pub order: Option<OrderId>,
    pub user: Option<UserId>,
    /// `None`: there is nobody left to write to, and nothing is written down.
    pub to: Option<&'a str>,
    pub words: Words,
}

/// Whether this event has its message.
pub async fn has_message(db: &impl GenericClient, event: &str) -> Result<bool> {
    const HAS: &str = "SELECT EXISTS (SELECT FROM messages WHERE event = $1)";
    Ok(db::query_one(db, HAS, &[&event]).await?.get(0))
}

/// Keeps the words, unless a twin of the job was faster. Where the address must not be written to any more, what is kept
/// says so instead of the words.
pub async fn insert_message(tx: &impl GenericClient, app: &App, new: &NewMessage<'_>) -> Result<()> {
    const BLOCKED: &str = "
        SELECT EXISTS (SELECT FROM users WHERE email = $1 AND mail_blocked_at IS NOT NULL)
            OR EXISTS (SELECT FROM messages WHERE order_id = $2 AND recipient = $1 AND status = 'bounced')";
    const INSERT: &str = "
        INSERT INTO messages (id, event, kind, channel, order_id, user_id, recipient, subject, html, body, status, error, provider)
        VALUES ($1, $2, $3, 'email', $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (event) DO NOTHING";
    let Some(to) = new.to else { return Ok(()) };
    // Who cannot sign in may ask for a reset at any address: that mail is always tried.
    let blocked = new.kind.heeds_blocks() && db::query_one(tx, BLOCKED, &[&to, &new.order]).await?.get::<_, bool>(0);
    let words = (!blocked).then_some(&new.words);
    let (html, body) = (words.map(|w| &w.html), words.map(|w| &w.text));
    let (status, error) = if blocked { ("failed", Some(BLOCKED_WHY)) } else { ("queued", None) };
    let id = MessageId::new();
    let (kind, provider) = (new.kind.word(), app.providers.mailer.name());
    let subject = &new.words.subject;
    let written = db::execute(
        tx,
        INSERT,
        &[&id, &new.event, &kind, &new.order, &new.user, &to, subject, &html, &body, &status, &error, &provider],
    )
    .await?;
    if written == 1 {
        tell(tx, new.order, id, (None, status), error.unwrap_or(kind), Actor::System).await?;
    }
    Ok(())
}

/// Why nothing is sent to an address that bounced or complained.
pub const BLOCKED_WHY: &str = "the address bounced or complained before";

/// A message that this run may hand over.
#[derive(Debug)]
pub struct Claimed {
    pub id: MessageId,
    pub kind: String,
    pub order: Option<OrderId>,
    pub recipient: String,
    pub subject: String,
    pub html: String,
    pub text: String,
    /// No earlier try can have reached the provider.
    pub is_first_try: bool,
    /// An earlier try may have, so long ago that the provider has forgotten our key.
    pub is_too_late: bool,
}

/// The event's message, if it waits to be sent; from now on counted as tried.
pub async fn claim(tx: &impl GenericClient, event: &str) -> Result<Option<Claimed>> {
    // An hour less than the provider's 24: a key must not run out between our look and theirs.
    const CLAIM: &str = "
        UPDATE messages SET tried_at = coalesce(tried_at, now())
         WHERE event = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL
           AND recipient IS NOT NULL AND html IS NOT NULL AND body IS NOT NULL
        RETURNING id, kind, order_id, recipient, subject, html, body, tried_at = now() AS is_first_try,
                  tried_at < now() - interval '23 hours' AS is_too_late";
    let row = db::query_opt(tx, CLAIM, &[&event]).await?;
    Ok(row.map(|row| Claimed {
        id: row.get("id"),
        kind: row.get("kind"),
        order: row.get("order_id"),
        recipient: row.get("recipient"),
        subject: row.get("subject"),
        html: row.get("html"),
        text: row.get("body"),
        is_first_try: row.get("is_first_try"),
        is_too_late: row.get("is_too_late"),
    }))
}

/// Handed over, under the provider's id. What carried a capability is forgotten. `false`: a twin of the job said so already.
pub async fn mark_sent(tx: &impl GenericClient, message: &Claimed, provider_ref: &str) -> Result<bool> {
    const SENT: &str = "
        UPDATE messages SET status = 'sent', provider_ref = $2, sent_at = now(), error = NULL,
               html = CASE WHEN kind = 'password_reset' THEN NULL ELSE html END,
               body = CASE WHEN kind = 'password_reset' THEN NULL ELSE body END
         WHERE id = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL";
    let before = lock_status(tx, message).await?;
    let sent = db::execute(tx, SENT, &[&message.id, &provider_ref]).await? == 1;
    if sent {
        tell(tx, message.order, message.id, (Some(&before), "sent"), &message.kind, Actor::System).await?;
    }
    Ok(sent)
}

/// Given up, until an admin has the job tried again. `is_unsent`: the provider certainly did not take it.
pub async fn mark_failed(tx: &impl GenericClient, message: &Claimed, why: &str, is_unsent: bool) -> Result<bool> {
    const FAILED: &str = "
        UPDATE messages SET status = 'failed', error = $2, tried_at = CASE WHEN $3 THEN NULL ELSE tried_at END
         WHERE id = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL";
    let before = lock_status(tx, message).await?;
    let failed = db::execute(tx, FAILED, &[&message.id, &why, &(is_unsent && message.is_first_try)]).await? == 1;
    if failed && before != "failed" {
        tell(tx, message.order, message.id, (Some(&before), "failed"), why, Actor::System).await?;
    }
    Ok(failed)
}

/// What the message's state is now, under its order's lock: a twin of the job may have been faster than this one.
async fn lock_status(tx: &impl GenericClient, message: &Claimed) -> Result<String> {
    const STATUS: &str = "SELECT status FROM messages WHERE id = $1 FOR NO KEY UPDATE";
    lock_order(tx, message.order).await?;
    Ok(db::query_one(tx, STATUS, &[&message.id]).await?.get("status"))
}

/// Why a message that was written is not sent any more.
pub const WITHDRAWN: &str = "what it says is no longer so: not sent, or not sent again";

/// Messages of a locked order that wait to be sent and would say what is no longer so: all of their kind but the event `keep`.
pub async fn withdraw(tx: &impl GenericClient, order: OrderId, kind: Kind, keep: Option<&str>) -> Result<()> {
    const OVERTAKEN: &str =
        "SELECT id FROM messages WHERE order_id = $1 AND kind = $2 AND status = 'queued' AND event IS DISTINCT FROM $3";
    let rows = db::query(tx, OVERTAKEN, &[&order, &kind.word(), &keep]).await?;
    mark_withdrawn(tx, order, rows.iter().map(|row| row.get("id")).collect()).await
}

/// The same for the message of one event.
pub async fn withdraw_event(tx: &impl GenericClient, order: OrderId, event: &str) -> Result<()> {
    const QUEUED: &str = "SELECT id FROM messages WHERE order_id = $1 AND event = $2 AND status = 'queued'";
    let rows = db::query(tx, QUEUED, &[&order, &event]).await?;
    mark_withdrawn(tx, order, rows.iter().map(|row| row.get("id")).collect()).await
}

async fn mark_withdrawn(tx: &impl GenericClient, order: OrderId, messages: Vec<MessageId>) -> Result<()> {
    const WITHDRAW: &str = "UPDATE messages SET status = 'failed', error = $2 WHERE id = ANY($1) AND status = 'queued'";
    db::execute(tx, WITHDRAW, &[&messages, &WITHDRAWN]).await?;
    for message in messages {
        tell(tx, Some(order), message, (Some("queued"), "failed"), WITHDRAWN, Actor::System).await?; // one at most, as a rule
    }
    Ok(())
}

/// Not now. `is_unsent`: the provider certainly did not take it, so its key is as good as new.
pub async fn note_trouble(db: &impl GenericClient, message: &Claimed, why: &str, is_unsent: bool) -> Result<()> {
    const TROUBLE: &str = "
        UPDATE messages SET error = $2, tried_at = CASE WHEN $3 THEN NULL ELSE coalesce(tried_at, now()) END
         WHERE id = $1 AND provider_ref IS NULL";
    db::execute(db, TROUBLE, &[&message.id, &why, &(is_unsent && message.is_first_try)]).await?;
    Ok(())
}

pub async fn lock_order(tx: &impl GenericClient, order: Option<OrderId>) -> Result<()> {
    const LOCK: &str = "SELECT FROM orders WHERE id = $1 FOR NO KEY UPDATE";
    if let Some(order) = order {
        db::query_opt(tx, LOCK, &[&order]).await?;
    }
    Ok(())
}

/// A row of the order's story; mails about no order have none.
pub async fn tell(
    tx: &impl GenericClient,
    order: Option<OrderId>,
    message: MessageId,
    (from, to): (Option<&str>, &str),
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let Some(order) = order else { return Ok(()) };
    life::tell(tx, order, &Change { subject: "message", subject_id: Some(message.0), from, to, reason, actor }).await
}

/// What an admin's list may be narrowed by.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub order: Option<OrderId>,
    pub status: Option<&'a str>,
    pub kind: Option<&'a str>,
}

/// Newest first, and how many there are in all; `after` is the last id of the page before.
pub async fn list_messages(
    db: &impl GenericClient,
    filter: &Filter<'_>,
    (limit, offset): (i64, i64),
    after: Option<MessageId>,
) -> Result<(Vec<Row>, i64)> {
    const COUNT: &str = "
        SELECT count(*) FROM messages
         WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR kind = $3)";
    const PAGE: &str = "
        SELECT id, kind, channel, order_id, recipient, subject, status, provider, error, created_at, sent_at FROM messages
         WHERE ($1::uuid IS NULL OR order_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR kind = $3)
           AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5 OFFSET $6";
    let (order, status, kind) = (filter.order, filter.status, filter.kind);
    let total = db::query_one(db, COUNT, &[&order, &status, &kind]).await?.get(0);
    let rows = db::query(db, PAGE, &[&order, &status, &kind, &after, &limit, &offset]).await?;
    Ok((rows, total))
}
