//! What the provider tells of mails that it took: delivered, bounced, complained about.

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::{Value, json};
use vitrine_kit::Email;
use vitrine_resend::{MailNews, NAME, ResendEvent};

use super::send::without_people;
use super::store;
use crate::cause::{self, Actor};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{EventId, MessageId, OrderId};

/// The message that an event is about.
struct About {
    id: MessageId,
    order: Option<OrderId>,
    status: String,
}

/// Keeps the event and does what it says, once. The caller commits.
pub async fn take(tx: &Transaction<'_>, event: &ResendEvent, body: &[u8]) -> Result<()> {
    const KEEP: &str = "
        INSERT INTO webhook_events (id, provider, event_id, event, body, order_id, request_id) VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (provider, event_id) DO NOTHING";
    const OUTCOME: &str = "UPDATE webhook_events SET outcome = $2 WHERE id = $1";
    let about = find(tx, event).await?;
    let (row, body) = (EventId::new(), without_addresses(body).to_string().into_bytes());
    let order = about.as_ref().and_then(|about| about.order);
    let request = crate::http::request_id::current();
    if db::execute(tx, KEEP, &[&row, &NAME, &event.event_id, &event.event, &body, &order, &request]).await? == 0 {
        return Ok(());
    }
    let outcome = cause::scope("webhook", &row.to_string(), apply(tx, event, about)).await?;
    db::execute(tx, OUTCOME, &[&row, &outcome]).await?;
    Ok(())
}

/// By their id. An event that comes while we still write that id down must come again: it is refused, and kept nowhere.
async fn find(tx: &Transaction<'_>, event: &ResendEvent) -> Result<Option<About>> {
    const FIND: &str = "SELECT id, order_id, status FROM messages WHERE provider_ref = $1 AND provider = $2";
    const IN_FLIGHT: &str = "
        SELECT EXISTS (SELECT FROM messages WHERE status = 'queued' AND recipient = ANY($1) AND tried_at > now() - interval '5 minutes')";
    let Some(email_id) = &event.email_id else { return Ok(None) };
    if let Some(row) = db::query_opt(tx, FIND, &[email_id, &NAME]).await? {
        return Ok(Some(About { id: row.get("id"), order: row.get("order_id"), status: row.get("status") }));
    }
    let to: Vec<&str> = event.to.iter().map(Email::as_str).collect();
    if db::query_one(tx, IN_FLIGHT, &[&to]).await?.get(0) {
        return Err(Error::Busy { what: "The mail is still being sent", retry_after_s: 5 });
    }
    Ok(None)
}

/// What the event did, in a word or two.
async fn apply(tx: &Transaction<'_>, event: &ResendEvent, about: Option<About>) -> Result<&'static str> {
    let Some(about) = about else { return Ok("about no mail of ours") };
    let (to, why) = match &event.news {
        MailNews::Delivered => ("delivered", String::new()),
        MailNews::Bounced { is_permanent: true, reason } => ("bounced", without_people(reason, &event.to)),
        MailNews::Complained => ("bounced", "the reader called it spam".to_owned()),
        MailNews::Suppressed => ("bounced", "they no longer write to this address".to_owned()),
        MailNews::Failed { reason } => ("failed", without_people(reason, &event.to)),
        MailNews::Bounced { is_permanent: false, reason } => {
            return remember(tx, &about, &without_people(reason, &event.to)).await;
        }
        MailNews::Other => return Ok("no effect"),
    };
    store::lock_order(tx, about.order).await?;
    if to == "bounced" {
        block(tx, &about).await?;
    }
    if !mark(tx, &about, to, &why).await? {
        return Ok("too late");
    }
    store::tell(tx, about.order, about.id, (Some(&about.status), to), &why, Actor::Provider(NAME)).await?;
    Ok(to)
}

/// `sent` → anything, `delivered` → `bounced` (a complaint comes after the delivery). Bounced is for good.
async fn mark(tx: &impl GenericClient, about: &About, to: &str, why: &str) -> Result<bool> {
    const MARK: &str = "
        UPDATE messages SET status = $2, error = nullif($3, '')
         WHERE id = $1 AND status = $4 AND (status = 'sent' OR (status = 'delivered' AND $2 = 'bounced'))";
    Ok(db::execute(tx, MARK, &[&about.id, &to, &why, &about.status]).await? == 1)
}

/// Nothing but a password reset goes to this address any more.
async fn block(tx: &impl GenericClient, about: &About) -> Result<()> {
    const BLOCK: &str = "
        UPDATE users u SET mail_blocked_at = now(), updated_at = now() FROM messages m
         WHERE m.id = $1 AND u.email = m.recipient AND u.mail_blocked_at IS NULL";
    db::execute(tx, BLOCK, &[&about.id]).await?;
    Ok(())
}

/// Full or away: another mail may arrive, so only the reason is kept.
async fn remember(tx: &impl GenericClient, about: &About, why: &str) -> Result<&'static str> {
    const REMEMBER: &str = "UPDATE messages SET error = $2 WHERE id = $1 AND status = 'sent'";
    db::execute(tx, REMEMBER, &[&about.id, &why]).await?;
    Ok("bounced for now")
}

/// The event as the inbox keeps it: their shape, without the people, so that an erasure need not look here.
fn without_addresses(body: &[u8]) -> Value {
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
}
