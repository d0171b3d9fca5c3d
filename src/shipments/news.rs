//! What a carrier reports about a parcel, and what follows from it for the order. Reports may come late, early or twice. Each is
//! a conditional UPDATE, so the result is the same in any order. The caller commits.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use uuid::Uuid;
use vitrine_kit::shipping::{Stage, TrackingEvent};
use vitrine_melhorenvio::{Label, NAME, News};

use super::plan::{self, Ended};
use super::state::State;
use super::store::{self, Recorded};
use crate::alerts::{self, Alert, Key};
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{OrderId, ShipmentId};
use crate::jobs::{self, Job};
use crate::sale::outcome::EventOutcome;
use crate::sale::{life, locks, off};

/// How many times a label that expired is bought again without a person.
const BOUGHT_AGAIN: i64 = 1;

/// Applies an event of Melhor Envio. Returns its outcome for the inbox, and the order that it is about.
pub async fn apply_label_news(tx: &impl GenericClient, news: &News) -> Result<(EventOutcome, Option<OrderId>)> {
    let Some(label) = &news.label else { return Ok((EventOutcome::Unknown, None)) };
    let Some((shipment, order, reference)) = find_shipment(tx, label).await? else { return Ok((EventOutcome::Unknown, None)) };
    if reference.is_some_and(|ours| ours != label.id) {
        return record_second_label(tx, order, shipment, label).await;
    }
    let state = State::of(news.status);
    let moved = record_label_state(tx, shipment, order, state, label, news.tells.as_ref()).await?.moved;
    if moved && matches!(state, Some(State::Released | State::Generated)) {
        jobs::push_now(tx, Job::BuyLabel { order }).await?; // the job continues from the new state
    }
    Ok((if moved { EventOutcome::Applied } else { EventOutcome::NothingNew }, Some(order)))
}

/// Finds a label's shipment by the provider's id, else by our tag, and locks its order first.
async fn find_shipment(tx: &impl GenericClient, label: &Label) -> Result<Option<(ShipmentId, OrderId, Option<String>)>> {
    const FIND: &str = "
        SELECT id, order_id, provider_ref FROM shipments WHERE provider = $1 AND (provider_ref = $2 OR id = ANY($3))
         ORDER BY (provider_ref = $2) IS TRUE DESC LIMIT 1";
    let tags: Vec<Uuid> = label.tags.iter().filter_map(|tag| tag.parse().ok()).collect();
    let Some(row) = db::query_opt(tx, FIND, &[&NAME, &label.id, &tags]).await? else { return Ok(None) };
    let order: OrderId = row.get("order_id");
    locks::lock_order_for_shop(tx, order).await?;
    let row = db::query_one(tx, FIND, &[&NAME, &label.id, &tags]).await?; // read again under the lock: the reference may have been written meanwhile
    Ok(Some((row.get("id"), order, row.get("provider_ref"))))
}

/// A second label under one tag, made by a call whose answer was lost. In the cart it costs nothing; if it is paid, the operator
/// is alerted.
async fn record_second_label(
    tx: &impl GenericClient,
    order: OrderId,
    shipment: ShipmentId,
    label: &Label,
) -> Result<(EventOutcome, Option<OrderId>)> {
    if State::of(label.status) == Some(State::Released) {
        let text = format!("O envio {shipment} tem outra etiqueta paga no Melhor Envio: {} ({}).", label.protocol, label.id);
        alerts::raise(tx, Alert::new(Key::LabelPaidTwice(shipment), text).about(order)).await?;
    }
    Ok((EventOutcome::Stray, Some(order)))
}

/// Records a label's present state: in its row, in the public history and on the order.
pub(super) async fn record_label_state(
    tx: &impl GenericClient,
    shipment: ShipmentId,
    order: OrderId,
    state: Option<State>,
    label: &Label,
    tells: Option<&TrackingEvent>,
) -> Result<Recorded> {
    let recorded = store::record_label(tx, shipment, state, Some(label), Actor::Provider(NAME)).await?;
    let mut events = label.story();
    events.extend(tells.filter(|told| events.iter().all(|event| event.code != told.code)).cloned());
    let new = keep_events(tx, order, Some(shipment), &events).await?;
    if let Some(told) = tells.filter(|told| new.contains(&told.code)) {
        alert_if_stuck(tx, order, &format!("envio {shipment}"), told).await?;
    }
    if recorded.moved {
        apply_to_order(tx, shipment, order, recorded.state, label).await?;
    }
    Ok(recorded)
}

/// Adds events to the history that the buyer sees, each once. Times are compared to the second, because some come without
/// fractions. Returns the codes of the new ones.
pub(super) async fn keep_events(
    tx: &impl GenericClient,
    order: OrderId,
    shipment: Option<ShipmentId>,
    events: &[TrackingEvent],
) -> Result<Vec<String>> {
    const KEEP: &str = "
        INSERT INTO shipment_events (order_id, shipment_id, code, description, place, happened_at)
        SELECT $1, $2, e.code, e.description, e.place, date_trunc('second', e.at)
          FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS e (code, description, place, at)
        ON CONFLICT (order_id, shipment_id, code, happened_at) DO NOTHING RETURNING code";
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let codes: Vec<&str> = events.iter().map(|event| event.code.as_str()).collect();
    let descriptions: Vec<&str> = events.iter().map(|event| event.description.as_str()).collect();
    let places: Vec<Option<&str>> = events.iter().map(|event| event.place.as_deref()).collect();
    let times: Vec<Timestamp> = events.iter().map(|event| event.happened_at).collect();
    let rows = db::query(tx, KEEP, &[&order, &shipment, &codes, &descriptions, &places, &times]).await?;
    Ok(rows.iter().map(|row| row.get("code")).collect())
}

/// Alerts the operator about a parcel that is stuck.
pub(super) async fn alert_if_stuck(tx: &impl GenericClient, order: OrderId, parcel: &str, event: &TrackingEvent) -> Result<()> {
    if event.stage != Some(Stage::Undelivered) && event.code != "suspended" {
        return Ok(());
    }
    let text = format!("{}: {parcel}, pedido {order}.", event.description);
    let key = Key::ParcelInTrouble { parcel, event: &event.code };
    alerts::raise(tx, Alert::new(key, text).about(order)).await
}

/// Applies a label's new state to its order.
async fn apply_to_order(
    tx: &impl GenericClient,
    shipment: ShipmentId,
    order: OrderId,
    state: State,
    label: &Label,
) -> Result<()> {
    match state {
        State::Pending | State::Carted | State::Released | State::Generated => Ok(()),
        State::Posted | State::Undelivered => {
            if record_posted(tx, order, shipment, label).await? {
                jobs::push(tx, Job::MailOrderShipped { order }).await?;
            }
            Ok(())
        }
        State::Delivered => record_delivered(tx, order, shipment, label).await,
        State::Cancelled => record_cancelled(tx, order, shipment).await,
        State::Expired => record_expired(tx, order, shipment).await,
    }
}

/// The carrier has the parcel: the order is shipped. `false`: it was shipped before, or was not to be sent any more. The operator
/// is alerted about a parcel that was not to be sent, or whose money is on its way back.
async fn record_posted(tx: &impl GenericClient, order: OrderId, shipment: ShipmentId, label: &Label) -> Result<bool> {
    const ENDED: &str = "SELECT FROM orders WHERE id = $1 AND status NOT IN ('shipped', 'delivered')";
    let at = label.posted_at.unwrap_or_else(Timestamp::now);
    let before = off::standing(tx, order).await?;
    let actor = Actor::Provider(NAME);
    if life::mark_shipped(tx, order, Some(tracking_number(label)), at, actor, "posted").await? {
        if before != off::Standing::On {
            let text =
                format!("O envio {shipment} foi postado enquanto o dinheiro do pedido volta para o comprador: tente retê-lo.");
            alerts::raise(tx, Alert::new(Key::ParcelOfEndedOrder(shipment), text).about(order)).await?;
            // A sale that was on hold stands from now on: what has left is invoiced.
            off::queue_jobs_after_change(tx, order, before).await?;
        }
        return Ok(true);
    }
    if db::query_opt(tx, ENDED, &[&order]).await?.is_some() {
        let text = format!("O envio {shipment} foi postado, mas o pedido {order} não é mais para enviar.");
        jobs::push(tx, Job::DropLabel { order }).await?; // the job notes on the label that it cannot be given back
        alerts::raise(tx, Alert::new(Key::ParcelOfEndedOrder(shipment), text).about(order)).await?;
    }
    Ok(false)
}

/// The carrier's number, or another number of the provider's.
fn tracking_number(label: &Label) -> &str {
    match &label.tracking {
        Some(tracking) => tracking,
        None if !label.protocol.is_empty() => &label.protocol,
        None => &label.id,
    }
}

/// The buyer has the parcel. If nothing told that it was posted, that is recorded first.
async fn record_delivered(tx: &impl GenericClient, order: OrderId, shipment: ShipmentId, label: &Label) -> Result<()> {
    let left_now = record_posted(tx, order, shipment, label).await?;
    if !arrive_with_the_last(tx, order).await? && left_now {
        jobs::push(tx, Job::MailOrderShipped { order }).await?;
    }
    Ok(())
}

/// Marks the order as delivered once all of its parcels are, at the latest of their times. `false`: another parcel is under way,
/// or none has arrived. Call this while holding the order's lock.
pub(super) async fn arrive_with_the_last(tx: &impl GenericClient, order: OrderId) -> Result<bool> {
    const LAST: &str = "
        SELECT bool_and(s.status = 'delivered') IS TRUE AS all_arrived,
               (SELECT max(e.happened_at) FROM shipment_events e WHERE e.order_id = $1 AND e.code = 'delivered') AS at
          FROM shipments s WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired')";
    let row = db::query_one(tx, LAST, &[&order]).await?;
    if !row.get::<_, bool>("all_arrived") {
        return Ok(false);
    }
    let at = row.get::<_, Option<Timestamp>>("at").unwrap_or_else(Timestamp::now);
    life::mark_delivered(tx, order, at, Actor::Provider(NAME), "delivered").await?;
    Ok(true)
}

/// Brings an order to the state of its parcels: one may have left while its money was on its way back, and then the refund
/// failed. Call this while holding the order's lock, and only if the order is to be sent.
pub(super) async fn catch_up(tx: &impl GenericClient, order: OrderId) -> Result<()> {
    const LEFT: &str = "
        SELECT coalesce(s.tracking_number, s.protocol, s.provider_ref) AS number,
               (SELECT min(e.happened_at) FROM shipment_events e WHERE e.order_id = s.order_id AND e.shipment_id = s.id AND e.code = 'posted') AS at
          FROM shipments s JOIN orders o ON o.id = s.order_id
         WHERE s.order_id = $1 AND o.status = 'processing' AND s.status IN ('posted', 'undelivered', 'delivered') ORDER BY s.volume LIMIT 1";
    let Some(row) = db::query_opt(tx, LEFT, &[&order]).await? else { return Ok(()) };
    let at = row.get::<_, Option<Timestamp>>("at").unwrap_or_else(Timestamp::now);
    let left =
        life::mark_shipped(tx, order, row.get("number"), at, Actor::Provider(NAME), "posted before the sale stood again").await?;
    if left && !arrive_with_the_last(tx, order).await? {
        jobs::push(tx, Job::MailOrderShipped { order }).await?;
    }
    Ok(())
}

/// Somebody cancelled the label on the provider's pages. The other parcels may be delivered already: then so is the order.
async fn record_cancelled(tx: &impl GenericClient, order: OrderId, shipment: ShipmentId) -> Result<()> {
    if store::is_wanted(tx, order).await? {
        let what = format!("A etiqueta {shipment} do pedido {order} foi cancelada no Melhor Envio");
        alert_without_label(tx, Key::LabelCancelledElsewhere(shipment), order, &what).await?;
    }
    arrive_with_the_last(tx, order).await?;
    Ok(())
}

/// Alerts the operator that a parcel has no label any more.
async fn alert_without_label(tx: &impl GenericClient, key: Key<'_>, order: OrderId, what: &str) -> Result<()> {
    let text = format!("{what}. Compre outra, ou envie de outro modo.");
    alerts::raise(tx, Alert::new(key, text).about(order)).await
}

/// Records that a label left the provider's cart unpaid.
pub(super) async fn record_removed_from_cart(tx: &impl GenericClient, shipment: ShipmentId, order: OrderId) -> Result<()> {
    if store::record_label(tx, shipment, Some(State::Expired), None, Actor::Provider(NAME)).await?.moved {
        record_expired(tx, order, shipment).await?;
    }
    Ok(())
}

/// The parcel was not posted in time. The label is bought again once; after that an administrator has to ask for it.
async fn record_expired(tx: &impl GenericClient, order: OrderId, shipment: ShipmentId) -> Result<()> {
    const TIMES: &str = "
        SELECT count(*) AS times FROM shipments s
         WHERE s.order_id = $1 AND s.status = 'expired' AND s.volume = (SELECT volume FROM shipments WHERE id = $2)";
    if store::is_wanted(tx, order).await? {
        if db::query_one(tx, TIMES, &[&order, &shipment]).await?.get::<_, i64>("times") <= BOUGHT_AGAIN {
            plan::replace(tx, order, Ended::All, Actor::System).await?;
            return jobs::push_now(tx, Job::BuyLabel { order }).await;
        }
        let what = format!("A etiqueta {shipment} do pedido {order} venceu de novo sem ser postada");
        alert_without_label(tx, Key::LabelExpired(shipment), order, &what).await?;
    }
    arrive_with_the_last(tx, order).await?;
    Ok(())
}
