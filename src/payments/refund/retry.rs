//! A person has a refund tried once more.

use deadpool_postgres::GenericClient;
use serde_json::json;

use super::keys;
use super::locked::lock_refund;
use super::reserve::reserve_again;
use super::view::{RefundView, find_view};
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::RefundId;
use crate::invoices;
use crate::jobs::{self, Job};
use crate::payments::history::record_refund;
use crate::sale::off::{queue_jobs_after_change, standing};
use crate::sale::states::RefundStatus;

/// Tries a refund at once that waits, or one that failed: that one reserves its money again, and is asked for under a new key. The
/// caller commits.
///
/// Errors: 404; 409 it is under way or done, it was made and came back, or its money is not there any more.
pub async fn retry_refund(tx: &impl GenericClient, id: RefundId, actor: Actor) -> Result<RefundView> {
    const AGAIN: &str = "
        UPDATE refunds SET status = 'pending', error = NULL, waits_since = NULL, in_hand_since = NULL, late_told_at = now(), updated_at = now()
         WHERE id = $1";
    let refund = lock_refund(tx, id).await?.ok_or(Error::NotFound("The refund"))?;
    let (order, status) = (refund.order.id, refund.status);
    match status {
        RefundStatus::Waiting => {}
        RefundStatus::Failed if refund.was_done => {
            let why = format!(
                "The refund was made, and the buyer's bank sent it back: ask for another one, or pay it another way and record that \
                 with POST /api/admin/refunds/{id}/settle"
            );
            return Err(Error::Conflict(why));
        }
        RefundStatus::Failed => {
            let before = standing(tx, order).await?;
            reserve_again(tx, &refund.payment, refund.amount).await?;
            keys::take_another(tx, id).await?;
            db::execute(tx, AGAIN, &[&id]).await?;
            record_refund(tx, order, id, Some(status), RefundStatus::Pending, "tried once more", actor).await?;
            invoices::returns::follow_sums(tx, order, Some(id), false, actor).await?;
            queue_jobs_after_change(tx, order, before).await?;
        }
        RefundStatus::Pending | RefundStatus::Processing | RefundStatus::Unknown => {
            return Err(Error::Conflict(format!("The refund is {status}: it is under way already")));
        }
        RefundStatus::Done => return Err(Error::Conflict("The money is back with the buyer already".into())),
    }
    jobs::push_now(tx, Job::SendRefund { refund: id }).await?;
    let (before, after) = (json!({"status": status}), json!({"tried": "at once"}));
    audit_log::record(tx, actor, Action::RefundRetry, &id.to_string(), Some(before), Some(after)).await?;
    find_view(tx, id).await
}
