//! The stock of an order that ends, that revives, or whose goods come back, and the sums of what came back. Variants are always locked in the order of their
//! ids. A checkout takes its stock by `take_stock`.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::goods::Goods;
use super::history::{Change, record_change};
use super::returned::{SoldLine, Sums, Taken};
use crate::cause::{self, Actor};
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{LineId, OrderId};

/// SQL, of a paid order `o`: all that was paid for it went back or is on its way, or was taken back by the payer's bank. A surplus was
/// never paid for it, whatever state it is in, and whatever of it went back or was taken twice.
pub(super) const MONEY_IS_BACK: &str = "
    (o.payment_status = 'refunded' OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus AND p.captured_cents > 0
                                                 AND p.captured_cents <= p.refunded_cents + p.lost_cents))";

/// SQL, of an order `o`: the shop gave back, or is giving back, all that was paid for it. What the payer's bank took does not count,
/// nor what somebody refunded on a provider's pages: neither says that goods come back.
pub const MONEY_WAS_GIVEN_BACK: &str = "
    coalesce((SELECT sum(p.captured_cents) > 0 AND sum(p.captured_cents) <=
                     sum((SELECT coalesce(sum(r.amount_cents), 0) FROM refunds r
                           WHERE r.payment_id = p.id AND r.status <> 'failed' AND r.requested_by NOT LIKE 'provider:%'))
                FROM payments p WHERE p.order_id = o.id AND NOT p.is_surplus), false)";

/// Takes every line of a released order again, under a new reservation; `false` (and nothing taken) when one is short.
pub(super) async fn take_again(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
    const ENOUGH: &str = "
        WITH locked AS (
            SELECT v.id, v.stock, v.deleted_at, l.quantity FROM order_lines l JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1 ORDER BY v.id FOR NO KEY UPDATE OF v)
        SELECT coalesce(bool_and(stock >= quantity AND deleted_at IS NULL), false) AS enough FROM locked";
    const TAKE: &str = "
        SELECT take_stock(array_agg(l.variant_id ORDER BY l.variant_id), array_agg(l.quantity ORDER BY l.variant_id),
                          array_agg(l.id ORDER BY l.variant_id), (o.reservation + 1)::smallint, $2, $3)
          FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.id = $1 GROUP BY o.id";
    if !db::query_one(tx, ENOUGH, &[&order]).await?.get::<_, bool>("enough") {
        return Ok(false);
    }
    db::query_one(tx, TAKE, &[&order, &actor.to_string(), &cause::current()]).await?;
    Ok(true)
}

/// The sums of an order: its lines with all that came back of them, and whether its money is back. Call this while holding the
/// order's lock where something is decided by it. `None`: there is no such order.
pub async fn find_sums(db: &impl GenericClient, order: OrderId) -> Result<Option<Sums>> {
    const LINES: &str = "
        SELECT l.id, l.quantity, l.unit_price_cents, l.discount_cents,
               (coalesce((SELECT sum(m.delta) FROM stock_movements m
                           WHERE m.order_line_id = l.id AND m.reason = 'return' AND m.reservation = o.reservation), 0)
                + coalesce((SELECT sum(m.delta) FROM stock_movements m
                             WHERE m.order_line_id = l.id AND m.reason = 'release' AND m.reservation = o.reservation), 0))::int AS restocked,
               coalesce((SELECT sum(w.quantity) FROM write_offs w WHERE w.order_line_id = l.id), 0)::int AS written_off
          FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.order_id = $1 ORDER BY l.position";
    const ORDER: &str = sql!(
        "SELECT o.status, o.shipping_cents, o.total_cents = 0 AS is_free, ",
        MONEY_IS_BACK,
        " AS money_is_back, ",
        MONEY_WAS_GIVEN_BACK,
        " AS money_was_given_back FROM orders o WHERE o.id = $1"
    );
    let Some(row) = db::query_opt(db, ORDER, &[&order]).await? else { return Ok(None) };
    let lines = db::query(db, LINES, &[&order]).await?;
    let line = |row: &Row| SoldLine {
        id: row.get("id"),
        sold: row.get("quantity"),
        unit_price: row.get("unit_price_cents"),
        discount: row.get("discount_cents"),
        restocked: row.get("restocked"),
        written_off: row.get("written_off"),
    };
    Ok(Some(Sums {
        status: row.try_get("status")?,
        lines: lines.iter().map(line).collect(),
        freight: row.get("shipping_cents"),
        is_free: row.get("is_free"),
        money_is_back: row.get("money_is_back"),
        money_was_given_back: row.get("money_was_given_back"),
    }))
}

/// Goods of a paid order came back, in whatever part: on the shelf, or written off. With the last of them the order holds nothing
/// any more. The order is locked by the caller. `true`: a variant that was sold out can be had again, and cached answers are wrong.
///
/// Errors: 404 there is no such order; 409 a line is not this order's, or not so much of it is left: the text says how much.
pub async fn take_back(tx: &impl GenericClient, order: OrderId, goods: &Goods, actor: Actor, reason: &str) -> Result<bool> {
    const LET_GO: &str = "UPDATE orders SET stock_held = false, updated_at = now() WHERE id = $1 AND stock_held";
    let sums = find_sums(tx, order).await?.ok_or(Error::NotFound("The order"))?;
    let taken = sums.take_back(goods).map_err(Error::Conflict)?;
    let restocked: i32 = taken.iter().map(|taken| taken.restock).sum();
    let written_off: i32 = taken.iter().map(|taken| taken.write_off).sum();
    let left: i32 = sums.lines.iter().map(SoldLine::left).sum();
    write_off(tx, &taken, actor).await?;
    let is_last = restocked + written_off == left;
    if is_last && db::execute(tx, LET_GO, &[&order]).await? == 0 {
        return Err(Error::Conflict("The goods are back already".to_owned()));
    }
    let record = async |to: String| {
        record_change(tx, order, &Change { subject: "stock", subject_id: None, from: Some("held"), to: &to, reason, actor }).await
    };
    if written_off > 0 {
        record(format!("{written_off} written off")).await?;
    }
    if goods.everything {
        record("released".to_owned()).await?;
        return release(tx, order, actor).await;
    }
    if restocked == 0 {
        return Ok(false);
    }
    record(format!("{restocked} came back")).await?;
    put_back(tx, order, &taken, actor).await
}

async fn write_off(tx: &impl GenericClient, taken: &[Taken], actor: Actor) -> Result<()> {
    const WRITE_OFF: &str = "
        INSERT INTO write_offs (order_line_id, quantity, cause, actor)
        SELECT w.line, w.quantity, $3, $4 FROM unnest($1::uuid[], $2::int[]) AS w (line, quantity)";
    let (lines, quantities): (Vec<LineId>, Vec<i32>) =
        taken.iter().filter(|taken| taken.write_off > 0).map(|taken| (taken.line, taken.write_off)).unzip();
    if lines.is_empty() {
        return Ok(());
    }
    db::execute(tx, WRITE_OFF, &[&lines, &quantities, &cause::current(), &actor.to_string()]).await?;
    Ok(())
}

/// Some pieces go on the shelf, line by line.
async fn put_back(tx: &impl GenericClient, order: OrderId, taken: &[Taken], actor: Actor) -> Result<bool> {
    const BACK: &str = "
        WITH wanted AS (
            SELECT l.id AS line, w.quantity, v.id, o.reservation
              FROM unnest($2::uuid[], $3::int[]) AS w (line, quantity) JOIN order_lines l ON l.id = w.line
              JOIN orders o ON o.id = l.order_id JOIN variants v ON v.id = l.variant_id
             WHERE l.order_id = $1
               AND w.quantity <= l.quantity - coalesce(
                   (SELECT sum(m.delta) FROM stock_movements m WHERE m.order_line_id = l.id AND m.reason = 'return'), 0)
             ORDER BY v.id FOR NO KEY UPDATE OF v),
        moved AS (
            INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
            SELECT id, quantity, 'return', line, reservation, $4, $5 FROM wanted RETURNING variant_id, delta),
        given AS (
            UPDATE variants v SET stock = v.stock + m.delta FROM moved m WHERE v.id = m.variant_id RETURNING v.stock = m.delta AS back)
        SELECT count(*) AS lines, coalesce(bool_or(back), false) AS back FROM given";
    let (lines, quantities): (Vec<LineId>, Vec<i32>) =
        taken.iter().filter(|taken| taken.restock > 0).map(|taken| (taken.line, taken.restock)).unzip();
    let row = db::query_one(tx, BACK, &[&order, &lines, &quantities, &cause::current(), &actor.to_string()]).await?;
    if row.get::<_, i64>("lines") != lines.len() as i64 {
        return Err(Error::Internal(format!("lines of order {order} could not be taken back")));
    }
    Ok(row.get("back"))
}

/// Releases the pieces of every line that have not come back yet, once per reservation: the ledger's unique index says so too.
/// `true`: a variant that was sold out can be had again.
pub(super) async fn release(tx: &impl GenericClient, order: OrderId, actor: Actor) -> Result<bool> {
    const RELEASE: &str = "
        WITH lines AS (
            SELECT l.id AS line, v.id,
                   (l.quantity - coalesce((SELECT sum(m.delta) FROM stock_movements m WHERE m.order_line_id = l.id AND m.reason = 'return'), 0)
                    - coalesce((SELECT sum(w.quantity) FROM write_offs w WHERE w.order_line_id = l.id), 0))::int AS quantity
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
