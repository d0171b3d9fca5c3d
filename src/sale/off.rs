//! Whether the sale of an order is off: its money is back or on its way back, so what has not left is not sent any more.

use deadpool_postgres::GenericClient;

use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::OrderId;
use crate::jobs::{self, Job};

/// SQL, of a paid order `o`: the sale is off. All that was paid for it went back or is on its way, was taken back by the
/// payer's bank, or its goods are on the shelf again. A refund that fails puts the sale on again.
pub const SALE_IS_OFF: &str = "
    (NOT o.stock_held OR o.payment_status = 'refunded' OR coalesce((SELECT sum(p.captured_cents) > 0 AND sum(p.captured_cents) <= sum(p.refunded_cents + p.lost_cents)
                                     FROM payments p WHERE p.order_id = o.id), false))";

/// [`SALE_IS_OFF`] of one order. Call this while holding the order's lock.
pub async fn sale_is_off(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    const ASK: &str = sql!("SELECT ", SALE_IS_OFF, " AS is_off FROM orders o WHERE o.id = $1");
    Ok(db::query_opt(db, ASK, &[&order]).await?.is_some_and(|row| row.get("is_off")))
}

/// Queues the jobs that follow a change of `sale_is_off` of a locked order. Each job checks for itself whether there is
/// anything to do. The caller commits.
pub async fn queue_jobs_after_change(tx: &impl GenericClient, order: OrderId, was_off: bool) -> Result<()> {
    let follows = match (was_off, sale_is_off(tx, order).await?) {
        (false, true) => [Job::DropLabel { order }, Job::DropInvoice { order }],
        (true, false) => [Job::InvoiceOrder { order }, Job::BuyLabel { order }],
        _ => return Ok(()),
    };
    jobs::push_all_now(tx, &follows.map(|job| (job, None))).await
}
