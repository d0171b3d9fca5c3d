//! Mails by one call: what waits goes together, up to the provider's limit. Why: docs/decisions/0033.
//!
//! A batch is written down before its call (`batch_id`) and stays as it is until the call's outcome is known: a repeat has the same
//! mails under the same key. If the provider certainly accepted none, its mails wait again, or go alone.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use vitrine_kit::mail::{BatchAnswer, OutgoingMail};
use vitrine_kit::{Email, ProviderError};

use super::kind::Kind;
use super::link::Link;
use super::send::{is_forgotten, outgoing, quota_wait_s};
use super::store::{self, CLAIM, CLAIMED, Channel, Claimed};
use crate::app::App;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::{MailBatchId, MessageId};
use crate::jobs::{self, Job, Outcome};

/// When to look again while another run sends what is left.
const ELSEWHERE: SignedDuration = SignedDuration::from_secs(30);
/// So many are told to go alone at once, where the provider takes no batches.
const ALONE: i64 = 100;

/// A batch that only this run sends.
struct Batch {
    id: MailBatchId,
    /// In the order of the call.
    lines: Vec<Line>,
    /// Earlier tries that may have arrived, and how long ago the first of them was.
    open_tries: i16,
    open_for_s: i64,
}

struct Line {
    message: Claimed,
    mail: OutgoingMail,
}

/// Job: sends one batch. It runs until no mail waits for a call with others.
pub async fn send_mails(app: &App) -> Result<Outcome> {
    if !is_any_left(&app.db().await?).await? {
        return Ok(Outcome::Done);
    }
    app.mail_pace.turn().await; // before the claim: what is written meanwhile goes along
    let Some(batch) = claim_batch(app).await? else { return Ok(Outcome::Again(Timestamp::now() + ELSEWHERE)) };
    send(app, &batch).await?;
    Ok(Outcome::Again(Timestamp::now()))
}

async fn send(app: &App, batch: &Batch) -> Result<()> {
    let mailer = &app.providers.mailer;
    let Some(batches) = mailer.batches() else { return send_alone(app, batch).await };
    if batch.open_tries > 0 && mailer.notices_repeats_for().is_some_and(|life| is_forgotten(life, batch.open_for_s)) {
        return give_up(app, batch).await;
    }
    let mails: Vec<OutgoingMail> = batch.lines.iter().map(|line| line.mail.clone()).collect();
    match batches.send_batch(&format!("batch/{}", batch.id), &mails).await {
        Ok(BatchAnswer::Taken(refs)) => record(app, batch, &refs).await,
        // Somebody was erased after the first try, or the sender has changed.
        Ok(BatchAnswer::Changed) => give_up(app, batch).await,
        Err(ProviderError::Rejected { code, .. }) => {
            tracing::warn!(batch.id = %batch.id, code, "a batch was refused: its mails are sent one by one");
            send_alone(app, batch).await
        }
        Err(error) => {
            put_off(&app.db().await?, batch, &error).await?;
            if let Some(wait_s) = quota_wait_s(&error) {
                app.mail_pace.quota_is_spent(wait_s);
            }
            Err(error.into())
        }
    }
}

/// Whether a mail waits for a batch, or is in one whose outcome is not known.
async fn is_any_left(db: &impl GenericClient) -> Result<bool> {
    const LEFT: &str = "
        SELECT EXISTS (SELECT FROM messages WHERE batch_rank IS NOT NULL AND batch_id IS NULL AND status = 'queued'
                          AND recipient IS NOT NULL AND body IS NOT NULL)
            OR EXISTS (SELECT FROM messages WHERE batch_id IS NOT NULL AND batch_rank IS NOT NULL AND status = 'queued'
                          AND recipient IS NOT NULL AND body IS NOT NULL)";
    Ok(db::query_one(db, LEFT, &[]).await?.get(0))
}

/// A batch whose outcome is not known, as it was, or else a new one. `None`: another run has what is left.
async fn claim_batch(app: &App) -> Result<Option<Batch>> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let id = match reclaim(&tx, app).await? {
        Some(id) => id,
        None => {
            let id = MailBatchId::new();
            if compose(&tx, app, id).await? == 0 {
                return Ok(None);
            }
            id
        }
    };
    let lines = list_lines(&tx, app, id).await?;
    tx.commit().await?;
    let open_tries = lines.iter().map(|line| line.message.open_tries).max().unwrap_or_default();
    let open_for_s = lines.iter().map(|line| line.message.open_for_s).max().unwrap_or_default();
    Ok(Some(Batch { id, lines, open_tries, open_for_s }))
}

/// Claims a batch that an earlier run left, and counts a try.
async fn reclaim(tx: &impl GenericClient, app: &App) -> Result<Option<MailBatchId>> {
    const RECLAIM: &str = "
        UPDATE messages SET claimed_at = now(), open_tries = open_tries + 1, tried_at = coalesce(tried_at, now()), provider = $2
         WHERE batch_id = (SELECT batch_id FROM messages
                            WHERE batch_id IS NOT NULL AND batch_rank IS NOT NULL AND status = 'queued' AND recipient IS NOT NULL
                              AND body IS NOT NULL AND (claimed_at IS NULL OR claimed_at < now() - $1::text::interval) LIMIT 1)
           AND status IN ('queued', 'failed') AND provider_ref IS NULL AND recipient IS NOT NULL
           AND (claimed_at IS NULL OR claimed_at < now() - $1::text::interval)
        RETURNING batch_id";
    let rows = db::query(tx, RECLAIM, &[&CLAIM, &store::provider(app, Channel::Email)]).await?;
    Ok(rows.first().map(|row| row.get("batch_id")))
}

/// Makes a batch of what waits, the lowest rank first. Returns how many they are.
async fn compose(tx: &impl GenericClient, app: &App, id: MailBatchId) -> Result<u64> {
    const COMPOSE: &str = "
        WITH chosen AS (
            SELECT id FROM messages
             WHERE batch_rank IS NOT NULL AND batch_id IS NULL AND status = 'queued' AND recipient IS NOT NULL AND body IS NOT NULL
             ORDER BY batch_rank, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
        UPDATE messages m SET batch_id = $1, claimed_at = now(), open_tries = m.open_tries + 1, tried_at = coalesce(m.tried_at, now()),
               provider = $3
          FROM chosen WHERE m.id = chosen.id";
    let most = app.providers.mailer.batches().map_or(ALONE, |batches| batches.most());
    db::execute(tx, COMPOSE, &[&id, &most, &store::provider(app, Channel::Email)]).await
}

/// Its mails in the order of the call. One that an earlier run recorded as sent is among them; one whose person was erased is not.
async fn list_lines(tx: &impl GenericClient, app: &App, id: MailBatchId) -> Result<Vec<Line>> {
    const LINES: &str = sql!(
        "SELECT event, ",
        CLAIMED,
        " FROM messages WHERE batch_id = $1 AND recipient IS NOT NULL AND body IS NOT NULL ORDER BY id"
    );
    let line = |row: &Row| {
        let message = Claimed::of(row);
        let link = Link::of(Kind::named(&message.kind), message.order, row.get("event"));
        let to = Email::parse(&message.recipient).ok()?; // checked when it was left to a batch
        let mail = outgoing(app, &message, to, &link.token(&app.keys, message.id));
        Some(Line { message, mail })
    };
    Ok(db::query(tx, LINES, &[&id]).await?.iter().filter_map(line).collect())
}

/// Records each mail by itself, so that no more than one order is locked, and at last ends the batch. A run that died in between
/// is made up for by a repeat, to which the provider gives the same answer.
async fn record(app: &App, batch: &Batch, refs: &[Option<String>]) -> Result<()> {
    let mut db = app.db().await?;
    for (line, provider_ref) in batch.lines.iter().zip(refs) {
        if let Some(provider_ref) = provider_ref {
            let tx = db.transaction().await?;
            store::mark_sent(&tx, &line.message, provider_ref).await?;
            tx.commit().await?;
        }
    }
    drop(db);
    send_alone(app, batch).await
}

/// Ends the batch. Those of it that were certainly not accepted are sent by calls of their own.
async fn send_alone(app: &App, batch: &Batch) -> Result<()> {
    const END: &str = "
        UPDATE messages SET batch_id = NULL, batch_rank = NULL, claimed_at = NULL,
               open_tries = open_tries - (provider_ref IS NULL)::int::smallint,
               tried_at = CASE WHEN provider_ref IS NULL AND open_tries = 1 THEN NULL ELSE tried_at END
         WHERE batch_id = $1
        RETURNING id, provider_ref IS NULL AND status = 'queued' AS is_unsent";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let rows = db::query(&tx, END, &[&batch.id]).await?;
    push_alone(&tx, &rows).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

/// Ends a batch that may have arrived and cannot be repeated. Each mail keeps its open tries and the batch's id, by which the job of
/// its own sees that it must not be sent: it fails, and the operator is told.
async fn give_up(app: &App, batch: &Batch) -> Result<()> {
    const UNCLEAR: &str = "
        UPDATE messages SET batch_rank = NULL, claimed_at = NULL, open_tries = open_tries - 1,
               tried_at = CASE WHEN open_tries = 1 THEN NULL ELSE tried_at END
         WHERE batch_id = $1 AND provider_ref IS NULL AND recipient IS NOT NULL
        RETURNING id, status = 'queued' AS is_unsent";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let rows = db::query(&tx, UNCLEAR, &[&batch.id]).await?;
    push_alone(&tx, &rows).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

async fn push_alone(tx: &impl GenericClient, ended: &[Row]) -> Result<()> {
    let unsent = ended.iter().filter(|row| row.get("is_unsent"));
    let alone: Vec<_> = unsent.map(|row| (Job::MailMessage { message: row.get::<_, MessageId>("id") }, None)).collect();
    jobs::push_all(tx, &alone).await
}

/// After a call that failed: a batch that certainly did not arrive, by this try nor by an earlier one, is dissolved, and its mails
/// wait for the next. Any other stays as it is.
async fn put_off(db: &impl GenericClient, batch: &Batch, error: &ProviderError) -> Result<()> {
    const DISSOLVE: &str = "
        UPDATE messages SET batch_id = NULL, claimed_at = NULL, error = $2, open_tries = open_tries - 1,
               tried_at = CASE WHEN open_tries = 1 THEN NULL ELSE tried_at END
         WHERE batch_id = $1 AND provider_ref IS NULL";
    const KEEP: &str = "
        UPDATE messages SET claimed_at = NULL, error = $2, open_tries = open_tries - $3::int::smallint
         WHERE batch_id = $1 AND provider_ref IS NULL AND recipient IS NOT NULL";
    let (why, is_unsent) = (error.to_string(), error.is_away());
    if is_unsent && batch.open_tries == 0 {
        db::execute(db, DISSOLVE, &[&batch.id, &why]).await?;
    } else {
        db::execute(db, KEEP, &[&batch.id, &why, &i32::from(is_unsent)]).await?;
    }
    Ok(())
}
