//! The pool, the migrations, and the four ways to run a statement.

pub(crate) mod text;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub use deadpool_postgres::{GenericClient, Object as Connection, Transaction};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::{StreamExt, stream};
use refinery::{Migration, Runner};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, NoTls, Row, Statement};

use crate::config::DatabaseConfig;
use crate::error::{Chain, Error, Result};

pub use text::Insert;
pub(crate) use text::{insert, insert_all, sql};

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// From here on two words count as one misspelled (`caffe` is to `café` as 0.57).
const WORDS_ALIKE: f32 = 0.5;
/// How often a listening connection is asked whether it is still there, and how long it may take to say so.
const HEARTBEAT: Duration = Duration::from_secs(30);
const HEARTBEAT_WAIT: Duration = Duration::from_secs(5);
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

/// A pool that opens connections as they are needed. Connections get our time limits when they open.
pub fn pool(config: &DatabaseConfig) -> Result<Pool> {
    let pg = pg_config(config)?;
    let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if pg.get_ssl_mode() == SslMode::Disable || is_local(&pg) {
        Manager::from_config(pg, NoTls, recycle)
    } else {
        Manager::from_config(pg, tls()?, recycle)
    };
    Pool::builder(manager)
        .max_size(config.max_conns)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(config.pool_wait))
        .create_timeout(Some(config.pool_wait))
        .build()
        .map_err(|e| Error::Internal(format!("pool: {e}")))
}

fn pg_config(config: &DatabaseConfig) -> Result<tokio_postgres::Config> {
    let mut pg = tokio_postgres::Config::from_str(config.url.expose_secret())
        .map_err(|_| Error::Internal("DATABASE_URL is not a PostgreSQL address".into()))?;
    pg.application_name("vitrine");
    pg.connect_timeout(config.pool_wait);
    pg.options(format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout=30000 -c timezone=UTC -c pg_trgm.word_similarity_threshold={WORDS_ALIKE}",
        config.statement_timeout.as_millis()
    ));
    Ok(pg)
}

fn is_local(pg: &tokio_postgres::Config) -> bool {
    use tokio_postgres::config::Host;
    pg.get_ssl_mode() != SslMode::Require
        && pg.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
}

/// TLS with the system's trust store, for a database on another machine.
fn tls() -> Result<tokio_postgres_rustls::MakeRustlsConnect> {
    let (connector, broken) = tokio_postgres_rustls::MakeRustlsConnect::with_native_certs()
        .map_err(|_| Error::Internal("this machine trusts no certificates: install ca-certificates".into()))?;
    if !broken.is_empty() {
        tracing::warn!(count = broken.len(), "some of the system's certificates could not be read");
    }
    Ok(connector)
}

/// Opens the connections that the first requests would otherwise wait for.
pub async fn warm_up(pool: &Pool, count: usize) {
    let opened = futures_util::future::join_all((0..count).map(|_| pool.get())).await;
    tracing::debug!(connections = opened.iter().filter(|c| c.is_ok()).count(), "pool is warm");
}

/// Listens on a connection of its own until that is lost: `heard(None)` once it listens, then `heard(Some(payload))` per notice.
pub async fn listen(config: &DatabaseConfig, channel: &str, heard: impl Fn(Option<&str>)) -> Result<()> {
    let pg = pg_config(config)?;
    if pg.get_ssl_mode() == SslMode::Disable || is_local(&pg) {
        let (client, connection) = pg.connect(NoTls).await?;
        hear(client, connection, channel, heard).await
    } else {
        let (client, connection) = pg.connect(tls()?).await?;
        hear(client, connection, channel, heard).await
    }
}

async fn hear<S, T>(
    client: Client,
    mut connection: tokio_postgres::Connection<S, T>,
    channel: &str,
    heard: impl Fn(Option<&str>),
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(|cx| connection.poll_message(cx));
    let notices = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(notice) = message? {
                heard(Some(notice.payload()));
            }
        }
        Err(Error::Internal("the listening connection ended".into()))
    };
    let heartbeat = async {
        client.batch_execute(&format!("LISTEN {channel}")).await?;
        heard(None);
        // Ends with the connection: what breaks without a word is found out here.
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let answer = tokio::time::timeout(HEARTBEAT_WAIT, client.batch_execute("")).await;
            answer.map_err(|_| Error::Internal("the listening connection is dead".into()))??;
        }
    };
    tokio::select! {
        ended = notices => ended,
        ended = heartbeat => ended,
    }
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

/// Brings the schema up to date. Whoever comes second waits for the first and finds nothing left to do.
///
/// Errors: no database answers for a minute, or it refuses us, or a migration fails.
pub async fn migrate(config: &DatabaseConfig) -> Result<usize> {
    let began = Instant::now();
    let mut client = loop {
        match connect(config).await {
            Err(error) if may_come(&error) && began.elapsed() < PATIENCE => {
                tracing::warn!(error = %Chain(&error), "the database is not there yet; trying again");
                tokio::time::sleep(KNOCK).await;
            }
            outcome => break outcome?,
        }
    };
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    let report = Runner::new(&migrations()?)
        .set_abort_divergent(true)
        .set_abort_missing(false) // an older server may start on a newer schema: it was made to bear it
        .run_async(&mut client)
        .await
        .map_err(|e| Error::Internal(format!("migrations: {}", Chain(&e))))?;
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    Ok(report.applied_migrations().len())
}

async fn connect(config: &DatabaseConfig) -> Result<Client> {
    let mut pg = pg_config(config)?;
    pg.options("-c statement_timeout=0 -c timezone=UTC");
    let connection_lost = |e| tracing::error!(error = %Chain(&e), "the migration's connection broke");
    Ok(if pg.get_ssl_mode() == SslMode::Disable || is_local(&pg) {
        let (client, connection) = pg.connect(NoTls).await?;
        tokio::spawn(async move { connection.await.unwrap_or_else(connection_lost) });
        client
    } else {
        let (client, connection) = pg.connect(tls()?).await?;
        tokio::spawn(async move { connection.await.unwrap_or_else(connection_lost) });
        client
    })
}

/// Nobody answered, or it is starting up. A refusal (a wrong password, no such database) does not get better by waiting.
fn may_come(error: &Error) -> bool {
    match error {
        Error::Database(e) => matches!(e.code(), None | Some(&SqlState::CANNOT_CONNECT_NOW)),
        _ => false,
    }
}
