//! Payers contest payments through their banks: inquiries, chargebacks of a part or of all, two on one payment, ends in any order,
//! ends without a word of who won, and appeals; at OpenPix disputes, at a bank returns that it makes by itself.

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
    trouble.spawn(contest_pix(Arc::clone(world)));
}

/// How the webhooks of a dispute travel.
fn travel(dice: &mut StdRng) -> &'static str {
    ["once", "once", "twice", "lost", "late"][dice.random_range(0..5)]
}

/// A random one of them.
fn pick<'a>(dice: &mut StdRng, of: &[&'a Value]) -> Option<&'a Value> {
    of.get(dice.random_range(0..of.len().max(1))).copied()
}

/// Payments at a provider that were paid.
async fn paid_at(world: &World, provider: &str) -> Vec<Value> {
    let charges = world.sandbox("/control/charges").await;
    let is_paid = |charge: &&Value| charge["provider"] == provider && charge["paid_cents"].is_i64();
    charges.as_array().into_iter().flatten().filter(is_paid).cloned().collect()
}

/// Half of them are about a part.
fn some_of(dice: &mut StdRng, charge: &Value) -> Option<i64> {
    let paid = charge["paid_cents"].as_i64().unwrap_or(2);
    (dice.random_range(0..2) == 0).then(|| dice.random_range(1..=(paid / 2).max(1)))
}

async fn contest_pix(world: Arc<World>) {
    let mut dice = world.dice(52);
    let mut returns = 0_u32;
    while !world.time_is_over() {
        pause(&mut dice, 200..1_200).await;
        let disputes = world.sandbox("/control/disputes").await;
        let open = |dispute: &&Value| dispute["provider"] == "openpix" && is_open(dispute);
        let open: Vec<&Value> = disputes.as_array().into_iter().flatten().filter(open).collect();
        match dice.random_range(0..3) {
            0 => {
                returns += 1;
                take_back(&world, &mut dice, returns).await;
            }
            1 if !open.is_empty() => {
                let Some(dispute) = pick(&mut dice, &open) else { continue };
                let next: &[&str] = match dispute["status"].as_str() {
                    Some("needs_response") => &["under_review", "won", "lost", "lost", "canceled"],
                    _ => &["won", "lost", "canceled"],
                };
                let status = next[dice.random_range(0..next.len())];
                let delay = dice.random_range(0..10_000);
                let body =
                    json!({"dispute_id": dispute["id"], "status": status, "webhook": travel(&mut dice), "delay_ms": delay});
                step(&world, dispute, &body, status).await;
            }
            _ => contest_openpix(&world, &mut dice, &disputes).await,
        }
    }
}

/// The one dispute of a PIX at OpenPix, with its amount in one of the forms that their documents have.
async fn contest_openpix(world: &World, dice: &mut StdRng, disputes: &Value) {
    let charges = paid_at(world, "openpix").await;
    let has_one = |charge: &Value| disputes.as_array().into_iter().flatten().any(|d| d["payment_id"] == charge["payment_id"]);
    let Some(charge) = pick(dice, &charges.iter().filter(|charge| !has_one(charge)).collect::<Vec<_>>()) else { return };
    let form = ["number", "text", "absent"][dice.random_range(0..3)];
    let mut body = json!({"payment_id": charge["payment_id"], "form": form, "webhook": travel(dice), "delay_ms": dice.random_range(0..10_000)});
    // Where they do not say how much, it is about all that is left.
    if let Some(part) = some_of(dice, charge).filter(|_| form != "absent") {
        body["amount_cents"] = part.into();
    }
    if world.sandbox_post("/control/dispute", &body).await.0 == 200 {
        world.count(&format!("disputes begun at openpix: its amount as {form}"));
    }
}

/// A bank takes a part or all of a PIX back (MED), or somebody gives it back on the bank's pages.
async fn take_back(world: &World, dice: &mut StdRng, number: u32) {
    const NATURES: [&str; 4] = ["MED_FRAUDE", "MED_OPERACIONAL", "MED_PIX_AUTOMATICO", "ORIGINAL"];
    let charges = paid_at(world, "bacen").await;
    let Some(charge) = pick(dice, &charges.iter().collect::<Vec<_>>()) else { return };
    let left = charge["paid_cents"].as_i64().unwrap_or(0) - charge["refunded_cents"].as_i64().unwrap_or(0);
    let (natureza, cents) = (NATURES[dice.random_range(0..4)], some_of(dice, charge).unwrap_or(left));
    let body = json!({"payment_id": charge["payment_id"], "name": format!("volta{number}"), "amount_cents": cents, "natureza": natureza,
        "motivo": "Golpe", "webhook": travel(dice), "delay_ms": dice.random_range(0..10_000)});
    if world.sandbox_post("/control/refunds/take-back", &body).await.0 == 200 {
        world.count(&format!("returns that nobody asked for at the bank: {natureza}"));
    }
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

/// A dispute as its provider has it.
struct Theirs {
    /// The shop's name for it.
    reference: String,
    status: String,
    taken: i64,
}

/// All of them, by their providers' books: what a bank takes back by itself is one that was lost.
fn theirs(books: &Value) -> Vec<Theirs> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pix = |payment: &Value| {
        let charge = rows(books, "charges").iter().find(|charge| charge["payment_id"] == *payment);
        charge.map(|charge| text(&charge["end_to_end_id"])).unwrap_or_default()
    };
    let dispute = |dispute: &Value| Theirs {
        reference: if dispute["provider"] == "openpix" { pix(&dispute["payment_id"]) } else { text(&dispute["id"]) },
        status: text(&dispute["status"]),
        taken: taken_cents(dispute),
    };
    let med = |refund: &Value| Theirs {
        reference: text(&refund["end_to_end_id"]),
        status: "lost".to_owned(),
        taken: refund["amount_cents"].as_i64().unwrap_or(0),
    };
    let returns = rows(books, "refunds").iter().filter(|refund| is_by_a_bank(refund));
    rows(books, "disputes").iter().map(dispute).chain(returns.map(med)).collect()
}

/// A refund in a provider's books that the payer's bank made.
pub fn is_by_a_bank(refund: &Value) -> bool {
    refund["origin"] == "bank"
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
fn agree(ours: Option<&Ours>, theirs: &Theirs) -> bool {
    let Some(ours) = ours else { return false };
    let state = match theirs.status.as_str() {
        "won" => ours.state == "won",
        "lost" => ours.state == "lost",
        "warning_closed" | "canceled" => ours.state == "closed",
        "prevented" => matches!(ours.state.as_str(), "closed" | "won" | "lost"),
        _ => false,
    };
    state && ours.taken == theirs.taken
}

/// How many disputes do not stand here as they do at their providers.
pub async fn differ(world: &World, db: &Client) -> i64 {
    let (ours, books) = (ours(db).await, world.sandbox("/control/books").await);
    theirs(&books).iter().filter(|dispute| !agree(ours.get(&dispute.reference), dispute)).count() as i64
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
    for dispute in theirs(books) {
        let here = ours.remove(&dispute.reference);
        let kind = match dispute.reference.as_bytes().first() {
            Some(b'D') => "returns that a bank made",
            Some(b'E') => "disputes of a PIX",
            _ => "disputes of a card",
        };
        if agree(here.as_ref(), &dispute) {
            world.count(&format!("{kind} that ended {} on both sides", here.map(|here| here.state).unwrap_or_default()));
            world.add("centavos that disputes took, on both sides", dispute.taken.unsigned_abs());
            continue;
        }
        let here = here.map(|here| (here.state, here.taken));
        let Theirs { reference, status, taken } = &dispute;
        world.violation(format!("dispute {reference} is {status} with {taken} taken, here {here:?}"));
    }
    for (reference, here) in ours {
        world.violation(format!("dispute {reference} is {} here, and its provider knows none", here.state));
    }
}
