//! The rows of an order's history that are about its payments.

use deadpool_postgres::GenericClient;

use crate::cause::Actor;
use crate::error::Result;
use crate::ids::{OrderId, RefundId};
use crate::payments::store::Payment;
use crate::sale::history::{Change, record_change};
use crate::sale::states::{PaymentStatus, RefundStatus};

/// One row about a payment.
pub async fn record_payment(
    tx: &impl GenericClient,
    payment: &Payment,
    from: Option<PaymentStatus>,
    to: PaymentStatus,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let change = Change {
        subject: "payment",
        subject_id: Some(payment.id.0),
        from: from.map(PaymentStatus::as_str),
        to: to.as_str(),
        reason,
        actor,
    };
    record_change(tx, payment.order_id, &change).await
}

/// One row about a refund.
pub async fn record_refund(
    tx: &impl GenericClient,
    order: OrderId,
    id: RefundId,
    from: Option<RefundStatus>,
    to: RefundStatus,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    let change = Change {
        subject: "refund",
        subject_id: Some(id.0),
        from: from.map(RefundStatus::as_str),
        to: to.as_str(),
        reason,
        actor,
    };
    record_change(tx, order, &change).await
}
