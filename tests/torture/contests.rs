//! Payers contest payments through their banks: inquiries, chargebacks of a part or of all, two on one payment, ends in any order,
//! ends without a word of who won, and appeals.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::books::rows;
use crate::trouble::pause;
use crate::world::World;

pub fn begin(world: &Arc<World>, trouble: &mut JoinSet<()>) {
    trouble.spawn(contest_cards(Arc::clone(world)));
}

/// How the webhooks of a dispute travel.
fn travel(dice: &mut StdRng) -> &'static str {
    ["once", "once", "twice", "lost", "late"][dice.random_range(0..5)]
}

/// A random one of them.
fn pick<'a>(dice: &mut StdRng, of: &[&'a Value]) -> Option<&'a Value> {
    of.get(dice.random_range(0..of.len().max(1))).copied()
}

async fn contest_cards(world: Arc<World>) {
    let mut dice = world.dice(50);
    while !world.time_is_over() {
        pause(&mut dice, 200..1_200).await;
        let disputes = world.sandbox("/control/disputes").await;
        let disputes: Vec<&Value> = disputes.as_array().into_iter().flatten().filter(|d| d["provider"] == "stripe").collect();
        match pick(&mut dice, &disputes) {
            Some(dispute) if dice.random_range(0..5) > 1 => go_on(&world, &mut dice, dispute).await,
            _ => contest(&world, &mut dice, &disputes).await,
        }
    }
}

/// A new one; often of a payment that has one already.
async fn contest(world: &World, dice: &mut StdRng, before: &[&Value]) {
    let charges = world.sandbox("/control/charges").await;
    let is_second = dice.random_range(0..2) == 0;
    let fits = |charge: &&Value| {
        let has_one = before.iter().any(|dispute| dispute["payment_id"] == charge["payment_id"]);
        charge["provider"] == "stripe" && charge["paid_cents"].is_i64() && has_one == is_second
    };
    let charges: Vec<&Value> = charges.as_array().into_iter().flatten().filter(fits).collect();
    let Some(charge) = pick(dice, &charges) else { return };
    let (paid, is_inquiry) = (charge["paid_cents"].as_i64().unwrap_or(2), dice.random_range(0..3) == 0);
    let mut body = json!({"payment_id": charge["payment_id"], "inquiry": is_inquiry, "webhook": travel(dice), "delay_ms": dice.random_range(0..10_000)});
    if dice.random_range(0..4) > 0 {
        body["amount_cents"] = dice.random_range(1..=(paid / 2).max(1)).into();
    }
    if world.sandbox_post("/control/dispute", &body).await.0 == 200 {
        let which = if is_second { "one more of a payment that had one" } else { "the first of a payment" };
        world.count(&format!("disputes begun at stripe: {}, {which}", if is_inquiry { "an inquiry" } else { "a chargeback" }));
    }
}

/// The next step of a dispute, if it can take one.
async fn go_on(world: &World, dice: &mut StdRng, dispute: &Value) {
    let next: &[&str] = match dispute["status"].as_str() {
        Some("warning_needs_response") => &["warning_under_review", "warning_closed", "needs_response"],
        Some("warning_under_review") => &["warning_closed", "needs_response"],
        Some("needs_response") => &["under_review", "won", "lost", "lost", "prevented"],
        Some("under_review") => &["won", "lost"],
        Some("lost") if dice.random_range(0..3) == 0 => &["won"], // an appeal
        _ => return,
    };
    let status = next[dice.random_range(0..next.len())];
    let mut body =
        json!({"dispute_id": dispute["id"], "status": status, "webhook": travel(dice), "delay_ms": dice.random_range(0..10_000)});
    if status == "prevented" && dice.random_range(0..2) == 0 {
        // They do not say for whom it ended, and money has moved: somebody must look.
        let cents = dispute["amount_cents"].as_i64().unwrap_or(1);
        body["moved_cents"] = [json!([-cents]), json!([-cents, cents])][dice.random_range(0..2)].clone();
    }
    step(world, dispute, &body, status).await;
}

async fn step(world: &World, dispute: &Value, body: &Value, status: &str) {
    if world.sandbox_post("/control/dispute/move", body).await.0 == 200 {
        let from = dispute["status"].as_str().unwrap_or_default();
        world.count(&format!("disputes moved at {}: {from} to {status}", dispute["provider"].as_str().unwrap_or_default()));
    }
}

/// What a dispute holds of the shop's money, by its provider's books.
pub fn taken_cents(dispute: &Value) -> i64 {
    -dispute["moved_cents"].as_array().into_iter().flatten().filter_map(Value::as_i64).sum::<i64>()
}

fn is_open(dispute: &Value) -> bool {
    matches!(
        dispute["status"].as_str(),
        Some("warning_needs_response" | "warning_under_review" | "needs_response" | "under_review")
    )
}

/// Every open dispute ends; some of it is told, some not.
pub async fn end(world: &World) {
    let mut dice = world.dice(51);
    let disputes = world.sandbox("/control/disputes").await;
    for dispute in disputes.as_array().into_iter().flatten().filter(|dispute| is_open(dispute)) {
        let is_inquiry = dispute["status"].as_str().is_some_and(|status| status.starts_with("warning"));
        let status = if is_inquiry { "warning_closed" } else { ["won", "lost"][dice.random_range(0..2)] };
        let webhook = ["once", "lost"][dice.random_range(0..2)];
        step(world, dispute, &json!({"dispute_id": dispute["id"], "status": status, "webhook": webhook}), status).await;
    }
}

/// A dispute as the shop has it.
struct Ours {
    state: String,
    taken: i64,
}

async fn ours(db: &Client) -> BTreeMap<String, Ours> {
    const OURS: &str = "
        SELECT d.provider_ref, d.state,
               coalesce((SELECT sum(CASE m.kind WHEN 'dispute_out' THEN m.amount_cents ELSE -m.amount_cents END) FROM money_movements m
                          WHERE m.dispute_id = d.id), 0)::bigint AS taken
          FROM disputes d";
    let rows = db.query(OURS, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), Ours { state: row.get(1), taken: row.get(2) })).collect()
}

/// Both sides say the same. An end that names no winner is known here by what it took.
fn agree(ours: Option<&Ours>, theirs: &Value) -> bool {
    let Some(ours) = ours else { return false };
    let state = match theirs["status"].as_str() {
        Some("won") => ours.state == "won",
        Some("lost") => ours.state == "lost",
        Some("warning_closed" | "canceled") => ours.state == "closed",
        Some("prevented") => matches!(ours.state.as_str(), "closed" | "won" | "lost"),
        _ => false,
    };
    state && ours.taken == taken_cents(theirs)
}

/// How many disputes do not stand here as they do at their providers.
pub async fn differ(world: &World, db: &Client) -> i64 {
    let (ours, theirs) = (ours(db).await, world.sandbox("/control/disputes").await);
    theirs.as_array().into_iter().flatten().filter(|dispute| !agree(ours.get(id(dispute)), dispute)).count() as i64
}

fn id(dispute: &Value) -> &str {
    dispute["id"].as_str().unwrap_or_default()
}

/// Ends, as an administrator does, what a provider leaves unclear: by what its pages say.
pub async fn settle(world: &World, db: &Client, headers: &[(&str, &str)]) {
    const UNCLEAR: &str = "SELECT id::text, provider_ref FROM disputes WHERE state = 'unclear'";
    let unclear = db.query(UNCLEAR, &[]).await.unwrap();
    if unclear.is_empty() {
        return;
    }
    let theirs = world.sandbox("/control/disputes").await;
    for row in unclear {
        let (ours, reference): (String, String) = (row.get(0), row.get(1));
        let Some(dispute) = theirs.as_array().into_iter().flatten().find(|dispute| id(dispute) == reference) else { continue };
        let note = "as their pages have it";
        let body = match taken_cents(dispute) {
            0 => json!({"outcome": "won", "note": note}),
            cents => json!({"outcome": "lost", "amount_cents": cents, "note": note}),
        };
        let answer = world.call(0, "POST", &format!("/api/admin/disputes/{ours}/settle"), headers, Some(&body)).await;
        match answer {
            Some(answer) if answer.status == 200 => world.count("disputes settled by hand"),
            Some(answer) if answer.status < 500 => {
                world.violation(format!("a dispute that is unclear cannot be settled: {} {}", answer.status, answer.body))
            }
            _ => {}
        }
    }
}

/// Every dispute stands here as it does at its provider, with the same money.
pub async fn check(world: &World, books: &Value, db: &Client) {
    let mut ours = ours(db).await;
    for dispute in rows(books, "disputes") {
        let here = ours.remove(id(dispute));
        if agree(here.as_ref(), dispute) {
            world.count(&format!("disputes that ended {} on both sides", here.map(|here| here.state).unwrap_or_default()));
            world.add("centavos that disputes took, on both sides", taken_cents(dispute).unsigned_abs());
            continue;
        }
        let here = here.map(|here| (here.state, here.taken));
        world.violation(format!(
            "dispute {} is {} with {} taken, here {here:?}",
            id(dispute),
            dispute["status"],
            taken_cents(dispute)
        ));
    }
    for (reference, here) in ours {
        world.violation(format!("dispute {reference} is {} here, and its provider knows none", here.state));
    }
}
