//! Comparison of SMS: every buyer who opted in has one for the payment, no order has two, and nobody else has any.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio_postgres::Client;

use crate::books::rows;
use crate::world::{World, lock};

/// The sandbox's meaning of a number's last four digits: reported at once, reported by the test alone, opted out, and refused.
const ENDS: [&str; 8] = ["1001", "1001", "1001", "1001", "0902", "0902", "0903", "0409"];

/// A number of this buyer, without its last four digits.
pub fn prefix(buyer: u32) -> String {
    format!("+55119{:04}", 8_000 + buyer)
}

pub fn phone(dice: &mut StdRng, buyer: u32) -> String {
    format!("{}{}", prefix(buyer), ENDS[dice.random_range(0..ENDS.len())])
}

/// The provider accepted it.
pub fn is_taken(text: &Value) -> bool {
    text["status_code"].as_u64().is_some_and(|code| code < 400)
}

/// An SMS as the shop has it.
struct Text {
    order: String,
    number: String,
    kind: String,
    status: String,
    provider_ref: Option<String>,
    /// Whether it was sent is unknown.
    is_open: bool,
}

pub async fn check(world: &World, books: &Value, db: &Client) {
    const TEXTS: &str = "
        SELECT o.id::text AS order_id, o.number, m.kind, m.status, m.provider_ref, m.open_tries > 0 AS is_open
          FROM messages m JOIN orders o ON o.id = m.order_id WHERE m.channel = 'sms'";
    let text = |row: &tokio_postgres::Row| Text {
        order: row.get("order_id"),
        number: row.get("number"),
        kind: row.get("kind"),
        status: row.get("status"),
        provider_ref: row.get("provider_ref"),
        is_open: row.get("is_open"),
    };
    let ours: Vec<Text> = db.query(TEXTS, &[]).await.unwrap().iter().map(text).collect();
    let mut theirs: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for text in rows(books, "sms").iter().filter(|text| is_taken(text)) {
        theirs.entry(about(text)).or_default().push(text["id"].as_str().unwrap_or_default());
    }
    for text in &ours {
        let found = theirs.remove(&(text.number.clone(), text.kind.as_str())).unwrap_or_default();
        compare(world, text, &found);
    }
    for ((number, kind), found) in theirs {
        world.violation(format!("{} text(s) {kind} of order {number} that the shop knows nothing of", found.len()));
    }
    whoever_wants_them(world, &ours, db).await;
}

/// The order's number, and the text about it.
fn about(text: &Value) -> (String, &'static str) {
    let words = text["text"].as_str().unwrap_or_default();
    let number = words.split_once("pedido ").map_or("", |(_, rest)| rest.split([' ', '.']).next().unwrap_or_default());
    (number.to_owned(), if words.contains("pagamento") { "order_paid" } else { "order_shipped" })
}

/// One SMS, on both sides.
fn compare(world: &World, ours: &Text, theirs: &[&str]) {
    let is_right = match (&ours.provider_ref, ours.is_open) {
        (Some(id), _) => theirs == [id],
        (None, true) => theirs.len() <= 1,
        (None, false) => theirs.is_empty(),
    };
    if !is_right || ours.status == "queued" {
        let Text { number, kind, status, provider_ref, .. } = ours;
        world.violation(format!("text {kind} of order {number}: {status} as {provider_ref:?} here, {theirs:?} at the provider"));
    }
    world.count(match (&ours.provider_ref, ours.is_open) {
        (Some(_), _) => "texts sent, each once",
        (None, true) => "texts whose fate is unknown, and that are not repeated",
        (None, false) => "texts that were not sent",
    });
}

/// A paid order whose buyer opted in has its SMS; others have none.
async fn whoever_wants_them(world: &World, ours: &[Text], db: &Client) {
    const PAID: &str = "SELECT id::text FROM orders WHERE paid_at IS NOT NULL";
    let paid: Vec<String> = db.query(PAID, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let purchases = lock(&world.purchases).clone();
    for purchase in purchases.values() {
        let Some(placed) = &purchase.placed else { continue };
        let wants = purchase.body["sms_opt_in"] == true;
        let of = |kind: &str| ours.iter().filter(|text| text.order == placed.id && text.kind == kind).count();
        let should = usize::from(wants && paid.contains(&placed.id));
        if of("order_paid") != should || of("order_shipped") > should {
            let (is, left) = (of("order_paid"), of("order_shipped"));
            world.violation(format!(
                "order {} has {is} text(s) of its payment, not {should}, and {left} of its parcel",
                placed.number
            ));
        }
    }
}
