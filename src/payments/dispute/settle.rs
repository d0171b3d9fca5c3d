//! An administrator ends a dispute that the provider leaves unclear, or does not show any more.

use deadpool_postgres::GenericClient;
use serde_json::json;
use vitrine_kit::Money;
use vitrine_kit::dispute::{Contested, Dispute as Theirs, Stage, State};

use super::record::{To, move_to};
use super::store::{self as rows, Dispute};
use super::watch;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::error::{Chain, Error, Result};
use crate::ids::DisputeId;
use crate::jobs::{self, Job};
use crate::payments::gateway::Gateway;
use crate::payments::store;
use crate::sale::states::{DisputeStage, DisputeState};

/// How an administrator ends it.
#[derive(Debug)]
pub(super) struct Settlement<'a> {
    /// `won` or `lost`.
    pub to: DisputeState,
    /// What the bank took, of a lost one. `None`: what it is about.
    pub amount: Option<Money>,
    pub note: &'a str,
    pub actor: Actor,
    /// The provider says that it has it, by [`is_known_there`].
    pub is_known_there: bool,
}

/// Asks the provider of an open dispute how it stands, and records what it says. `false`: it does not know it, or nobody can be asked.
/// No connection is held meanwhile.
///
/// Errors: the provider's, unless the dispute has not moved for thirty days.
pub(super) async fn is_known_there(app: &App, dispute: &Dispute) -> Result<bool> {
    if dispute.state == DisputeState::Unclear || !dispute.state.is_open() {
        return Ok(false); // that does not depend on it
    }
    match ask(app, dispute).await {
        Err(Error::Unconfigured(_)) => Ok(false),
        Err(error) if dispute.is_stuck => {
            tracing::warn!(dispute = dispute.reference, error = %Chain(&error), "a dispute that has not moved for long cannot be read");
            Ok(false)
        }
        answer => answer,
    }
}

async fn ask(app: &App, dispute: &Dispute) -> Result<bool> {
    let gateway = Gateway::named(app, &dispute.provider)?;
    if watch::read(app, &gateway, &dispute.reference, None).await? {
        return Ok(true);
    }
    // A bank shows it as a return of the payment alone.
    let Some(payment) = store::find(&app.db().await?, dispute.payment_id).await? else { return Ok(false) };
    let returns = gateway.refunds_of(&payment).await?.unwrap_or_default();
    let is_there = returns.iter().any(|one| one.reference == dispute.reference);
    if is_there {
        jobs::push_now(&app.db().await?, Job::LookAtRefunds { payment: payment.id }).await?; // it may have ended
        app.jobs_were_pushed();
    }
    Ok(is_there)
}

/// Ends it, with all that follows from an end that the provider tells. The caller commits.
///
/// Errors: 404; 409 the provider decides it, or has decided; 422 more than what came, or an amount of one that was won.
pub(super) async fn settle(tx: &impl GenericClient, id: DisputeId, by: &Settlement<'_>) -> Result<()> {
    let found = rows::find(tx, id).await?.ok_or(Error::NotFound("The dispute"))?;
    let (order, payment) = store::lock(tx, found.payment_id).await?.ok_or(Error::NotFound("The dispute"))?;
    let known = rows::lock(tx, id).await?.ok_or(Error::NotFound("The dispute"))?;
    refuse_what_the_provider_decides(&known, by.is_known_there)?;
    if by.amount.is_some_and(|amount| amount > payment.captured) {
        return Err(Error::field("amount_cents", format!("is more than the {} centavos that came", payment.captured.cents())));
    }
    if by.amount.is_some() && by.to == DisputeState::Won {
        return Err(Error::field("amount_cents", "goes only with a lost one"));
    }
    rows::note_settlement(tx, id, by.amount, by.note).await?;
    let theirs = said_of(&known, by.amount);
    let stage = if by.to == DisputeState::Lost { DisputeStage::Contested } else { known.stage };
    let to = To { stage, state: by.to, actor: by.actor, theirs: &theirs };
    move_to(tx, &order, &payment, Some(&known), &to).await?;
    let before = json!({"state": known.state, "amount_cents": known.amount});
    let after = json!({"state": by.to, "amount_cents": by.amount.or(known.amount)});
    audit_log::record(tx, by.actor, Action::DisputeSettle, &id.to_string(), Some(before), Some(after)).await
}

fn refuse_what_the_provider_decides(known: &Dispute, is_known_there: bool) -> Result<()> {
    match known.state {
        DisputeState::Unclear => Ok(()),
        state if state.is_open() && is_known_there && !known.is_stuck => {
            Err(Error::Conflict(format!("The dispute is {state} at {}, which decides it", known.provider)))
        }
        state if !state.is_open() && !known.is_settled_by_hand() => {
            Err(Error::Conflict(format!("The dispute is {state}: {} has decided it", known.provider)))
        }
        _ => Ok(()),
    }
}

/// What is known of it, in the words of a provider: nothing in it is new but the amount.
fn said_of(known: &Dispute, amount: Option<Money>) -> Theirs {
    Theirs {
        reference: known.reference.clone(),
        payment: Contested::default(),
        amount,
        currency: None,
        stage: Stage::Contested,
        state: State::Unclear,
        status: String::new(),
        reason: String::new(),
        opened_at: None,
        due_by: None,
        evidence_ref: None,
    }
}
