//! Parcels that were posted by hand with a number of Correios. No webhook tells of them, so Correios is asked.

use tokio_postgres::Row;
use vitrine_correios::{Correios, NAME};
use vitrine_kit::shipping::{Stage, TrackingEvent};

use super::news;
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;
use crate::sale::life;
use crate::sale::locks;

/// Most parcels in one call: the limit of Correios.
const BATCH: i64 = 50;
/// Most calls in one run. The next run continues.
const MAX_BATCHES: usize = 40;
/// After calls about this many parcels have failed, Correios counts as away, and the run ends.
const MAX_FAILED: usize = 150;

struct OnItsWay {
    order: OrderId,
    code: String,
}

/// Asks about every parcel that was not asked about for three hours. A batch that fails is asked about in the next run, and does
/// not stop the batches after it.
pub(super) async fn follow_posted_by_hand(app: &App, correios: &Correios) -> Result<()> {
    let (mut failed, mut outcome) = (Vec::new(), Ok(()));
    for _ in 0..MAX_BATCHES {
        let parcels = list(app, &failed).await?;
        if parcels.is_empty() || failed.len() >= MAX_FAILED {
            break;
        }
        let codes: Vec<&str> = parcels.iter().map(|parcel| parcel.code.as_str()).collect();
        match correios.track(&codes).await {
            Ok(tracked) => {
                outcome = outcome.and(record_all_events(app, &parcels, &tracked).await);
                mark_asked_about(app, &parcels).await?;
            }
            Err(error) => {
                outcome = Err(error.into());
                failed.extend(parcels.iter().map(|parcel| parcel.order));
            }
        }
    }
    outcome
}

/// Records the events of each parcel. A parcel that cannot be written down is asked about again in a later run.
async fn record_all_events(app: &App, parcels: &[OnItsWay], tracked: &[(String, Vec<TrackingEvent>)]) -> Result<()> {
    let mut outcome = Ok(());
    for parcel in parcels {
        if let Some((_, events)) = tracked.iter().find(|(code, _)| *code == parcel.code)
            && !events.is_empty()
        {
            outcome = outcome.and(record_events(app, parcel, events).await);
        }
    }
    outcome
}

/// Parcels posted within the last two months. Correios does not keep older ones.
async fn list(app: &App, but: &[OrderId]) -> Result<Vec<OnItsWay>> {
    const LIST: &str = "
        SELECT o.id, o.tracking_number FROM orders o
         WHERE o.status = 'shipped' AND o.tracking_number ~ '^[A-Z]{2}[0-9]{9}[A-Z]{2}$' AND o.shipped_at > now() - interval '60 days'
           AND (o.tracked_at IS NULL OR o.tracked_at < now() - interval '3 hours')
           AND NOT EXISTS (SELECT FROM shipments s WHERE s.order_id = o.id AND s.status IN ('posted', 'undelivered', 'delivered'))
           AND o.id <> ALL($2)
         ORDER BY o.tracked_at NULLS FIRST LIMIT $1";
    let parcel = |row: &Row| OnItsWay { order: row.get("id"), code: row.get("tracking_number") };
    Ok(db::query(&app.db().await?, LIST, &[&BATCH, &but]).await?.iter().map(parcel).collect())
}

async fn mark_asked_about(app: &App, parcels: &[OnItsWay]) -> Result<()> {
    const ASKED: &str = "UPDATE orders SET tracked_at = now() WHERE id = ANY($1)";
    let orders: Vec<OrderId> = parcels.iter().map(|parcel| parcel.order).collect();
    db::execute(&app.db().await?, ASKED, &[&orders]).await?;
    Ok(())
}

/// Adds the events to the order's history, and marks it as delivered when they say so. Events of a number that was corrected
/// meanwhile are ignored.
async fn record_events(app: &App, parcel: &OnItsWay, events: &[TrackingEvent]) -> Result<()> {
    const STILL: &str = "SELECT FROM orders WHERE id = $1 AND status = 'shipped' AND tracking_number = $2";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    locks::lock_order_for_shop(&tx, parcel.order).await?;
    if db::query_opt(&tx, STILL, &[&parcel.order, &parcel.code]).await?.is_none() {
        return Ok(());
    }
    let new = news::keep_events(&tx, parcel.order, None, events).await?;
    if let Some(last) = events.last().filter(|last| new.contains(&last.code)) {
        news::alert_if_stuck(&tx, parcel.order, &format!("objeto {}", parcel.code), last).await?;
    }
    if let Some(arrival) = events.iter().find(|event| event.stage == Some(Stage::Delivered)) {
        let actor = Actor::Provider(NAME);
        if life::mark_delivered(&tx, parcel.order, arrival.happened_at, actor, "delivered").await? {
            life::record_parcel_by_hand(&tx, parcel.order, "delivered", &parcel.code, actor).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}
