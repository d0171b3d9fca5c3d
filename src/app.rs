//! What one server process is made of. Built once, handed down; there are no globals. It knows tools, and no feature.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Pool;
use moka::future::Cache;
use tokio::sync::{Notify, Semaphore};

use crate::access_log::AccessLog;
use crate::cache::AnswerCache;
use crate::config::Config;
use crate::db::{self, Connection};
use crate::error::Result;
use crate::guesses::Guesses;
use crate::key_store;
use crate::limits::{Limiters, Strangers};
use crate::pace::Pace;
use crate::password::Hasher;
use crate::providers::Providers;
use crate::seal::Keys;
use crate::standing::Standings;
use crate::token::Tokens;

/// How long an answer to "is the database there?" holds.
const READY_FOR: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub struct App {
    pub config: Config,
    pub pool: Pool,
    long: Pool,
    pub keys: Keys,
    pub tokens: Tokens,
    pub hasher: Hasher,
    pub providers: Providers,
    pub catalog: AnswerCache,
    pub standings: Standings,
    pub limiters: Limiters,
    /// By address: see `client_ip::counted`.
    pub coupon_guesses: Guesses<IpAddr>,
    /// Wrong passwords by account, and by known device. `None`: not counted.
    pub password_guesses: Option<Guesses<[u8; 32]>>,
    pub mail_pace: Arc<Pace>,
    pub strangers: Strangers,
    pub access_log: Option<AccessLog>,
    /// A permit for each byte of large bodies that are being read. `None`: they are not bounded.
    pub bodies: Option<Arc<Semaphore>>,
    /// Whether the database answered, for a moment: however many ask whether this server is ready, one statement does.
    pub ready: Cache<(), bool>,
    wake: Notify,
    draining: AtomicBool,
}

impl App {
    /// Reads the shop's own keys, so the database must be there, with its schema.
    pub async fn open(config: Config) -> Result<Self> {
        let log = &config.log;
        let access_log = log.access_dir.as_deref().map(|folder| AccessLog::open(folder, log.access_days)).transpose()?;
        let (pool, long) = db::pools(&config.database)?;
        let keys = key_store::load(&mut pool.get().await?, &config.auth).await?;
        let mail_pace = Arc::new(Pace::new());
        Ok(Self {
            pool,
            long,
            keys,
            tokens: Tokens::new(&config.auth),
            hasher: Hasher::new(),
            providers: Providers::new(&config, &mail_pace)?,
            catalog: AnswerCache::new(&config.cache),
            standings: Standings::new(),
            limiters: Limiters::new(&config.limits),
            coupon_guesses: Guesses::of_coupons(),
            password_guesses: config.limits.account.map(|limit| Guesses::new(limit.burst as usize, limit.per)),
            mail_pace,
            strangers: Strangers::new(),
            access_log,
            bodies: config.http.connections.body_bytes.map(|bytes| Arc::new(Semaphore::new(bytes))),
            ready: Cache::builder().max_capacity(1).time_to_live(READY_FOR).build(),
            wake: Notify::new(),
            draining: AtomicBool::new(false),
            config,
        })
    }

    /// A connection, or 503 when none gets free in time. Never hold one while a provider thinks.
    pub async fn db(&self) -> Result<Connection> {
        Ok(self.pool.get().await?)
    }

    /// A connection whose statements may take minutes.
    pub async fn db_for_long(&self) -> Result<Connection> {
        Ok(self.long.get().await?)
    }

    /// Tells this process's workers that a commit brought jobs. Losing it only costs them their next look.
    pub fn jobs_were_pushed(&self) {
        self.wake.notify_one();
    }

    /// Resolves when jobs may have come.
    pub async fn jobs_may_wait(&self) {
        self.wake.notified().await;
    }

    /// From now on `/ready` says no, and event streams end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
