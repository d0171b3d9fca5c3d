//! The SQL of the daily comparison.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::GenericClient;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use vitrine_kit::Money;

use super::compare::Ours;
use super::report::{Line, Report, Status, Summary};
use crate::db::{self, insert, sql};
use crate::error::{Error, Result};
use crate::ids::PaymentId;
use crate::payments::store::{self, id_floor};
use crate::sale::states::RefundStatus;

/// A charge lives for a week at most, and a day passes before its end is final.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 8);

/// Payments beside those that came in, or went back, on the day.
#[derive(Debug, Default)]
pub(super) struct Also {
    pub ids: Vec<PaymentId>,
    pub references: Vec<String>,
    /// Those without money that could have been paid on the day.
    pub unpaid: bool,
}

/// SQL, of a payment `p`: what went back of it by the ledger, as the provider's list of refunds has it. What a lost dispute took is
/// there only where it took it by an entry of that list; what the shop paid another way is not.
const RETURNED: &str = "
    coalesce((SELECT sum(CASE WHEN m.kind IN ('refund', 'dispute_out') THEN m.amount_cents ELSE -m.amount_cents END)
                FROM money_movements m LEFT JOIN disputes d ON d.id = m.dispute_id
               WHERE m.order_id = p.order_id AND m.payment_id = p.id AND m.kind <> 'refund_otherwise' AND (m.refund_id IS NOT NULL OR d.return_ref IS NOT NULL)), 0)::bigint";

/// Our side of a day.
pub(super) async fn list_of_day(
    db: &impl GenericClient,
    provider: &str,
    (from, to): (Timestamp, Timestamp),
    also: &Also,
) -> Result<Vec<Ours>> {
    const LIST: &str = sql!("
        WITH found AS (
            SELECT id FROM payments WHERE provider = $1 AND paid_at >= $2 AND paid_at < $3
            UNION
            SELECT m.payment_id FROM money_movements m LEFT JOIN disputes d ON d.id = m.dispute_id
             WHERE m.provider = $1 AND m.kind <> 'capture' AND (m.refund_id IS NOT NULL OR d.return_ref IS NOT NULL) AND m.at >= $2 AND m.at < $3
            UNION
            SELECT id FROM payments WHERE id = ANY($4)
            UNION
            SELECT id FROM payments WHERE provider = $1 AND provider_ref = ANY($5)
            UNION
            SELECT id FROM payments
             WHERE $6 AND provider = $1 AND captured_cents = 0 AND id >= $7 AND id < $8
               AND greatest(expires_at + interval '1 hour', updated_at) >= $2)
        SELECT p.id, o.number, coalesce(p.paid_at >= $2 AND p.paid_at < $3, false) AS is_of_day,
               EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status IN ", RefundStatus::OPEN_SQL, ") AS is_refund_open,
               ", RETURNED, " AS returned_cents
          FROM found JOIN payments p ON p.id = found.id JOIN orders o ON o.id = p.order_id");
    let earliest = id_floor(from.saturating_sub(LONGEST_LIFE).unwrap_or(from));
    let rows = db::query(db, LIST, &[&provider, &from, &to, &also.ids, &also.references, &also.unpaid, &earliest, &id_floor(to)])
        .await?;
    let facts: HashMap<PaymentId, Row> = rows.into_iter().map(|row| (row.get("id"), row)).collect();
    let ids: Vec<PaymentId> = facts.keys().copied().collect();
    let payments = store::list(db, &ids).await?;
    let ours = payments.into_iter().filter_map(|payment| {
        let row = facts.get(&payment.id)?;
        Some(Ours {
            number: row.get("number"),
            returned: row.get("returned_cents"),
            is_refund_open: row.get("is_refund_open"),
            is_of_day: row.get("is_of_day"),
            payment,
        })
    });
    Ok(ours.collect())
}

/// What has gone back of payments by the ledger, and whether more is on its way.
pub(in crate::payments) async fn returned(
    db: &impl GenericClient,
    ids: &[PaymentId],
) -> Result<HashMap<PaymentId, (Money, bool)>> {
    const LIST: &str = sql!(
        "
        SELECT p.id,
               EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status IN ",
        RefundStatus::OPEN_SQL,
        ") AS is_refund_open,
               ",
        RETURNED,
        " AS returned_cents
          FROM payments p WHERE p.id = ANY($1)"
    );
    let rows = db::query(db, LIST, &[&ids]).await?;
    Ok(rows.iter().map(|row| (row.get("id"), (row.get("returned_cents"), row.get("is_refund_open")))).collect())
}

/// Who took money in that time.
pub(super) async fn list_providers(db: &impl GenericClient, from: Timestamp, to: Timestamp) -> Result<Vec<String>> {
    const LIST: &str = "SELECT DISTINCT provider FROM payments WHERE paid_at >= $1 AND paid_at < $2 ORDER BY 1";
    Ok(db::query(db, LIST, &[&from, &to]).await?.iter().map(|row| row.get("provider")).collect())
}

/// The first and the last sign of each provider's payments since then.
pub(super) async fn lives(db: &impl GenericClient, since: Timestamp) -> Result<Vec<(String, Timestamp, Timestamp)>> {
    const LIST: &str = "
        SELECT provider, min(created_at) AS first, max(greatest(created_at, paid_at)) AS last FROM payments WHERE id >= $1 GROUP BY provider";
    let rows = db::query(db, LIST, &[&id_floor(since)]).await?;
    Ok(rows.iter().map(|row| (row.get("provider"), row.get("first"), row.get("last"))).collect())
}

/// The reports that there are since that day.
pub(super) async fn made_since(db: &impl GenericClient, day: Date) -> Result<HashSet<(Date, String)>> {
    const LIST: &str = "SELECT day, provider FROM reconciliations WHERE day >= $1";
    Ok(db::query(db, LIST, &[&day]).await?.iter().map(|row| (row.get("day"), row.get("provider"))).collect())
}

/// The columns of a [`Summary`].
pub(crate) const SUMMARY: &str = "
    day, provider, status, made_at, ours_captured_count, ours_captured_cents, theirs_captured_count, theirs_captured_cents,
    ours_refunded_count, ours_refunded_cents, theirs_refunded_count, theirs_refunded_cents, difference_cents, differences";

pub(crate) fn summary_of(row: &Row) -> Summary {
    Summary {
        day: row.get("day"),
        provider: row.get("provider"),
        status: Status::of(row.get("status")),
        made_at: row.get("made_at"),
        ours_captured_count: row.get("ours_captured_count"),
        ours_captured_cents: row.get("ours_captured_cents"),
        theirs_captured_count: row.get("theirs_captured_count"),
        theirs_captured_cents: row.get("theirs_captured_cents"),
        ours_refunded_count: row.get("ours_refunded_count"),
        ours_refunded_cents: row.get("ours_refunded_cents"),
        theirs_refunded_count: row.get("theirs_refunded_count"),
        theirs_refunded_cents: row.get("theirs_refunded_cents"),
        difference_cents: row.get("difference_cents"),
        differences: row.get("differences"),
    }
}

fn report_of(row: &Row) -> Result<Report> {
    let lines: Vec<Line> = serde_json::from_value(row.get("lines"))
        .map_err(|e| Error::Internal(format!("a report that this release cannot read: {e}")))?;
    Ok(Report { summary: summary_of(row), lines })
}

/// The reports of a day, by provider.
pub(crate) async fn list(db: &impl GenericClient, day: Date) -> Result<Vec<Report>> {
    const LIST: &str = sql!("SELECT ", SUMMARY, ", lines FROM reconciliations WHERE day = $1 ORDER BY provider");
    db::query(db, LIST, &[&day]).await?.iter().map(report_of).collect()
}

/// Puts a report in the place of the one before, which it gives back.
pub(super) async fn replace(tx: &impl GenericClient, report: &Report) -> Result<Option<Report>> {
    const BEFORE: &str = sql!("SELECT ", SUMMARY, ", lines FROM reconciliations WHERE day = $1 AND provider = $2 FOR UPDATE");
    let s = &report.summary;
    let before = db::query_opt(tx, BEFORE, &[&s.day, &s.provider]).await?;
    let lines = serde_json::to_value(&report.lines).map_err(|e| Error::Internal(format!("a report's lines: {e}")))?;
    let row = insert!("reconciliations" {
        day: s.day,
        provider: s.provider,
        status: s.status.as_str(),
        ours_captured_count: s.ours_captured_count,
        ours_captured_cents: s.ours_captured_cents,
        theirs_captured_count: s.theirs_captured_count,
        theirs_captured_cents: s.theirs_captured_cents,
        ours_refunded_count: s.ours_refunded_count,
        ours_refunded_cents: s.ours_refunded_cents,
        theirs_refunded_count: s.theirs_refunded_count,
        theirs_refunded_cents: s.theirs_refunded_cents,
        difference_cents: s.difference_cents,
        differences: s.differences,
        lines: lines,
    } "ON CONFLICT (day, provider) DO UPDATE
           SET status = excluded.status, ours_captured_count = excluded.ours_captured_count,
               ours_captured_cents = excluded.ours_captured_cents, theirs_captured_count = excluded.theirs_captured_count,
               theirs_captured_cents = excluded.theirs_captured_cents, ours_refunded_count = excluded.ours_refunded_count,
               ours_refunded_cents = excluded.ours_refunded_cents, theirs_refunded_count = excluded.theirs_refunded_count,
               theirs_refunded_cents = excluded.theirs_refunded_cents, difference_cents = excluded.difference_cents,
               differences = excluded.differences, lines = excluded.lines, made_at = now()");
    db::execute(tx, row.sql, &row.values).await?;
    Ok(before.as_ref().and_then(|row| report_of(row).ok()))
}
