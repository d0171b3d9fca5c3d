//! The connections of a process, as they are watched: it closes those on which the database has stopped answering without
//! a word.
//!
//! PostgreSQL's own `statement_timeout` is of no use against a server that is gone, and TCP's time-outs are of none against a proxy
//! that holds the connection open. So a connection is closed when an answer is owed and nothing came for longer than its statements
//! may take. A server finds out sooner: it asks the database every few seconds, on a connection kept for this, where no statement and
//! no lock can be in the way. Without an answer all connections are under suspicion that have said nothing since it asked: those
//! that are idle are closed at once, and the others after the time that this answer had.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::wire::Link;
use crate::config::DatabaseConfig;

/// How long a statement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// `DB_STATEMENT_TIMEOUT`: nearly everything.
    Statement,
    /// What an administrator asks for and a request waits for: a table of products, the data of a guest.
    Long,
    /// What an operator's command reads or writes: an audit, new keys.
    Command,
    /// A migration, which may build an index on the largest table.
    Migration,
}

impl Patience {
    pub(super) fn statement(self, config: &DatabaseConfig) -> Duration {
        match self {
            Self::Statement => config.statement_timeout,
            Self::Long => Duration::from_secs(5 * 60).max(config.statement_timeout),
            Self::Command => Duration::from_secs(60 * 60),
            Self::Migration => Duration::from_secs(12 * 60 * 60),
        }
    }

    /// How long a transaction may do nothing before PostgreSQL ends it. Where a client was lost without a word, its locks are held for
    /// so long, and a request that is repeated waits for them.
    pub(super) fn idle(self) -> Duration {
        match self {
            Self::Statement | Self::Migration => Duration::from_secs(10),
            Self::Long | Self::Command => Duration::from_secs(30),
        }
    }
}

/// The connections of a process.
#[derive(Debug)]
pub(super) struct Line {
    links: Mutex<Vec<Weak<Link>>>,
    /// Whoever has not been heard since then is under suspicion.
    suspected: Mutex<Option<Instant>>,
    /// A statement has met another schema than it was prepared for. Set by the connections.
    has_stale_statements: Arc<AtomicBool>,
    /// `DB_ANSWER_WAIT`.
    pub answer_wait: Duration,
}

impl Line {
    pub(super) fn new(config: &DatabaseConfig) -> Arc<Self> {
        Arc::new(Self {
            links: Mutex::default(),
            suspected: Mutex::default(),
            has_stale_statements: Arc::default(),
            answer_wait: config.answer_wait,
        })
    }

    /// What a new connection tells of itself. For so long nothing may come on it while an answer is owed.
    pub(super) fn link(&self, most: Duration) -> Arc<Link> {
        let link = Arc::new(Link::new(Arc::clone(&self.has_stale_statements), most));
        locked(&self.links).push(Arc::downgrade(&link));
        link
    }

    /// Whether statements must be prepared anew, asked once for each such time.
    pub(super) fn takes_stale_statements(&self) -> bool {
        self.has_stale_statements.swap(false, Ordering::Relaxed)
    }

    /// Nothing came on a connection since then, although it should have.
    pub(super) fn suspect(&self, since: Instant) {
        let mut suspected = locked(&self.suspected);
        *suspected = Some(suspected.map_or(since, |before| before.max(since)));
    }

    /// Looks at every connection once, and closes those on which nobody answers.
    pub(super) fn look(&self) {
        let links: Vec<Arc<Link>> = {
            let mut links = locked(&self.links);
            links.retain(|link| link.strong_count() > 0);
            links.iter().filter_map(Weak::upgrade).collect()
        };
        links.iter().filter_map(|link| link.overdue_since()).for_each(|since| self.suspect(since));
        let suspected = *locked(&self.suspected);
        let lost = links.iter().filter(|link| self.is_lost(link, suspected)).filter(|link| link.close()).count();
        if lost > 0 {
            metrics::counter!("vitrine_db_connections_lost_total").increment(lost as u64);
            tracing::error!(connections = lost, "the database has stopped answering on these connections: they are closed");
        }
    }

    fn is_lost(&self, link: &Link, suspected: Option<Instant>) -> bool {
        let is_suspect = suspected.is_some_and(|since| link.heard() < since);
        link.overdue_since().is_some()
            || (is_suspect && (link.is_idle() || link.quiet().is_some_and(|quiet| quiet > self.answer_wait)))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
