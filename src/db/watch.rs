//! What looks after the pools beside every request.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::PARAMETER_TYPES;
use super::connect::Door;
use super::line::Line;

/// How often the connections are looked at. It costs a lock and a comparison each.
const LOOK: Duration = Duration::from_millis(100);
/// The longest pause between two looks for idle ones.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// Watches the connections of these pools for as long as there is one.
pub(super) fn watch(pools: &[&Pool], line: &Arc<Line>) {
    let (pools, line): (Vec<_>, _) = (pools.iter().map(|pool| pool.weak()).collect(), Arc::downgrade(line));
    tokio::spawn(async move {
        while let Some(line) = line.upgrade() {
            let pools: Vec<Pool> = pools.iter().filter_map(|pool| pool.upgrade()).collect();
            if pools.is_empty() {
                return;
            }
            line.look();
            if line.takes_stale_statements() {
                forget_statements(&pools);
            }
            drop((pools, line));
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// Asks the database whether it is there, for as long as there is the pool.
///
/// While this has no connection, a silence may come and go unseen. So a new one proves nothing of what was heard before it.
pub(super) fn keep_asking(pool: &Pool, door: Door) {
    let pool = pool.weak();
    let wait = door.line().answer_wait;
    tokio::spawn(async move {
        let mut client: Option<Client> = None;
        let mut is_start = true; // nothing is older than the first connection
        while pool.upgrade().is_some() {
            let since = Instant::now();
            let doubted;
            (client, doubted) = match client {
                Some(asked) => match timeout(wait, asked.batch_execute("")).await {
                    Ok(Ok(())) => (Some(asked), None),
                    Ok(Err(_)) => (None, None), // whoever closed it can tell the others too
                    Err(_) => (None, Some(since)),
                },
                None => match timeout(wait, door.enter_seen()).await {
                    Ok(Ok((new, _, link))) => (Some(new), Some(link.heard()).filter(|_| !is_start)),
                    Ok(Err(_)) => (None, None),
                    Err(_) => (None, Some(since)),
                },
            };
            if let Some(since) = doubted {
                door.line().suspect(since);
            }
            is_start = false;
            tokio::time::sleep(wait).await;
        }
    });
}

/// Closes what was not used for so long, down to so many connections, for as long as there is the pool. Each is a process of the database.
pub(super) fn give_back(pool: &Pool, least: usize, idle: Duration) {
    let pool = pool.weak();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep((idle / 4).clamp(LOOK, LONGEST_LOOK)).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut spare = pool.status().size.saturating_sub(least);
            let closed = pool.retain(|_, used| {
                let is_closed = spare > 0 && used.last_used() >= idle;
                spare -= usize::from(is_closed);
                !is_closed
            });
            if !closed.removed.is_empty() {
                tracing::debug!(connections = closed.removed.len(), "idle connections to the database were closed");
            }
        }
    });
}

/// The schema has changed: every statement is prepared again when it is needed, so that not every connection has to fail first.
fn forget_statements(pools: &[Pool]) {
    tracing::warn!("the schema changed under prepared statements: they are prepared anew");
    pools.iter().for_each(|pool| pool.manager().statement_caches.clear());
    PARAMETER_TYPES.write().unwrap_or_else(PoisonError::into_inner).clear();
}
