//! The leases of jobs: taken, renewed while a job runs, and given back when their answer was lost.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::app::App;
use crate::db::{self, sql};
use crate::error::{Chain, Error, Result};
use crate::ids::JobId;
use crate::jobs;

/// How long a lease lasts without a heartbeat before another worker takes the job over. Longer than any provider's deadline.
const LEASE: &str = "2 minutes";
/// How long a lease whose answer was lost is given back at each look. The lost statement may still arrive after the first look.
const LOST_FOR: Duration = Duration::from_secs(120);
const MAX_LOST: usize = 64;

/// A leased job.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) id: JobId,
    pub(super) lease: Uuid,
    pub(super) kind: String,
    pub(super) payload: serde_json::Value,
    pub(super) attempts: i32,
    pub(super) max_attempts: i32,
}

/// Leases due jobs. If the answer is lost, the lease is noted in `lost`.
pub(super) async fn lease_or_note(app: &App, count: i64, lost: &mut Lost) -> Vec<Leased> {
    let name = Uuid::new_v4();
    lease(app, name, count).await.unwrap_or_else(|error| {
        tracing::error!(error = %Chain(&error), "jobs cannot be read");
        if matches!(error, Error::Database(_)) {
            lost.note(name);
        }
        Vec::new()
    })
}

/// Leases whose answer was lost. Their jobs may be leased in the database, and no worker runs them.
#[derive(Debug, Default)]
pub(super) struct Lost(Vec<(Uuid, Instant)>);

impl Lost {
    /// Remembers a lease, up to a limit. The jobs of any further one wait until their lease runs out.
    fn note(&mut self, lease: Uuid) {
        if self.0.len() < MAX_LOST {
            self.0.push((lease, Instant::now()));
        }
    }

    /// Makes such jobs wait again, as if they had not been leased.
    pub(super) async fn give_back(&mut self, app: &App) {
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
/// move money, and of the mails those first that somebody waits for. The caller chooses the lease's id: it still knows the id when
/// the answer is lost. The commit does not wait for the disk (docs/decisions/0034).
pub(super) async fn lease(app: &App, name: Uuid, count: i64) -> Result<Vec<Leased>> {
    const LEASE_JOBS: &str = sql!(
        "WITH urgent AS (SELECT id FROM jobs WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_') AND run_at <= now()
                         ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             mails_first AS (SELECT id FROM jobs WHERE state = 'waiting' AND kind IN (", jobs::MAILS_FIRST, ") AND run_at <= now()
                        ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             messages AS (SELECT id FROM jobs WHERE state = 'waiting' AND left(kind, 4) IN ('mail', 'sms_') AND run_at <= now()
                         AND kind NOT IN (", jobs::MAILS_FIRST, ")
                        ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED),
             abandoned AS (SELECT id FROM jobs WHERE state = 'running' AND lease_until < now() ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED),
             due AS (SELECT id FROM abandoned UNION ALL SELECT id FROM urgent UNION ALL SELECT id FROM mails_first
                     UNION ALL SELECT id FROM messages LIMIT $1)
        UPDATE jobs j SET state = 'running', lease = $3, lease_until = now() + $2::text::interval, attempts = attempts + 1,
               again = false
          FROM due WHERE j.id = due.id
        RETURNING j.id, j.lease, j.kind, j.payload, j.attempts, j.max_attempts, set_config('synchronous_commit', 'off', true)"
    );
    let mut rows = db::query(&app.db().await?, LEASE_JOBS, &[&count, &LEASE, &name]).await?;
    rows.sort_by_key(|row| jobs::place(row.get("kind")));
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

/// Makes the lease last longer, while the job still runs.
pub(super) async fn renew(app: &App, job: &Leased) {
    const RENEW: &str = "UPDATE jobs SET lease_until = now() + $3::text::interval WHERE id = $1 AND lease = $2";
    let write = async { db::execute(&app.db().await?, RENEW, &[&job.id, &job.lease, &LEASE]).await };
    if let Err(error) = write.await {
        tracing::warn!(error = %Chain(&error), "a lease could not be renewed; the next try may come in time");
    }
}
