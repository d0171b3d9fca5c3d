//! A day's reports as a table: the sums of each provider, then its differences.

use super::report::{Line, Report, Summary};
use crate::error::{Error, Result};

const COLUMNS: [&str; 14] = [
    "day",
    "provider",
    "status",
    "kind",
    "payment_id",
    "order_number",
    "reference",
    "ours_count",
    "ours_cents",
    "theirs_count",
    "theirs_cents",
    "currency",
    "set_in_motion",
    "note",
];

/// RFC 4180. Two lines of sums per provider (`captured`, `refunded`), then one per difference.
pub fn csv(reports: &[Report]) -> Result<Vec<u8>> {
    let failed = |e: csv::Error| Error::Internal(format!("report: {e}"));
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    table.write_record(COLUMNS).map_err(failed)?;
    for report in reports {
        let s = &report.summary;
        let captured = (s.ours_captured_count, s.ours_captured_cents, s.theirs_captured_count, s.theirs_captured_cents);
        let refunded = (s.ours_refunded_count, s.ours_refunded_cents, s.theirs_refunded_count, s.theirs_refunded_cents);
        table.write_record(sums(s, "captured", captured)).map_err(failed)?;
        table.write_record(sums(s, "refunded", refunded)).map_err(failed)?;
        for line in &report.lines {
            table.write_record(difference(s, line)).map_err(failed)?;
        }
    }
    table.into_inner().map_err(|e| Error::Internal(format!("report: {e}")))
}

fn sums(s: &Summary, kind: &str, (count, cents, their_count, their_cents): (i32, i64, Option<i32>, Option<i64>)) -> Vec<String> {
    let none = String::new;
    vec![
        s.day.to_string(),
        text(&s.provider),
        s.status.as_str().to_owned(),
        kind.to_owned(),
        none(),
        none(),
        none(),
        count.to_string(),
        cents.to_string(),
        number(their_count),
        number(their_cents),
        "BRL".to_owned(),
        none(),
        none(),
    ]
}

fn difference(s: &Summary, line: &Line) -> Vec<String> {
    let none = String::new;
    vec![
        s.day.to_string(),
        text(&s.provider),
        s.status.as_str().to_owned(),
        line.kind.as_str().to_owned(),
        line.payment_id.map(|id| id.to_string()).unwrap_or_default(),
        text(line.order_number.as_deref().unwrap_or_default()),
        text(line.reference.as_deref().unwrap_or_default()),
        none(),
        number(line.ours_cents),
        none(),
        number(line.theirs_cents),
        text(&line.currency),
        line.set_in_motion.map(|motion| motion.as_str().to_owned()).unwrap_or_default(),
        text(&line.note),
    ]
}

fn number(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A provider's words must stay words: a spreadsheet runs a cell that begins like a formula.
fn text(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if is_formula { format!("'{cell}") } else { cell.to_owned() }
}
