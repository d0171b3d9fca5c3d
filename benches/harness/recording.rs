//! The statements that a request sends, with their values, as PostgreSQL logs them. Nothing here knows what they are.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use crate::Bench;
use crate::shared::connect;
use crate::shared::shop::Shop;

const PREFIX: &str = "bench ";

/// A value of a statement, as text; `None` is NULL.
pub type Value = Option<String>;

/// A statement with the values of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    pub sql: String,
    pub values: Vec<Value>,
}

/// The transactions of one kind of request: all send the same statements.
#[derive(Debug)]
pub struct Recording {
    pub statements: Vec<String>,
    /// Of each transaction, and in it of each statement, the values.
    pub values: Vec<Vec<Vec<Value>>>,
}

/// Records what the shop's server sends while `work` runs: the transactions with a statement that contains `marker`. The server is
/// started anew before and after, because logging is a setting of sessions.
pub async fn record(bench: &Bench, shop: &mut Shop, marker: &str, work: impl AsyncFnOnce(&Shop)) -> Recording {
    let admin = connect(&bench.cluster.url("postgres")).await;
    admin.batch_execute(&format!("ALTER SYSTEM SET log_line_prefix = '{PREFIX}%p '")).await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    for setting in ["log_statement = 'all'", "log_error_verbosity = 'default'"] {
        admin.batch_execute(&format!("ALTER DATABASE {} SET {setting}", shop.database)).await.unwrap();
    }
    let log = log_of(bench);
    let before = fs::metadata(&log).unwrap().len();
    shop.stop_server();
    shop.start_server().await;
    work(shop).await;
    shop.stop_server();
    admin.batch_execute(&format!("ALTER DATABASE {} RESET ALL", shop.database)).await.unwrap();
    admin.batch_execute("ALTER SYSTEM RESET log_line_prefix").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    shop.start_server().await;
    let mut file = fs::File::open(&log).unwrap();
    file.seek(SeekFrom::Start(before)).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    the_usual_ones(transactions(&String::from_utf8_lossy(&bytes)), marker)
}

fn log_of(bench: &Bench) -> PathBuf {
    bench.dir.join("pg/postgres.log")
}

/// Waits until nobody uses the database, and copies it.
pub async fn copy(bench: &Bench, from: &str, to: &str) {
    let admin = connect(&bench.cluster.url("postgres")).await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
    while admin.query_one(others, &[&from]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    admin.batch_execute(&format!("CREATE DATABASE {to} TEMPLATE {from}")).await.unwrap();
}

/// Whole transactions that were committed, in the order in which they ended.
fn transactions(log: &str) -> Vec<Vec<Executed>> {
    let mut ended = Vec::new();
    let mut open: HashMap<&str, Vec<Executed>> = HashMap::new();
    for (pid, severity, text) in &entries(log) {
        match *severity {
            "LOG" => {
                let Some(sql) = executed(text) else { continue };
                let word = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
                let transaction = open.entry(*pid).or_default();
                if word == "BEGIN" || word == "START" {
                    transaction.clear();
                }
                transaction.push(Executed { sql: sql.to_owned(), values: Vec::new() });
                match word.as_str() {
                    "COMMIT" => ended.extend(open.remove(pid)),
                    "ROLLBACK" => _ = open.remove(pid),
                    _ => {}
                }
            }
            "DETAIL" => {
                let last = open.get_mut(pid).and_then(|transaction| transaction.last_mut());
                if let (Some(last), Some(list)) = (last, text.split_once("arameters: ").map(|(_, list)| list)) {
                    last.values = values(list);
                }
            }
            _ => {}
        }
    }
    ended
}

/// Process, severity and text of each entry. A line that begins with a tab continues the one before.
fn entries(log: &str) -> Vec<(&str, &str, String)> {
    let mut found: Vec<(&str, &str, String)> = Vec::new();
    for line in log.lines() {
        if let (Some(more), Some((_, _, text))) = (line.strip_prefix('\t'), found.last_mut()) {
            text.push('\n');
            text.push_str(more);
            continue;
        }
        let parts = line.strip_prefix(PREFIX).and_then(|rest| rest.split_once(' '));
        if let Some((pid, (severity, text))) = parts.and_then(|(pid, rest)| Some((pid, rest.split_once(":  ")?))) {
            found.push((pid, severity, text.to_owned()));
        }
    }
    found
}

/// The statement of an entry about an execution: `execute s1: …`, `statement: …`.
fn executed(text: &str) -> Option<&str> {
    match text.strip_prefix("statement: ") {
        Some(sql) => Some(sql),
        None => text.strip_prefix("execute ")?.split_once(": ").map(|(_, sql)| sql),
    }
}

/// The values of `$1 = 'it''s', $2 = NULL`.
fn values(list: &str) -> Vec<Value> {
    let (mut found, mut rest) = (Vec::new(), list);
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            found.push(None);
            rest = value.strip_prefix("NULL").unwrap_or_default();
            continue;
        };
        let (mut text, mut left) = (String::new(), quoted);
        while let Some((part, after)) = left.split_once('\'') {
            text.push_str(part);
            left = after;
            match after.strip_prefix('\'') {
                Some(more) => {
                    text.push('\'');
                    left = more;
                }
                None => break,
            }
        }
        found.push(Some(text));
        rest = left;
    }
    found
}

/// Of the transactions with the marker those that send what most of them send. The first ones of a connection also read types.
fn the_usual_ones(all: Vec<Vec<Executed>>, marker: &str) -> Recording {
    let mut kinds: HashMap<Vec<String>, Vec<Vec<Vec<Value>>>> = HashMap::new();
    for transaction in all.into_iter().filter(|all| all.iter().any(|one| one.sql.contains(marker))) {
        let (statements, values) = transaction.into_iter().map(|one| (one.sql, one.values)).unzip();
        kinds.entry(statements).or_default().push(values);
    }
    let usual = kinds.into_iter().max_by_key(|(_, values)| values.len());
    let (statements, values) = usual.unwrap_or_else(|| panic!("no transaction with {marker} was logged"));
    Recording { statements, values }
}
