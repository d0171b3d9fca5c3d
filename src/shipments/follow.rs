//! Asks carriers about parcels without recent events: a webhook may get lost, and Correios has none.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use vitrine_kit::shipping::TrackingEvent;
use vitrine_melhorenvio::{Label, MelhorEnvio, NAME, event_of};

use super::state::State;
use super::{after, by_hand, news};
use crate::alerts;
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::ids::{OrderId, ShipmentId};
use crate::jobs::Outcome;

/// How often the job runs.
const EVERY: SignedDuration = SignedDuration::from_mins(20);
/// Most parcels in one call.
const BATCH: i64 = 50;
/// Most calls in one run. The next run continues.
const MAX_BATCHES: usize = 40;
/// After calls about this many parcels have failed, the provider counts as away, and the run ends.
const MAX_FAILED: usize = 150;

/// A parcel without recent events.
struct Parcel {
    id: ShipmentId,
    order: OrderId,
    state: State,
    reference: String,
}

fn parcel(row: &Row) -> Parcel {
    Parcel {
        id: row.get("id"),
        order: row.get("order_id"),
        state: State::read(row.get("status")),
        reference: row.get("provider_ref"),
    }
}

/// The recurring job. A failed call is logged and does not delay the next run, which asks about the same parcels again.
pub async fn track(app: &App) -> Result<Outcome> {
    if let Some(broker) = app.providers.melhorenvio.as_deref()
        // Prices first: whoever was asked about counts as heard, and its price would wait for a later run.
        && let Err(error) = ask_prices(app, broker).await.and(ask_broker(app, broker).await)
    {
        tell_if_refused(app, &error).await?;
        tracing::warn!(error = %Chain(&error), "parcels could not be asked about; the next run tries again");
    }
    if let Some(correios) = app.providers.correios.as_deref()
        && let Err(error) = by_hand::follow_posted_by_hand(app, correios).await
    {
        tell_if_refused(app, &error).await?;
        tracing::warn!(error = %Chain(&error), "Correios could not be asked about parcels; the next run tries again");
    }
    app.jobs_were_pushed();
    Ok(Outcome::Again(after(EVERY)))
}

async fn tell_if_refused(app: &App, error: &Error) -> Result<()> {
    match error {
        Error::Provider(error) => alerts::raise_if_refused(&app.db().await?, error, None).await,
        _ => Ok(()),
    }
}

/// A batch that fails is asked about in the next run, and does not stop the batches after it.
async fn ask_broker(app: &App, broker: &MelhorEnvio) -> Result<()> {
    let (mut failed, mut outcome) = (Vec::new(), Ok(()));
    for _ in 0..MAX_BATCHES {
        let silent = list_silent(app, &failed).await?;
        if silent.is_empty() || failed.len() >= MAX_FAILED {
            break;
        }
        let ids: Vec<ShipmentId> = silent.iter().map(|parcel| parcel.id).collect();
        let references: Vec<&str> = silent.iter().map(|parcel| parcel.reference.as_str()).collect();
        match broker.track(&references).await {
            Ok(labels) => {
                outcome = outcome.and(record_all_labels(app, &silent, &labels).await);
                mark_heard(app, &ids).await?;
            }
            Err(error) => {
                outcome = Err(error.into());
                failed.extend(ids);
            }
        }
    }
    outcome
}

/// Records the state of each label. A label that cannot be written down is asked about again in a later run.
async fn record_all_labels(app: &App, silent: &[Parcel], labels: &[Label]) -> Result<()> {
    let mut outcome = Ok(());
    for label in labels {
        if let Some(parcel) = silent.iter().find(|parcel| parcel.reference == label.id) {
            outcome = outcome.and(record_label(app, parcel, label).await);
        }
    }
    outcome
}

/// The provider's answers are up to an hour old, so a parcel is asked about every three hours at most, and less often while it
/// waits to be posted.
async fn list_silent(app: &App, but: &[ShipmentId]) -> Result<Vec<Parcel>> {
    const SILENT: &str = "
        SELECT id, order_id, status, provider_ref FROM shipments
         WHERE status IN ('generated', 'posted', 'undelivered') AND provider = $1 AND provider_ref IS NOT NULL
           AND heard_at < now() - interval '3 hours' AND id <> ALL($3)
         ORDER BY heard_at LIMIT $2";
    Ok(db::query(&app.db().await?, SILENT, &[&NAME, &BATCH, &but]).await?.iter().map(parcel).collect())
}

/// Records a label's state. If nothing changed, no transaction is opened.
async fn record_label(app: &App, parcel: &Parcel, label: &Label) -> Result<()> {
    let state = State::of(label.status);
    if !state.is_some_and(|state| parcel.state.may_become(state)) {
        return Ok(());
    }
    // The provider gives no time for this state.
    let tells = event_of("undelivered", Timestamp::now()).filter(|_| state == Some(State::Undelivered));
    record_state(app, parcel, state, label, tells.as_ref()).await
}

async fn record_state(
    app: &App,
    parcel: &Parcel,
    state: Option<State>,
    label: &Label,
    tells: Option<&TrackingEvent>,
) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    news::record_label_state(&tx, parcel.id, parcel.order, state, label, tells).await?;
    tx.commit().await?;
    Ok(())
}

/// Asks for prices that are missing: the webhook names none, and may arrive before the answer to our own purchase.
async fn ask_prices(app: &App, broker: &MelhorEnvio) -> Result<()> {
    const UNPRICED: &str = "
        SELECT id, order_id, status, provider_ref FROM shipments
         WHERE price_cents IS NULL AND status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')
           AND provider = $1 AND provider_ref IS NOT NULL AND heard_at < now() - interval '10 minutes'
         ORDER BY heard_at LIMIT $2";
    let rows = db::query(&app.db().await?, UNPRICED, &[&NAME, &BATCH]).await?;
    let mut outcome = Ok(());
    for parcel in rows.iter().map(parcel) {
        match broker.read(&parcel.reference).await {
            Ok(Some(label)) => outcome = outcome.and(record_state(app, &parcel, State::of(label.status), &label, None).await),
            Ok(None) => {}
            Err(error) => outcome = Err(error.into()), // one that fails does not stop the others
        }
    }
    let ids: Vec<ShipmentId> = rows.iter().map(|row| row.get("id")).collect();
    mark_heard(app, &ids).await?;
    outcome
}

/// Notes that all of these were asked about, also those without an answer.
async fn mark_heard(app: &App, ids: &[ShipmentId]) -> Result<()> {
    const HEARD: &str = "UPDATE shipments SET heard_at = now() WHERE id = ANY($1)";
    db::execute(&app.db().await?, HEARD, &[&ids]).await?;
    Ok(())
}
