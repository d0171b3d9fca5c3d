//! An order leaves the shop and arrives: by a person's hand, or by the carrier's word. The caller holds the order's lock and commits.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;

use super::life::{self, Change};
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;
use crate::jobs::{self, Job};

/// `processing` → `shipped`. A number that was set by hand stays. `false`: it is not an order that can leave.
pub async fn ship(
    tx: &impl GenericClient,
    order: OrderId,
    tracking_number: Option<&str>,
    at: Timestamp,
    actor: Actor,
    reason: &str,
) -> Result<bool> {
    const SHIP: &str = "
        UPDATE orders SET status = 'shipped', tracking_number = coalesce(tracking_number, $2), shipped_at = least($3, now()), updated_at = now()
         WHERE id = $1 AND status = 'processing' AND payment_status IN ('paid', 'partially_refunded')
           AND (coalesce(tracking_number, $2) IS NOT NULL OR shipping_provider = 'pickup')";
    if db::execute(tx, SHIP, &[&order, &tracking_number, &at]).await? == 0 {
        return Ok(false);
    }
    tell_order(tx, order, "processing", "shipped", actor, reason).await?;
    Ok(true)
}

/// `shipped` → `delivered`, and the buyer is told. `false`: it is not on its way.
pub async fn deliver(tx: &impl GenericClient, order: OrderId, at: Timestamp, actor: Actor, reason: &str) -> Result<bool> {
    const DELIVER: &str = "
        UPDATE orders SET status = 'delivered', delivered_at = greatest(least($2, now()), shipped_at), updated_at = now()
         WHERE id = $1 AND status = 'shipped'";
    if db::execute(tx, DELIVER, &[&order, &at]).await? == 0 {
        return Ok(false);
    }
    tell_order(tx, order, "shipped", "delivered", actor, reason).await?;
    jobs::push(tx, Job::MailOrderDelivered { order }).await?;
    Ok(true)
}

/// The story of a parcel that goes by hand: it has no row of its own, so it goes on where the story stands.
pub async fn tell_by_hand(tx: &impl GenericClient, order: OrderId, to: &str, reason: &str, actor: Actor) -> Result<()> {
    const LAST: &str = "
        SELECT to_state FROM order_history WHERE order_id = $1 AND subject = 'shipment' AND subject_id IS NULL ORDER BY id DESC LIMIT 1";
    let last: Option<String> = db::query_opt(tx, LAST, &[&order]).await?.map(|row| row.get("to_state"));
    life::tell(tx, order, &Change { subject: "shipment", subject_id: None, from: last.as_deref(), to, reason, actor }).await
}

async fn tell_order(tx: &impl GenericClient, order: OrderId, from: &str, to: &str, actor: Actor, reason: &str) -> Result<()> {
    life::tell(tx, order, &Change { subject: "order", subject_id: None, from: Some(from), to, reason, actor }).await
}
