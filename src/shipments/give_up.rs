//! Gives back the labels of an order that is not to be sent any more, or to another address: removed from the cart, or cancelled for
//! their money.

use uuid::Uuid;
use vitrine_melhorenvio::MelhorEnvio;

use super::label::{BUSY, find_at_provider, paid_label_missing, record_in_transaction, worst};
use super::state::State;
use super::store::{self, Shipment};
use super::{after, news};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::{OrderId, ShipmentId};
use crate::jobs::{self, Job, Outcome};

const MAX_STEPS: usize = 8;

/// Job: gives back the labels of an order that was cancelled after it was paid, or whose money all goes back before it left. Of
/// an order that was sent by hand, only labels that were not bought yet. A repeat continues where the last run ended.
pub async fn give_up(app: &App, order: OrderId) -> Result<Outcome> {
    let labels = store::list_live(&app.db().await?, order).await?;
    let mut outcome = Ok(Outcome::Done);
    for label in labels {
        // A label that the provider does not take back does not stop the others.
        outcome = worst(outcome, give_back(app, label.id).await);
    }
    outcome
}

async fn give_back(app: &App, id: ShipmentId) -> Result<Outcome> {
    let claim = Uuid::new_v4();
    let outcome = steps(app, id, claim).await;
    store::release(&app.db().await?, id, claim).await?;
    outcome
}

/// Whether a label is to be given back: every label of a cancelled order, or of one whose money is gone before it left; labels
/// that are not paid of an order that left by other means. If some boxes of an order have left, the others follow, unless its
/// money is gone. A label with an address of before is unwanted whatever its order is.
fn is_unwanted(shipment: &Shipment) -> bool {
    shipment.is_stale || is_unwanted_by_order(shipment)
}

fn is_unwanted_by_order(shipment: &Shipment) -> bool {
    match shipment.order_status.as_str() {
        "cancelled" => true,
        "processing" => shipment.is_off,
        "shipped" if shipment.has_begun_to_leave => shipment.is_off && !shipment.state.has_left(),
        "shipped" | "delivered" => matches!(shipment.state, State::Pending | State::Carted),
        "returned" => !shipment.state.has_left(),
        _ => false, // it was paid late meanwhile
    }
}

async fn steps(app: &App, id: ShipmentId, claim: Uuid) -> Result<Outcome> {
    for _ in 0..MAX_STEPS {
        let Some(shipment) = store::claim(&app.db().await?, id, claim).await? else {
            return Ok(Outcome::Again(after(BUSY)));
        };
        if !shipment.state.is_live() || !is_unwanted(&shipment) {
            return Ok(Outcome::Done);
        }
        if shipment.state.has_left() {
            return stranded(app, &shipment, "já está com a transportadora").await;
        }
        store::mark_given_back(&app.db().await?, id).await?;
        let is_in_their_books = shipment.was_asked_for || shipment.provider_ref.is_some();
        let Some(broker) = app.providers.melhorenvio.as_deref().filter(|_| is_in_their_books) else {
            cancelled(app, &shipment).await?;
            continue;
        };
        if let Some(outcome) = one_step(app, broker, &shipment).await? {
            return Ok(outcome);
        }
    }
    Err(Error::Internal(format!("label {id} took more than {MAX_STEPS} steps to be given back")))
}

/// `None`: the label has moved on; read it again.
async fn one_step(app: &App, broker: &MelhorEnvio, shipment: &Shipment) -> Result<Option<Outcome>> {
    let found = match &shipment.provider_ref {
        Some(reference) => broker.read(reference).await?,
        None => find_at_provider(app, broker, shipment).await?,
    };
    let Some(label) = found else {
        if shipment.state.is_bought() {
            return Err(paid_label_missing().into());
        }
        cancelled(app, shipment).await?;
        return Ok(None);
    };
    let state = State::of(label.status);
    if record_in_transaction(app, shipment, state, &label).await? {
        return Ok(None); // its state has changed meanwhile
    }
    match state {
        Some(State::Carted) => broker.remove_from_cart(&label.id).await?,
        _ if !broker.is_cancellable(&label.id).await? || !broker.cancel(&label.id, why(shipment)).await? => {
            return stranded(app, shipment, "não pôde ser devolvida").await.map(Some);
        }
        _ => {}
    }
    cancelled(app, shipment).await?;
    Ok(None)
}

async fn cancelled(app: &App, shipment: &Shipment) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    store::record_label(&tx, shipment.id, Some(State::Cancelled), None, Actor::System).await?;
    news::arrive_with_the_last(&tx, shipment.order).await?; // it may have been the last parcel that was still to arrive
    if shipment.is_stale {
        jobs::push_now(&tx, Job::BuyLabel { order: shipment.order }).await?; // another one, if the order is still to be sent
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

/// The reason, which the provider requires.
fn why(shipment: &Shipment) -> &'static str {
    if is_unwanted_by_order(shipment) { "Pedido cancelado" } else { "Endereço corrigido" }
}

/// Tells the operator once that a person has to act.
async fn stranded(app: &App, shipment: &Shipment, why: &str) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let what = if is_unwanted_by_order(shipment) { "O pedido foi cancelado" } else { "O endereço do pedido mudou" };
    let error = format!("{what}, mas a etiqueta {why}");
    if store::note_error(&tx, shipment.id, &error).await? {
        let text = format!("{error}: envio {}, pedido {}.", shipment.id, shipment.order);
        alerts::raise(&tx, Alert::new(Key::LabelStranded(shipment.id), text).about(shipment.order)).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}
