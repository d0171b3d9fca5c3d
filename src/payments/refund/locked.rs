//! A refund under the locks of its order, its payment and its own row.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::db;
use crate::error::Result;
use crate::ids::RefundId;
use crate::payments::store::{self, Payment};
use crate::sale::locks::LockedOrder;
use crate::sale::states::RefundStatus;

pub(super) struct Locked {
    pub order: LockedOrder,
    pub payment: Payment,
    pub status: RefundStatus,
    pub amount: Money,
    /// The provider made it once.
    pub was_done: bool,
}

/// `None`: there is no such refund.
pub(super) async fn lock_refund(tx: &impl GenericClient, id: RefundId) -> Result<Option<Locked>> {
    const OF: &str = "SELECT payment_id FROM refunds WHERE id = $1";
    const LOCK: &str = "
        SELECT status, amount_cents, EXISTS (SELECT FROM money_movements m WHERE m.refund_id = r.id) AS was_done
          FROM refunds r WHERE id = $1 FOR NO KEY UPDATE";
    let Some(row) = db::query_opt(tx, OF, &[&id]).await? else { return Ok(None) };
    let Some((order, payment)) = store::lock(tx, row.get("payment_id")).await? else { return Ok(None) };
    let row = db::query_one(tx, LOCK, &[&id]).await?;
    let (status, amount, was_done) = (row.try_get("status")?, row.get("amount_cents"), row.get("was_done"));
    Ok(Some(Locked { order, payment, status, amount, was_done }))
}
