//! A refund that has not come to an end, as it is sent and asked about.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::pix::NewRefund;

use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::sale::states::{self, RefundStatus};

/// A refund in hand.
pub(super) struct Open {
    pub(super) id: RefundId,
    pub(super) payment_id: PaymentId,
    /// What the provider knows it by.
    pub(super) key: Uuid,
    /// The key before this one.
    pub(super) last_key: Option<Uuid>,
    pub(super) amount: Money,
    pub(super) status: states::RefundStatus,
    /// Calls that asked for it under this key so far.
    pub(super) tries: i32,
    pub(super) reason: String,
    pub(super) provider: String,
    pub(super) end_to_end_id: Option<String>,
    pub(super) payment_ref: Option<String>,
    pub(super) refund_ref: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) waits_since: Option<Timestamp>,
    /// A dispute holds the payment's money.
    pub(super) is_contested: bool,
    /// With what disputes took, no more goes back than came.
    pub(super) fits: bool,
}

impl Open {
    /// The provider is asked in the same words on every try.
    pub(super) fn ask(&self) -> NewRefund {
        NewRefund {
            refund_id: self.key,
            payment_id: self.payment_id.0,
            end_to_end_id: self.end_to_end_id.clone(),
            payment_ref: self.payment_ref.clone(),
            refund_ref: self.refund_ref.clone(),
            amount: self.amount,
            reason: self.reason.clone(),
        }
    }

    /// The same under the key before.
    pub(super) fn ask_before(&self) -> Option<NewRefund> {
        Some(NewRefund { refund_id: self.last_key?, refund_ref: None, ..self.ask() })
    }
}

/// `None`: it has ended.
pub(super) async fn find_open(db: &impl GenericClient, id: RefundId) -> Result<Option<Open>> {
    const FIND: &str = sql!("
        SELECT r.id, r.payment_id, r.key, r.amount_cents, r.status, r.tries, r.reason, r.created_at, r.waits_since, r.provider_ref AS refund_ref,
               (SELECT k.key FROM refund_keys k WHERE k.refund_id = r.id ORDER BY k.left_at DESC, k.key DESC LIMIT 1) AS last_key,
               p.provider, p.end_to_end_id, p.provider_ref AS payment_ref, p.status = 'disputed' AS is_contested,
               p.refunded_cents + p.lost_cents <= p.captured_cents AS fits
          FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE r.id = $1 AND r.status IN ", RefundStatus::OPEN_SQL);
    let Some(row) = db::query_opt(db, FIND, &[&id]).await? else { return Ok(None) };
    Ok(Some(Open {
        id: row.get("id"),
        payment_id: row.get("payment_id"),
        key: row.get("key"),
        last_key: row.get("last_key"),
        amount: row.get("amount_cents"),
        status: row.try_get("status")?,
        tries: row.get("tries"),
        reason: row.get("reason"),
        provider: row.get("provider"),
        end_to_end_id: row.get("end_to_end_id"),
        payment_ref: row.get("payment_ref"),
        refund_ref: row.get("refund_ref"),
        created_at: row.get("created_at"),
        waits_since: row.get("waits_since"),
        is_contested: row.get("is_contested"),
        fits: row.get("fits"),
    }))
}
