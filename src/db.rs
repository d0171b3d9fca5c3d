//! The pool, the migrations, and the four ways to run a statement.

mod connect;
mod guard;
mod line;
mod listen;
pub(crate) mod text;
mod watch;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub use deadpool_postgres::{GenericClient, Object as Connection, Transaction};
use deadpool_postgres::{Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime};
use jiff::Timestamp;
use refinery::{Migration, Runner};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Row, Statement};

use self::connect::Door;
use self::line::Line;
use crate::config::DatabaseConfig;
use crate::error::{Chain, Error, Result};

pub use line::Patience;
pub use listen::listen;
pub use text::Insert;
pub(crate) use text::{insert, insert_all, sql};

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// From here on two words count as one misspelled (`caffe` is to `café` as 0.57).
const WORDS_ALIKE: f32 = 0.5;
/// So many administrators at once may ask for what takes minutes.
const LONG_CONNECTIONS: usize = 2;
/// Held while migrating, so that N servers may start at once.
const MIGRATION_LOCK: i64 = 0x0076_6974_7269_6e65;

/// The statement, prepared once per connection.
///
/// A parameter that goes into a column of a domain is described as that domain, which the driver neither knows (it asks the
/// catalog, on every connection anew) nor takes a `String` for. Such a statement is prepared with the domains' base types
/// instead. They are found out once per process.
pub async fn prepare(db: &impl GenericClient, sql: &str) -> Result<Statement, tokio_postgres::Error> {
    if let Some(types) = parameter_types(sql) {
        return db.prepare_typed_cached(sql, &types).await;
    }
    let described = db.prepare_cached(sql).await?;
    let any_domain = described.params().iter().any(|of| matches!(of.kind(), Kind::Domain(_)));
    let types: Vec<Type> = if any_domain { described.params().iter().map(base).collect() } else { Vec::new() };
    let statement = db.prepare_typed_cached(sql, &types).await?;
    PARAMETER_TYPES.write().unwrap_or_else(PoisonError::into_inner).insert(sql.into(), types.into());
    Ok(statement)
}

/// By a statement's text, what its parameters are sent as; empty where the database may decide.
type ParameterTypes = HashMap<Box<str>, Arc<[Type]>>;

static PARAMETER_TYPES: LazyLock<RwLock<ParameterTypes>> = LazyLock::new(RwLock::default);

fn parameter_types(sql: &str) -> Option<Arc<[Type]>> {
    PARAMETER_TYPES.read().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
}

fn base(of: &Type) -> Type {
    match of.kind() {
        Kind::Domain(of) => base(of),
        _ => of.clone(),
    }
}

/// All rows.
pub async fn query(db: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
    Ok(db.query(&prepare(db, sql).await?, params).await?)
}

/// The row, if there is one.
pub async fn query_opt(db: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Option<Row>> {
    Ok(db.query_opt(&prepare(db, sql).await?, params).await?)
}

/// The one row that is there by construction.
pub async fn query_one(db: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<Row> {
    Ok(db.query_one(&prepare(db, sql).await?, params).await?)
}

/// How many rows it touched: for a conditional UPDATE, the answer to "did it happen?".
pub async fn execute(db: &impl GenericClient, sql: &str, params: Params<'_>) -> Result<u64> {
    Ok(db.execute(&prepare(db, sql).await?, params).await?)
}

/// A server's two pools: for statements that take no longer than `DB_STATEMENT_TIMEOUT`, and a small one for those that may take
/// minutes. What one finds out about a silent database holds for both.
pub fn pools(config: &DatabaseConfig) -> Result<(Pool, Pool)> {
    let line = Line::new(config);
    let door = Door::on(Arc::clone(&line), config, Patience::Statement)?;
    let pool = open(config, door.clone(), config.max_conns)?;
    watch::keep_asking(&pool, door);
    watch::give_back(&pool, config.min_conns, config.idle_timeout);
    let long = open(config, Door::on(Arc::clone(&line), config, Patience::Long)?, LONG_CONNECTIONS)?;
    watch::give_back(&long, 0, config.idle_timeout);
    watch::watch(&[&pool, &long], &line);
    Ok((pool, long))
}

/// A command's pool.
pub fn pool(config: &DatabaseConfig, patience: Patience) -> Result<Pool> {
    let door = Door::new(config, patience)?;
    let line = Arc::clone(door.line());
    let pool = open(config, door, config.max_conns)?;
    watch::watch(&[&pool], &line);
    Ok(pool)
}

/// Connections are opened as they are needed, and get our time limits when they are. The one that was used last is used next, so that
/// those that a burst needed fall idle after it.
fn open(config: &DatabaseConfig, door: Door, most: usize) -> Result<Pool> {
    let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_connect(door.pg().clone(), door, recycle))
        .max_size(most)
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(config.pool_wait))
        .create_timeout(Some(config.pool_wait))
        .build()
        .map_err(|e| Error::Internal(format!("pool: {e}")))
}

/// Opens the connections that the first requests would otherwise wait for.
pub async fn warm_up(pool: &Pool, count: usize) {
    let opened = futures_util::future::join_all((0..count).map(|_| pool.get())).await;
    tracing::debug!(connections = opened.iter().filter(|c| c.is_ok()).count(), "pool is warm");
}

/// The time by the database's clock: what a provider answers later than that is later than every row that was written before.
pub async fn clock(db: &impl GenericClient) -> Result<Timestamp> {
    Ok(query_one(db, "SELECT clock_timestamp() AS now", &[]).await?.get("now"))
}

/// Every migration, in order. Never edited after a release: a change is a new file.
fn migrations() -> Result<Vec<Migration>> {
    let files = [
        ("V1__base", include_str!("../migrations/0001_base.sql")),
        ("V2__machinery", include_str!("../migrations/0002_machinery.sql")),
        ("V3__users", include_str!("../migrations/0003_users.sql")),
        ("V4__catalog", include_str!("../migrations/0004_catalog.sql")),
        ("V5__carts", include_str!("../migrations/0005_carts.sql")),
        ("V6__orders", include_str!("../migrations/0006_orders.sql")),
        ("V7__payments", include_str!("../migrations/0007_payments.sql")),
        ("V8__invoices", include_str!("../migrations/0008_invoices.sql")),
        ("V9__shipments", include_str!("../migrations/0009_shipments.sql")),
    ];
    files
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql).map_err(|e| Error::Internal(format!("migration {name}: {e}"))))
        .collect()
}

/// How long a start waits for a database that is not there yet: after a power cut both come up together.
const PATIENCE: Duration = Duration::from_secs(60);
const KNOCK: Duration = Duration::from_millis(500);
/// How long a migration may wait for a table's lock. Whoever comes for the table meanwhile stands behind it and waits as well.
const LOCK_WAIT: &str = "2s";
/// The pause before it tries again, and for how long it does: an audit or an export may read a table for minutes.
const LOCK_PAUSE: Duration = Duration::from_secs(5);
const LOCK_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// For so long nothing may be asked on a migration's session, which holds the lock that other starts wait for. Longer than that pause.
const IDLE: Duration = Duration::from_secs(10);

/// Brings the schema up to date. Whoever comes second waits for the first and finds nothing left to do.
///
/// Errors: no database answers for a minute, or it refuses us, or a migration fails, or others hold a table for a quarter of an hour.
pub async fn migrate(config: &DatabaseConfig) -> Result<usize> {
    let door = Door::new(config, Patience::Migration)?;
    let (began, mut applied) = (Instant::now(), 0);
    while let Err(error) = try_to_migrate(&door, config, &mut applied).await {
        if !may_come(&error) || began.elapsed() > PATIENCE {
            return Err(error);
        }
        tracing::warn!(error = %Chain(&error), "the database is not there yet; trying again");
        tokio::time::sleep(KNOCK).await;
    }
    Ok(applied)
}

async fn try_to_migrate(door: &Door, config: &DatabaseConfig, applied: &mut usize) -> Result<()> {
    let entered = tokio::time::timeout(config.pool_wait.saturating_add(config.answer_wait), guard::enter(door, IDLE));
    let mut client = entered.await.map_err(|_| DOES_NOT_ANSWER)??;
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    client.batch_execute(&format!("SET lock_timeout = '{LOCK_WAIT}'")).await?;
    let began = Instant::now();
    loop {
        let outcome = Runner::new(&migrations()?)
            .set_abort_divergent(true)
            .set_abort_missing(false) // an older server may start on a newer schema: it was made to bear it
            .run_async(&mut client)
            .await;
        let error = match outcome {
            Ok(report) => {
                *applied += report.applied_migrations().len();
                break;
            }
            Err(error) => error,
        };
        *applied += error.report().map_or(0, |report| report.applied_migrations().len());
        match its_cause(&error) {
            Some(cause) if cause.is_closed() => return Err(DOES_NOT_ANSWER),
            Some(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && began.elapsed() < LOCK_PATIENCE => {
                tracing::warn!("a table that a migration changes is in use; it gives way and tries again");
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            _ => return Err(Error::Internal(format!("migrations: {}", Chain(&error)))),
        }
    }
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    Ok(())
}

const DOES_NOT_ANSWER: Error = Error::Busy { what: "The database does not answer", retry_after_s: 2 };

/// Nobody answered, or it is starting up. A refusal (a wrong password, no such database) does not get better by waiting.
fn may_come(error: &Error) -> bool {
    error.slug() == "unavailable" || matches!(error, Error::Database(error) if error.code().is_none())
}

/// What the database or its connection said.
fn its_cause(error: &refinery::Error) -> Option<&tokio_postgres::Error> {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(cause) = error.downcast_ref() {
            return Some(cause);
        }
        next = error.source();
    }
    None
}
