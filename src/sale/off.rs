//! Whether the sale of an order is off: its money is back or on its way back, so what has not left is not sent any more.

use deadpool_postgres::GenericClient;

use super::history::{Change, record_change};
use super::life;
use super::states::SaleState;
use super::stock::MONEY_IS_BACK;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::OrderId;
use crate::jobs::{self, Job};

/// SQL, of a paid order `o`: the sale is off. Its money is back, or all of its goods came back, or it is on hold: a refund of all its
/// money failed, and nobody has said yet that it goes on. An order that has left is invoiced all the same.
pub const SALE_IS_OFF: &str = sql!("(NOT o.stock_held OR (o.on_hold AND o.status = 'processing') OR ", MONEY_IS_BACK, ")");

/// SQL, of a paid order `o`: no box of it leaves. Its sale is off, or is on hold after the first of several boxes left.
pub const NOTHING_LEAVES: &str = sql!("(o.on_hold OR ", SALE_IS_OFF, ")");

/// How the sale of a paid order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    On,
    /// Only a hold keeps it off: what becomes of it is open, so its invoice stays if it has one.
    OnHold,
    /// Its money or its goods are back: nothing of it is to stand.
    Off,
}

/// How the sale of one order stands. Call this while holding the order's lock.
pub async fn standing(db: &impl GenericClient, order: OrderId) -> Result<Standing> {
    const ASK: &str = sql!(
        "SELECT ",
        SALE_IS_OFF,
        " AS is_off, (NOT o.stock_held OR ",
        MONEY_IS_BACK,
        ") AS is_undone FROM orders o WHERE o.id = $1"
    );
    let row = db::query_opt(db, ASK, &[&order]).await?;
    Ok(match row.map(|row| (row.get("is_off"), row.get("is_undone"))) {
        None | Some((false, _)) => Standing::On,
        Some((true, false)) => Standing::OnHold,
        Some((true, true)) => Standing::Off,
    })
}

/// [`SALE_IS_OFF`] of one order. Call this while holding the order's lock.
pub async fn sale_is_off(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    Ok(standing(db, order).await? != Standing::On)
}

/// [`NOTHING_LEAVES`] of one order. Call this while holding the order's lock.
pub async fn nothing_leaves(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    const ASK: &str = sql!("SELECT ", NOTHING_LEAVES, " AS stays FROM orders o WHERE o.id = $1");
    Ok(db::query_opt(db, ASK, &[&order]).await?.is_some_and(|row| row.get("stays")))
}

/// Call this after a change of the money or the goods of a locked order: the order's state follows the sums, and the jobs that
/// follow a change of its [`Standing`] are queued: `before` is that before the change. Each job checks for itself whether there is
/// anything to do. The caller commits.
pub async fn queue_jobs_after_change(tx: &impl GenericClient, order: OrderId, before: Standing) -> Result<()> {
    use Standing::{Off, On, OnHold};
    life::follow_sums(tx, order, Actor::System).await?;
    let follows = match (before, standing(tx, order).await?) {
        // Of a sale that was on hold the invoice may stand: it had not been given up yet when the refund failed.
        (On, OnHold | Off) | (OnHold, Off) => [Job::DropLabel { order }, Job::DropInvoice { order }],
        (OnHold | Off, On) => [Job::InvoiceOrder { order }, Job::BuyLabel { order }],
        (On, On) | (OnHold, OnHold) | (Off, OnHold | Off) => return Ok(()),
    };
    jobs::push_all_now(tx, &follows.map(|job| (job, None))).await
}

/// Call this after a refund of a locked order failed, before [`queue_jobs_after_change`]. Somebody wanted this sale off: if nothing
/// but that refund kept it off, and not all of its boxes have left, it is on hold from now on. `true`: it is since this call.
pub async fn hold_after_failed_refund(tx: &impl GenericClient, order: OrderId, before: Standing, reason: &str) -> Result<bool> {
    const HOLD: &str = "
        UPDATE orders o SET on_hold = true, updated_at = now()
         WHERE o.id = $1 AND NOT o.on_hold AND o.status IN ('processing', 'shipped')
           AND CASE WHEN EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered'))
                    THEN EXISTS (SELECT FROM shipments s WHERE s.order_id = o.id AND NOT EXISTS (
                         SELECT FROM shipments l WHERE l.order_id = o.id AND l.volume = s.volume AND l.status IN ('posted', 'undelivered', 'delivered')))
                    ELSE o.status = 'processing' END";
    if before == Standing::On || sale_is_off(tx, order).await? || db::execute(tx, HOLD, &[&order]).await? == 0 {
        return Ok(false);
    }
    record_sale(tx, order, (SaleState::On, SaleState::OnHold), reason, Actor::System).await?;
    Ok(true)
}

/// A person says that a locked order's sale goes on. `false`: it was not on hold. What follows is the caller's.
pub async fn end_hold(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
    const END: &str = "UPDATE orders SET on_hold = false, updated_at = now() WHERE id = $1 AND on_hold";
    if db::execute(tx, END, &[&order]).await? == 0 {
        return Ok(false);
    }
    record_sale(tx, order, (SaleState::OnHold, SaleState::On), "", actor).await?;
    Ok(true)
}

/// Whether a locked order is on hold.
pub async fn is_on_hold(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    const ASK: &str = "SELECT on_hold FROM orders WHERE id = $1 AND status IN ('processing', 'shipped')";
    Ok(db::query_opt(db, ASK, &[&order]).await?.is_some_and(|row| row.get("on_hold")))
}

async fn record_sale(
    tx: &impl GenericClient,
    order: OrderId,
    (from, to): (SaleState, SaleState),
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let change = Change { subject: "sale", subject_id: None, from: Some(from.as_str()), to: to.as_str(), reason, actor };
    record_change(tx, order, &change).await
}
