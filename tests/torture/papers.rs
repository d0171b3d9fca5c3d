//! Comparison of invoices: every paid order has one standing invoice, at the provider as here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::books::{plain, rows};
use crate::sold::IS_SOLD;
use crate::world::World;

/// An invoice as the shop has it.
struct Invoice {
    order: String,
    provider: String,
    status: String,
    key: Option<String>,
    number: Option<String>,
    total: i64,
    is_return: bool,
}

/// An order, and which of its invoices should stand.
struct Order {
    id: String,
    number: String,
    /// Sold, not cancelled, and not fully refunded.
    is_sold: bool,
    /// Its goods left, and its money is gone without the shop: a bank took it, or somebody gave it back on a provider's pages. Nobody
    /// has said that they came back.
    is_taken: bool,
}

pub async fn invoices(world: &World, books: &Value, db: &tokio_postgres::Client) {
    const INVOICES: &str = "SELECT id::text, order_id::text, provider, status, chave, number, total_cents, purpose = 'return' AS is_return FROM invoices";
    let invoice = |row: &tokio_postgres::Row| Invoice {
        order: row.get("order_id"),
        provider: row.get("provider"),
        status: row.get("status"),
        key: row.get("chave"),
        number: row.get("number"),
        total: row.get("total_cents"),
        is_return: row.get("is_return"),
    };
    let ours: BTreeMap<String, Invoice> =
        db.query(INVOICES, &[]).await.unwrap().iter().map(|row| (plain(row.get("id")), invoice(row))).collect();
    // eNotas keeps the references of its two environments apart by a prefix.
    let text = |value: &Value| value.as_str().map(|text| text.trim_start_matches("h-")).unwrap_or_default().to_owned();
    let theirs: BTreeMap<String, &Value> = rows(books, "nfes").iter().map(|nfe| (text(&nfe["reference"]), nfe)).collect();
    for (reference, nfe) in &theirs {
        if !ours.contains_key(reference) {
            world
                .violation(format!("the provider has an invoice {reference} ({}) that the shop knows nothing of", nfe["status"]));
        }
    }
    for (reference, invoice) in &ours {
        compare(world, reference, invoice, theirs.get(reference).copied());
    }
    numbers(world, rows(books, "nfes"));
    stand(world, &ours, &theirs, db).await;
}

/// One invoice, on both sides.
fn compare(world: &World, reference: &str, ours: &Invoice, theirs: Option<&Value>) {
    let status = theirs.and_then(|nfe| nfe["status"].as_str()).unwrap_or("nothing");
    let agrees = match ours.status.as_str() {
        "authorized" => status == "authorized",
        "denied" => status == "denied",
        // Given up before it was sent, or after it was rejected.
        "cancelled" => matches!(status, "cancelled" | "nothing" | "rejected"),
        "rejected" => matches!(status, "rejected" | "nothing"),
        _ => false,
    };
    if !agrees {
        world.violation(format!("invoice {reference} of order {}: {} here, {status} at the provider", ours.order, ours.status));
        return;
    }
    world.count(&format!("invoices that ended {} at {}", ours.status, ours.provider));
    let Some(theirs) = theirs.filter(|_| ours.status == "authorized") else { return };
    let number = theirs["number"].as_u64().map(|number| number.to_string());
    if theirs["key"].as_str() != ours.key.as_deref() || number != ours.number || theirs["total_cents"] != ours.total {
        world.violation(format!("invoice {reference}: key, number or total differ from the provider's {theirs}"));
    }
}

/// Each number was used once, and none was skipped.
fn numbers(world: &World, nfes: &[Value]) {
    let mut numbers: Vec<u64> = nfes.iter().filter_map(|nfe| nfe["number"].as_u64()).collect();
    numbers.sort_unstable();
    if !numbers.iter().copied().eq(1..=numbers.len() as u64) {
        world.violation(format!("the invoices' numbers are {numbers:?}"));
    }
}

/// Exactly one sale's invoice stands at the provider for a sold order, and none for another.
async fn stand(world: &World, ours: &BTreeMap<String, Invoice>, theirs: &BTreeMap<String, &Value>, db: &tokio_postgres::Client) {
    const IS_TAKEN: &str = "
        o.status IN ('shipped', 'delivered')
        AND (SELECT coalesce(sum(r.amount_cents), 0) < max(p.captured_cents)
               FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id AND r.status <> 'failed' AND r.requested_by NOT LIKE 'provider:%'
              WHERE p.order_id = o.id AND p.captured_cents > 0 AND NOT p.is_surplus)";
    let orders =
        format!("SELECT o.id::text, o.number, {IS_SOLD} AS is_sold, coalesce({IS_TAKEN}, false) AS is_taken FROM orders o");
    let mut standing: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (reference, invoice) in ours {
        if theirs.get(reference).is_some_and(|nfe| nfe["status"] == "authorized") {
            let (sales, returns) = standing.entry(&invoice.order).or_default();
            *(if invoice.is_return { returns } else { sales }) += 1;
        }
    }
    let order = |row: &tokio_postgres::Row| Order {
        id: row.get("id"),
        number: row.get("number"),
        is_sold: row.get("is_sold"),
        is_taken: row.get("is_taken"),
    };
    for order in db.query(&orders, &[]).await.unwrap().iter().map(order) {
        let (sales, returns) = standing.get(order.id.as_str()).copied().unwrap_or_default();
        let is_right = match (order.is_sold, order.is_taken) {
            (true, _) => sales == 1,
            (false, true) => sales <= 1 && returns == 0,
            (false, false) => sales == 0 || (sales == 1 && returns >= 1),
        };
        if !is_right {
            world.violation(format!(
                "order {} (sold: {}) has {sales} sale(s) and {returns} return(s) standing at the provider",
                order.number, order.is_sold
            ));
        }
        world.add(
            "sales of goods that left without their money, which stand",
            u64::from(order.is_taken && !order.is_sold && sales == 1),
        );
        if order.is_sold {
            world.add("sold orders with their one invoice", u64::from(sales == 1));
        }
    }
}
