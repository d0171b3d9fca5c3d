//! The reserve: what of a payment is back or on its way. The row of a refund and its reserve come first, so that the refunds of a
//! payment never exceed what was captured.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::jobs::{self, Job};
use crate::payments::history::record_refund;
use crate::payments::store::{self, Payment};
use crate::sale::locks::LockedOrder;
use crate::sale::states::{OrderStatus, PaymentStatus, RefundStatus};

/// How much of a payment has not gone back, is not on its way, and was not taken by the payer's bank.
pub fn refundable(payment: &Payment) -> Money {
    let gone = payment.refunded.checked_add(payment.lost);
    gone.and_then(|gone| payment.captured.checked_sub(gone)).unwrap_or(Money::ZERO).max(Money::ZERO)
}

/// Reserves the amount, writes the row, and sends the job. `None`: not so much is left, whoever asked at the same time.
pub async fn open_refund(
    tx: &impl GenericClient,
    payment: &Payment,
    amount: Money,
    reason: &str,
    restock: bool,
    actor: Actor,
) -> Result<Option<RefundId>> {
    const INSERT: &str = "
        INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, reason, restock, requested_by) VALUES ($1, $1, $2, $3, $4, $5, $6, $7)";
    if !reserve(tx, payment.id, amount).await? {
        return Ok(None);
    }
    let id = RefundId::new();
    let by = actor.to_string();
    db::execute(tx, INSERT, &[&id, &payment.id, &payment.order_id, &amount, &reason, &restock, &by]).await?;
    record_refund(tx, payment.order_id, id, None, RefundStatus::Pending, reason, actor).await?;
    jobs::push(tx, Job::SendRefund { refund: id }).await?;
    Ok(Some(id))
}

/// The guard that no two refunds can pass together: what goes back never exceeds what is left. Nothing is left to the shop while a
/// dispute holds the money.
async fn reserve(tx: &impl GenericClient, payment: PaymentId, amount: Money) -> Result<bool> {
    const RESERVE: &str = "
        UPDATE payments SET refunded_cents = refunded_cents + $2, updated_at = now()
         WHERE id = $1 AND refunded_cents + lost_cents + $2 <= captured_cents
           AND status IN ('paid', 'partially_refunded', 'partially_charged_back', 'surplus')";
    Ok(db::execute(tx, RESERVE, &[&payment, &amount]).await? == 1)
}

/// The same for a refund that failed, by a person's word.
///
/// Errors: 409 the money is not there any more.
pub(super) async fn reserve_again(tx: &impl GenericClient, payment: &Payment, amount: Money) -> Result<()> {
    if reserve(tx, payment.id, amount).await? {
        return Ok(());
    }
    Err(Error::Conflict(match payment.status {
        PaymentStatus::Disputed => "The payment is disputed: its money cannot be refunded meanwhile".into(),
        _ => "Not so much is left to refund: it went back by another refund, or the payer's bank took it".into(),
    }))
}

/// The same for money that went back at the provider already: its books are the truth, whatever the payment's state. `false`:
/// with it, more went back than came.
pub async fn reserve_what_went(tx: &impl GenericClient, payment: PaymentId, amount: Money) -> Result<bool> {
    const RESERVE: &str = "
        UPDATE payments SET refunded_cents = refunded_cents + $2, updated_at = now()
         WHERE id = $1 AND refunded_cents + $2 <= captured_cents AND captured_cents > 0";
    Ok(db::execute(tx, RESERVE, &[&payment, &amount]).await? == 1)
}

/// Gives back all that is left of every payment of a locked order: for a cancel. The caller commits.
pub async fn refund_all(tx: &impl GenericClient, order: OrderId, by: Actor, reason: &str) -> Result<()> {
    // An order has a handful of payments, and rarely more than one with money.
    for payment in store::list_of_order(tx, order).await? {
        open_rest(tx, &payment, by, reason).await?;
    }
    Ok(())
}

/// The same of one payment. `None`: nothing is left, or a dispute holds it.
pub async fn refund_rest(tx: &impl GenericClient, payment: PaymentId, by: Actor, reason: &str) -> Result<Option<RefundId>> {
    match store::find(tx, payment).await? {
        Some(payment) => open_rest(tx, &payment, by, reason).await,
        None => Ok(None),
    }
}

/// Whether nobody is to keep the money: it is a surplus, or its order was cancelled.
pub(super) fn is_nobodys(order: &LockedOrder, payment: &Payment) -> bool {
    payment.is_surplus || order.status == OrderStatus::Cancelled
}

/// The same for money that nobody is to keep, and nothing for any other. The order and the payment are locked by the caller, who commits.
pub async fn refund_what_nobody_keeps(
    tx: &impl GenericClient,
    order: &LockedOrder,
    payment: &Payment,
    by: Actor,
    reason: &str,
) -> Result<()> {
    if is_nobodys(order, payment) {
        refund_rest(tx, payment.id, by, reason).await?;
    }
    Ok(())
}

async fn open_rest(tx: &impl GenericClient, payment: &Payment, by: Actor, reason: &str) -> Result<Option<RefundId>> {
    let left = refundable(payment);
    if left <= Money::ZERO {
        return Ok(None);
    }
    open_refund(tx, payment, left, reason, false, by).await
}
