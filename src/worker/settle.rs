//! The result of a job's run, written down: done, to be tried again, waiting for a provider, or dead.

use std::time::{Duration, Instant};

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use vitrine_kit::ProviderError;

use super::lease::Leased;
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::ids::OrderId;
use crate::jobs::{self, Outcome};

/// How long the result of a job is written again while the database does not answer. The lease lasts longer.
const SETTLE_FOR: Duration = Duration::from_secs(75);
const SETTLE_PAUSE: Duration = Duration::from_millis(500);
/// How long a job waits for a provider that is not configured any more.
const UNCONFIGURED_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// How long a job waits for a provider that does not accept our credentials, in seconds: not all jobs come back at once.
const UNACCEPTED_WAIT_S: (i64, i64) = (120, 300);

/// Writes the result of a run, and tries again while the database does not answer: otherwise the job would run a second time,
/// after its lease. Writing the result twice changes nothing, because the first time ends the lease.
pub(super) async fn settle_in_time(app: &App, job: &Leased, result: &Result<Outcome>) {
    let began = Instant::now();
    while let Err(error) = settle(app, job, result).await {
        if error.slug() != "unavailable" || began.elapsed() > SETTLE_FOR {
            tracing::error!(error = %Chain(&error), "a job's end could not be written; its lease will run out");
            return;
        }
        tracing::warn!(error = %Chain(&error), "a job's end could not be written yet");
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// Writes the result of a run, if the lease is still ours. A worker that lost its lease changes nothing.
async fn settle(app: &App, job: &Leased, result: &Result<Outcome>) -> Result<()> {
    let mut db = app.db().await?;
    match result {
        Ok(Outcome::Done) => end(&db, job, "done", None).await.map(drop),
        Ok(Outcome::Again(at)) => later(&db, job, *at, Try::NotCounted(None)).await,
        Err(Error::Unconfigured(provider)) if jobs::is_read_again(&job.kind) => leave_unread(&mut db, job, provider).await,
        Err(Error::Unconfigured(provider)) => wait_for_provider(&mut db, job, provider).await,
        Err(Error::Provider(error @ ProviderError::NotAccepted { .. })) => wait_until_accepted(&mut db, job, error).await,
        Err(error) if job.attempts < job.max_attempts && error_may_pass(error) => {
            let (at, why) = (Timestamp::now() + backoff(job, error), Chain(error).to_string());
            later(&db, job, at, Try::Failed(&why)).await
        }
        Ok(Outcome::Dead(why)) => bury(&mut db, job, why).await,
        Err(error) => {
            let why = Chain(error).to_string();
            bury(&mut db, job, &why).await
        }
    }
}

/// Ends a job, or makes it wait again if it was pushed while it ran. Returns its new state; `None`: the lease was lost. The commit does not
/// wait for the disk: a job whose end is lost runs again (docs/decisions/0034).
async fn end(db: &impl GenericClient, job: &Leased, state: &str, error: Option<&str>) -> Result<Option<String>> {
    const END: &str = "
        UPDATE jobs SET state = CASE WHEN again THEN 'waiting' ELSE $3 END, finished_at = CASE WHEN again THEN NULL ELSE now() END,
               run_at = CASE WHEN again THEN now() ELSE run_at END, attempts = CASE WHEN again THEN 0 ELSE attempts END, again = false,
               last_error = $4, lease = NULL, lease_until = NULL
         WHERE id = $1 AND lease = $2 RETURNING state, set_config('synchronous_commit', 'off', true)";
    Ok(db::query_opt(db, END, &[&job.id, &job.lease, &state, &error]).await?.map(|row| row.get("state")))
}

/// How a run counts whose job waits for another one.
enum Try<'a> {
    /// It counts as an attempt.
    Failed(&'a str),
    /// It does not. With the reason, if somebody has to mend something first.
    NotCounted(Option<&'a str>),
}

/// Makes a job wait until `at`. A job that was pushed while it ran runs at once, unless it failed or somebody has to mend
/// something.
async fn later(db: &impl GenericClient, job: &Leased, at: Timestamp, tried: Try<'_>) -> Result<()> {
    const LATER: &str = "
        UPDATE jobs SET state = 'waiting', run_at = CASE WHEN again AND $4::text IS NULL THEN now() ELSE $3 END,
               attempts = attempts - $5::int, again = false, last_error = $4, lease = NULL, lease_until = NULL
         WHERE id = $1 AND lease = $2";
    let (error, not_counted) = match tried {
        Try::Failed(error) => (Some(error), 0),
        Try::NotCounted(why) => (why, 1),
    };
    db::execute(db, LATER, &[&job.id, &job.lease, &at, &error, &not_counted]).await?;
    Ok(())
}

/// A job about a provider that is not configured any more waits for it, and the operator is told.
async fn wait_for_provider(db: &mut db::Connection, job: &Leased, provider: &str) -> Result<()> {
    let tx = db.transaction().await?;
    let why = format!("{provider} is not configured");
    later(&tx, job, Timestamp::now() + UNCONFIGURED_WAIT, Try::NotCounted(Some(&why))).await?;
    let text = format!(
        "A tarefa {} espera por {provider}, que não está mais configurado. Configure {provider} outra vez: ela segue sozinha.",
        job.kind
    );
    alerts::raise(&tx, Alert::new(Key::ProviderUnconfigured { provider }, text)).await?;
    tx.commit().await?;
    Ok(())
}

/// A job that only reads at a provider that is not configured any more is over, and the operator is told. Once the provider is back,
/// recurring jobs read the same.
async fn leave_unread(db: &mut db::Connection, job: &Leased, provider: &str) -> Result<()> {
    let tx = db.transaction().await?;
    end(&tx, job, "done", Some(&format!("{provider} is not configured"))).await?;
    let text = format!(
        "A tarefa {} não foi feita: {provider} não está mais configurado. Se há pagamentos de lá, configure {provider} outra vez: as \
         disputas e devoluções são então lidas por si.",
        job.kind
    );
    alerts::raise(&tx, Alert::new(Key::ProviderUnconfigured { provider }, text).about(find_order(&tx, job).await?)).await?;
    tx.commit().await?;
    Ok(())
}

/// A job about a provider that does not accept our credentials waits until it does, and the operator is told. No attempt is
/// counted: it may take days, and nothing is wrong with the job.
async fn wait_until_accepted(db: &mut db::Connection, job: &Leased, error: &ProviderError) -> Result<()> {
    let tx = db.transaction().await?;
    let (least, most) = UNACCEPTED_WAIT_S;
    let wait = SignedDuration::from_secs(rand::random_range(least..=most));
    later(&tx, job, Timestamp::now() + wait, Try::NotCounted(Some(&error.to_string()))).await?;
    alerts::raise_if_refused(&tx, error, find_order(&tx, job).await?).await?;
    tx.commit().await?;
    Ok(())
}

/// Marks a job as dead and raises an alert in the same transaction. Jobs that die of one cause are one alert.
async fn bury(db: &mut db::Connection, job: &Leased, why: &str) -> Result<()> {
    let tx = db.transaction().await?;
    if end(&tx, job, "dead", Some(why)).await?.as_deref() == Some("dead") {
        tracing::error!(job.id = %job.id, job.kind = job.kind, why, "job is dead: an admin can retry it");
        let key = Key::JobDead { kind: &job.kind, cause: why };
        let text = format!("A tarefa {} ({}) parou depois de {} tentativa(s): {why}", job.id, job.kind, job.attempts);
        alerts::raise(&tx, Alert::new(key, text).about(find_order(&tx, job).await?)).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The order that a job is about, by whichever id its payload holds.
async fn find_order(tx: &impl GenericClient, job: &Leased) -> Result<Option<OrderId>> {
    const FIND: &str = "
        SELECT id AS order_id FROM orders WHERE id = $1
        UNION ALL SELECT order_id FROM payments WHERE id = $1
        UNION ALL SELECT order_id FROM refunds WHERE id = $1
        UNION ALL SELECT order_id FROM invoices WHERE id = $1
        UNION ALL SELECT order_id FROM messages WHERE id = $1 AND order_id IS NOT NULL";
    let ids = ["order", "payment", "refund", "invoice", "message"];
    let id = ids.iter().find_map(|name| job.payload.get(*name)?.as_str()?.parse::<Uuid>().ok());
    let Some(id) = id else { return Ok(None) };
    Ok(db::query_opt(tx, FIND, &[&id]).await?.map(|row| row.get("order_id")))
}

/// Whether repeating can help. A provider's refusal and invalid input are final.
fn error_may_pass(error: &Error) -> bool {
    match error {
        Error::Provider(e) => e.is_transient(),
        Error::Invalid(_) | Error::NotFound(_) | Error::Conflict(_) => false,
        _ => true,
    }
}

/// 2, 4, 8 … seconds up to an hour, half of it random, so that a provider that recovers is not flooded.
fn backoff(job: &Leased, error: &Error) -> SignedDuration {
    let exponential = (1_i64 << job.attempts.clamp(1, 12)).min(jobs::longest_wait_s(&job.kind));
    let asked = error.retry_after().unwrap_or(0) as i64;
    let ceiling = exponential.max(asked).min(jobs::MAX_BACKOFF_S) * 1000;
    SignedDuration::from_millis(ceiling / 2 + rand::random_range(0..=ceiling / 2))
}
