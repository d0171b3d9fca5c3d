//! Comparison of labels: every parcel that was sold has one paid label, and no other was bought.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::books::rows;
use crate::sold::IS_SOLD;
use crate::world::World;

/// A label as the shop has it, and the state of its order.
struct Label {
    id: String,
    order: String,
    number: String,
    volume: i16,
    status: String,
    price: Option<i64>,
    /// Why it needs a person.
    error: Option<String>,
    /// Sold, not cancelled, and not fully refunded.
    is_sold: bool,
    has_left: bool,
}

/// An order with a broker's carrier, and the number of its parcels with a paid label.
#[derive(Default)]
struct Parcels {
    number: String,
    is_sold: bool,
    has_left: bool,
    is_stranded: bool,
    volumes: BTreeSet<i16>,
    bought: u64,
    live: u64,
}

pub async fn check(world: &World, books: &Value, db: &tokio_postgres::Client) {
    const LABELS: &str = "
        SELECT s.id::text, s.order_id::text, o.number, s.volume, s.status, s.price_cents, s.error, {sold} AS is_sold,
               o.status IN ('shipped', 'delivered', 'returned') AS has_left
          FROM shipments s JOIN orders o ON o.id = s.order_id";
    const SENT: &str = "
        SELECT o.id::text, o.number FROM orders o WHERE {sold} AND o.shipping_provider = 'melhorenvio'";
    let label = |row: &tokio_postgres::Row| Label {
        id: row.get("id"),
        order: row.get("order_id"),
        number: row.get("number"),
        volume: row.get("volume"),
        status: row.get("status"),
        price: row.get("price_cents"),
        error: row.get("error"),
        is_sold: row.get("is_sold"),
        has_left: row.get("has_left"),
    };
    let ours: Vec<Label> = db.query(&LABELS.replace("{sold}", IS_SOLD), &[]).await.unwrap().iter().map(label).collect();
    let mut theirs: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for parcel in rows(books, "parcels").iter().filter(|parcel| is_live(parcel)) {
        theirs.entry(parcel["tag"].as_str().unwrap_or("without a tag")).or_default().push(parcel);
    }
    let mut orders: BTreeMap<&str, Parcels> = BTreeMap::new();
    for label in &ours {
        let found = theirs.remove(label.id.as_str()).unwrap_or_default();
        compare(world, label, &found);
        let order = orders.entry(&label.order).or_default();
        order.number.clone_from(&label.number);
        (order.is_sold, order.has_left) = (label.is_sold, label.has_left);
        order.volumes.insert(label.volume);
        order.is_stranded |= label.error.is_some();
        order.bought += found.iter().filter(|parcel| !parcel["paid_at"].is_null()).count() as u64;
        order.live += u64::from(!matches!(label.status.as_str(), "cancelled" | "expired"));
    }
    for (tag, parcels) in theirs {
        world.violation(format!("the provider has {} label(s) {tag} that the shop knows nothing of", parcels.len()));
    }
    for order in orders.values() {
        stand(world, order);
    }
    for row in db.query(&SENT.replace("{sold}", IS_SOLD), &[]).await.unwrap() {
        let (id, number): (String, String) = (row.get(0), row.get(1));
        if orders.get(id.as_str()).is_none_or(|order| order.bought == 0) {
            world.violation(format!("order {number} is to be sent, and has no label that was paid"));
        }
    }
}

/// Labels whose state here differs from the provider's.
pub async fn differ(world: &World, db: &tokio_postgres::Client) -> i64 {
    let parcels = world.sandbox("/control/parcels").await;
    let theirs: BTreeMap<&str, &str> = parcels
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parcel| is_live(parcel))
        .filter_map(|parcel| Some((parcel["tag"].as_str()?, parcel["status"].as_str()?)))
        .collect();
    let rows = db.query("SELECT id::text, status FROM shipments", &[]).await.unwrap();
    let differs = |row: &&tokio_postgres::Row| theirs.get(row.get::<_, &str>(0)).copied() != expected(row.get(1));
    rows.iter().filter(differs).count() as i64
}

/// The provider's id; `None`: it has no live label.
fn expected(status: &str) -> Option<&str> {
    match status {
        "cancelled" | "expired" | "pending" => None,
        "carted" => Some("pending"),
        other => Some(other),
    }
}

/// In the cart or bought: not removed, cancelled or expired.
fn is_live(parcel: &Value) -> bool {
    !matches!(parcel["status"].as_str(), Some("canceled" | "expired"))
}

/// One label, on both sides.
fn compare(world: &World, ours: &Label, theirs: &[&Value]) {
    let words: Vec<&str> = theirs.iter().filter_map(|parcel| parcel["status"].as_str()).collect();
    let expected: Vec<&str> = expected(&ours.status).into_iter().collect();
    if words != expected {
        world.violation(format!("label {} of order {}: {} here, {words:?} at the provider", ours.id, ours.number, ours.status));
        return;
    }
    world.count(&format!("labels that ended {}", ours.status));
    let paid = theirs.iter().find(|parcel| !parcel["paid_at"].is_null()).and_then(|parcel| parcel["price_cents"].as_i64());
    if paid.is_some() && paid != ours.price {
        world.violation(format!("label {}: {paid:?} centavos at the provider, {:?} here", ours.id, ours.price));
    }
}

/// Sold orders have their labels, each once; others have none, unless there was an alert that one cannot be cancelled.
fn stand(world: &World, order: &Parcels) {
    let is_right = match (order.is_sold, order.has_left) {
        (true, _) => order.bought == order.live && order.bought == order.volumes.len() as u64,
        (false, true) => true, // shipped before its refund
        (false, false) => order.bought == 0 || order.is_stranded,
    };
    if !is_right {
        world.violation(format!(
            "order {} (sold: {}) has {} label(s), {} of them paid",
            order.number, order.is_sold, order.live, order.bought
        ));
    }
    if order.is_sold {
        world.add("labels bought, each once", order.bought);
        world.add("sold orders of several boxes", u64::from(order.volumes.len() > 1));
    }
}
