//! What the operator has not been told of yet, and when it is time for that.
//!
//! An alert's first occurrence of the day is told within a minute. Repeats are counted, and told with the next mail that goes out
//! anyway, else in the morning of the next day. A problem that lasts beyond midnight is no new one: it is told again in the
//! morning, once a day.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use jiff::civil::{Date, time};
use tokio_postgres::Row;

use super::Severity;
use crate::calendar;
use crate::db;
use crate::error::Result;
use crate::ids::AlertId;

/// So long an alert is counted before it is told: a cause that stops many payments meets them within seconds.
const SETTLES: &str = "20 seconds";
/// From this hour of the shop's day on, yesterday's repeats are told.
const MORNING: jiff::civil::Time = time(7, 0, 0, 0);
/// A key that was met this long before midnight, and again after it, is one problem that lasts.
const LASTS: &str = "2 hours";

/// An alert that a mail is about to tell of.
#[derive(Debug)]
pub struct Told {
    pub id: AlertId,
    pub key: String,
    pub day: Date,
    pub severity: Severity,
    pub subject: String,
    pub text: String,
    pub orders: Vec<String>,
    pub count: i64,
    /// What earlier mails told of it; 0: it is new.
    pub told_count: i64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

impl Told {
    pub fn is_new(&self) -> bool {
        self.told_count == 0
    }

    fn of(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            key: row.get("key"),
            day: row.get("day"),
            severity: Severity::named(row.get("severity")).unwrap_or(Severity::Critical),
            subject: row.get("subject"),
            text: row.get("text"),
            orders: row.get("order_numbers"),
            count: row.get("count"),
            told_count: row.get("told_count"),
            first_at: row.get("first_at"),
            last_at: row.get("last_at"),
        }
    }
}

/// Whether there is a reason for a mail now.
pub async fn is_due(db: &impl GenericClient, now: Timestamp) -> Result<bool> {
    const IS_DUE: &str = "
        WITH untold AS (
            SELECT a.told_count, a.day, a.first_at,
                   EXISTS (SELECT FROM alerts y WHERE y.key = a.key AND y.day = a.day - 1 AND y.told_count > 0
                              AND y.last_at > a.first_at - $4::text::interval) AS lasts
              FROM alerts a WHERE a.told_count < a.count AND a.acknowledged_at IS NULL)
        SELECT coalesce(bool_or(CASE WHEN told_count > 0 THEN $2::boolean AND day < $1::date
                                     WHEN lasts THEN $2
                                     ELSE first_at <= now() - $3::text::interval END), false) FROM untold";
    let here = now.to_zoned(calendar::zone());
    let (today, is_morning) = (here.date(), here.time() >= MORNING);
    Ok(db::query_one(db, IS_DUE, &[&today, &is_morning, &SETTLES, &LASTS]).await?.get(0))
}

/// The most severe of those that are not told yet, new ones before repeats; locked, so that two mails never tell of the same.
/// Also how many are left for the next mail.
pub async fn find_due(tx: &impl GenericClient, most: i64) -> Result<(Vec<Told>, i64)> {
    const FIND: &str = "
        SELECT id, key, day, severity, subject, text, order_numbers, count, told_count, first_at, last_at
          FROM alerts WHERE told_count < count AND acknowledged_at IS NULL
         ORDER BY told_count > 0, CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, first_at, id
         LIMIT $1 FOR UPDATE SKIP LOCKED";
    const COUNT: &str = "SELECT count(*) FROM alerts WHERE told_count < count AND acknowledged_at IS NULL";
    let told: Vec<Told> = db::query(tx, FIND, &[&most]).await?.iter().map(Told::of).collect();
    let all: i64 = db::query_one(tx, COUNT, &[]).await?.get(0);
    let left = all.saturating_sub(told.len() as i64).max(0);
    Ok((told, left))
}

/// They were told, as they were counted then, by the message of that event or by the log.
pub async fn mark_told(tx: &impl GenericClient, told: &[Told], by: Option<&str>) -> Result<()> {
    const MARK: &str = "
        UPDATE alerts a SET told_at = now(), told_count = t.count, told_by = $3
          FROM unnest($1::uuid[], $2::bigint[]) AS t (id, count) WHERE a.id = t.id";
    let (ids, counts): (Vec<AlertId>, Vec<i64>) = told.iter().map(|alert| (alert.id, alert.count)).unzip();
    db::execute(tx, MARK, &[&ids, &counts, &by]).await?;
    Ok(())
}

/// That mail never left: what it told of is new again.
pub async fn mark_untold(tx: &impl GenericClient, by: &str) -> Result<()> {
    const MARK: &str = "UPDATE alerts SET told_at = NULL, told_count = 0, told_by = NULL WHERE told_by = $1";
    db::execute(tx, MARK, &[&by]).await?;
    Ok(())
}
