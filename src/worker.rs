//! Runs jobs: one match arm per job. `serve` runs workers inside; `worker` runs them alone. `lease` takes jobs from the queue,
//! `settle` writes the result of a run.

mod lease;
mod settle;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use jiff::SignedDuration;
use tokio::sync::{Semaphore, watch};
use tracing::Instrument;
use uuid::Uuid;

use self::lease::{Leased, Lost, lease, lease_or_note, renew};
use self::settle::settle_in_time;
use crate::app::App;
use crate::db;
use crate::error::{Chain, Result};
use crate::jobs::{self, Job, Outcome};
use crate::{catalog, cause, invoices, mail, orders, payments, purge, shipments};

/// How often a worker renews its lease.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How often to look for jobs of other processes and for jobs that became due.
const LOOK: Duration = Duration::from_millis(500);

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
        Job::MailEmailConfirm { change } => Box::pin(mail::email_confirm(app, *change)),
        Job::MailEmailChanged { change } => Box::pin(mail::email_changed(app, *change)),
        Job::MailPasswordChanged { user } => Box::pin(mail::password_changed(app, *user)),
        Job::MailOrderLink { order } => Box::pin(mail::order_link(app, *order)),
        Job::MailPrivacyRequest { request } => Box::pin(mail::privacy_request(app, *request)),
        Job::MailMessage { message } => Box::pin(mail::send_again(app, *message)),
        Job::SendMails => Box::pin(mail::batch::send_mails(app)),
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
        Job::WatchTaxRules => Box::pin(invoices::rules_watch::watch(app)),
        Job::WatchDisputes => Box::pin(payments::dispute::watch::watch(app)),
        Job::WatchReturns => Box::pin(payments::reread::watch(app)),
        Job::ReadReturns { provider, day, page } => Box::pin(payments::reread::read(app, provider, *day, *page)),
        Job::SendAlerts => Box::pin(mail::digest::send_alerts(app)),
        Job::Purge => Box::pin(purge::purge(app)),
    }
}
