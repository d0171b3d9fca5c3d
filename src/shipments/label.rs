//! Buying a label: cart → checkout → generate → print. Each step is begun by reading what became of the one before, so that
//! a lost answer, a crash or a second worker buys nothing twice.

use jiff::SignedDuration;
use uuid::Uuid;
use vitrine_kit::ProviderError;
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
/// Somebody else is at work on it: when to look again.
pub(super) const BUSY: SignedDuration = SignedDuration::from_secs(30);
/// The shop has to fill something in: when to look again.
const WAIT_FOR_SHOP: SignedDuration = SignedDuration::from_mins(30);
/// How long to wait for a label to be made: a quarter of the time it took so far, within these, in seconds.
const MAKING_S: (i64, i64) = (2, 1800);

/// Buys the labels of a paid order, each once. A repeat goes on where the last run ended.
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
        // A box that cannot be labelled keeps the others from nothing.
        outcome = worst(outcome, advance(app, broker, label).await);
    }
    outcome
}

/// An error beats all else, for it is tried again, so often; and of two the first.
pub(super) fn worst(one: Result<Outcome>, other: Result<Outcome>) -> Result<Outcome> {
    Ok(worse(one?, other?))
}

/// Dead beats waiting, waiting beats done, and the sooner wait counts.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (dead @ Outcome::Dead(_), _) | (_, dead @ Outcome::Dead(_)) => dead,
        (Outcome::Again(one), Outcome::Again(other)) => Outcome::Again(one.min(other)),
        (again @ Outcome::Again(_), Outcome::Done) | (Outcome::Done, again) => again,
    }
}

/// What one step led to.
enum Step {
    /// It stands elsewhere now: look again.
    On,
    End(Outcome),
}

/// One label as far as it goes now, with nobody else at work on it.
async fn advance(app: &App, broker: &MelhorEnvio, id: ShipmentId) -> Result<Outcome> {
    let claim = Uuid::new_v4();
    let outcome = steps(app, broker, id, claim).await;
    if let Err(Error::Provider(error)) = &outcome {
        store::note_error(&app.db().await?, id, &told(error)).await?;
    }
    store::let_go(&app.db().await?, id, claim).await?;
    match outcome {
        // Their words stand on the row and in the alert; repeating the call is useless.
        Err(Error::Provider(error @ ProviderError::Rejected { .. })) => Ok(Outcome::Dead(told(&error))),
        outcome => outcome,
    }
}

/// For the shop's eyes: with their words where they refused.
fn told(error: &ProviderError) -> String {
    match error {
        ProviderError::Rejected { message, .. } if !message.is_empty() => format!("{error}: {message}"),
        _ => error.to_string(),
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
            State::Released if is_wanted => make(app, broker, &shipment).await?,
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

/// Into the cart, unless it is there: a repeat would be a second one.
async fn put_into_cart(app: &App, broker: &MelhorEnvio, shipment: &Shipment, claim: Uuid) -> Result<Step> {
    let known = if shipment.was_asked_for { find(app, broker, shipment).await? } else { None };
    let label = match known {
        Some(label) => label,
        None => {
            let db = app.db().await?;
            let new = match facts::read(&db, app, shipment).await? {
                Ok(new) => new,
                Err(missing) => return refuse(app, shipment, missing).await.map(Step::End),
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

/// The label whose cart we may have heard nothing of, by what we wrote onto it. `None`: there is none, for sure.
pub(super) async fn find(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Option<Label>> {
    let document = facts::document(&app.db().await?, app, shipment.order).await?;
    Ok(broker.find_by_tag(&shipment.id.to_string(), document.as_ref()).await?)
}

/// What the shop can mend goes on by itself. Whoever is about to is not told at once.
async fn refuse(app: &App, shipment: &Shipment, missing: Missing) -> Result<Outcome> {
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
        let text = format!("Nenhuma etiqueta pode ser comprada. {why}.");
        alerts::raise(&tx, Alert::new(Key::LabelsHalted { why }, text).about(shipment.order)).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Again(after(WAIT_FOR_SHOP)))
}

/// Paid only while its own status says that it is not: an answer may have been lost.
async fn pay(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Step> {
    let Some(reference) = shipment.provider_ref.as_deref() else { return Err(no_reference(shipment)) };
    let Some(label) = broker.read(reference).await? else { return forgotten(app, shipment).await };
    match State::of(label.status) {
        Some(State::Carted) => {
            broker.checkout(&[reference]).await?;
            record_label(app, shipment, Some(State::Released), &label).await
        }
        state => record_label(app, shipment, state, &label).await,
    }
}

/// A cart is emptied after some days: nothing was paid, so another label may take its place.
async fn forgotten(app: &App, shipment: &Shipment) -> Result<Step> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    news::ran_out(&tx, shipment.id, shipment.order).await?;
    tx.commit().await?;
    Ok(Step::End(Outcome::Again(after(SignedDuration::ZERO))))
}

/// They make it in their own time.
async fn make(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Step> {
    let Some(reference) = shipment.provider_ref.as_deref() else { return Err(no_reference(shipment)) };
    let mut label = read(broker, reference).await?;
    if State::of(label.status) == Some(State::Released) {
        broker.generate(&[reference]).await?;
        label = read(broker, reference).await?;
    }
    let state = State::of(label.status);
    if learn_of(app, shipment, state, &label).await? {
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

/// One that they must know.
async fn read(broker: &MelhorEnvio, reference: &str) -> Result<Label> {
    Ok(broker.read(reference).await?.ok_or_else(lost)?)
}

/// Paid, and they say that they know no such label: that is to be believed by nobody, for money is in it.
pub(super) fn lost() -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: "a label that was paid is not found".into(), retry_after_s: None }
}

async fn record_label(app: &App, shipment: &Shipment, state: Option<State>, label: &Label) -> Result<Step> {
    // A word of theirs that moves nothing (suspended, say) is waited out.
    let moved = learn_of(app, shipment, state, label).await?;
    Ok(if moved { Step::On } else { Step::End(Outcome::Again(after(BUSY))) })
}

/// In a transaction of its own, with what follows from it for the order. `true`: it stands elsewhere than when it was taken in
/// hand, by this or by news that were faster.
pub(super) async fn learn_of(app: &App, shipment: &Shipment, state: Option<State>, label: &Label) -> Result<bool> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let learnt = news::record_label_state(&tx, shipment.id, shipment.order, state, label, None).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(learnt.state != shipment.state)
}

fn no_reference(shipment: &Shipment) -> Error {
    Error::Internal(format!("label {} is {} and has no reference", shipment.id, shipment.state.as_str()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_needs_somebody_counts_most_and_the_sooner_wait() {
        let at = |s| Outcome::Again(Timestamp::from_second(s).expect("a time"));
        assert_eq!(worse(at(2), at(1)), at(1));
        assert_eq!(worse(Outcome::Done, at(1)), at(1));
        assert_eq!(worse(at(1), Outcome::Done), at(1));
        assert_eq!(worse(at(1), Outcome::Dead("x".into())), Outcome::Dead("x".into()));
        assert_eq!(worse(Outcome::Done, Outcome::Done), Outcome::Done);
        assert!(worst(Err(lost().into()), Ok(at(1))).is_err() && worst(Ok(Outcome::Done), Err(lost().into())).is_err());
    }
}
