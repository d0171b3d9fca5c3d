//! The SQL of messages. History rows are written under the order's row lock.

use deadpool_postgres::GenericClient;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::kind::Kind;
use crate::app::App;
use crate::cause::Actor;
use crate::db::{self, insert, sql};
use crate::error::Result;
use crate::ids::{MessageId, OrderId, UserId};
use crate::sale::history::{Change, record_change};
use crate::sale::locks;
use crate::sale::states::MessageStatus;

/// How a message is sent: `email` or `sms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageChannel)]
pub enum Channel {
    Email,
    Sms,
}

impl Channel {
    pub fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// A message to write.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// One message per event.
    pub event: &'a str,
    pub kind: Kind,
    pub channel: Channel,
    pub order: Option<OrderId>,
    pub user: Option<UserId>,
    /// `None`: there is no recipient, and no message is written.
    pub to: Option<&'a str>,
    /// Empty for an SMS.
    pub subject: &'a str,
    pub html: Option<&'a str>,
    pub text: &'a str,
}

/// Whether this event has its message.
pub async fn has_message(db: &impl GenericClient, event: &str) -> Result<bool> {
    const HAS: &str = "SELECT EXISTS (SELECT FROM messages WHERE event = $1)";
    Ok(db::query_one(db, HAS, &[&event]).await?.get(0))
}

/// Writes the message. `false`: another run of the job wrote it. If the address is blocked, the message is written as failed,
/// without its text.
pub async fn insert_message(tx: &impl GenericClient, app: &App, new: &NewMessage<'_>) -> Result<bool> {
    const BLOCKED: &str = "
        SELECT EXISTS (SELECT FROM users WHERE email = $1 AND mail_blocked_at IS NOT NULL)
            OR EXISTS (SELECT FROM messages WHERE order_id = $2 AND recipient = $1 AND status = 'bounced')";
    let Some(to) = new.to else { return Ok(false) };
    // A password reset is sent to any address, also a blocked one: its owner may not be able to sign in.
    let may_block = new.channel == Channel::Email && new.kind.heeds_blocks();
    let blocked = may_block && db::query_one(tx, BLOCKED, &[&to, &new.order]).await?.get::<_, bool>(0);
    let (html, body) = if blocked { (None, None) } else { (new.html, Some(new.text)) };
    let (status, error) = if blocked { (MessageStatus::Failed, Some(BLOCKED_WHY)) } else { (MessageStatus::Queued, None) };
    let id = MessageId::new();
    let kind = new.kind.word();
    let row = insert!("messages" {
        id: id,
        event: new.event,
        kind: kind,
        channel: new.channel.word(),
        order_id: new.order,
        user_id: new.user,
        recipient: to,
        subject: new.subject,
        html: html,
        body: body,
        status: status,
        error: error,
        provider: provider(app, new.channel),
    } "ON CONFLICT (event) DO NOTHING");
    let written = db::execute(tx, row.sql, &row.values).await?;
    if written == 1 {
        record_message_history(tx, new.order, id, (None, status), error.unwrap_or(kind), Actor::System).await?;
    }
    Ok(written == 1)
}

/// The provider of messages of this channel.
pub fn provider(app: &App, channel: Channel) -> &'static str {
    match channel {
        Channel::Email => app.providers.mailer.name(),
        Channel::Sms => vitrine_africastalking::NAME,
    }
}

/// Why nothing is sent to an address that bounced or complained.
pub const BLOCKED_WHY: &str = "the address bounced or complained before";

/// A message that only this run sends.
#[derive(Debug)]
pub struct Claimed {
    pub id: MessageId,
    pub kind: String,
    pub order: Option<OrderId>,
    pub user: Option<UserId>,
    pub recipient: String,
    pub subject: String,
    pub html: Option<String>,
    pub text: String,
    /// Earlier tries that may have reached the provider, and how long ago the first of them was.
    pub open_tries: i16,
    pub open_for_s: i64,
    /// Those tries were by a call with other mails, of which a call of its own is no repeat.
    pub was_in_batch: bool,
}

impl Claimed {
    /// Of a row with [`CLAIMED`].
    pub fn of(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            kind: row.get("kind"),
            order: row.get("order_id"),
            user: row.get("user_id"),
            recipient: row.get("recipient"),
            subject: row.get("subject"),
            html: row.get("html"),
            text: row.get("body"),
            open_tries: row.get("open_tries"),
            open_for_s: row.get("open_for_s"),
            was_in_batch: row.get("was_in_batch"),
        }
    }
}

/// The columns of [`Claimed`], after this run's try was counted.
pub const CLAIMED: &str = "
    id, kind, order_id, user_id, recipient, subject, html, body, open_tries - 1::smallint AS open_tries,
    coalesce(extract(epoch FROM now() - tried_at)::bigint, 0) AS open_for_s, batch_id IS NOT NULL AS was_in_batch";

/// The result of a claim.
#[derive(Debug)]
pub enum Claim {
    Ours(Box<Claimed>),
    /// Another run is sending it.
    Elsewhere,
    /// It waits for a call with others.
    Left,
    /// It was sent, or there is nobody to send it to.
    Nothing,
}

/// How long a claim lasts: longer than sending takes with its wait for the rate limit. A run that died loses the claim after
/// this.
pub const CLAIM: &str = "2 minutes";

/// Claims the event's message for this run, if it waits to be sent by a call of its own, and counts a try.
pub async fn claim(tx: &impl GenericClient, app: &App, channel: Channel, event: &str) -> Result<Claim> {
    const TAKE: &str = sql!(
        "UPDATE messages m SET claimed_at = now(), open_tries = m.open_tries + 1, tried_at = coalesce(m.tried_at, now()), provider = $3
          WHERE event = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL AND recipient IS NOT NULL AND body IS NOT NULL
            AND batch_rank IS NULL AND (claimed_at IS NULL OR claimed_at < now() - $2::text::interval)
         RETURNING ",
        CLAIMED
    );
    const HELD: &str = "
        SELECT batch_rank IS NOT NULL AS is_left FROM messages
         WHERE event = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL AND recipient IS NOT NULL AND body IS NOT NULL";
    let Some(row) = db::query_opt(tx, TAKE, &[&event, &CLAIM, &provider(app, channel)]).await? else {
        let held = db::query_opt(tx, HELD, &[&event]).await?.map(|row| row.get("is_left"));
        return Ok(match held {
            Some(true) => Claim::Left,
            Some(false) => Claim::Elsewhere,
            None => Claim::Nothing,
        });
    };
    Ok(Claim::Ours(Box::new(Claimed::of(&row))))
}

/// Leaves a claimed message to the job that sends many by one call. `false`: it has to go alone, because it failed before, or a
/// try may have arrived.
pub async fn leave_to_batch(tx: &impl GenericClient, message: &Claimed, rank: i16) -> Result<bool> {
    const LEAVE: &str = "
        UPDATE messages SET batch_rank = $2, claimed_at = NULL, open_tries = 0, tried_at = NULL
         WHERE id = $1 AND status = 'queued' AND open_tries = 1 AND batch_id IS NULL";
    Ok(db::execute(tx, LEAVE, &[&message.id, &rank]).await? == 1)
}

/// Marks a message as sent, under the provider's id. The text of a mail whose link acts for a person is deleted. `false`: another run of the job did
/// so before.
pub async fn mark_sent(tx: &impl GenericClient, message: &Claimed, provider_ref: &str) -> Result<bool> {
    const SENT: &str = "
        UPDATE messages SET status = 'sent', provider_ref = $2, sent_at = now(), error = NULL, claimed_at = NULL,
               html = CASE WHEN kind IN ('password_reset', 'email_confirm', 'privacy_request') THEN NULL ELSE html END,
               body = CASE WHEN kind IN ('password_reset', 'email_confirm', 'privacy_request') THEN NULL ELSE body END
         WHERE id = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL";
    let before = lock_status(tx, message).await?;
    let sent = db::execute(tx, SENT, &[&message.id, &provider_ref]).await? == 1;
    if sent {
        record_message_history(tx, message.order, message.id, (Some(before), MessageStatus::Sent), &message.kind, Actor::System)
            .await?;
    }
    Ok(sent)
}

/// Marks a message as failed, until an administrator tries again. `is_unsent`: the provider certainly did not accept it.
pub async fn mark_failed(tx: &impl GenericClient, message: &Claimed, why: &str, is_unsent: bool) -> Result<bool> {
    const FAILED: &str = "
        UPDATE messages SET status = 'failed', error = $2, claimed_at = NULL, open_tries = open_tries - $3::int::smallint,
               tried_at = CASE WHEN open_tries = $3 THEN NULL ELSE tried_at END
         WHERE id = $1 AND status IN ('queued', 'failed') AND provider_ref IS NULL";
    let before = lock_status(tx, message).await?;
    let failed = db::execute(tx, FAILED, &[&message.id, &why, &i32::from(is_unsent)]).await? == 1;
    if failed && before != MessageStatus::Failed {
        record_message_history(tx, message.order, message.id, (Some(before), MessageStatus::Failed), why, Actor::System).await?;
    }
    Ok(failed)
}

/// The message's present state, under its order's lock: another run of the job may have changed it.
async fn lock_status(tx: &impl GenericClient, message: &Claimed) -> Result<MessageStatus> {
    const STATUS: &str = "SELECT status FROM messages WHERE id = $1 FOR NO KEY UPDATE";
    lock_order(tx, message.order).await?;
    Ok(db::query_one(tx, STATUS, &[&message.id]).await?.try_get("status")?)
}

/// The error of a message that was written and is withdrawn.
pub const WITHDRAWN: &str = "what it says is no longer so: not sent, or not sent again";

/// Withdraws the queued messages of this kind, except the event `keep`: what they say is no longer so. Call this while holding
/// the order's lock.
pub async fn withdraw(
    tx: &impl GenericClient,
    order: OrderId,
    (channel, kind): (Channel, Kind),
    keep: Option<&str>,
) -> Result<()> {
    const OVERTAKEN: &str = "SELECT id FROM messages WHERE order_id = $1 AND kind = $2 AND channel = $4 AND status = 'queued' AND event IS DISTINCT FROM $3";
    let rows = db::query(tx, OVERTAKEN, &[&order, &kind.word(), &keep, &channel.word()]).await?;
    mark_withdrawn(tx, order, rows.iter().map(|row| row.get("id")).collect()).await
}

/// Withdraws the queued message of one event. Call this while holding the order's lock.
pub async fn withdraw_event(tx: &impl GenericClient, order: OrderId, event: &str) -> Result<()> {
    const QUEUED: &str = "SELECT id FROM messages WHERE order_id = $1 AND event = $2 AND status = 'queued'";
    let rows = db::query(tx, QUEUED, &[&order, &event]).await?;
    mark_withdrawn(tx, order, rows.iter().map(|row| row.get("id")).collect()).await
}

async fn mark_withdrawn(tx: &impl GenericClient, order: OrderId, messages: Vec<MessageId>) -> Result<()> {
    // One that is part of a call stays so: a repeat has the same mails.
    const WITHDRAW: &str = "
        UPDATE messages SET status = 'failed', error = $2, batch_rank = CASE WHEN batch_id IS NULL THEN NULL ELSE batch_rank END
         WHERE id = ANY($1) AND status = 'queued'";
    db::execute(tx, WITHDRAW, &[&messages, &WITHDRAWN]).await?;
    for message in messages {
        // Rarely more than one.
        let step = (Some(MessageStatus::Queued), MessageStatus::Failed);
        record_message_history(tx, Some(order), message, step, WITHDRAWN, Actor::System).await?;
    }
    Ok(())
}

/// Notes why a try failed. `is_unsent`: the provider certainly did not accept it.
pub async fn note_trouble(db: &impl GenericClient, message: &Claimed, why: &str, is_unsent: bool) -> Result<()> {
    const TROUBLE: &str = "
        UPDATE messages SET error = $2, claimed_at = NULL, open_tries = open_tries - $3::int::smallint,
               tried_at = CASE WHEN open_tries = $3 THEN NULL ELSE tried_at END
         WHERE id = $1 AND provider_ref IS NULL";
    db::execute(db, TROUBLE, &[&message.id, &why, &i32::from(is_unsent)]).await?;
    Ok(())
}

pub async fn lock_order(tx: &impl GenericClient, order: Option<OrderId>) -> Result<()> {
    if let Some(order) = order {
        locks::lock_order_for_shop(tx, order).await?;
    }
    Ok(())
}

/// Adds a row to the order's history. A message about no order has none.
pub async fn record_message_history(
    tx: &impl GenericClient,
    order: Option<OrderId>,
    message: MessageId,
    (from, to): (Option<MessageStatus>, MessageStatus),
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let Some(order) = order else { return Ok(()) };
    let (from, to) = (from.map(MessageStatus::as_str), to.as_str());
    record_change(tx, order, &Change { subject: "message", subject_id: Some(message.0), from, to, reason, actor }).await
}
