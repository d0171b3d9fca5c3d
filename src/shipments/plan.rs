//! Which labels an order needs: the rows that stand before any provider is called.

use deadpool_postgres::GenericClient;
use jiff::SignedDuration;
use serde_json::Value;
use tokio_postgres::Row;
use vitrine_kit::Money;
use vitrine_kit::shipping::Volume;
use vitrine_melhorenvio::NAME;

use super::state::State;
use super::store;
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{OrderId, ShipmentId};
use crate::sale::history::{Change, record_change};
use crate::sale::locks;
use crate::sale::off;
use crate::sale::states::OrderStatus;

/// How long the job waits for an NF-e before it looks again. Its authorisation starts the job at once.
pub const WAIT_FOR_INVOICE: SignedDuration = SignedDuration::from_mins(30);
/// No order has more parcels than this.
const MAX_VOLUMES: usize = 99;
/// Carriers whose labels are for one box each, by the beginning of their name in a quote.
const ONE_BOX_EACH: [&str; 4] = ["correios", "j&t", "jet", "loggi"];
/// A single service whose labels are for one box each: Jadlog's `.Package Centralizado`.
const ONE_BOX_SERVICE: &str = "27";

/// Which labels an order needs.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// None: it is not paid, not sent by a broker, or its labels are bought by hand.
    Nothing,
    /// None yet: its NF-e must be authorized first.
    WaitForInvoice,
    /// These, in the order of their volumes.
    Labels(Vec<ShipmentId>),
}

/// Inserts the rows of labels that are missing, and returns all that are not finished. The caller commits.
///
/// `by_hand`: an administrator asks for the labels, so the shop's setting to buy by hand does not apply.
pub async fn plan(tx: &impl GenericClient, app: &App, order: OrderId, by_hand: bool, actor: Actor) -> Result<Plan> {
    const FIND: &str = "
        SELECT o.shipping_provider, o.service, o.service_code, o.shipping_quoted_cents, o.freight_quote,
               (SELECT value ->> 'labels' FROM settings WHERE name = 'shipping') AS labels
          FROM orders o WHERE o.id = $1";
    let Some(locked) = locks::lock_order_for_shop(tx, order).await? else { return Ok(Plan::Nothing) };
    let row = db::query_one(tx, FIND, &[&order]).await?;
    let is_to_be_sent = matches!(locked.status, OrderStatus::Processing | OrderStatus::Shipped)
        && locked.payment_status.is_paid()
        && row.get::<_, &str>("shipping_provider") == NAME;
    if !is_to_be_sent || off::nothing_leaves(tx, order).await? {
        return Ok(Plan::Nothing);
    }
    let is_automatic = row.get::<_, Option<&str>>("labels") != Some("by_hand");
    let mut labels = list_live(tx, order).await?;
    if (by_hand || is_automatic) && store::is_wanted(tx, order).await? {
        let ended = if by_hand || labels.is_empty() { Ended::All } else { Ended::GivenBack };
        if !replace(tx, order, ended, actor).await? && labels.is_empty() {
            insert(tx, order, &row, actor).await?;
        }
        labels = list_live(tx, order).await?;
    }
    if labels.is_empty() {
        return Ok(Plan::Nothing);
    }
    Ok(if invoice(tx, app, order).await?.is_none() { Plan::WaitForInvoice } else { Plan::Labels(labels) })
}

/// Which ended labels are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// All, whoever ended them.
    All,
    /// Those that the shop gave back by itself. A label that somebody cancelled on the provider's pages, or that expired, is
    /// replaced only by a person.
    GivenBack,
}

/// Inserts another label for each volume whose last one ended. `false`: there is no such volume.
pub(super) async fn replace(tx: &impl GenericClient, order: OrderId, which: Ended, actor: Actor) -> Result<bool> {
    const ENDED: &str = "
        SELECT e.id FROM (
            SELECT DISTINCT ON (s.volume) s.id, s.given_back FROM shipments s
             WHERE s.order_id = $1 AND NOT EXISTS (SELECT FROM shipments l WHERE l.order_id = $1 AND l.volume = s.volume
                                                      AND l.status NOT IN ('cancelled', 'expired'))
             ORDER BY s.volume, s.id DESC) e
         WHERE e.given_back OR $2";
    const AGAIN: &str = "
        INSERT INTO shipments (id, order_id, volume, provider, service_code, boxes, quoted_cents)
        SELECT n.id, s.order_id, s.volume, s.provider, s.service_code, s.boxes, s.quoted_cents
          FROM unnest($1::uuid[], $2::uuid[]) AS n (id, ended) JOIN shipments s ON s.id = n.ended";
    let ended: Vec<ShipmentId> =
        db::query(tx, ENDED, &[&order, &(which == Ended::All)]).await?.iter().map(|row| row.get("id")).collect();
    let ids: Vec<ShipmentId> = ended.iter().map(|_| ShipmentId::new()).collect();
    db::execute(tx, AGAIN, &[&ids, &ended]).await?;
    record_planned(tx, order, &ids, actor).await?;
    Ok(!ids.is_empty())
}

async fn record_planned(tx: &impl GenericClient, order: OrderId, ids: &[ShipmentId], actor: Actor) -> Result<()> {
    let to = State::Pending.as_str();
    for id in ids {
        record_change(tx, order, &Change { subject: "shipment", subject_id: Some(id.0), from: None, to, reason: "", actor })
            .await?;
    }
    Ok(())
}

async fn list_live(tx: &impl GenericClient, order: OrderId) -> Result<Vec<ShipmentId>> {
    const LIVE: &str = "SELECT id FROM shipments WHERE order_id = $1 AND status NOT IN ('cancelled', 'expired') ORDER BY volume";
    Ok(db::query(tx, LIVE, &[&order]).await?.iter().map(|row| row.get("id")).collect())
}

/// The paper that travels with the parcel for the tax authority. `None`: its NF-e is not authorized yet, or is being cancelled.
pub async fn invoice(db: &impl GenericClient, app: &App, order: OrderId) -> Result<Option<Paper>> {
    const KEY: &str = "
        SELECT chave FROM invoices WHERE order_id = $1 AND purpose = 'sale' AND status = 'authorized' AND cancel_reason IS NULL";
    let key: Option<String> = db::query_opt(db, KEY, &[&order]).await?.and_then(|row| row.get("chave"));
    Ok(match key {
        Some(key) => Some(Paper::Invoice(key)),
        None if app.providers.fiscal.is_some() => None,
        None => Some(Paper::Declaration),
    })
}

/// The paper that travels with the goods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paper {
    /// The access key of the NF-e.
    Invoice(String),
    /// The shop issues no NF-e: a declaration of contents.
    Declaration,
}

/// The first labels of an order, one for each parcel; the quoted freight is shared among them by weight, to the centavo.
async fn insert(tx: &impl GenericClient, order: OrderId, row: &Row, actor: Actor) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO shipments (id, order_id, volume, provider, service_code, boxes, quoted_cents)
        SELECT n.id, $1, n.volume, $2, $3, n.boxes, n.quoted FROM unnest($4::uuid[], $5::smallint[], $6::jsonb[], $7::bigint[]) AS n (id, volume, boxes, quoted)";
    let quote: Value = row.get("freight_quote");
    let volumes = match volumes(&quote) {
        quoted if !quoted.is_empty() => quoted,
        _ => vec![one_box(tx, order).await?], // an estimate has no boxes: no carrier was asked
    };
    let labels = split(takes_one_box(row.get("service"), row.get("service_code")), volumes);
    let grams = |boxes: &Vec<Volume>| Money::from_cents(boxes.iter().map(|v| i64::from(v.weight_grams)).sum());
    let shares = Money::apportion(row.get("shipping_quoted_cents"), &labels.iter().map(grams).collect::<Vec<_>>());
    let ids: Vec<ShipmentId> = labels.iter().map(|_| ShipmentId::new()).collect();
    let numbers: Vec<i16> = (1..).take(labels.len()).collect();
    let boxes: Vec<Value> = labels.iter().map(|boxes| serde_json::to_value(boxes).unwrap_or_default()).collect();
    let code: &str = row.get("service_code");
    db::execute(tx, INSERT, &[&order, &NAME, &code, &ids, &numbers, &boxes, &shares]).await?;
    record_planned(tx, order, &ids, actor).await
}

/// The boxes that the price was quoted for.
fn volumes(quote: &Value) -> Vec<Volume> {
    let volumes = quote.get("volumes").cloned().unwrap_or_default();
    serde_json::from_value(volumes).unwrap_or_default()
}

/// Whether a label of this service is for one box alone.
fn takes_one_box(company: &str, service_code: &str) -> bool {
    let company = company.to_lowercase();
    service_code == ONE_BOX_SERVICE || ONE_BOX_EACH.iter().any(|name| company.starts_with(name))
}

/// The boxes of each label.
fn split(one_box_each: bool, mut volumes: Vec<Volume>) -> Vec<Vec<Volume>> {
    volumes.truncate(MAX_VOLUMES);
    if one_box_each { volumes.into_iter().map(|volume| vec![volume]).collect() } else { vec![volumes] }
}

/// One box for all goods, where no quote says otherwise: stacked, as wide as the widest and as long as the longest.
async fn one_box(tx: &impl GenericClient, order: OrderId) -> Result<Volume> {
    const STACK: &str = "
        SELECT coalesce(sum(p.height_cm::bigint * l.quantity), 0)::bigint AS height, max(p.width_cm) AS width, max(p.length_cm) AS length,
               coalesce(sum(p.weight_grams::bigint * l.quantity), 0)::bigint AS grams
          FROM order_lines l JOIN products p ON p.id = l.product_id WHERE l.order_id = $1";
    let row = db::query_one(tx, STACK, &[&order]).await?;
    let size = |cm: Option<i32>| cm.unwrap_or(1).unsigned_abs().max(1);
    let sum = |column: &str| u32::try_from(row.get::<_, i64>(column)).unwrap_or(u32::MAX).max(1);
    Ok(Volume {
        height_cm: sum("height"),
        width_cm: size(row.get("width")),
        length_cm: size(row.get("length")),
        weight_grams: sum("grams"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(weight_grams: u32) -> Volume {
        Volume { height_cm: 1, width_cm: 2, length_cm: 3, weight_grams }
    }

    #[test]
    fn carriers_of_one_box_a_label_get_a_label_for_each_box_and_others_one_for_all() {
        let two = vec![volume(1), volume(2)];
        for (company, code) in [("Correios", "1"), ("J&T Express", "33"), ("JeT", "33"), ("Loggi", "31"), ("Jadlog", "27")] {
            assert!(takes_one_box(company, code), "{company} {code}");
        }
        for (company, code) in [("Jadlog", "3"), ("Jadlog", "4"), ("Buslog", "22"), ("", "")] {
            assert!(!takes_one_box(company, code), "{company} {code}");
        }
        assert_eq!(split(true, two.clone()), [vec![volume(1)], vec![volume(2)]]);
        assert_eq!(split(false, two.clone()), [two]);
        assert_eq!(split(true, vec![volume(1); 500]).len(), MAX_VOLUMES);
    }

    #[test]
    fn the_boxes_are_those_of_the_quote_or_none() {
        assert_eq!(volumes(&json!({"volumes": [{"h": 1, "w": 2, "l": 3, "g": 9}]})), [volume(9)]);
        for none in [json!({}), json!({"volumes": null}), json!({"volumes": [{"h": 1}]}), json!(null)] {
            assert_eq!(volumes(&none), []);
        }
    }
}
