//! The price of an order, by method. It is fixed when the order is placed, and changes only while no payment is live.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::LineId;
use crate::payments::charge::methods::Method;
use crate::sale::history::{Change, record_change};
use crate::sale::locks::LockedOrder;

/// Writes the price by `method` into a locked order, the shares of the discount into its lines, and a row of history.
/// Returns the order with its new total.
pub async fn reprice(
    tx: &impl GenericClient,
    order: LockedOrder,
    method: Method,
    discount: Money,
    actor: Actor,
) -> Result<LockedOrder> {
    const PRICE: &str = "
        UPDATE orders SET method_discount_cents = $2::bigint, discount_cents = coupon_discount_cents + $2,
               total_cents = subtotal_cents - coupon_discount_cents - $2 + shipping_cents, updated_at = now()
         WHERE id = $1 RETURNING total_cents, discount_cents";
    if order.method_discount == discount {
        return Ok(order);
    }
    let row = db::query_one(tx, PRICE, &[&order.id, &discount]).await?;
    let (total, whole): (Money, Money) = (row.get("total_cents"), row.get("discount_cents"));
    share(tx, &order, whole).await?;
    let (from, to) = (order.total.cents().to_string(), total.cents().to_string());
    let reason = match method {
        Method::Pix => "price by PIX",
        Method::CreditCard => "price by credit card",
    };
    let change = Change { subject: "price", subject_id: None, from: Some(&from), to: &to, reason, actor };
    record_change(tx, order.id, &change).await?;
    Ok(LockedOrder { total, method_discount: discount, ..order })
}

/// Spreads the whole discount over the lines, to the last centavo.
async fn share(tx: &impl GenericClient, order: &LockedOrder, discount: Money) -> Result<()> {
    const LINES: &str = "SELECT id, line_total_cents FROM order_lines WHERE order_id = $1 ORDER BY position";
    const SHARE: &str = "
        UPDATE order_lines l SET discount_cents = s.share FROM unnest($2::uuid[], $3::bigint[]) AS s (id, share)
         WHERE l.id = s.id AND l.order_id = $1";
    let rows = db::query(tx, LINES, &[&order.id]).await?;
    let ids: Vec<LineId> = rows.iter().map(|row| row.get("id")).collect();
    let totals: Vec<Money> = rows.iter().map(|row| row.get("line_total_cents")).collect();
    db::execute(tx, SHARE, &[&order.id, &ids, &Money::apportion(discount, &totals)]).await?;
    Ok(())
}
