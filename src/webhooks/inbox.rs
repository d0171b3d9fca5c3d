//! The inbox: one row per event of a provider. The row is never deleted, so that a repeat is recognised. Its body is emptied
//! after 90 days (`purge`).

use deadpool_postgres::{GenericClient, Transaction};
use vitrine_kit::signature;

use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::{EventId, OrderId};
use crate::sale::outcome::EventOutcome;

/// A longer id is kept as its hash, because an index entry has a maximum size.
const MAX_ID: usize = 200;
const MAX_NAME: usize = 100;

/// Writes an event down, by the provider's id and name for it. `false`: it was written down before, with its effect. If another
/// transaction is writing the same event, this waits for it.
pub async fn first_time(
    tx: &impl GenericClient,
    id: EventId,
    provider: &str,
    (event_id, event): (&str, &str),
    body: &[u8],
    request_id: &str,
) -> Result<bool> {
    const KEEP: &str = "
        INSERT INTO webhook_events (id, provider, event_id, event, body, request_id) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (provider, event_id) DO NOTHING";
    let (event_id, event) = (storable_id(event_id), storable(event, MAX_NAME));
    Ok(db::execute(tx, KEEP, &[&id, &provider, &event_id, &event, &body, &request_id]).await? == 1)
}

/// Notes what an event did, and commits. An event about something that is not ours is kept without its body; when a provider
/// sends too many of those, they are not kept.
pub(super) async fn finish_event(
    app: &App,
    tx: Transaction<'_>,
    id: EventId,
    provider: &'static str,
    (outcome, order): (EventOutcome, Option<OrderId>),
) -> Result<()> {
    const EMPTY: &str = "UPDATE webhook_events SET body = '' WHERE id = $1";
    note_outcome(&tx, id, outcome, order).await?;
    if outcome == EventOutcome::Unknown {
        let is_kept = app.strangers.may_keep(provider);
        metrics::counter!("vitrine_webhooks_unknown_total", "provider" => provider, "kept" => if is_kept { "yes" } else { "no" })
            .increment(1);
        if !is_kept {
            tx.rollback().await?;
            return Ok(());
        }
        db::execute(&tx, EMPTY, &[&id]).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Notes what the event did, and to which order.
pub async fn note_outcome(tx: &impl GenericClient, id: EventId, outcome: EventOutcome, order: Option<OrderId>) -> Result<()> {
    const NOTE: &str = "UPDATE webhook_events SET outcome = $2, order_id = coalesce($3, order_id) WHERE id = $1";
    db::execute(tx, NOTE, &[&id, &outcome, &order]).await?;
    Ok(())
}

fn storable_id(id: &str) -> String {
    if id.len() <= MAX_ID && !id.contains('\0') { id.to_owned() } else { signature::hmac_sha256_hex(b"event", id.as_bytes()) }
}

/// Text that PostgreSQL accepts: without control characters, and cut to `max`.
fn storable(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_names_and_ids_can_be_kept_and_still_differ() {
        assert_eq!(storable_id("evt_1"), "evt_1");
        assert_ne!(storable_id("a\0"), storable_id("a\0\0"));
        assert_eq!(storable_id(&"x".repeat(5000)).len(), 64);
        assert_eq!(storable("pay\0ment\n", 5), "payme");
    }
}
