//! Refunds that a provider cannot make any more: somebody gave the money back on its own pages, and too little of the payment is left
//! there. They end, so that what went back takes their place in the reserve.

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::pix::{RefundStatus, TheirRefund};
use vitrine_kit::refund::Nature;

use super::reserve::{is_nobodys, refund_rest, refundable};
use super::settle::{End, Ending};
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::payments::store::{self, Payment};
use crate::sale::locks::LockedOrder;
use crate::sale::off::{Standing, hold_after_failed_refund, queue_jobs_after_change};
use crate::sale::states::{self, PaymentStatus};

const WHY: &str = "the money went back at the provider, without the shop";

/// A refund of ours that nothing in the provider's books stands for.
struct Unmade {
    id: RefundId,
    amount: Money,
    status: states::RefundStatus,
}

/// Ends the refunds of a locked payment for which its provider has too little left, by its whole list of refunds; the older ones come
/// first. The reserve has room then for what the list holds; once that is brought in, [`follow`] is called. The caller commits.
pub(super) async fn make_way(
    tx: &impl GenericClient,
    provider: &'static str,
    (order, payment): (&LockedOrder, &Payment),
    theirs: &[TheirRefund],
) -> Result<Vec<(RefundId, Money)>> {
    let mut displaced = Vec::new();
    if payment.status == PaymentStatus::Disputed {
        return Ok(displaced); // they wait for the dispute's end, which may bring money back
    }
    // What the payer's bank took is no refund: it ends them by itself, with its own reason.
    let is_refund = |one: &&TheirRefund| matches!(one.nature, Nature::Original | Nature::Withdrawal | Nature::Unsaid);
    // What is in process there may still fail.
    let done = || theirs.iter().filter(is_refund).filter(|one| one.status == RefundStatus::Done);
    let gone = Money::sum(done().map(|one| one.amount)).unwrap_or(payment.captured);
    let mut left = payment.captured.checked_sub(gone).unwrap_or(Money::ZERO);
    for unmade in list_unmade(tx, payment, theirs.iter()).await? {
        match left.checked_sub(unmade.amount).filter(|rest| *rest >= Money::ZERO) {
            Some(rest) => left = rest,
            None => {
                Ending { provider, order, payment, id: unmade.id, amount: unmade.amount, from: unmade.status }
                    .failed(tx, WHY)
                    .await?;
                displaced.push((unmade.id, unmade.amount));
            }
        }
    }
    Ok(displaced)
}

/// Those that are not done, and that the provider neither has in hand nor names in its list. One that failed there under its present key is
/// named too: its job decides. What failed under an earlier key was decided, and names nothing.
async fn list_unmade<'a>(
    tx: &impl GenericClient,
    payment: &Payment,
    theirs: impl Iterator<Item = &'a TheirRefund>,
) -> Result<Vec<Unmade>> {
    const LIST: &str = "
        SELECT r.id, r.amount_cents, r.status FROM refunds r
         WHERE r.payment_id = $1 AND r.status IN ('pending', 'unknown', 'waiting')
           AND r.key <> ALL ($2) AND coalesce(r.provider_ref <> ALL ($3), true)
           AND NOT EXISTS (SELECT FROM refund_keys k WHERE k.refund_id = r.id AND (k.key = ANY ($4) OR k.provider_ref = ANY ($5)))
         ORDER BY r.id FOR NO KEY UPDATE";
    let (mut all, mut lasting) = (Names::default(), Names::default());
    for one in theirs {
        all.add(one);
        if !matches!(one.status, RefundStatus::Failed(_)) {
            lasting.add(one);
        }
    }
    let unmade = |row: &tokio_postgres::Row| -> Result<Unmade> {
        Ok(Unmade { id: row.get("id"), amount: row.get("amount_cents"), status: row.try_get("status")? })
    };
    let named: [&(dyn ToSql + Sync); 5] = [&payment.id, &all.keys, &all.references, &lasting.keys, &lasting.references];
    db::query(tx, LIST, &named).await?.iter().map(unmade).collect()
}

/// Names of refunds in a provider's list: our keys, and its own references.
#[derive(Default)]
struct Names<'a> {
    keys: Vec<Uuid>,
    references: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn add(&mut self, one: &'a TheirRefund) {
        self.keys.extend(one.refund_id);
        self.references.push(&one.reference);
    }
}

/// Whether the payment has a refund that may have to make way.
pub(super) async fn has_unmade(db: &impl GenericClient, payment: PaymentId) -> Result<bool> {
    const ASK: &str =
        "SELECT EXISTS (SELECT FROM refunds WHERE payment_id = $1 AND status IN ('pending', 'unknown', 'waiting')) AS has";
    Ok(db::query_one(db, ASK, &[&payment]).await?.get("has"))
}

/// What is left of the money, and nobody is to keep, goes back. Where the shop may keep it a person decides: the sale is on hold if the
/// refund kept it off, and the operator is told. `before`: how the sale stood, before they ended.
pub(super) async fn follow(
    tx: &impl GenericClient,
    provider: &'static str,
    (order, payment): (&LockedOrder, &Payment),
    displaced: &[(RefundId, Money)],
    before: Standing,
) -> Result<()> {
    let Some(now) = store::find(tx, payment.id).await? else { return Ok(()) };
    if is_nobodys(order, &now) {
        refund_rest(tx, now.id, Actor::Provider(provider), "the rest of what went back at the provider").await?;
    } else if refundable(&now) > Money::ZERO {
        let is_held = hold_after_failed_refund(tx, order.id, before, WHY).await?;
        for &(id, amount) in displaced {
            let ending = Ending { provider, order, payment, id, amount, from: states::RefundStatus::Failed };
            ending.tell_of_failure(tx, End::Failed(WHY), is_held).await?;
        }
    }
    queue_jobs_after_change(tx, order.id, before).await
}
