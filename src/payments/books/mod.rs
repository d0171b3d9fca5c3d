//! The daily comparison of our books with every provider's: what came in and what went back, payment by payment. What can be
//! healed is set in motion at once; every difference is a line of the day's report, and the operator is told of it once.

mod ask;
mod compare;
mod report;
pub(crate) mod store;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use deadpool_postgres::GenericClient;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::calendar::{day_of, zone};
use crate::db;
use crate::error::{Error, Result};
use crate::jobs::{self, Job, Outcome};
use crate::payments::gateway::Gateway;

pub use report::{Kind, Line, Motion, Report, Status, Summary};
pub use table::csv;

/// PIX is younger than this, and so is every shop's account for it.
pub const OLDEST: Date = jiff::civil::date(2020, 1, 1);
/// Days that are caught up with after the servers were away.
const CATCH_UP_DAYS: i64 = 30;
/// The hour at which a day is compared, in the shop's time: late payments of the evening have settled by then.
const HOUR: i8 = 5;

/// Between two missed days of a provider.
const APART: SignedDuration = SignedDuration::from_mins(1);

/// A day of the shop, from its midnight to the next one.
pub fn bounds(day: Date) -> Result<(Timestamp, Timestamp)> {
    let midnight = |day: Date| day.to_zoned(zone()).map(|zoned| zoned.timestamp());
    let out_of_time = |e: jiff::Error| Error::Internal(format!("the day {day} has no bounds: {e}"));
    let next = day.tomorrow().map_err(out_of_time)?;
    Ok((midnight(day).map_err(out_of_time)?, midnight(next).map_err(out_of_time)?))
}

/// By the database's clock, in the shop's time.
pub async fn now(db: &impl GenericClient) -> Result<Zoned> {
    let now: Timestamp = db::query_one(db, "SELECT now() AS now", &[]).await?.get("now");
    Ok(now.to_zoned(zone()))
}

/// Compares a day anew, now: one job per provider that is configured or took money on it. Their names. The caller commits.
pub async fn order(app: &App, tx: &impl GenericClient, day: Date) -> Result<Vec<String>> {
    let (from, to) = bounds(day)?;
    let mut providers: Vec<String> = app.providers.of_new_payments().into_iter().map(str::to_owned).collect();
    providers.extend(
        store::list_providers(tx, from, to).await?.into_iter().filter(|name| !app.providers.of_new_payments().contains(&&**name)),
    );
    let jobs: Vec<_> = providers.iter().map(|provider| (Job::CompareBooks { day, provider: provider.clone() }, None)).collect();
    jobs::push_all_now(tx, &jobs).await?;
    Ok(providers)
}

/// The recurring job: every day that is over and has no report yet gets one, also after a week without a server.
pub async fn keep(app: &App) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let now = now(&tx).await?;
    let last = last_due(&now);
    let first = last.saturating_sub((CATCH_UP_DAYS - 1).days());
    let life = store::lives(&tx, bounds(first)?.0).await?;
    let life = life.into_iter().map(|(name, from, to)| (name, (day_of(from), day_of(to)))).collect();
    let made = store::made_since(&tx, first).await?;
    let due = due(&app.providers.of_new_payments(), first, last, &life, &made);
    if !due.is_empty() {
        tracing::info!(count = due.len(), "days of providers to be compared");
        jobs::push_all(&tx, &spread(due, now.timestamp())).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Again(next_run(&now)))
}

/// A provider's missed days are asked for one after the other: its limits are the buyers' first.
fn spread(due: Vec<(Date, String)>, now: Timestamp) -> Vec<(Job, Option<Timestamp>)> {
    let mut before: HashMap<String, i32> = HashMap::new();
    let job = |(day, provider): (Date, String)| {
        let count = before.entry(provider.clone()).or_default();
        let at = now + APART * *count;
        *count += 1;
        (Job::CompareBooks { day, provider }, Some(at))
    };
    due.into_iter().map(job).collect()
}

/// Yesterday, or in the small hours the day before.
fn last_due(now: &Zoned) -> Date {
    now.date().saturating_sub(if now.hour() < HOUR { 2.days() } else { 1.day() })
}

fn next_run(now: &Zoned) -> Timestamp {
    let day = if now.hour() < HOUR { now.date() } else { now.date().saturating_add(1.day()) };
    let at = day.at(HOUR, 0, 0, 0).to_zoned(now.time_zone().clone());
    at.map_or_else(|_| now.timestamp() + SignedDuration::from_hours(24), |at| at.timestamp())
}

/// Which days of which providers still want a report, the oldest first. A provider's books matter from its first payment
/// here on; one that is not configured any more, only until its last.
fn due(
    configured: &[&str],
    first: Date,
    last: Date,
    life: &HashMap<String, (Date, Date)>,
    made: &HashSet<(Date, String)>,
) -> Vec<(Date, String)> {
    let gone = life.keys().map(String::as_str).filter(|name| !configured.contains(name));
    let span = |name: &str| {
        let life = life.get(name);
        let report = made.iter().filter(|(_, of)| of == name).map(|(day, _)| *day).min();
        let from = life.map(|(from, _)| *from).into_iter().chain(report).min()?;
        let to = if configured.contains(&name) { last } else { life?.1.min(last) };
        Some((from.max(first), to))
    };
    let days = |name: &str| {
        let (from, to) = span(name).unwrap_or((last, first));
        let days = from.series(1.day()).take_while(move |day| *day <= to);
        days.map(|day| (day, name.to_owned())).collect::<Vec<_>>()
    };
    let mut due: Vec<_> = configured.iter().copied().chain(gone).flat_map(days).filter(|one| !made.contains(one)).collect();
    due.sort();
    due
}

/// The job: a day's report of one provider. Made again it says the same, unless the books have changed.
pub async fn compare(app: &App, day: Date, provider: &str) -> Result<Outcome> {
    let (from, to) = bounds(day)?;
    let report = match Gateway::named(app, provider) {
        Ok(gateway) => compare::report(day, provider, &ask::books(app, &gateway, from, to).await?),
        Err(_) => compare::cannot_be_asked(day, provider, &ask::ours_alone(app, provider, from, to).await?),
    };
    keep_report(app, &report).await?;
    Ok(Outcome::Done)
}

/// The report, what heals its differences, and the operator's mail: together.
async fn keep_report(app: &App, report: &compare::Compared) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let before = store::replace(&tx, &report.report).await?;
    let (at_once, later): (Vec<_>, Vec<_>) = report.heal.iter().cloned().partition(|(_, wait)| wait.is_none());
    jobs::push_all_now(&tx, &at_once.into_iter().map(|(job, _)| (job, None)).collect::<Vec<_>>()).await?;
    let now = Timestamp::now();
    jobs::push_all(&tx, &later.into_iter().map(|(job, wait)| (job, wait.map(|wait| now + wait))).collect::<Vec<_>>()).await?;
    if let Some((subject, text)) = report.report.alert(before.as_ref()) {
        let (provider, day) = (report.report.summary.provider.as_str(), report.report.summary.day);
        let key = Key::BooksDiffer { provider, day, subject: &subject, lines: &text };
        alerts::raise(&tx, Alert::new(key, text.clone())).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}
