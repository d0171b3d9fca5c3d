//! What the provider reports about mails that it accepted: delivered, bounced, complained about.

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::{Value, json};
use vitrine_kit::Email;
use vitrine_resend::{MailNews, NAME, ResendEvent};

use super::send::without_people;
use super::store;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{MessageId, OrderId};
use crate::sale::outcome::EventOutcome;
use crate::sale::states::MessageStatus;
use crate::sale::transitions::message_may;

/// The message that an event is about.
struct About {
    id: MessageId,
    order: Option<OrderId>,
    status: MessageStatus,
}

/// Applies an event, unless it was applied before. Returns its outcome for the inbox, and the order that it is about. The caller
/// commits.
///
/// Errors: [`Error::Busy`] the mail may not have the provider's id yet. The event is not written down, and must be sent again.
pub async fn apply_mail_event(tx: &Transaction<'_>, event: &ResendEvent) -> Result<(EventOutcome, Option<OrderId>)> {
    match find_mail(tx, event).await? {
        Some(about) => Ok((record_mail_event(tx, event, &about).await?, about.order)),
        None => Ok((EventOutcome::Unknown, None)),
    }
}

/// Finds the message by the provider's id. The event may come before we have written that id down.
async fn find_mail(tx: &Transaction<'_>, event: &ResendEvent) -> Result<Option<About>> {
    const FIND: &str = "SELECT id, order_id, status FROM messages WHERE provider_ref = $1 AND provider = $2";
    const IN_FLIGHT: &str = "
        SELECT EXISTS (SELECT FROM messages WHERE status = 'queued' AND recipient = ANY($1) AND tried_at > now() - interval '5 minutes')";
    let Some(email_id) = &event.email_id else { return Ok(None) };
    if let Some(row) = db::query_opt(tx, FIND, &[email_id, &NAME]).await? {
        return Ok(Some(About { id: row.get("id"), order: row.get("order_id"), status: row.try_get("status")? }));
    }
    let to: Vec<&str> = event.to.iter().map(Email::as_str).collect();
    if db::query_one(tx, IN_FLIGHT, &[&to]).await?.get(0) {
        return Err(Error::Busy { what: "The mail is still being sent", retry_after_s: 5 });
    }
    Ok(None)
}

async fn record_mail_event(tx: &Transaction<'_>, event: &ResendEvent, about: &About) -> Result<EventOutcome> {
    let (to, why) = match &event.news {
        MailNews::Delivered => (MessageStatus::Delivered, String::new()),
        MailNews::Bounced { is_permanent: true, reason } => (MessageStatus::Bounced, without_people(reason, &event.to)),
        MailNews::Complained => (MessageStatus::Bounced, "the reader called it spam".to_owned()),
        MailNews::Suppressed => (MessageStatus::Bounced, "they no longer write to this address".to_owned()),
        MailNews::Failed { reason } => (MessageStatus::Failed, without_people(reason, &event.to)),
        MailNews::Bounced { is_permanent: false, reason } => {
            return note_soft_bounce(tx, about, &without_people(reason, &event.to)).await;
        }
        MailNews::Other => return Ok(EventOutcome::Ignored),
    };
    store::lock_order(tx, about.order).await?;
    if to == MessageStatus::Bounced {
        block_address(tx, about).await?;
    }
    if !mark_message(tx, about, to, &why).await? {
        return Ok(EventOutcome::AlreadyDone);
    }
    store::record_message_history(tx, about.order, about.id, (Some(about.status), to), &why, Actor::Provider(NAME)).await?;
    Ok(EventOutcome::Applied)
}

/// Moves the message on. `false`: it may not go there, or it has moved meanwhile. A mail that failed stays so.
async fn mark_message(tx: &impl GenericClient, about: &About, to: MessageStatus, why: &str) -> Result<bool> {
    const MARK: &str = "UPDATE messages SET status = $2, error = nullif($3, '') WHERE id = $1 AND status = $4";
    if about.status == MessageStatus::Failed || !message_may(about.status, to) {
        return Ok(false);
    }
    Ok(db::execute(tx, MARK, &[&about.id, &to, &why, &about.status]).await? == 1)
}

/// From now on this address gets only password resets and alerts.
async fn block_address(tx: &impl GenericClient, about: &About) -> Result<()> {
    const BLOCK: &str = "
        UPDATE users u SET mail_blocked_at = now(), updated_at = now() FROM messages m
         WHERE m.id = $1 AND u.email = m.recipient AND u.mail_blocked_at IS NULL";
    db::execute(tx, BLOCK, &[&about.id]).await?;
    Ok(())
}

/// The mailbox is full or away. Another mail may arrive, so only the reason is kept.
async fn note_soft_bounce(tx: &impl GenericClient, about: &About, why: &str) -> Result<EventOutcome> {
    const NOTE: &str = "UPDATE messages SET error = $2 WHERE id = $1 AND status = 'sent'";
    db::execute(tx, NOTE, &[&about.id, &why]).await?;
    Ok(EventOutcome::Applied)
}

/// The event as the inbox keeps it: the provider's format without addresses, so that an erasure has nothing to do here.
pub fn without_addresses(body: &[u8]) -> Vec<u8> {
    let given: Value = serde_json::from_slice(body).unwrap_or_default();
    let data = &given["data"];
    let bounce = match &data["bounce"] {
        Value::Null => Value::Null,
        bounce => json!({"type": bounce["type"], "subType": bounce["subType"]}),
    };
    json!({
        "type": given["type"],
        "created_at": given["created_at"],
        "data": {"email_id": data["email_id"], "tags": data["tags"], "bounce": bounce},
    })
    .to_string()
    .into_bytes()
}
