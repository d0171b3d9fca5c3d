//! What a provider says of a dispute, brought into our rows: in any order, any number of times.

use deadpool_postgres::GenericClient;
use vitrine_kit::dispute::{Dispute as Theirs, Stage, State};

use super::alert::{self, Moved};
use super::money;
use super::rank::{self, Step};
use super::store::{self as rows, Dispute};
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::{DisputeId, PaymentId, RefundId};
use crate::jobs::{self, Job};
use crate::payments::effect::Effect;
use crate::payments::refund::reserve::refund_what_nobody_keeps;
use crate::payments::store::{self, Payment};
use crate::sale::history::{Change, record_change};
use crate::sale::locks::LockedOrder;
use crate::sale::off::{queue_jobs_after_change, standing};
use crate::sale::outcome::EventOutcome;
use crate::sale::states::{DisputeStage, DisputeState, RefundStatus};

pub use super::rank::Source;

/// Records what a provider says of a dispute of that payment. The caller commits.
pub async fn record_dispute(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &Theirs,
    source: Source,
) -> Result<Effect> {
    let Some((order, payment)) = store::lock(tx, payment).await?.filter(|(_, payment)| payment.provider == provider) else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    let known = rows::lock_by_ref(tx, provider, &theirs.reference).await?;
    if known.as_ref().is_some_and(|known| known.payment_id != payment.id) {
        return Ok(Effect::on(order.id, EventOutcome::Mismatch)); // a dispute does not change its payment
    }
    let (stage, state) = words_of(theirs, &payment);
    match rank::step(known.as_ref(), stage, state, source) {
        Step::Move => {
            let actor = Actor::Provider(provider);
            let to = To { stage, state, actor, theirs };
            move_to(tx, &order, &payment, known.as_ref(), &to).await?;
            Ok(Effect::on(order.id, EventOutcome::Applied))
        }
        Step::Same => {
            if let Some(known) = &known {
                rows::keep_facts(tx, known.id, theirs).await?;
            }
            Ok(Effect::on(order.id, EventOutcome::AlreadyDone))
        }
        Step::Stay => Ok(Effect::on(order.id, EventOutcome::Ignored)),
        Step::Ask => {
            let look =
                Job::LookAtDispute { provider: provider.to_owned(), reference: theirs.reference.clone(), evidence_ref: None };
            jobs::push_now(tx, look).await?;
            Ok(Effect::on(order.id, EventOutcome::Ignored))
        }
    }
}

/// Their words in ours. Money of another currency than the payment's is none that we can book.
fn words_of(theirs: &Theirs, payment: &Payment) -> (DisputeStage, DisputeState) {
    let stage = match theirs.stage {
        Stage::Inquiry => DisputeStage::Inquiry,
        Stage::Contested => DisputeStage::Contested,
    };
    let state = match theirs.state {
        _ if theirs.currency.as_ref().is_some_and(|currency| *currency != payment.currency) => DisputeState::Unclear,
        State::Open => DisputeState::Open,
        State::UnderReview => DisputeState::UnderReview,
        State::Won => DisputeState::Won,
        State::Lost => DisputeState::Lost,
        State::Closed => DisputeState::Closed,
        State::Unclear => DisputeState::Unclear,
    };
    (stage, state)
}

/// Where a dispute stands from now on, and by whom.
pub(super) struct To<'a> {
    pub stage: DisputeStage,
    pub state: DisputeState,
    pub actor: Actor,
    pub theirs: &'a Theirs,
}

/// Moves a dispute, with all that follows: the ledger, the states of payment and order, refunds that waited, label and invoice, and
/// the operator's alert. Order, payment and dispute are locked. The caller commits.
pub(super) async fn move_to(
    tx: &impl GenericClient,
    order: &LockedOrder,
    payment: &Payment,
    known: Option<&Dispute>,
    to: &To<'_>,
) -> Result<DisputeId> {
    let closed_by = (!to.state.is_open()).then(|| to.actor.to_string());
    let at = (to.stage, to.state);
    let id = match known {
        Some(known) => {
            rows::keep_facts(tx, known.id, to.theirs).await?;
            rows::mark_moved(tx, known.id, at, closed_by.as_deref()).await?;
            known.id
        }
        None => {
            let of = (payment.id, order.id);
            rows::insert(tx, of, &payment.provider, to.theirs, at, closed_by.as_deref()).await?
        }
    };
    record_move(tx, order, id, known, to).await?;
    let before = standing(tx, order.id).await?;
    money::follow(tx, payment.id, reason_of(to), to.actor).await?;
    if !to.state.is_open() {
        after_its_end(tx, order, payment, to).await?;
    }
    queue_jobs_after_change(tx, order.id, before).await?;
    let now = rows::find(tx, id).await?;
    let now = now.as_ref();
    alert::tell(
        tx,
        &Moved {
            order,
            provider: &payment.provider,
            reference: &to.theirs.reference,
            stage: to.stage,
            state: to.state,
            is_new_at_its_stage: known.is_none_or(|known| known.stage != to.stage || !known.state.is_open()),
            amount: now.and_then(|now| now.amount),
            reason: now.map_or("", |now| &now.reason),
            word: &to.theirs.status,
            due_by: now.and_then(|now| now.due_by),
        },
    )
    .await?;
    Ok(id)
}

/// In the order's history, in words of ours.
fn reason_of(to: &To<'_>) -> &'static str {
    match (to.state, to.stage) {
        (DisputeState::Won, _) => "dispute won",
        (DisputeState::Lost, _) => "dispute lost",
        (DisputeState::Closed, _) => "dispute closed",
        (DisputeState::Unclear, _) => "the provider does not say where the money is",
        (DisputeState::Open | DisputeState::UnderReview, DisputeStage::Inquiry) => "the payer's bank asks",
        (DisputeState::Open | DisputeState::UnderReview, DisputeStage::Contested) => "contested by the payer's bank",
    }
}

async fn record_move(
    tx: &impl GenericClient,
    order: &LockedOrder,
    id: DisputeId,
    known: Option<&Dispute>,
    to: &To<'_>,
) -> Result<()> {
    let reason = match known {
        Some(known) if known.stage == DisputeStage::Inquiry && to.stage == DisputeStage::Contested => {
            "the inquiry became a dispute"
        }
        _ => reason_of(to),
    };
    let change = Change {
        subject: "dispute",
        subject_id: Some(id.0),
        from: known.map(|known| known.state.as_str()),
        to: to.state.as_str(),
        reason,
        actor: to.actor,
    };
    record_change(tx, order.id, &change).await
}

/// Refunds that somebody made at the provider meanwhile are read, those of ours that waited go on, and what nobody is to keep goes
/// back: of an order that was cancelled under the dispute, and of a surplus.
async fn after_its_end(tx: &impl GenericClient, order: &LockedOrder, payment: &Payment, to: &To<'_>) -> Result<()> {
    const OPEN: &str = sql!("SELECT id FROM refunds WHERE payment_id = $1 AND status IN ", RefundStatus::OPEN_SQL);
    if payment.captured.is_zero() {
        return Ok(());
    }
    jobs::push_now(tx, Job::LookAtRefunds { payment: payment.id }).await?;
    let waited: Vec<_> = db::query(tx, OPEN, &[&payment.id])
        .await?
        .iter()
        .map(|row| (Job::SendRefund { refund: row.get::<_, RefundId>("id") }, None))
        .collect();
    jobs::push_all_now(tx, &waited).await?;
    let why = match to.state {
        DisputeState::Lost => "its dispute ended, and this is left of the money",
        _ => "its dispute ended, and the money stayed here",
    };
    refund_what_nobody_keeps(tx, order, payment, to.actor, why).await
}
