//! Payers contest payments through their banks: inquiries, chargebacks of a part or of all, two on one payment, ends in any order,
//! ends without a word of who won, and appeals.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

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
    let mut body = json!({"dispute_id": dispute["id"], "status": status, "webhook": travel(dice), "delay_ms": dice.random_range(0..10_000)});
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
