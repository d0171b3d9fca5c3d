//! Recurring: finds payments, refunds and orders that have no job, because it died or was lost, and late payments.

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::db::{self, sql};
use crate::error::{Chain, Result};
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::jobs::{self, Job, Outcome};
use crate::payments::refund;
use crate::sale::states::{PaymentStatus, RefundStatus};

const EVERY: SignedDuration = SignedDuration::from_mins(1);
/// Most rows per run. The next run comes in a minute.
const BATCH: i64 = 500;

/// The job. It runs every minute also after an error.
pub async fn reconcile(app: &App) -> Result<Outcome> {
    if let Err(error) = look(app).await {
        tracing::error!(error = %Chain(&error), "reconciliation failed; it runs again in a minute");
    }
    Ok(Outcome::Again(Timestamp::now() + EVERY))
}

async fn look(app: &App) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let payments = [live(&tx).await?, late(&tx).await?, unasked(app, &tx).await?].concat();
    let refunds = open_refunds(&tx).await?;
    refund::tell_of_late_refunds(&tx).await?;
    let orders = overdue(&tx).await?;
    let checks = payments.into_iter().map(|payment| (Job::CheckPayment { payment }, None));
    let sends = refunds.into_iter().map(|refund| (Job::SendRefund { refund }, None));
    let ends = orders.into_iter().map(|order| (Job::ExpireOrder { order }, None));
    let jobs: Vec<_> = checks.chain(sends).chain(ends).collect();
    if !jobs.is_empty() {
        tracing::warn!(count = jobs.len(), "payments, refunds and orders that nobody looked after");
        jobs::push_all(&tx, &jobs).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

/// Live payments without a job. One whose job died is checked again once an hour.
async fn live(tx: &db::Transaction<'_>) -> Result<Vec<PaymentId>> {
    const LIVE: &str = sql!(
        "
        WITH due AS (
            SELECT p.id FROM payments p
             WHERE p.status IN ",
        PaymentStatus::LIVE_SQL,
        " AND p.updated_at < now() - interval '2 minutes'
               AND (p.checked_at IS NULL OR p.checked_at < now() - interval '10 minutes')
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state IN ('waiting', 'running'))
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state = 'dead'
                                AND j.finished_at > now() - interval '1 hour')
             ORDER BY p.checked_at NULLS FIRST LIMIT $1 FOR UPDATE OF p SKIP LOCKED)
        UPDATE payments p SET checked_at = now() FROM due WHERE p.id = due.id RETURNING p.id"
    );
    Ok(db::query(tx, LIVE, &[&BATCH]).await?.iter().map(|row| row.get("id")).collect())
}

/// Payments that ended without money in the last two days. Each is checked once more, ten minutes after its end.
async fn late(tx: &db::Transaction<'_>) -> Result<Vec<PaymentId>> {
    const LATE: &str = "
        WITH due AS (
            SELECT p.id FROM payments p
             WHERE p.status IN ('expired', 'cancelled', 'failed')
               AND p.updated_at BETWEEN now() - interval '48 hours' AND now() - interval '10 minutes'
               AND (p.checked_at IS NULL OR p.checked_at < p.updated_at + interval '9 minutes')
             ORDER BY p.updated_at LIMIT $1 FOR UPDATE OF p SKIP LOCKED)
        UPDATE payments p SET checked_at = now() FROM due WHERE p.id = due.id RETURNING p.id";
    Ok(db::query(tx, LATE, &[&BATCH]).await?.iter().map(|row| row.get("id")).collect())
}

/// Payments that ended here while their provider was not configured, once it is again. One whose job died is asked about again
/// once an hour.
async fn unasked(app: &App, tx: &db::Transaction<'_>) -> Result<Vec<PaymentId>> {
    const UNASKED: &str = "
        SELECT p.id FROM payments p
         WHERE p.ended_unasked AND p.provider = ANY($1)
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state IN ('waiting', 'running'))
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'check_payment:' || p.id AND j.state = 'dead'
                            AND j.finished_at > now() - interval '1 hour')
         ORDER BY p.id LIMIT $2";
    Ok(db::query(tx, UNASKED, &[&app.providers.of_payments(), &BATCH]).await?.iter().map(|row| row.get("id")).collect())
}

/// Open refunds without a job. Touched, so that one whose job died is tried, and alerts, once an hour.
async fn open_refunds(tx: &db::Transaction<'_>) -> Result<Vec<RefundId>> {
    const OPEN: &str = sql!(
        "
        WITH due AS (
            SELECT r.id FROM refunds r
             WHERE r.status IN ",
        RefundStatus::OPEN_SQL,
        " AND r.updated_at < now() - interval '2 minutes'
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state IN ('waiting', 'running'))
               AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'send_refund:' || r.id AND j.state = 'dead'
                                AND j.finished_at > now() - interval '1 hour')
             ORDER BY r.updated_at LIMIT $1 FOR UPDATE OF r SKIP LOCKED)
        UPDATE refunds r SET updated_at = now() FROM due WHERE r.id = due.id RETURNING r.id"
    );
    Ok(db::query(tx, OPEN, &[&BATCH]).await?.iter().map(|row| row.get("id")).collect())
}

/// Unpaid orders past their time without a job. One whose job died is tried again every six hours.
async fn overdue(tx: &db::Transaction<'_>) -> Result<Vec<OrderId>> {
    const OVERDUE: &str = "
        SELECT o.id FROM orders o
         WHERE o.status = 'pending' AND o.expires_at < now() - interval '10 minutes'
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'expire_order:' || o.id AND j.state IN ('waiting', 'running'))
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.dedupe = 'expire_order:' || o.id AND j.state = 'dead'
                            AND j.finished_at > now() - interval '6 hours')
         ORDER BY o.expires_at LIMIT $1";
    Ok(db::query(tx, OVERDUE, &[&BATCH]).await?.iter().map(|row| row.get("id")).collect())
}
