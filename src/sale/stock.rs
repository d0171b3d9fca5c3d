//! The stock of an order that ends, that revives, or whose goods come back. Variants are always locked in the order of their
//! ids. A checkout takes its stock by `take_stock`.

use deadpool_postgres::GenericClient;

use super::history::{Change, record_change};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::{LineId, OrderId};

/// Takes every line of a released order again, under a new reservation; `false` (and nothing taken) when one is short.
pub(super) async fn take_again(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
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

/// What taking goods back did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// Nothing: a line is not this order's, or not so much of it is left, or all of it is back already.
    No,
    Yes {
        /// A variant that was sold out can be had again: cached answers are wrong.
        back_for_sale: bool,
    },
}

/// Puts all that a paid order still holds back on the shelf without ending it: for a refund of goods that came back.
pub async fn restock(tx: &impl GenericClient, order: OrderId, actor: Actor, reason: &str) -> Result<TakenBack> {
    const LET_GO: &str = "UPDATE orders SET stock_held = false, updated_at = now() WHERE id = $1 AND stock_held";
    if db::execute(tx, LET_GO, &[&order]).await? == 0 {
        return Ok(TakenBack::No);
    }
    let change = Change { subject: "stock", subject_id: None, from: Some("held"), to: "released", reason, actor };
    record_change(tx, order, &change).await?;
    Ok(TakenBack::Yes { back_for_sale: release(tx, order, actor).await? })
}

/// Some of an order's goods came back: they go on the shelf, line by line. The order is locked by the caller.
pub async fn take_back(
    tx: &impl GenericClient,
    order: OrderId,
    items: &[(LineId, i32)],
    actor: Actor,
    reason: &str,
) -> Result<TakenBack> {
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
        return Ok(TakenBack::No);
    }
    let to = format!("{} came back", quantities.iter().sum::<i32>());
    record_change(tx, order, &Change { subject: "stock", subject_id: None, from: Some("held"), to: &to, reason, actor }).await?;
    Ok(TakenBack::Yes { back_for_sale: row.get("back") })
}

/// Releases the quantity of every line that has not come back yet, once per reservation: the ledger's unique index says so too.
/// `true`: a variant that was sold out can be had again.
pub(super) async fn release(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
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
