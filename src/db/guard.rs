//! A session whose statements may be silent for hours. Whether one still runs, the database is asked on another connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Error as PgError};

use super::connect::Door;
use super::wire::Link;

/// So many times in a row the database must know nothing of the statement: its answer may be under way.
const DOUBTS: u32 = 2;

/// A session's name.
struct Who {
    pid: i32,
    since: String,
}

/// Opens a session that is closed when it waits for an answer and the database knows of no statement.
///
/// The database ends it as well, when nothing was asked on it for `idle`: a client that was lost without a word holds no locks for longer.
pub(super) async fn enter(door: &Door, idle: Duration) -> Result<Client, PgError> {
    const WHO: &str = "SELECT pid, backend_start::text AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    // PostgreSQL 13 does not know this setting.
    const END_IDLE: &str = "SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'idle_session_timeout'";
    let (client, task, link) = door.enter_seen().await?;
    let row = client.query_one(WHO, &[]).await?;
    client.execute(END_IDLE, &[&idle.as_millis().to_string()]).await?;
    let who = Who { pid: row.get("pid"), since: row.get("since") };
    tokio::spawn(guard(door.clone(), who, task, link));
    Ok(client)
}

/// Until the session ends.
async fn guard(door: Door, who: Who, task: JoinHandle<()>, link: Arc<Link>) {
    let wait = door.line().answer_wait;
    let mut doubts = 0;
    while !task.is_finished() {
        tokio::time::sleep(wait).await;
        let is_waiting = link.quiet().is_some_and(|quiet| quiet >= wait);
        let is_lost = is_waiting && matches!(timeout(wait, is_at_work(&door, &who)).await, Ok(Ok(false)));
        doubts = if is_lost { doubts + 1 } else { 0 };
        if doubts == DOUBTS && link.close() {
            tracing::error!("the database knows nothing of a statement that is waited for: its connection is closed");
        }
    }
}

async fn is_at_work(door: &Door, who: &Who) -> Result<bool, PgError> {
    const IS_AT_WORK: &str = "
        SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2 AND state = 'active') AS it";
    let (client, _) = door.enter().await?;
    Ok(client.query_one(IS_AT_WORK, &[&who.pid, &who.since]).await?.get("it"))
}
