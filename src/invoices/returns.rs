//! What comes back: a return invoice (finalidade 4) for goods that were refunded, or for a sale whose invoice can no longer
//! be cancelled.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::Row;
use vitrine_kit::Money;
use vitrine_kit::fiscal::{Regime, Taxes};

use super::store::{self, NewInvoice, Returned};
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{InvoiceId, LineId, OrderId, RefundId};
use crate::jobs::{self, Job};

/// How many of each line.
pub type Lines = Vec<(LineId, i32)>;

/// Plans the return invoice of a refund, if the goods had left under an invoice. `lines`: what came back; `None`: all that is
/// left of it. The order is locked by the caller, who commits.
pub async fn plan(
    tx: &impl GenericClient,
    order: OrderId,
    refund: Option<RefundId>,
    lines: Option<&Lines>,
    actor: Actor,
) -> Result<()> {
    let Some(sale) = store::sale_of(tx, order).await? else { return Ok(()) };
    if matches!(sale.status.as_str(), "denied" | "cancelled") {
        return Ok(());
    }
    let left = left_to_return(tx, order, sale.id).await?;
    let wanted = match lines {
        Some(lines) => lines.iter().map(|(line, n)| (*line, (*n).min(left.get(line).copied().unwrap_or(0)))).collect(),
        None => left.into_iter().collect::<Lines>(),
    };
    let wanted: Lines = wanted.into_iter().filter(|(_, n)| *n > 0).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let new = NewInvoice {
        order,
        provider: &sale.provider,
        environment: sale.environment,
        total: Money::ZERO, // known once it is put together
        returned: Some(Returned { sale: sale.id, refund, lines: &wanted }),
    };
    if let Some(invoice) = store::insert(tx, &new, actor).await? {
        jobs::push(tx, Job::SendInvoice { invoice }).await?;
    }
    Ok(())
}

/// What was sold and has not been given back by an earlier return.
async fn left_to_return(tx: &impl GenericClient, order: OrderId, sale: InvoiceId) -> Result<BTreeMap<LineId, i32>> {
    const SOLD: &str = "SELECT id, quantity FROM order_lines WHERE order_id = $1";
    const BACK: &str = "SELECT lines FROM invoices WHERE sale_id = $1 AND status NOT IN ('denied', 'cancelled')";
    let sold = db::query(tx, SOLD, &[&order]).await?;
    let mut left: BTreeMap<LineId, i32> = sold.iter().map(|row| (row.get("id"), row.get("quantity"))).collect();
    for row in db::query(tx, BACK, &[&sale]).await? {
        for (line, quantity) in lines_of(&row) {
            left.entry(line).and_modify(|left| *left -= quantity);
        }
    }
    Ok(left)
}

/// What returns before this one gave back of a sale.
pub async fn earlier(db: &impl GenericClient, sale: InvoiceId, than: InvoiceId) -> Result<Lines> {
    const EARLIER: &str = "
        SELECT lines FROM invoices WHERE sale_id = $1 AND id < $2 AND status NOT IN ('denied', 'cancelled')";
    let rows = db::query(db, EARLIER, &[&sale, &than]).await?;
    Ok(rows.iter().flat_map(lines_of).collect())
}

fn lines_of(row: &Row) -> Lines {
    let lines: Option<Value> = row.get("lines");
    lines.and_then(|lines| serde_json::from_value(lines).ok()).unwrap_or_default()
}

/// The taxes of goods that come in again: PIS and COFINS have codes of their own for that (98, other entries), and MEI takes
/// goods back by CSOSN 900 (NT 2024.001).
pub fn turn_around(regime: Regime, taxes: &mut Taxes) {
    if regime == Regime::Mei {
        "900".clone_into(&mut taxes.icms.situation);
    }
    for contribution in [&mut taxes.pis, &mut taxes.cofins] {
        contribution.situation = "98".to_owned();
        contribution.own = None;
    }
}
