//! Every invariant as SQL that must return no row. Read-only; each row says what is broken and where.
//!
//! A rule is one query with one text column. It is written for a shop of a million orders: it compares whole tables, by hash
//! or in one sorted pass, without a look-up per row (`benches/audit` limits it to a minute).

mod rules_disputes;
mod rules_history;
mod rules_invoices;
mod rules_machinery;
mod rules_money;
mod rules_orders;
mod rules_parcels;
mod rules_returns;
mod rules_stock;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::GenericClient;
use futures_util::TryStreamExt;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use crate::config::Config;
use crate::db::{self, Patience};
use crate::error::Result;
use crate::progress::Progress;
use crate::sale::table;

/// (name, query of one text column). `{steps}` in a query stands for the rows of the transition table.
type Rule = (&'static str, &'static str);

/// Lines printed per rule; the rest are counted.
const MAX_LINES: usize = 1000;
/// For this transaction alone: memory for a hash of a million ids, no JIT for queries that run once, and parallel workers if
/// the server has some.
const SETTINGS: &str = "
    SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '128MB'; SET LOCAL hash_mem_multiplier = 2; SET LOCAL jit = off;
    SET LOCAL max_parallel_workers_per_gather = 2";

/// One broken invariant.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name, stable.
    pub rule: &'static str,
    /// Ids and numbers of what breaks it. No personal data.
    pub what: String,
}

/// How a run tells what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line per violation, and one with the sum.
    Lines,
    /// The same, and a line per rule with the time that it took.
    LinesAndTimes,
    /// One JSON object with every rule, for machines.
    Json,
}

/// The violations of one rule, and how long it took.
#[derive(Clone, Serialize)]
struct Finding {
    rule: &'static str,
    count: usize,
    /// The first [`MAX_LINES`].
    #[serde(rename = "violations")]
    lines: Vec<String>,
    #[serde(rename = "took_ms", serialize_with = "millis")]
    took: Duration,
}

fn millis<S: serde::Serializer>(took: &Duration, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_u64(took.as_millis() as u64)
}

fn all() -> impl Iterator<Item = &'static Rule> {
    [
        rules_history::RULES,
        rules_orders::RULES,
        rules_parcels::RULES,
        rules_stock::RULES,
        rules_returns::RULES,
        rules_money::RULES,
        rules_disputes::RULES,
        rules_invoices::RULES,
        rules_machinery::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rules' names.
pub fn rules() -> impl Iterator<Item = &'static str> {
    all().map(|(rule, _)| *rule)
}

/// Runs every rule.
pub async fn violations(db: &impl GenericClient) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for rule in all() {
        let Finding { rule, lines, .. } = find(db, rule).await?;
        found.extend(lines.into_iter().map(|what| Violation { rule, what }));
    }
    Ok(found)
}

async fn find(db: &impl GenericClient, &(rule, sql): &Rule) -> Result<Finding> {
    let started = Instant::now();
    let sql = sql.replace("{steps}", &table::as_sql_values());
    let sql = sql.as_str();
    let (mut lines, mut count) = (Vec::new(), 0);
    let mut rows = pin!(db.query_raw(sql, std::iter::empty::<&str>()).await?);
    while let Some(row) = rows.try_next().await? {
        count += 1;
        if lines.len() < MAX_LINES {
            lines.push(row.get(0));
        }
    }
    Ok(Finding { rule, lines, count, took: started.elapsed() })
}

/// `vitrine audit`: tells every violation, exit 1 if there is one. All rules read the same snapshot, so that sales during the
/// audit cause no false violation.
pub async fn run(config: &Config, form: Form, progress: &Progress) -> Result<ExitCode> {
    let pool = db::pool(&config.database, Patience::Command)?;
    let mut db = pool.get().await?;
    let tx = begin(&mut db, None).await?;
    let snapshot: String = db::query_one(&tx, "SELECT pg_export_snapshot()", &[]).await?.get(0);
    let rules: Vec<&Rule> = all().collect();
    let next = AtomicUsize::new(0);
    let bar = progress.bar("auditing", rules.len());
    let other = async {
        let mut db = pool.get().await?;
        let tx = begin(&mut db, Some(&snapshot)).await?;
        work(&tx, &rules, &next, &bar).await
    };
    let (ours, theirs) = futures_util::future::try_join(work(&tx, &rules, &next, &bar), other).await?;
    let mut findings = [ours, theirs].concat();
    findings.sort_by_key(|found| rules.iter().position(|(rule, _)| *rule == found.rule));
    drop(bar);
    let count: usize = findings.iter().map(|found| found.count).sum();
    match form {
        Form::Json => println!("{}", json!({ "violation_count": count, "rules": findings })),
        Form::Lines | Form::LinesAndTimes => print(&findings, form == Form::LinesAndTimes),
    }
    Ok(if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(findings: &[Finding], times: bool) {
    for found in findings {
        for line in &found.lines {
            println!("{}: {line}", found.rule);
        }
        if found.count > found.lines.len() {
            println!("{}: and {} more", found.rule, found.count - found.lines.len());
        }
        if times {
            println!("{:>8.2} s  {}", found.took.as_secs_f64(), found.rule);
        }
    }
    let count: usize = findings.iter().map(|found| found.count).sum();
    println!("{} rules, {count} violation(s)", findings.len());
}

/// A read-only transaction, on that snapshot or on a new one.
async fn begin<'a>(db: &'a mut db::Connection, snapshot: Option<&str>) -> Result<db::Transaction<'a>> {
    let tx =
        db.build_transaction().read_only(true).isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
    if let Some(snapshot) = snapshot {
        tx.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'")).await?;
    }
    tx.batch_execute(SETTINGS).await?;
    Ok(tx)
}

/// Runs the next rule until none is left.
async fn work(tx: &db::Transaction<'_>, rules: &[&Rule], next: &AtomicUsize, bar: &ProgressBar) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    while let Some(rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
        findings.push(find(tx, rule).await?);
        bar.inc(1);
    }
    Ok(findings)
}
