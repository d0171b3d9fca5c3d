//! Buying a label: cart → checkout → generate → print. Each step first reads the result of the step before it at the provider, so
//! that a lost answer, a crash or a second worker buys nothing twice.

use jiff::SignedDuration;
use uuid::Uuid;
use vitrine_kit::{ProviderError, said};
use vitrine_melhorenvio::{Label, MelhorEnvio, NAME};

use super::facts::{self, Missing};
use super::plan::{Plan, WAIT_FOR_INVOICE, plan};
use super::state::State;
use super::store::{self, Shipment};
use super::{after, news};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::{OrderId, ShipmentId};
use crate::jobs::Outcome;

/// No label takes more steps than this in one run.
const MAX_STEPS: usize = 12;
/// When to try again while another run holds the label.
pub(super) const BUSY: SignedDuration = SignedDuration::from_secs(30);
/// When to try again while the shop has to complete its settings.
const WAIT_FOR_SHOP: SignedDuration = SignedDuration::from_mins(30);
/// How long to wait for a label to be made: a quarter of the time it took so far, within these, in seconds.
const MAKING_S: (i64, i64) = (2, 1800);

/// Job: buys the labels of a paid order, each once. A repeat continues where the last run ended.
pub async fn buy(app: &App, order: OrderId) -> Result<Outcome> {
    let Some(broker) = app.providers.melhorenvio.as_deref() else { return Ok(Outcome::Done) };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let plan = plan(&tx, app, order, false, Actor::System).await?;
    if plan != Plan::Nothing {
        news::catch_up(&tx, order).await?;
    }
    tx.commit().await?;
    drop(db);
    app.jobs_were_pushed();
    let labels = match plan {
        Plan::Nothing => return Ok(Outcome::Done),
        Plan::WaitForInvoice => return Ok(Outcome::Again(after(WAIT_FOR_INVOICE))),
        Plan::Labels(labels) => labels,
    };
    let mut outcome = Ok(Outcome::Done);
    for label in labels {
        // A label that cannot be bought does not stop the others.
        outcome = worst(outcome, advance(app, broker, label).await);
    }
    outcome
}

/// The outcome of two labels in one job. An error comes first, because the job is then tried again; of two errors, the first.
pub(super) fn worst(one: Result<Outcome>, other: Result<Outcome>) -> Result<Outcome> {
    Ok(worse(one?, other?))
}

/// Dead before waiting, waiting before done, and the earlier of two waits.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (dead @ Outcome::Dead(_), _) | (_, dead @ Outcome::Dead(_)) => dead,
        (Outcome::Again(one), Outcome::Again(other)) => Outcome::Again(one.min(other)),
        (again @ Outcome::Again(_), Outcome::Done) | (Outcome::Done, again) => again,
    }
}

/// What one step led to.
enum Step {
    /// Its state has changed: go on with the next step.
    On,
    End(Outcome),
}

/// Takes one label as far as it can go now, while holding its claim.
async fn advance(app: &App, broker: &MelhorEnvio, id: ShipmentId) -> Result<Outcome> {
    let claim = Uuid::new_v4();
    let outcome = steps(app, broker, id, claim).await;
    if let Err(Error::Provider(error)) = &outcome {
        store::note_error(&app.db().await?, id, &error.told()).await?;
    }
    store::release(&app.db().await?, id, claim).await?;
    match outcome {
        // The row and the alert hold the provider's words. Repeating the call cannot help.
        Err(Error::Provider(error @ ProviderError::Rejected { .. })) => Ok(Outcome::Dead(error.told())),
        outcome => outcome,
    }
}

async fn steps(app: &App, broker: &MelhorEnvio, id: ShipmentId, claim: Uuid) -> Result<Outcome> {
    for _ in 0..MAX_STEPS {
        let Some(shipment) = store::claim(&app.db().await?, id, claim).await? else {
            return Ok(Outcome::Again(after(BUSY)));
        };
        let is_wanted = shipment.is_wanted;
        let step = match shipment.state {
            State::Pending if is_wanted => put_into_cart(app, broker, &shipment, claim).await?,
            State::Carted if is_wanted => pay(app, broker, &shipment).await?,
            State::Released if is_wanted => generate(app, broker, &shipment).await?,
            State::Generated if shipment.label_url.is_none() && shipment.order_status != "cancelled" => {
                print(app, broker, &shipment).await?
            }
            _ => Step::End(Outcome::Done),
        };
        match step {
            Step::On => {}
            Step::End(outcome) => return Ok(outcome),
        }
    }
    Err(Error::Internal(format!("label {id} took more than {MAX_STEPS} steps")))
}

/// Puts the label into the provider's cart, unless it is there: a repeat would make a second one.
async fn put_into_cart(app: &App, broker: &MelhorEnvio, shipment: &Shipment, claim: Uuid) -> Result<Step> {
    let known = if shipment.was_asked_for { find_at_provider(app, broker, shipment).await? } else { None };
    let label = match known {
        Some(label) => label,
        None => {
            let db = app.db().await?;
            let new = match facts::read(&db, app, shipment).await? {
                Ok(new) => new,
                Err(missing) => return note_missing(app, shipment, missing).await.map(Step::End),
            };
            if !store::mark_asked(&db, shipment.id, claim).await? {
                return Ok(Step::On);
            }
            drop(db);
            broker.put_in_cart(&new).await?
        }
    };
    record_label(app, shipment, Some(State::Carted), &label).await
}

/// Finds a label at the provider by the tag that we wrote onto it, because the answer with its id may have been lost. `None`: it
/// is certainly not there.
pub(super) async fn find_at_provider(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Option<Label>> {
    let document = facts::document(&app.db().await?, app, shipment.order).await?;
    Ok(broker.find_by_tag(&shipment.id.to_string(), document.as_ref()).await?)
}

/// Notes what is missing. If the shop can complete it, the job tries again by itself; the alert is raised only later.
async fn note_missing(app: &App, shipment: &Shipment, missing: Missing) -> Result<Outcome> {
    let why = match missing {
        Missing::Invoice => return Ok(Outcome::Again(after(WAIT_FOR_INVOICE))),
        Missing::Order(why) => {
            store::note_error(&app.db().await?, shipment.id, why).await?;
            return Ok(Outcome::Dead(why.to_owned()));
        }
        Missing::Shop(why) => why,
    };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let stays_so = !store::note_error(&tx, shipment.id, why).await?;
    if stays_so {
        let text = format!("Nenhuma etiqueta pode ser comprada. {}.", said("", why));
        alerts::raise(&tx, Alert::new(Key::LabelsHalted { why }, text).about(shipment.order)).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Again(after(WAIT_FOR_SHOP)))
}

/// Pays the label, only while the provider says that it is unpaid: the answer to an earlier payment may have been lost.
async fn pay(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Step> {
    let Some(reference) = shipment.provider_ref.as_deref() else { return Err(no_reference(shipment)) };
    let Some(label) = broker.read(reference).await? else { return record_cart_emptied(app, shipment).await };
    match State::of(label.status) {
        Some(State::Carted) => {
            broker.checkout(&[reference]).await?;
            record_label(app, shipment, Some(State::Released), &label).await
        }
        state => record_label(app, shipment, state, &label).await,
    }
}

/// The provider empties carts after some days. Nothing was paid, so another label may take this one's place.
async fn record_cart_emptied(app: &App, shipment: &Shipment) -> Result<Step> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    news::record_removed_from_cart(&tx, shipment.id, shipment.order).await?;
    tx.commit().await?;
    Ok(Step::End(Outcome::Again(after(SignedDuration::ZERO))))
}

/// Has the label generated. The provider does this later, so the job waits.
async fn generate(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Step> {
    let Some(reference) = shipment.provider_ref.as_deref() else { return Err(no_reference(shipment)) };
    let mut label = read_known(broker, reference).await?;
    if State::of(label.status) == Some(State::Released) {
        broker.generate(&[reference]).await?;
        label = read_known(broker, reference).await?;
    }
    let state = State::of(label.status);
    if record_in_transaction(app, shipment, state, &label).await? {
        return Ok(Step::On);
    }
    let wait = (shipment.rested_s / 4).clamp(MAKING_S.0, MAKING_S.1);
    Ok(Step::End(Outcome::Again(after(SignedDuration::from_secs(wait)))))
}

async fn print(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Step> {
    let Some(reference) = shipment.provider_ref.as_deref() else { return Err(no_reference(shipment)) };
    let url = broker.print(&[reference]).await?;
    store::set_label_url(&app.db().await?, shipment.id, &url).await?;
    Ok(Step::End(Outcome::Done))
}

/// Reads a label that the provider must have.
async fn read_known(broker: &MelhorEnvio, reference: &str) -> Result<Label> {
    Ok(broker.read(reference).await?.ok_or_else(paid_label_missing)?)
}

/// The provider says that it does not know a label that was paid. That is not believed: the call is tried again.
pub(super) fn paid_label_missing() -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: "a label that was paid is not found".into(), retry_after_s: None }
}

async fn record_label(app: &App, shipment: &Shipment, state: Option<State>, label: &Label) -> Result<Step> {
    // A status without a state of ours (suspended, for example) changes nothing: the job waits.
    let moved = record_in_transaction(app, shipment, state, label).await?;
    Ok(if moved { Step::On } else { Step::End(Outcome::Again(after(BUSY))) })
}

/// Records a label's state and its consequences for the order, in a transaction of its own. `true`: the state is not what it was
/// when this run claimed the label, changed by this run or by a webhook.
pub(super) async fn record_in_transaction(app: &App, shipment: &Shipment, state: Option<State>, label: &Label) -> Result<bool> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let recorded = news::record_label_state(&tx, shipment.id, shipment.order, state, label, None).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(recorded.state != shipment.state)
}

fn no_reference(shipment: &Shipment) -> Error {
    Error::Internal(format!("label {} is {} and has no reference", shipment.id, shipment.state.as_str()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_dead_job_comes_before_one_that_waits_and_the_earlier_wait_counts() {
        let at = |s| Outcome::Again(Timestamp::from_second(s).expect("a time"));
        assert_eq!(worse(at(2), at(1)), at(1));
        assert_eq!(worse(Outcome::Done, at(1)), at(1));
        assert_eq!(worse(at(1), Outcome::Done), at(1));
        assert_eq!(worse(at(1), Outcome::Dead("x".into())), Outcome::Dead("x".into()));
        assert_eq!(worse(Outcome::Done, Outcome::Done), Outcome::Done);
        assert!(
            worst(Err(paid_label_missing().into()), Ok(at(1))).is_err()
                && worst(Ok(Outcome::Done), Err(paid_label_missing().into())).is_err()
        );
    }
}
