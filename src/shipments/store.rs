//! The SQL of shipments. Every change of state is made under the order's lock, with a row in its history.

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;
use vitrine_kit::shipping::Volume;
use vitrine_melhorenvio::Label;

use super::state::State;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{OrderId, ShipmentId};
use crate::sale::history::{Change, record_change};
use crate::sale::locks;
use crate::sale::off::NOTHING_LEAVES;

/// How long a claim on a label lasts: longer than any one call to the provider.
const CLAIM: &str = "2 minutes";

/// A shipment's row, with its order's state at that moment.
#[derive(Debug, Clone)]
pub struct Shipment {
    pub id: ShipmentId,
    pub order: OrderId,
    pub state: State,
    pub service_code: String,
    pub volumes: Vec<Volume>,
    pub volume: i16,
    pub provider_ref: Option<String>,
    pub label_url: Option<String>,
    pub was_asked_for: bool,
    /// Seconds since it last changed.
    pub rested_s: i64,
    pub order_status: String,
    /// It is still to be bought: the order is still to be sent, to the address that the label has.
    pub is_wanted: bool,
    /// The order's address changed after this label was asked for.
    pub is_stale: bool,
    /// The order's money went back or is on its way back, its goods are on the shelf again, or it is on hold.
    pub is_off: bool,
    /// The carrier has or had a parcel of this order by one of these labels.
    pub has_begun_to_leave: bool,
}

/// Of an order `o`: the carrier has or had one of its labels. A parcel that was sent by hand has none.
const HAS_BEGUN_TO_LEAVE: &str =
    "EXISTS (SELECT FROM shipments l WHERE l.order_id = o.id AND l.status IN ('posted', 'undelivered', 'delivered'))";

/// Of an order `o`: its boxes that have not left are still to be sent. The first of several boxes ships the order, and the others
/// follow.
const IS_WANTED: &str = sql!(
    "(o.payment_status IN ('paid', 'partially_refunded') AND NOT ",
    NOTHING_LEAVES,
    " AND (o.status = 'processing' OR (o.status = 'shipped' AND ",
    HAS_BEGUN_TO_LEAVE,
    ")))"
);

/// [`IS_WANTED`] of one order. Call this while holding the order's lock.
pub async fn is_wanted(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    const ASK: &str = sql!("SELECT ", IS_WANTED, " AS is_wanted FROM orders o WHERE o.id = $1");
    Ok(db::query_opt(db, ASK, &[&order]).await?.is_some_and(|row| row.get("is_wanted")))
}

/// What [`shipment`] reads, of `shipments s` and its `orders o`.
const COLUMNS: &str = sql!(
    "s.id, s.order_id, s.status, s.service_code, s.boxes, s.volume, s.provider_ref, s.label_url, s.stale, s.asked_at IS NOT NULL AS asked,
     extract(epoch FROM now() - s.updated_at)::bigint AS rested_s, o.status AS order_status, ",
    IS_WANTED,
    " AS is_wanted, ",
    NOTHING_LEAVES,
    " AS is_off, ",
    HAS_BEGUN_TO_LEAVE,
    " AS has_begun_to_leave"
);

fn shipment(row: &Row) -> Shipment {
    let boxes: Value = row.get("boxes");
    let is_stale: bool = row.get("stale");
    Shipment {
        id: row.get("id"),
        order: row.get("order_id"),
        state: State::read(row.get("status")),
        service_code: row.get("service_code"),
        volumes: serde_json::from_value(boxes).unwrap_or_default(),
        volume: row.get("volume"),
        provider_ref: row.get("provider_ref"),
        label_url: row.get("label_url"),
        was_asked_for: row.get("asked"),
        rested_s: row.get("rested_s"),
        order_status: row.get("order_status"),
        is_wanted: row.get::<_, bool>("is_wanted") && !is_stale,
        is_stale,
        is_off: row.get("is_off"),
        has_begun_to_leave: row.get("has_begun_to_leave"),
    }
}

/// The live labels of an order, by volume.
pub async fn list_live(db: &impl GenericClient, order: OrderId) -> Result<Vec<Shipment>> {
    const LIST: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM shipments s JOIN orders o ON o.id = s.order_id
           WHERE s.order_id = $1 AND s.status NOT IN ('cancelled', 'expired') ORDER BY s.volume"
    );
    Ok(db::query(db, LIST, &[&order]).await?.iter().map(shipment).collect())
}

/// Claims a label, or renews the claim. `None`: another run holds it, or it is gone.
pub async fn claim(db: &impl GenericClient, id: ShipmentId, claim: Uuid) -> Result<Option<Shipment>> {
    const CLAIM_IT: &str = sql!(
        "UPDATE shipments s SET claim = $2, claimed_until = now() + $3::text::interval FROM orders o
          WHERE s.id = $1 AND o.id = s.order_id AND (s.claim IS NULL OR s.claim = $2 OR s.claimed_until < now()) RETURNING ",
        COLUMNS
    );
    Ok(db::query_opt(db, CLAIM_IT, &[&id, &claim, &CLAIM]).await?.as_ref().map(shipment))
}

/// Ends the claim.
pub async fn release(db: &impl GenericClient, id: ShipmentId, claim: Uuid) -> Result<()> {
    const RELEASE: &str = "UPDATE shipments SET claim = NULL, claimed_until = NULL WHERE id = $1 AND claim = $2";
    db::execute(db, RELEASE, &[&id, &claim]).await?;
    Ok(())
}

/// Notes before the call that the shop itself gives this label back.
pub async fn mark_given_back(db: &impl GenericClient, id: ShipmentId) -> Result<()> {
    const GIVEN_BACK: &str = "UPDATE shipments SET given_back = true WHERE id = $1 AND NOT given_back";
    db::execute(db, GIVEN_BACK, &[&id]).await?;
    Ok(())
}

/// Notes before the call that the provider may have this label in the cart, whatever the answer.
pub async fn mark_asked(db: &impl GenericClient, id: ShipmentId, claim: Uuid) -> Result<bool> {
    const ASKED: &str =
        "UPDATE shipments SET asked_at = coalesce(asked_at, now()) WHERE id = $1 AND claim = $2 AND status = 'pending'";
    Ok(db::execute(db, ASKED, &[&id, &claim]).await? == 1)
}

/// A label's state after a report about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    pub state: State,
    /// It changed by this report. Otherwise it had changed before, or stays.
    pub moved: bool,
}

/// Records a report about a label: the state, if it may move there, and fields that were empty.
pub async fn record_label(
    tx: &impl GenericClient,
    id: ShipmentId,
    to: Option<State>,
    label: Option<&Label>,
    actor: Actor,
) -> Result<Recorded> {
    const LOCK: &str = "SELECT order_id, status FROM shipments WHERE id = $1 FOR NO KEY UPDATE";
    const LEARN: &str = "
        UPDATE shipments SET status = $2::text, provider_ref = coalesce(provider_ref, $3), protocol = coalesce($4, protocol),
               price_cents = coalesce(price_cents, $5), tracking_number = coalesce($6, tracking_number), heard_at = now(),
               error = CASE WHEN status = $2 THEN error END, updated_at = CASE WHEN status = $2 THEN updated_at ELSE now() END
         WHERE id = $1";
    locks::lock_order_of_shipment(tx, id).await?;
    let row = db::query_opt(tx, LOCK, &[&id]).await?.ok_or(Error::NotFound("The label"))?;
    let before = State::read(row.get("status"));
    let moves = to.is_some_and(|to| before.may_become(to));
    let after = to.filter(|_| moves).unwrap_or(before);
    let reference = label.map(|label| label.id.as_str());
    let protocol = label.map(|label| label.protocol.as_str()).filter(|protocol| !protocol.is_empty());
    let (price, tracking) = (label.and_then(|label| label.price), label.and_then(|label| label.tracking.as_deref()));
    db::execute(tx, LEARN, &[&id, &after.as_str(), &reference, &protocol, &price, &tracking]).await?;
    if moves {
        let change = Change {
            subject: "shipment",
            subject_id: Some(id.0),
            from: Some(before.as_str()),
            to: after.as_str(),
            reason: protocol.unwrap_or_default(),
            actor,
        };
        record_change(tx, row.get("order_id"), &change).await?;
    }
    Ok(Recorded { state: after, moved: moves })
}

/// Notes why it cannot go on. `true`: the reason is new.
pub async fn note_error(db: &impl GenericClient, id: ShipmentId, error: &str) -> Result<bool> {
    const NOTE: &str = "UPDATE shipments SET error = $2 WHERE id = $1 AND error IS DISTINCT FROM $2";
    Ok(db::execute(db, NOTE, &[&id, &error]).await? == 1)
}

pub async fn set_label_url(db: &impl GenericClient, id: ShipmentId, url: &str) -> Result<()> {
    const SET: &str = "UPDATE shipments SET label_url = $2, error = NULL WHERE id = $1";
    db::execute(db, SET, &[&id, &url]).await?;
    Ok(())
}
