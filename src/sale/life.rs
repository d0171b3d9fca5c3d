//! The life of an order: every step is a conditional UPDATE by the transition table, its rows of history, and the jobs that
//! follow. The caller holds the order's lock, or takes it here, and commits.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;

use super::history::{Change, StatusChange, record_change, record_status_change};
use super::states::{OrderPaymentStatus, OrderStatus};
use super::transitions::{self, OrderStep};
use super::{coupon_use, stock};
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;
use crate::jobs::{self, Job};

/// What follows once an order is paid for.
pub fn jobs_after_payment(order: OrderId) -> [(Job, Option<Timestamp>); 3] {
    [Job::MailOrderPaid { order }, Job::InvoiceOrder { order }, Job::BuyLabel { order }].map(|job| (job, None))
}

/// Takes a step: its states, the times that it sets, and its history. `None`: the order is not where the step begins.
async fn take_step(
    tx: &impl GenericClient,
    order: OrderId,
    step: &OrderStep,
    reason: &str,
    actor: Actor,
) -> Result<Option<StatusChange>> {
    const STEP: &str = "
        WITH before AS (
            SELECT id, status, payment_status FROM orders
             WHERE id = $1 AND status = ANY($2) AND payment_status = ANY($3) AND ($6::boolean IS NULL OR (total_cents = 0) = $6)
               FOR NO KEY UPDATE)
        UPDATE orders o SET status = $4::text, payment_status = coalesce($5::text, before.payment_status), updated_at = now(),
               paid_at = CASE WHEN $5::text = 'paid' THEN now() ELSE o.paid_at END,
               cancelled_at = CASE WHEN $4::text = 'cancelled' THEN now() END,
               placed_from = CASE WHEN $4::text = 'pending' THEN o.placed_from END
          FROM before WHERE o.id = before.id
        RETURNING before.status AS status_before, before.payment_status AS payment_before, o.payment_status AS payment_after";
    let row = db::query_opt(tx, STEP, &[&order, &step.from, &step.money_from, &step.to, &step.money_to, &step.is_free]).await?;
    let Some(row) = row else { return Ok(None) };
    let change = StatusChange {
        status: (row.try_get("status_before")?, step.to),
        payment: (row.try_get("payment_before")?, row.try_get("payment_after")?),
    };
    record_status_change(tx, order, change, reason, actor).await?;
    Ok(Some(change))
}

/// Takes the first of these steps that begins where the order is. `None`: none of them does.
async fn take_one_of(
    tx: &impl GenericClient,
    order: OrderId,
    steps: &[OrderStep],
    reason: &str,
    actor: Actor,
) -> Result<Option<StatusChange>> {
    for step in steps {
        if let Some(change) = take_step(tx, order, step, reason, actor).await? {
            return Ok(Some(change));
        }
    }
    Ok(None)
}

/// Its money came: `pending` → `processing`, with the mail, the invoice and the label that follow. `false`: it was not waiting
/// for money.
pub async fn mark_paid(tx: &impl GenericClient, order: OrderId, actor: Actor, reason: &str) -> Result<bool> {
    if take_step(tx, order, &transitions::PAY, reason, actor).await?.is_none() {
        return Ok(false);
    }
    jobs::push_all(tx, &jobs_after_payment(order)).await?;
    Ok(true)
}

/// Money came for an order that had expired or was cancelled unpaid: takes its stock (and, within its limits, its coupon) again
/// and marks it paid. `false`: the stock is gone, its buyer was erased, or the order is not one that can revive; then the money
/// must go back.
pub async fn revive(tx: &impl GenericClient, order: OrderId, actor: Actor, reason: &str) -> Result<bool> {
    const FIND: &str = "
        SELECT coupon_id, user_id, customer_email, tax_id_hash, tax_id_key FROM orders
         WHERE id = $1 AND status = ANY($2) AND payment_status = ANY($3) AND NOT stock_held AND tax_id_sealed IS NOT NULL FOR NO KEY UPDATE";
    const HOLD: &str = "UPDATE orders SET stock_held = true, reservation = reservation + 1, coupon_held = $2 WHERE id = $1";
    let step = &transitions::REVIVE;
    let Some(row) = db::query_opt(tx, FIND, &[&order, &step.from, &step.money_from]).await? else { return Ok(false) };
    let (coupon, person, key) = (row.get("coupon_id"), row.get("tax_id_hash"), row.get("tax_id_key"));
    let coupon_held = coupon_use::hold_again(tx, coupon, person, key, row.get("user_id"), row.get("customer_email")).await?;
    if !stock::take_again(tx, order, actor).await? {
        if coupon_held {
            coupon_use::release(tx, row.get("coupon_id"), row.get("tax_id_hash")).await?;
        }
        return Ok(false);
    }
    db::execute(tx, HOLD, &[&order, &coupon_held]).await?;
    take_step(tx, order, step, reason, actor).await?;
    jobs::push_all(tx, &jobs_after_payment(order)).await?;
    Ok(true)
}

/// Why an order ends without being delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its time to be paid is over.
    Expired,
    /// Somebody cancelled it.
    Cancelled,
}

/// What the end of an order did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was not in a state that can end so.
    No,
    Yes {
        /// A variant that was sold out can be had again: cached answers are wrong.
        back_for_sale: bool,
    },
}

/// Ends an order that was not shipped: stock and coupon come back, once. Money that was captured stays to be refunded: the
/// payment status then does not change here.
pub async fn end(tx: &impl GenericClient, order: OrderId, ending: Ending, actor: Actor, reason: &str) -> Result<Ended> {
    const HELD: &str = "SELECT stock_held, coupon_held, coupon_id, tax_id_hash FROM orders WHERE id = $1 FOR NO KEY UPDATE";
    const LET_GO: &str = "UPDATE orders SET stock_held = false, coupon_held = false WHERE id = $1";
    let steps: &[OrderStep] = match ending {
        Ending::Expired => &[transitions::EXPIRE],
        Ending::Cancelled => &[transitions::CANCEL_UNPAID, transitions::CANCEL_PAID, transitions::CANCEL_FREE],
    };
    let Some(held) = db::query_opt(tx, HELD, &[&order]).await? else { return Ok(Ended::No) };
    let Some(change) = take_one_of(tx, order, steps, reason, actor).await? else { return Ok(Ended::No) };
    db::execute(tx, LET_GO, &[&order]).await?;
    if !change.payment.0.is_unpaid() {
        jobs::push_all(tx, &[(Job::DropLabel { order }, None), (Job::DropInvoice { order }, None)]).await?;
    }
    if held.get("coupon_held") {
        coupon_use::release(tx, held.get("coupon_id"), held.get("tax_id_hash")).await?;
    }
    let back_for_sale = if held.get("stock_held") { stock::release(tx, order, actor).await? } else { false };
    Ok(Ended::Yes { back_for_sale })
}

/// `processing` → `shipped`. A number that was set by hand stays. `false`: it is not an order that can leave.
pub async fn mark_shipped(
    tx: &impl GenericClient,
    order: OrderId,
    tracking_number: Option<&str>,
    at: Timestamp,
    actor: Actor,
    reason: &str,
) -> Result<bool> {
    const SHIP: &str = "
        UPDATE orders SET status = 'shipped', tracking_number = coalesce(tracking_number, $2), shipped_at = least($3, now()), updated_at = now()
         WHERE id = $1 AND status = ANY($4) AND payment_status = ANY($5)
           AND (coalesce(tracking_number, $2) IS NOT NULL OR shipping_provider = 'pickup')";
    let step = &transitions::SHIP;
    if db::execute(tx, SHIP, &[&order, &tracking_number, &at, &step.from, &step.money_from]).await? == 0 {
        return Ok(false);
    }
    record_order(tx, order, OrderStatus::Processing, OrderStatus::Shipped, actor, reason).await?;
    Ok(true)
}

/// `shipped` → `delivered`, and the buyer is told. `false`: it is not on its way.
pub async fn mark_delivered(tx: &impl GenericClient, order: OrderId, at: Timestamp, actor: Actor, reason: &str) -> Result<bool> {
    const DELIVER: &str = "
        UPDATE orders SET status = 'delivered', delivered_at = greatest(least($2, now()), shipped_at), updated_at = now()
         WHERE id = $1 AND status = ANY($3)";
    if db::execute(tx, DELIVER, &[&order, &at, &transitions::DELIVER.from]).await? == 0 {
        return Ok(false);
    }
    record_order(tx, order, OrderStatus::Shipped, OrderStatus::Delivered, actor, reason).await?;
    jobs::push(tx, Job::MailOrderDelivered { order }).await?;
    Ok(true)
}

/// `shipped` or `delivered` → `returned` once all of the goods and all of the money are back, in whatever order and parts they
/// came. Call this after each change of either, while holding the order's lock.
pub async fn follow_sums(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<()> {
    let Some(sums) = stock::find_sums(tx, order).await? else { return Ok(()) };
    if sums.next_status() != sums.status {
        take_one_of(tx, order, &[transitions::RETURN, transitions::RETURN_FREE], "", actor).await?;
    }
    Ok(())
}

async fn record_order(
    tx: &impl GenericClient,
    order: OrderId,
    from: OrderStatus,
    to: OrderStatus,
    actor: Actor,
    reason: &str,
) -> Result<()> {
    let change = Change { subject: "order", subject_id: None, from: Some(from.as_str()), to: to.as_str(), reason, actor };
    record_change(tx, order, &change).await
}

/// The history of a parcel that goes by hand: it has no row of its own, so its last state is read from the history.
pub async fn record_parcel_by_hand(tx: &impl GenericClient, order: OrderId, to: &str, reason: &str, actor: Actor) -> Result<()> {
    const LAST: &str = "
        SELECT to_state FROM order_history WHERE order_id = $1 AND subject = 'shipment' AND subject_id IS NULL ORDER BY id DESC LIMIT 1";
    let last: Option<String> = db::query_opt(tx, LAST, &[&order]).await?.map(|row| row.get("to_state"));
    record_change(tx, order, &Change { subject: "shipment", subject_id: None, from: last.as_deref(), to, reason, actor }).await
}

/// The order's `payment_status` follows the sums of what came and went. `to` is one of the states of money that is there.
pub async fn follow_the_money(
    tx: &impl GenericClient,
    order: OrderId,
    to: OrderPaymentStatus,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    const FOLLOW: &str = "
        WITH before AS (SELECT id, payment_status FROM orders WHERE id = $1)
        UPDATE orders o SET payment_status = $2, updated_at = now() FROM before b
         WHERE o.id = b.id AND o.payment_status = ANY($3) AND o.payment_status <> $2
        RETURNING b.payment_status";
    let sums = transitions::MONEY_BY_SUMS.as_slice();
    if let Some(row) = db::query_opt(tx, FOLLOW, &[&order, &to, &sums]).await? {
        let from: OrderPaymentStatus = row.try_get("payment_status")?;
        let change =
            Change { subject: "payment_status", subject_id: None, from: Some(from.as_str()), to: to.as_str(), reason, actor };
        record_change(tx, order, &change).await?;
    }
    Ok(())
}
