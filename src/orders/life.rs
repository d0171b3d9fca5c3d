//! The life of an order: every transition is a conditional UPDATE, a row of history, and the jobs that follow. The caller commits.
//!
//! Locks are taken in one order everywhere: the order, then its payments, then its coupon, then variants by id.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::{LineId, OrderId, UserId};
use crate::jobs::{self, Job};

/// One row of an order's story. Write it under the order's row lock, so that the story's order is the order of commits.
#[derive(Debug)]
pub struct Change<'a> {
    /// `order`, `payment_status`, `payment`, `refund`, `shipment`, `invoice`, `message`, `stock` or `coupon`.
    pub subject: &'static str,
    pub subject_id: Option<Uuid>,
    pub from: Option<&'a str>,
    pub to: &'a str,
    pub reason: &'a str,
    pub actor: Actor,
}

pub async fn tell(tx: &impl GenericClient, order: OrderId, change: &Change<'_>) -> Result<()> {
    const TELL: &str = "
        INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, reason, actor, cause)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (actor, cause) = (change.actor.to_string(), cause::current());
    db::execute(
        tx,
        TELL,
        &[&order, &change.subject, &change.subject_id, &change.from, &change.to, &change.reason, &actor, &cause],
    )
    .await?;
    Ok(())
}

/// The two rows that a change of `status` and of `payment_status` leave, in one statement. One that did not change leaves none.
async fn tell_both(
    tx: &impl GenericClient,
    order: OrderId,
    status: (&str, &str),
    payment: (&str, &str),
    reason: &str,
    actor: Actor,
) -> Result<()> {
    const TELL: &str = "
        INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
        SELECT $1, t.subject, t.before, t.after, $6, $7, $8
          FROM (VALUES ('order', $2::text, $3::text), ('payment_status', $4, $5)) AS t (subject, before, after) WHERE t.before <> t.after";
    let (actor, cause) = (actor.to_string(), cause::current());
    db::execute(tx, TELL, &[&order, &status.0, &status.1, &payment.0, &payment.1, &reason, &actor, &cause]).await?;
    Ok(())
}

/// What follows once an order is paid for.
pub fn after_payment(order: OrderId) -> [(Job, Option<Timestamp>); 3] {
    [Job::MailOrderPaid { order }, Job::InvoiceOrder { order }, Job::BuyLabel { order }].map(|job| (job, None))
}

/// `pending_payment` → `paid`, `pending` → `processing`, with the mail that follows. `false`: it was not waiting for money.
pub async fn mark_paid(tx: &impl GenericClient, order: OrderId, actor: Actor, reason: &str) -> Result<bool> {
    const PAID: &str = "
        UPDATE orders SET payment_status = 'paid', status = 'processing', paid_at = now(), placed_from = NULL, updated_at = now()
         WHERE id = $1 AND payment_status = 'pending_payment' AND status = 'pending'";
    if db::execute(tx, PAID, &[&order]).await? == 0 {
        return Ok(false);
    }
    tell_both(tx, order, ("pending", "processing"), ("pending_payment", "paid"), reason, actor).await?;
    jobs::push_all(tx, &after_payment(order)).await?;
    Ok(true)
}

/// Money came for an order that had expired or was cancelled unpaid: takes its stock (and, within its limits, its coupon) again
/// and marks it paid. `false`: the stock is gone, its buyer was erased, or the order is not one that can revive; then the money must go back.
pub async fn revive(tx: &impl GenericClient, order: OrderId, actor: Actor, reason: &str) -> Result<bool> {
    const FIND: &str = "
        SELECT payment_status, coupon_id, user_id, tax_id_hash, tax_id_key FROM orders
         WHERE id = $1 AND status = 'cancelled' AND payment_status IN ('expired', 'cancelled') AND NOT stock_held
           AND tax_id_sealed IS NOT NULL FOR NO KEY UPDATE";
    const REVIVE: &str = "
        UPDATE orders SET status = 'processing', payment_status = 'paid', paid_at = now(), cancelled_at = NULL, updated_at = now(),
               stock_held = true, reservation = reservation + 1, coupon_held = $2
         WHERE id = $1";
    let Some(row) = db::query_opt(tx, FIND, &[&order]).await? else { return Ok(false) };
    let before: String = row.get("payment_status");
    let coupon_held = hold_coupon_again(tx, &row).await?;
    if !take_again(tx, order, actor).await? {
        if coupon_held {
            release_coupon(tx, row.get("coupon_id"), row.get("tax_id_hash")).await?;
        }
        return Ok(false);
    }
    db::execute(tx, REVIVE, &[&order, &coupon_held]).await?;
    tell_both(tx, order, ("cancelled", "processing"), (&before, "paid"), reason, actor).await?;
    jobs::push_all(tx, &after_payment(order)).await?;
    Ok(true)
}

/// Takes every line of a released order again, under a new reservation; `false` (and nothing taken) when one is short.
async fn take_again(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
    const ENOUGH: &str = "
        WITH locked AS (
            SELECT v.id, v.stock, v.deleted_at, l.quantity FROM order_lines l JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1 ORDER BY v.id FOR NO KEY UPDATE OF v)
        SELECT coalesce(bool_and(stock >= quantity AND deleted_at IS NULL), false) AS enough FROM locked";
    const TAKE: &str = "
        SELECT take_stock(array_agg(l.variant_id), array_agg(l.quantity), array_agg(l.id), (o.reservation + 1)::smallint, $2, $3)
          FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.id = $1 GROUP BY o.id";
    if !db::query_one(tx, ENOUGH, &[&order]).await?.get::<_, bool>("enough") {
        return Ok(false);
    }
    db::query_one(tx, TAKE, &[&order, &actor.to_string(), &cause::current()]).await?;
    Ok(true)
}

/// A use is only taken where the limits allow it now; the price of the order stays what it was in any case. While hashes are
/// being turned to another look-up key (`rekey`), this one alone cannot tell what the person has used: none is taken then.
async fn hold_coupon_again(tx: &impl GenericClient, order: &Row) -> Result<bool> {
    const HOLD: &str = "
        WITH person AS (
            INSERT INTO coupon_persons AS p (coupon_id, person, key, uses)
            SELECT c.id, $2, $3, 1 FROM coupons c
             WHERE c.id = $1 AND (c.max_uses IS NULL OR c.uses < c.max_uses)
               AND (SELECT count(*) FROM orders o WHERE o.user_id = $4 AND o.coupon_id = c.id AND o.coupon_held)
                   < coalesce(c.max_uses_per_customer, 2147483647)
               AND NOT EXISTS (SELECT FROM secret_keys k WHERE k.purpose = 'look_up' AND k.turned_at IS NULL)
            ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + 1
             WHERE p.uses < coalesce((SELECT max_uses_per_customer FROM coupons WHERE id = $1), p.uses + 1)
            RETURNING p.coupon_id)
        UPDATE coupons c SET uses = c.uses + 1 FROM person WHERE c.id = person.coupon_id AND (c.max_uses IS NULL OR c.uses < c.max_uses)";
    const LOCK: &str = "SELECT FROM coupons WHERE id = $1 FOR NO KEY UPDATE";
    let coupon: Option<Uuid> = order.get("coupon_id");
    let (person, key): (Option<Vec<u8>>, Option<i16>) = (order.get("tax_id_hash"), order.get("tax_id_key"));
    let (Some(coupon), Some(person), Some(key)) = (coupon, person, key) else { return Ok(false) };
    let buyer: Option<UserId> = order.get("user_id");
    db::query_opt(tx, LOCK, &[&coupon]).await?; // from here on the two halves of HOLD see the same counter
    Ok(db::execute(tx, HOLD, &[&coupon, &person, &key, &buyer]).await? == 1)
}

async fn release_coupon(tx: &impl GenericClient, coupon: Option<Uuid>, person: Option<Vec<u8>>) -> Result<()> {
    const COUPON: &str = "UPDATE coupons SET uses = uses - 1 WHERE id = $1";
    const PERSON: &str = "UPDATE coupon_persons SET uses = uses - 1 WHERE coupon_id = $1 AND person = $2";
    let Some(coupon) = coupon else { return Ok(()) };
    db::execute(tx, COUPON, &[&coupon]).await?;
    db::execute(tx, PERSON, &[&coupon, &person]).await?;
    Ok(())
}

/// Why an order ends without being delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its time to be paid is over.
    Expired,
    /// Somebody cancelled it.
    Cancelled,
}

/// Ends an order that was not shipped: stock and coupon come back, once. Money that was captured stays to be refunded:
/// the payment status then does not change here. `false`: it was not in a state that can end so.
/// `true` in the second place: a variant that was sold out can be had again.
pub async fn end(tx: &impl GenericClient, order: OrderId, ending: Ending, actor: Actor, reason: &str) -> Result<(bool, bool)> {
    const FIND: &str = "
        SELECT status, payment_status, stock_held, coupon_held, coupon_id, tax_id_hash FROM orders
         WHERE id = $1 AND (status = 'pending' OR (status = 'processing' AND $2)) FOR NO KEY UPDATE";
    const END: &str = "
        UPDATE orders SET status = 'cancelled', payment_status = $2, cancelled_at = now(), updated_at = now(), stock_held = false,
               coupon_held = false, placed_from = NULL WHERE id = $1";
    let Some(row) = db::query_opt(tx, FIND, &[&order, &(ending == Ending::Cancelled)]).await? else { return Ok((false, false)) };
    let (status, payment): (String, String) = (row.get("status"), row.get("payment_status"));
    let unpaid = matches!(payment.as_str(), "pending_payment" | "failed");
    let after = match ending {
        Ending::Expired if unpaid => "expired",
        Ending::Cancelled if unpaid => "cancelled",
        Ending::Expired => return Ok((false, false)),
        Ending::Cancelled => payment.as_str(),
    };
    db::execute(tx, END, &[&order, &after]).await?;
    tell_both(tx, order, (&status, "cancelled"), (&payment, after), reason, actor).await?;
    if !unpaid {
        jobs::push_all(tx, &[(Job::DropLabel { order }, None), (Job::DropInvoice { order }, None)]).await?;
    }
    if row.get("coupon_held") {
        release_coupon(tx, row.get("coupon_id"), row.get("tax_id_hash")).await?;
    }
    let back_for_sale = if row.get("stock_held") { release_stock(tx, order, actor).await? } else { false };
    Ok((true, back_for_sale))
}

/// Puts a paid order's goods back on the shelf without ending it: for a refund of goods that came back. `None`: they are back
/// already. `Some(true)`: a variant that was sold out can be had again.
pub async fn restock(tx: &impl GenericClient, order: OrderId, actor: Actor, reason: &str) -> Result<Option<bool>> {
    const LET_GO: &str = "UPDATE orders SET stock_held = false, updated_at = now() WHERE id = $1 AND stock_held";
    if db::execute(tx, LET_GO, &[&order]).await? == 0 {
        return Ok(None);
    }
    let change = Change { subject: "stock", subject_id: None, from: Some("held"), to: "released", reason, actor };
    tell(tx, order, &change).await?;
    release_stock(tx, order, actor).await.map(Some)
}

/// `shipped` or `delivered` → `returned`: all of it is here again. `false`: it had not left.
pub async fn mark_returned(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
    const FIND: &str = "SELECT status FROM orders WHERE id = $1 AND status IN ('shipped', 'delivered') FOR NO KEY UPDATE";
    const RETURNED: &str = "UPDATE orders SET status = 'returned', updated_at = now() WHERE id = $1";
    let Some(row) = db::query_opt(tx, FIND, &[&order]).await? else { return Ok(false) };
    db::execute(tx, RETURNED, &[&order]).await?;
    let change = Change { subject: "order", subject_id: None, from: Some(row.get("status")), to: "returned", reason: "", actor };
    tell(tx, order, &change).await?;
    Ok(true)
}

/// Some of an order's goods came back: they go on the shelf, line by line. `None`: a line is not this order's, or not so
/// much of it is left. `Some(true)`: a variant that was sold out can be had again. The order is locked by the caller.
pub async fn take_back(
    tx: &impl GenericClient,
    order: OrderId,
    items: &[(LineId, i32)],
    actor: Actor,
    reason: &str,
) -> Result<Option<bool>> {
    const BACK: &str = "
        WITH wanted AS (
            SELECT l.id AS line, w.quantity, v.id, o.reservation
              FROM unnest($2::uuid[], $3::int[]) AS w (line, quantity) JOIN order_lines l ON l.id = w.line
              JOIN orders o ON o.id = l.order_id JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1 AND o.stock_held
               AND w.quantity <= l.quantity - coalesce(
                   (SELECT sum(m.delta) FROM stock_movements m WHERE m.order_line_id = l.id AND m.reason = 'return'), 0)
             ORDER BY v.id FOR NO KEY UPDATE OF v),
        moved AS (
            INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
            SELECT id, quantity, 'return', line, reservation, $4, $5 FROM wanted RETURNING variant_id, delta),
        given AS (
            UPDATE variants v SET stock = v.stock + m.delta FROM moved m WHERE v.id = m.variant_id RETURNING v.stock = m.delta AS back)
        SELECT count(*) AS lines, coalesce(bool_or(back), false) AS back FROM given";
    let (lines, quantities): (Vec<LineId>, Vec<i32>) = items.iter().copied().unzip();
    let row = db::query_one(tx, BACK, &[&order, &lines, &quantities, &cause::current(), &actor.to_string()]).await?;
    if row.get::<_, i64>("lines") != items.len() as i64 {
        return Ok(None);
    }
    let to = format!("{} came back", quantities.iter().sum::<i32>());
    tell(tx, order, &Change { subject: "stock", subject_id: None, from: Some("held"), to: &to, reason, actor }).await?;
    Ok(Some(row.get("back")))
}

/// Gives back what of every line has not come back already, once per reservation: the ledger's unique index says so too. Variants are locked in id order.
async fn release_stock(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
    const RELEASE: &str = "
        WITH lines AS (
            SELECT l.id AS line, v.id, l.quantity - coalesce(
                   (SELECT sum(m.delta) FROM stock_movements m WHERE m.order_line_id = l.id AND m.reason = 'return'), 0)::int AS quantity
              FROM order_lines l JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1 ORDER BY v.id FOR NO KEY UPDATE OF v),
        moved AS (
            INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
            SELECT lines.id, lines.quantity, 'release', lines.line, o.reservation, $2, $3 FROM lines, orders o
             WHERE o.id = $1 AND lines.quantity > 0
            RETURNING variant_id, delta),
        given AS (
            UPDATE variants v SET stock = v.stock + m.delta FROM moved m WHERE v.id = m.variant_id RETURNING v.stock = m.delta AS back)
        SELECT coalesce(bool_or(back), false) AS back FROM given";
    Ok(db::query_one(tx, RELEASE, &[&order, &cause::current(), &actor.to_string()]).await?.get("back"))
}
