//! `vitrine explain`: an order's history in order, each step with its actor and its cause. For support and disputes. Read-only.
//! It names no person: ids stand for people, and free text is left out.

use std::process::ExitCode;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::config::Config;
use crate::db::{self, Patience};
use crate::error::{Error, Result};
use crate::sale::named;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub at: Timestamp,
    /// `order`, `payment 0190…`, `stock of CAM-P`, `job 0190… mail_order_paid` …
    pub what: String,
    pub from: Option<String>,
    pub to: Option<String>,
    /// `user:…`, `admin:…`, `shipper:…`, `guest`, `system`, `provider:…`.
    pub who: Option<String>,
    /// `request:…`, `job:…`, `webhook:…`; jobs and webhooks are steps of this history too.
    pub cause: Option<String>,
    pub note: String,
    /// Its state does not follow from the step before: something is missing.
    pub is_gap: bool,
}

/// An order and its steps, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    pub id: Uuid,
    pub number: String,
    pub status: String,
    pub payment_status: String,
    pub total_cents: i64,
    pub steps: Vec<Step>,
}

/// The history of an order, by its id or its number. `None`: there is no such order.
pub async fn story(db: &impl GenericClient, order: &str) -> Result<Option<Story>> {
    const FIND: &str = "
        SELECT id, number, status, payment_status, total_cents FROM orders WHERE number = ANY ($1) OR id = $2 ORDER BY (id = $2) DESC LIMIT 1";
    let order = order.trim();
    let (number, id) = (named::readings(order), Uuid::parse_str(order).unwrap_or_default());
    let Some(row) = db::query_opt(db, FIND, &[&number, &id]).await? else { return Ok(None) };
    let id: Uuid = row.get("id");
    let steps = db::query(db, STORY, &[&id]).await?;
    Ok(Some(Story {
        id,
        number: row.get("number"),
        status: row.get("status"),
        payment_status: row.get("payment_status"),
        total_cents: row.get("total_cents"),
        steps: steps.iter().map(step_of).collect(),
    }))
}

/// `$1` the order. Rows of one transaction have the same time: causes come first, consequences last. Among equals the history
/// row's number decides, because a transaction that began earlier may have waited for the lock.
const STORY: &str = "
    WITH payment AS (SELECT id, method, provider, amount_cents FROM payments WHERE order_id = $1),
         refund AS (SELECT id, amount_cents, paid_otherwise_by FROM refunds WHERE order_id = $1),
         dispute AS (SELECT id, provider_ref, stage, amount_cents FROM disputes WHERE order_id = $1),
         line AS (SELECT id, sku FROM order_lines WHERE order_id = $1),
         job AS (SELECT id, kind, payload, state, run_at, attempts, last_error, cause, created_at, finished_at FROM jobs
                  WHERE payload ->> 'order' = $1::text OR payload ->> 'payment' IN (SELECT id::text FROM payment)
                     OR payload ->> 'refund' IN (SELECT id::text FROM refund) OR payload ->> 'reference' IN (SELECT provider_ref FROM dispute))
    SELECT at, what, before, after, who, cause, note, is_gap FROM (
        SELECT max(h.at) OVER (ORDER BY h.id) AS at, 1 AS rank, h.id AS seq,
               CASE h.subject WHEN 'message' THEN 'message ' || coalesce(m.kind, '') || CASE m.channel WHEN 'sms' THEN ' (sms)' ELSE '' END ELSE h.subject || coalesce(' ' || h.subject_id, '') END AS what,
               h.from_state AS before, h.to_state AS after, h.actor AS who, h.cause,
               concat_ws(', ', nullif(CASE WHEN h.actor ~ '^(user|admin|shipper|guest)' THEN '' ELSE h.reason END, ''),
                         p.method || ' by ' || p.provider || ' of ' || to_char(p.amount_cents / 100.0, 'FM999999999990.00'),
                         'of ' || to_char(r.amount_cents / 100.0, 'FM999999999990.00'), 'message:' || m.id,
                         d.stage || ' ' || d.provider_ref || coalesce(' of ' || to_char(d.amount_cents / 100.0, 'FM999999999990.00'), '')) AS note,
               h.subject IN ('order', 'payment_status', 'payment', 'refund', 'dispute', 'message', 'shipment')
               AND (CASE WHEN h.subject = 'refund' AND h.from_state IN ('processing', 'unknown') THEN 'pending' ELSE h.from_state END)
                   IS DISTINCT FROM lag(CASE WHEN h.subject = 'refund' AND h.to_state IN ('processing', 'unknown') THEN 'pending' ELSE h.to_state END)
                       OVER (PARTITION BY h.subject, h.subject_id ORDER BY h.id) AS is_gap
          FROM order_history h LEFT JOIN payment p ON p.id = h.subject_id LEFT JOIN refund r ON r.id = h.subject_id
          LEFT JOIN messages m ON m.id = h.subject_id AND h.subject = 'message' LEFT JOIN dispute d ON d.id = h.subject_id
         WHERE h.order_id = $1
        UNION ALL
        SELECT received_at, 0, 0, 'webhook ' || id || ' ' || event, NULL, outcome, 'provider:' || provider, 'request:' || request_id,
               'event ' || event_id, false
          FROM webhook_events WHERE order_id = $1
        UNION ALL
        SELECT s.at, 2, s.id, 'stock of ' || l.sku, NULL, CASE WHEN s.delta > 0 THEN '+' ELSE '' END || s.delta, s.actor, s.cause,
               s.reason || ', reservation ' || s.reservation, false
          FROM line l JOIN stock_movements s ON s.order_line_id = l.id AND s.reason IN ('sale', 'release')
        UNION ALL
        SELECT s.at, 2, s.id, 'stock of ' || l.sku, NULL, '+' || s.delta, s.actor, s.cause, s.reason || ', reservation ' || s.reservation, false
          FROM line l JOIN stock_movements s ON s.order_line_id = l.id AND s.reason = 'return'
        UNION ALL
        SELECT w.at, 2, w.id, 'written off of ' || l.sku, NULL, w.quantity::text, w.actor, w.cause, '', false
          FROM line l JOIN write_offs w ON w.order_line_id = l.id
        UNION ALL
        SELECT m.at, 3, m.id, 'money: ' || m.kind, NULL, to_char(m.amount_cents / 100.0, 'FM999999999990.00'),
               CASE m.kind WHEN 'refund_otherwise' THEN r.paid_otherwise_by ELSE 'provider:' || m.provider END, m.cause,
               concat_ws(', ', 'payment ' || m.payment_id, 'refund ' || m.refund_id, 'dispute ' || m.dispute_id, m.provider_ref), false
          FROM money_movements m LEFT JOIN refund r ON r.id = m.refund_id WHERE m.order_id = $1
        UNION ALL
        SELECT created_at, 4, 0, 'job ' || id || ' ' || kind, NULL, 'waiting', NULL, cause, '', false FROM job
        UNION ALL
        SELECT finished_at, 5, 0, 'job ' || id || ' ' || kind, 'waiting', state, 'system', NULL,
               concat_ws(', ', attempts || ' attempt(s)', last_error), false
          FROM job WHERE finished_at IS NOT NULL
        UNION ALL
        SELECT happened_at, 2, id, 'parcel', NULL, code, 'carrier', NULL, concat_ws(', ', description, place), false
          FROM shipment_events WHERE order_id = $1
        UNION ALL
        SELECT created_at, 2, 0, 'invoice ' || id, NULL, 'pending', NULL, NULL, purpose || ' by ' || provider, false FROM invoices WHERE order_id = $1
        UNION ALL
        SELECT authorized_at, 2, 0, 'invoice ' || id, NULL, 'authorized', 'provider:' || provider, NULL, concat_ws('/', series, number), false
          FROM invoices WHERE order_id = $1 AND authorized_at IS NOT NULL
        UNION ALL
        SELECT at, 2, id, action, NULL, NULL, actor, cause, '', false FROM audit_log
         WHERE entity_id = ANY (ARRAY(SELECT $1::text UNION ALL SELECT id::text FROM dispute UNION ALL SELECT id::text FROM refund))) story
     ORDER BY at, rank, seq, what";

fn step_of(row: &Row) -> Step {
    let note: String = row.get("note");
    Step {
        at: row.get("at"),
        what: without_people(row.get("what")),
        from: row.get("before"),
        to: row.get("after"),
        who: row.get("who"),
        cause: row.get("cause"),
        note: without_people(&note),
        is_gap: row.get("is_gap"),
    }
}

/// Masks words of a provider's error that may be an address or a document.
fn without_people(text: &str) -> String {
    let is_person = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let digits = word.chars().filter(char::is_ascii_digit).count();
        word.contains('@') || (matches!(digits, 11 | 14) && word.chars().all(|c| c.is_ascii_digit() || "./-".contains(c)))
    };
    text.split(' ').map(|word| if is_person(word) { "***" } else { word }).collect::<Vec<_>>().join(" ")
}

/// `vitrine explain`: prints the history as a table or as JSON; exit 1 if there is no such order.
pub async fn run(config: &Config, order: &str, as_json: bool) -> Result<ExitCode> {
    let pool = db::pool(&config.database, Patience::Command)?;
    let mut db = pool.get().await?;
    let tx =
        db.build_transaction().read_only(true).isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
    let Some(story) = story(&tx, order).await? else {
        eprintln!("vitrine: there is no order {order}");
        return Ok(ExitCode::FAILURE);
    };
    if as_json {
        println!("{}", serde_json::to_string_pretty(&story).map_err(|e| Error::Internal(e.to_string()))?);
    } else {
        print!("{}", table(&story));
    }
    Ok(ExitCode::SUCCESS)
}

/// Columns: time, what, from → to, who, cause, note; as wide as needed.
fn table(story: &Story) -> String {
    let total = format!("{}.{:02}", story.total_cents / 100, story.total_cents % 100);
    let mut text = format!("Order {} ({}): {}, {}, {total} BRL\n\n", story.number, story.id, story.status, story.payment_status);
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows: Vec<[String; 5]> = story
        .steps
        .iter()
        .map(|step| {
            let change = match &step.from {
                Some(from) => format!("{from} → {}", dash(&step.to)),
                None => dash(&step.to),
            };
            [step.at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(), step.what.clone(), change, dash(&step.who), dash(&step.cause)]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    for (row, step) in rows.iter().zip(&story.steps) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let gap = if step.is_gap { "GAP before this  " } else { "" };
        text.push_str(format!("{}  {gap}{}", cells.collect::<Vec<_>>().join("  "), step.note).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_person_is_masked_and_nothing_else() {
        let text = "529.982.247-25 and 52998224725, ana@example.com: E0000000020261121 of 105.22 by propay";
        assert_eq!(without_people(text), "*** and *** *** E0000000020261121 of 105.22 by propay");
    }
}
