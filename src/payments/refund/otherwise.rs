//! A refund that the provider will not make, and that the shop paid the buyer another way: an administrator says so.

use deadpool_postgres::GenericClient;
use serde_json::json;

use super::keys;
use super::locked::lock_refund;
use super::reserve::reserve_again;
use super::settle::enter;
use super::view::{RefundView, find_view};
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::RefundId;
use crate::invoices;
use crate::jobs::{self, Job};
use crate::payments::history::record_refund;
use crate::payments::sums;
use crate::sale::off::{queue_jobs_after_change, standing};
use crate::sale::states::RefundStatus;

/// Records that the shop paid a failed refund's amount another way: it is done, beside the provider's books. It gets a new key, which
/// the provider never hears of, so that news of the one before are news of money that went back twice. The caller commits.
///
/// Errors: 404; 409 it has not failed, or its money is not there any more.
pub async fn settle_otherwise(tx: &impl GenericClient, id: RefundId, note: &str, actor: Actor) -> Result<RefundView> {
    const PAID: &str = "
        UPDATE refunds SET status = 'done', error = NULL, paid_otherwise_at = now(), paid_otherwise_by = $2, note = $3, updated_at = now()
         WHERE id = $1";
    const REASON: &str = "the shop paid it another way";
    let refund = lock_refund(tx, id).await?.ok_or(Error::NotFound("The refund"))?;
    let order = refund.order.id;
    match refund.status {
        RefundStatus::Failed => {}
        RefundStatus::Done => return Err(Error::Conflict("The money is back with the buyer already".into())),
        open => return Err(Error::Conflict(format!("The refund is {open}: the provider may still make it"))),
    }
    let before = standing(tx, order).await?;
    reserve_again(tx, &refund.payment, refund.amount).await?;
    keys::take_another(tx, id).await?;
    db::execute(tx, PAID, &[&id, &actor.to_string(), &note]).await?;
    enter(tx, id, "refund_otherwise", refund.amount, &refund.payment.provider).await?;
    record_refund(tx, order, id, Some(refund.status), RefundStatus::Done, REASON, actor).await?;
    sums::follow_the_sums(tx, &refund.payment, REASON, actor).await?;
    invoices::returns::follow_sums(tx, order, Some(id), false, actor).await?;
    queue_jobs_after_change(tx, order, before).await?;
    jobs::push(tx, Job::MailRefunded { refund: id }).await?;
    let (before, after) = (json!({"status": refund.status}), json!({"status": "done", "paid": "another way"}));
    audit_log::record(tx, actor, Action::RefundSettle, &id.to_string(), Some(before), Some(after)).await?;
    find_view(tx, id).await
}
