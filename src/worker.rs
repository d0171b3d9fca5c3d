//! Leases jobs and runs them: one match arm per job. `serve` runs workers inside; `worker` runs them alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, watch};
use tracing::Instrument;
use uuid::Uuid;
use vitrine_kit::ProviderError;

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::ids::{JobId, OrderId};
use crate::jobs::{self, Job, Outcome};
use crate::{catalog, cause, invoices, mail, orders, payments, purge, shipments};

/// How long a lease lasts without a heartbeat before another worker takes the job over. Longer than any provider's deadline.
const LEASE: &str = "2 minutes";
/// How often a worker renews its lease.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How often to look for jobs of other processes and for jobs that became due.
const LOOK: Duration = Duration::from_millis(500);
/// A lease whose answer was lost is given back at each look for so long: the statement may still arrive after the first of them.
const LOST_FOR: Duration = Duration::from_secs(120);
const MAX_LOST: usize = 64;
/// For so long a job's end is written again and again where the database does not answer. The lease lasts longer.
const SETTLE_FOR: Duration = Duration::from_secs(75);
const SETTLE_PAUSE: Duration = Duration::from_millis(500);
/// How long a job waits for a provider that is not configured any more.
const UNCONFIGURED_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// How long a job waits for a provider that does not accept our credentials, in seconds: not all jobs come back at once.
const UNACCEPTED_WAIT_S: (i64, i64) = (120, 300);
const MAX_BACKOFF_S: i64 = 3600;

/// A leased job.
#[derive(Debug)]
struct Leased {
    id: JobId,
    lease: Uuid,
    kind: String,
    payload: serde_json::Value,
    attempts: i32,
    max_attempts: i32,
}

/// Works until told to stop, then finishes the leased jobs.
pub async fn run(app: Data<App>, mut stop: watch::Receiver<bool>) {
    let hands = Arc::new(Semaphore::new(app.config.worker_concurrency));
    let mut has_started = false;
    let mut lost = Lost::default();
    while !*stop.borrow() {
        has_started = has_started || start_recurring(&app).await;
        lost.give_back(&app).await;
        let free = hands.available_permits();
        let taken = if free == 0 { Vec::new() } else { lease_or_note(&app, free as i64, &mut lost).await };
        let got_all_it_could = !taken.is_empty() && taken.len() == free;
        for job in taken {
            let Ok(hand) = Arc::clone(&hands).acquire_owned().await else { return };
            let app = app.clone();
            tokio::spawn(async move {
                work(&app, job).await;
                app.jobs_were_pushed();
                drop(hand);
            });
        }
        if !got_all_it_could {
            tokio::select! {
                _ = app.jobs_may_wait() => {}
                _ = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => {}
            }
        }
    }
    let all = app.config.worker_concurrency as u32;
    let _ = hands.acquire_many(all).await; // waits for the leased jobs; a closed semaphore has none
}

/// Runs every due job in this task until none is left. For tests.
/// `ahead` also takes jobs that are due within that time.
pub async fn drain(app: &App, ahead: SignedDuration) -> Result<usize> {
    const PULL: &str = "
        UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND run_at <= now() + $1::text::interval AND kind <> ALL ($2)";
    let mut count = 0;
    let recurring = jobs::RECURRING.map(|job| job.kind());
    db::execute(&app.db().await?, PULL, &[&format!("{} seconds", ahead.as_secs()), &recurring.as_slice()]).await?;
    loop {
        let taken = lease(app, Uuid::new_v4(), 16).await?;
        if taken.is_empty() {
            return Ok(count);
        }
        for job in taken {
            work(app, job).await;
            count += 1;
        }
    }
}

/// Queues the recurring jobs. `false`: the database is away; try again.
async fn start_recurring(app: &App) -> bool {
    let recurring = jobs::RECURRING.map(|job| (job, None));
    let push = async { jobs::push_all(&app.db().await?, &recurring).await };
    let pushed = push.await;
    if let Err(error) = &pushed {
        tracing::error!(error = %Chain(error), "recurring jobs could not be started; the next look tries again");
    }
    pushed.is_ok()
}

async fn lease_or_note(app: &App, count: i64, lost: &mut Lost) -> Vec<Leased> {
    let name = Uuid::new_v4();
    lease(app, name, count).await.unwrap_or_else(|error| {
        tracing::error!(error = %Chain(&error), "jobs cannot be read");
        if matches!(error, Error::Database(_)) {
            lost.note(name);
        }
        Vec::new()
    })
}

/// Leases whose answer was lost: the jobs may be leased, and nobody runs them.
#[derive(Debug, Default)]
struct Lost(Vec<(Uuid, Instant)>);

impl Lost {
    /// Of more than a few the jobs wait until their leases run out.
    fn note(&mut self, lease: Uuid) {
        if self.0.len() < MAX_LOST {
            self.0.push((lease, Instant::now()));
        }
    }

    /// Makes such jobs wait again, as if they had not been leased.
    async fn give_back(&mut self, app: &App) {
        const GIVE_BACK: &str = "
            UPDATE jobs SET state = 'waiting', attempts = attempts - 1, lease = NULL, lease_until = NULL
             WHERE state = 'running' AND lease = ANY($1)";
        self.0.retain(|(_, since)| since.elapsed() < LOST_FOR);
        if self.0.is_empty() {
            return;
        }
        let leases: Vec<Uuid> = self.0.iter().map(|(lease, _)| *lease).collect();
        let write = async { db::execute(&app.db().await?, GIVE_BACK, &[&leases]).await };
        match write.await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "jobs of a lease whose answer was lost wait again"),
            Err(error) => tracing::error!(error = %Chain(&error), "lost leases cannot be given back yet"),
        }
    }
}

/// Leases due jobs, and those whose lease has expired: taking over counts as an attempt. Mails and texts come after the jobs that
/// move money. The caller names the lease, so that it knows which it is where the answer is lost.
async fn lease(app: &App, name: Uuid, count: i64) -> Result<Vec<Leased>> {
    const LEASE_JOBS: &str = "
        WITH urgent AS (SELECT id FROM jobs WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_') AND run_at <= now()
                         ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             messages AS (SELECT id FROM jobs WHERE state = 'waiting' AND left(kind, 4) IN ('mail', 'sms_') AND run_at <= now()
                        ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             abandoned AS (SELECT id FROM jobs WHERE state = 'running' AND lease_until < now() ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED),
             due AS (SELECT id FROM abandoned UNION ALL SELECT id FROM urgent UNION ALL SELECT id FROM messages LIMIT $1)
        UPDATE jobs j SET state = 'running', lease = $3, lease_until = now() + $2::text::interval, attempts = attempts + 1,
               again = false
          FROM due WHERE j.id = due.id
        RETURNING j.id, j.lease, j.kind, j.payload, j.attempts, j.max_attempts";
    let mut rows = db::query(&app.db().await?, LEASE_JOBS, &[&count, &LEASE, &name]).await?;
    rows.sort_by_key(|row| jobs::is_message(row.get("kind")));
    Ok(rows
        .iter()
        .map(|row| Leased {
            id: row.get("id"),
            lease: row.get("lease"),
            kind: row.get("kind"),
            payload: row.get("payload"),
            attempts: row.get("attempts"),
            max_attempts: row.get("max_attempts"),
        })
        .collect())
}

async fn work(app: &App, job: Leased) {
    let id = job.id.to_string();
    // Every log line of the job carries the ids of its payload.
    let order = job.payload.get("order").and_then(|id| id.as_str()).unwrap_or_default();
    let span = tracing::info_span!("job", job.id = id, job.kind = job.kind, order.id = order);
    let work = cause::scope("job", &id, async {
        let started = Instant::now();
        let result = match Job::read(job.payload.clone()) {
            Ok(_) if job.attempts > job.max_attempts => Ok(Outcome::Dead("its worker died each time it was tried".into())),
            Ok(known) => perform_long(app, &job, &known).await,
            Err(error) => Err(error), // a job of a newer release: a server of that release will run it
        };
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        let verdict = match &result {
            Ok(Outcome::Done) => "done",
            Ok(Outcome::Again(_)) => "again",
            Ok(Outcome::Dead(_)) => "dead",
            Err(_) => "failed",
        };
        metrics::counter!("vitrine_jobs_total", "kind" => job.kind.clone(), "verdict" => verdict).increment(1);
        match &result {
            Err(error) => tracing::warn!(job.attempts, duration_ms, error = %Chain(error), "job failed"),
            Ok(outcome) => tracing::info!(job.attempts, duration_ms, ?outcome, "job"),
        }
        settle_in_time(app, &job, &result).await;
    });
    work.instrument(span).await;
}

/// Runs the job and renews its lease meanwhile: a day's comparison may call a provider thousands of times.
async fn perform_long(app: &App, leased: &Leased, job: &Job) -> Result<Outcome> {
    let mut work = perform(app, job);
    loop {
        match tokio::time::timeout(HEARTBEAT, &mut work).await {
            Ok(outcome) => return outcome,
            Err(_) => renew(app, leased).await,
        }
    }
}

async fn renew(app: &App, job: &Leased) {
    const RENEW: &str = "UPDATE jobs SET lease_until = now() + $3::text::interval WHERE id = $1 AND lease = $2";
    let write = async { db::execute(&app.db().await?, RENEW, &[&job.id, &job.lease, &LEASE]).await };
    if let Err(error) = write.await {
        tracing::warn!(error = %Chain(&error), "a lease could not be renewed; the next try may come in time");
    }
}

/// Boxed, because otherwise the future would be as large as the largest job.
fn perform<'a>(app: &'a App, job: &'a Job) -> Pin<Box<dyn Future<Output = Result<Outcome>> + Send + 'a>> {
    match job {
        Job::MailWelcome { user } => Box::pin(mail::welcome(app, *user)),
        Job::MailOrderPlaced { order } => Box::pin(mail::order_placed(app, *order)),
        Job::MailExpiryReminder { order } => Box::pin(mail::expiry_reminder(app, *order)),
        Job::MailOrderPaid { order } => Box::pin(mail::order_paid(app, *order)),
        Job::MailOrderShipped { order } => Box::pin(mail::order_shipped(app, *order)),
        Job::MailOrderDelivered { order } => Box::pin(mail::order_delivered(app, *order)),
        Job::MailOrderCancelled { order } => Box::pin(mail::order_cancelled(app, *order)),
        Job::MailRefunded { refund } => Box::pin(mail::refunded(app, *refund)),
        Job::MailInvoice { invoice } => Box::pin(mail::invoice(app, *invoice)),
        Job::MailPasswordReset { reset } => Box::pin(mail::password_reset(app, *reset)),
        Job::MailMessage { message } => Box::pin(mail::again(app, *message)),
        Job::SmsOrderPaid { order } => Box::pin(mail::sms::order_paid(app, *order)),
        Job::SmsOrderShipped { order } => Box::pin(mail::sms::order_shipped(app, *order)),
        Job::ExpireOrder { order } => Box::pin(orders::expire::expire(app, *order)),
        Job::CheckPayment { payment } => Box::pin(payments::charge::check::check_payment(app, *payment)),
        Job::VoidPayment { payment } => Box::pin(payments::charge::void::void_payment(app, *payment)),
        Job::SendRefund { refund } => Box::pin(payments::refund::send::send_refund(app, *refund)),
        Job::LookAtRefunds { payment } => Box::pin(payments::refund::adopt::adopt_refunds(app, *payment)),
        Job::LookAtDispute { provider, reference, evidence_ref } => {
            Box::pin(payments::dispute::watch::look_at_dispute(app, provider, reference, evidence_ref.as_deref()))
        }
        Job::InvoiceOrder { order } => Box::pin(invoices::issue(app, *order)),
        Job::DropInvoice { order } => Box::pin(invoices::give_up(app, *order)),
        Job::SendInvoice { invoice } => Box::pin(invoices::send(app, *invoice)),
        Job::CancelInvoice { invoice } => Box::pin(invoices::cancel(app, *invoice)),
        Job::KeepInvoice { invoice } => Box::pin(invoices::fetch_files(app, *invoice)),
        Job::CorrectInvoice { correction } => Box::pin(invoices::correct(app, *correction)),
        Job::BuyLabel { order } => Box::pin(shipments::buy(app, *order)),
        Job::DropLabel { order } => Box::pin(shipments::give_up(app, *order)),
        Job::TrackParcels => Box::pin(shipments::track(app)),
        Job::CompareBooks { day, provider } => Box::pin(payments::books::compare(app, *day, provider)),
        Job::KeepBooks => Box::pin(payments::books::keep(app)),
        Job::Reconcile => Box::pin(payments::reconcile::reconcile(app)),
        Job::WatchStock => Box::pin(catalog::low_stock::watch(app)),
        Job::WatchCertificate => Box::pin(payments::charge::certificate::watch(app)),
        Job::WatchDisputes => Box::pin(payments::dispute::watch::watch(app)),
        Job::WatchReturns => Box::pin(payments::reread::watch(app)),
        Job::ReadReturns { provider, day, page } => Box::pin(payments::reread::read(app, provider, *day, *page)),
        Job::SendAlerts => Box::pin(mail::digest::send_alerts(app)),
        Job::Purge => Box::pin(purge::purge(app)),
    }
}

/// Writes the result of a run, again while the database does not answer: otherwise the job would be done twice, and late. Writing it
/// twice changes nothing, because the first time ends the lease.
async fn settle_in_time(app: &App, job: &Leased, result: &Result<Outcome>) {
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
        Err(Error::Unconfigured(provider)) => wait_for_provider(&mut db, job, provider).await,
        Err(Error::Provider(error @ ProviderError::NotAccepted { .. })) => wait_until_accepted(&mut db, job, error).await,
        Err(error) if job.attempts < job.max_attempts && error_may_pass(error) => {
            let (at, why) = (Timestamp::now() + backoff(job.attempts, error), Chain(error).to_string());
            later(&db, job, at, Try::Failed(&why)).await
        }
        Ok(Outcome::Dead(why)) => bury(&mut db, job, why).await,
        Err(error) => {
            let why = Chain(error).to_string();
            bury(&mut db, job, &why).await
        }
    }
}

/// Ends a job, or makes it wait again if it was pushed while it ran. Returns its new state; `None`: the lease was lost.
async fn end(db: &impl GenericClient, job: &Leased, state: &str, error: Option<&str>) -> Result<Option<String>> {
    const END: &str = "
        UPDATE jobs SET state = CASE WHEN again THEN 'waiting' ELSE $3 END, finished_at = CASE WHEN again THEN NULL ELSE now() END,
               run_at = CASE WHEN again THEN now() ELSE run_at END, attempts = CASE WHEN again THEN 0 ELSE attempts END, again = false,
               last_error = $4, lease = NULL, lease_until = NULL
         WHERE id = $1 AND lease = $2 RETURNING state";
    Ok(db::query_opt(db, END, &[&job.id, &job.lease, &state, &error]).await?.map(|row| row.get("state")))
}

/// What a run was that is to be repeated.
enum Try<'a> {
    /// It counts as an attempt.
    Failed(&'a str),
    /// It does not. With what it waits for, where that is something to be mended.
    NotCounted(Option<&'a str>),
}

/// Makes a job wait. A job that was pushed while it ran runs at once, but if it failed or waits for something to be mended: then
/// it always waits until `at`.
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
fn backoff(attempts: i32, error: &Error) -> SignedDuration {
    let exponential = 1_i64 << attempts.clamp(1, 12);
    let asked = error.retry_after().unwrap_or(0) as i64;
    let ceiling = exponential.max(asked).min(MAX_BACKOFF_S) * 1000;
    SignedDuration::from_millis(ceiling / 2 + rand::random_range(0..=ceiling / 2))
}
