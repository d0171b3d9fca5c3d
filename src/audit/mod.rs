//! Every invariant as SQL that must return no row. Read-only; a row names what is broken and where.
//!
//! A rule is one query of one text column. It is written for a shop of a million orders: whole tables against each other,
//! by hash or in one sorted pass, never a look-up per row (`benches/audit` holds it to a minute).

mod rules_machinery;
mod rules_money;
mod rules_orders;
mod rules_stock;

use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use deadpool_postgres::GenericClient;
use futures_util::TryStreamExt;

use crate::config::Config;
use crate::db;
use crate::error::Result;

/// (name, query of one text column).
type Rule = (&'static str, &'static str);

/// So many lines are printed of each rule; the others are counted.
const MAX_LINES: usize = 1000;
/// For this transaction alone: room for a million ids in a hash, no compiler for queries that run once, and helpers where
/// the server has some to spare.
const SETTINGS: &str = "
    SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '64MB'; SET LOCAL hash_mem_multiplier = 2; SET LOCAL jit = off;
    SET LOCAL max_parallel_workers_per_gather = 4";

/// One broken invariant.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name, stable.
    pub rule: &'static str,
    /// Ids and numbers of what breaks it. No person.
    pub what: String,
}

/// What one rule found, and how long it took.
struct Finding {
    rule: &'static str,
    lines: Vec<String>,
    count: usize,
    took: Duration,
}

fn all() -> impl Iterator<Item = &'static Rule> {
    [rules_stock::RULES, rules_orders::RULES, rules_money::RULES, rules_machinery::RULES].into_iter().flatten()
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

/// `vitrine audit`: a line per violation, exit 1 if there is one. One snapshot for all rules, so that a shop that goes on
/// selling meanwhile breaks none of them. `times`: also how long each rule took.
pub async fn run(config: &Config, times: bool) -> Result<ExitCode> {
    let pool = db::pool(&config.database)?;
    let mut db = pool.get().await?;
    let tx =
        db.build_transaction().read_only(true).isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
    tx.batch_execute(SETTINGS).await?;
    let (mut count, mut rules) = (0, 0);
    for rule in all() {
        let found = find(&tx, rule).await?;
        for line in &found.lines {
            println!("{}: {line}", found.rule);
        }
        if found.count > found.lines.len() {
            println!("{}: and {} more", found.rule, found.count - found.lines.len());
        }
        if times {
            println!("{:>8.2} s  {}", found.took.as_secs_f64(), found.rule);
        }
        (count, rules) = (count + found.count, rules + 1);
    }
    println!("{rules} rules, {count} violation(s)");
    Ok(if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
