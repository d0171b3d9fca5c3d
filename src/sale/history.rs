//! The history of an order: one row per change of anything that is about it.

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use super::states::{OrderPaymentStatus, OrderStatus};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;

/// One row of an order's history. Write it while the order is locked: the rows then stand in the order of the commits.
#[derive(Debug)]
pub struct Change<'a> {
    /// `order`, `payment_status`, `payment`, `refund`, `dispute`, `shipment`, `invoice`, `message`, `stock`, `coupon`, `price` or
    /// `buyer` (an administrator changed the buyer's name or the address).
    pub subject: &'static str,
    pub subject_id: Option<Uuid>,
    pub from: Option<&'a str>,
    pub to: &'a str,
    pub reason: &'a str,
    pub actor: Actor,
}

/// Adds one row to the order's history.
pub async fn record_change(tx: &impl GenericClient, order: OrderId, change: &Change<'_>) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, reason, actor, cause)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (actor, cause) = (change.actor.to_string(), cause::current());
    db::execute(
        tx,
        INSERT,
        &[&order, &change.subject, &change.subject_id, &change.from, &change.to, &change.reason, &actor, &cause],
    )
    .await?;
    Ok(())
}

/// A change of `status`, of `payment_status`, or of both.
#[derive(Debug, Clone, Copy)]
pub struct StatusChange {
    pub status: (OrderStatus, OrderStatus),
    pub payment: (OrderPaymentStatus, OrderPaymentStatus),
}

/// Adds the rows of a status change in one statement. A status that stays as it was gets no row.
pub async fn record_status_change(
    tx: &impl GenericClient,
    order: OrderId,
    change: StatusChange,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
        SELECT $1, t.subject, t.before, t.after, $6, $7, $8
          FROM (VALUES ('order', $2::text, $3::text), ('payment_status', $4, $5)) AS t (subject, before, after) WHERE t.before <> t.after";
    let (actor, cause) = (actor.to_string(), cause::current());
    let (status, payment) = (change.status, change.payment);
    db::execute(tx, INSERT, &[&order, &status.0, &status.1, &payment.0, &payment.1, &reason, &actor, &cause]).await?;
    Ok(())
}
