//! Whether the sale of an order is off: its money is back or on its way back, so what has not left is not sent any more.

use deadpool_postgres::GenericClient;

use super::life;
use super::stock::MONEY_IS_BACK;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::OrderId;
use crate::jobs::{self, Job};

/// SQL, of a paid order `o`: the sale is off. Its money is back, or all of its goods came back. A refund that fails puts the sale
/// on again, unless the goods are back.
pub const SALE_IS_OFF: &str = sql!("(NOT o.stock_held OR ", MONEY_IS_BACK, ")");

/// [`SALE_IS_OFF`] of one order. Call this while holding the order's lock.
pub async fn sale_is_off(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    const ASK: &str = sql!("SELECT ", SALE_IS_OFF, " AS is_off FROM orders o WHERE o.id = $1");
    Ok(db::query_opt(db, ASK, &[&order]).await?.is_some_and(|row| row.get("is_off")))
}

/// Call this after a change of the money or the goods of a locked order: the order's state follows the sums, and the jobs that
/// follow a change of `sale_is_off` are queued. Each job checks for itself whether there is anything to do. The caller commits.
pub async fn queue_jobs_after_change(tx: &impl GenericClient, order: OrderId, was_off: bool) -> Result<()> {
    life::follow_sums(tx, order, Actor::System).await?;
    let follows = match (was_off, sale_is_off(tx, order).await?) {
        (false, true) => [Job::DropLabel { order }, Job::DropInvoice { order }],
        (true, false) => [Job::InvoiceOrder { order }, Job::BuyLabel { order }],
        _ => return Ok(()),
    };
    jobs::push_all_now(tx, &follows.map(|job| (job, None))).await
}
