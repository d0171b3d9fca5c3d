//! Counting occurrences into alerts, one row per key and day.

use std::collections::BTreeMap;

use deadpool_postgres::Pool;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_postgres::Row;

use super::key_words::word_of;
use crate::calendar;
use crate::db;
use crate::error::Result;
use crate::ids::AlertId;

/// Occurrences that one transaction counts.
const BATCH: i64 = 1000;
/// Batches of one call: a storm that brings more is counted by the next one.
const MAX_BATCHES: usize = 100;
/// Orders that an alert names.
const NAMED: usize = 20;

/// The occurrences of one key and day, as far as one batch has them.
struct Group {
    severity: String,
    subject: String,
    text: String,
    cause: String,
    orders: Vec<String>,
    count: i64,
    first_at: Timestamp,
    last_at: Timestamp,
}

/// Counts what was raised since the last time. Two that count at once take different rows. How many occurrences were counted.
pub async fn count(pool: &Pool) -> Result<usize> {
    let mut counted = 0;
    for _ in 0..MAX_BATCHES {
        let of_batch = count_batch(&mut pool.get().await?).await?;
        counted += of_batch;
        if of_batch < BATCH as usize {
            break;
        }
    }
    Ok(counted)
}

async fn count_batch(db: &mut db::Connection) -> Result<usize> {
    const TAKE: &str = "
        WITH taken AS (SELECT id FROM alert_occurrences ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
        DELETE FROM alert_occurrences o USING taken t WHERE o.id = t.id
        RETURNING o.id, o.key, o.severity, o.subject, o.text, o.order_number, o.cause, o.raised_at";
    let tx = db.transaction().await?;
    let mut rows = db::query(&tx, TAKE, &[&BATCH]).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    rows.sort_by_key(|row| (row.get::<_, Timestamp>("raised_at"), row.get::<_, i64>("id")));
    let mut groups: BTreeMap<(String, Date), Group> = BTreeMap::new(); // in order: two that count at once lock in the same one
    for row in &rows {
        let key = (row.get("key"), calendar::day_of(row.get("raised_at")));
        groups.entry(key).and_modify(|group| group.add(row)).or_insert_with(|| Group::of(row));
    }
    write(&tx, &groups).await?;
    tx.commit().await?;
    for ((key, _), group) in &groups {
        let (word, severity) = (word_of(key).to_owned(), group.severity.clone());
        metrics::counter!("vitrine_alerts_total", "key" => word, "severity" => severity).increment(group.count.unsigned_abs());
    }
    Ok(rows.len())
}

impl Group {
    fn of(row: &Row) -> Self {
        let at = row.get("raised_at");
        Self {
            severity: row.get("severity"),
            subject: row.get("subject"),
            text: row.get("text"),
            cause: row.get("cause"),
            orders: row.get::<_, Option<String>>("order_number").into_iter().collect(),
            count: 1,
            first_at: at,
            last_at: at,
        }
    }

    fn add(&mut self, row: &Row) {
        let next = Self::of(row);
        let is_new = |order: &String| self.orders.len() < NAMED && !self.orders.contains(order);
        let orders: Vec<String> = next.orders.into_iter().filter(is_new).collect();
        self.orders.extend(orders);
        (self.severity, self.subject, self.text, self.cause) = (next.severity, next.subject, next.text, next.cause);
        self.count += 1;
        self.last_at = next.last_at;
    }
}

async fn write(tx: &db::Transaction<'_>, groups: &BTreeMap<(String, Date), Group>) -> Result<()> {
    // The numbers of a group travel as one text: PostgreSQL has no array of arrays of different lengths.
    const WRITE: &str = "
        INSERT INTO alerts AS a (id, key, day, severity, subject, text, cause, order_numbers, count, first_at, last_at)
        SELECT n.id, n.key, n.day, n.severity, n.subject, n.text, n.cause, string_to_array(n.orders, ' '), n.count, n.first_at, n.last_at
          FROM unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
                      $10::timestamptz[], $11::timestamptz[])
            AS n (id, key, day, severity, subject, text, cause, orders, count, first_at, last_at)
         ORDER BY n.key, n.day
        ON CONFLICT (key, day) DO UPDATE
           SET severity = excluded.severity, subject = excluded.subject, text = excluded.text, cause = excluded.cause,
               order_numbers = (a.order_numbers || ARRAY(SELECT e FROM unnest(excluded.order_numbers) e
                                                          WHERE e <> ALL (a.order_numbers)))[1:$12::int],
               count = a.count + excluded.count,
               first_at = least(a.first_at, excluded.first_at), last_at = greatest(a.last_at, excluded.last_at)";
    let ids: Vec<AlertId> = groups.keys().map(|_| AlertId::new()).collect();
    let (keys, days): (Vec<&str>, Vec<Date>) = groups.keys().map(|(key, day)| (key.as_str(), *day)).unzip();
    let text = |of: fn(&Group) -> &str| groups.values().map(of).collect::<Vec<&str>>();
    let (severities, subjects) = (text(|g| &g.severity), text(|g| &g.subject));
    let (texts, causes) = (text(|g| &g.text), text(|g| &g.cause));
    let orders: Vec<String> = groups.values().map(|g| g.orders.join(" ")).collect();
    let counts: Vec<i64> = groups.values().map(|g| g.count).collect();
    let (firsts, lasts): (Vec<Timestamp>, Vec<Timestamp>) = groups.values().map(|g| (g.first_at, g.last_at)).unzip();
    let named = NAMED as i32;
    db::execute(
        tx,
        WRITE,
        &[&ids, &keys, &days, &severities, &subjects, &texts, &causes, &orders, &counts, &firsts, &lasts, &named],
    )
    .await?;
    Ok(())
}
