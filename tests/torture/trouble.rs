//! Faults of all kinds, as long as the run lasts.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vitrine_kit::signature::hmac_sha256_hex;

use crate::buyers::insist;
use crate::texts::is_taken;
use crate::world::{Placed, World, lock};

pub fn begin(world: &Arc<World>) -> JoinSet<()> {
    let mut trouble = JoinSet::new();
    for which in 0..3 {
        trouble.spawn(kill(Arc::clone(world), which));
    }
    trouble.spawn(crash_databases(Arc::clone(world)));
    trouble.spawn(forge(Arc::clone(world)));
    trouble.spawn(replay(Arc::clone(world)));
    trouble.spawn(refund(Arc::clone(world)));
    trouble.spawn(balance(Arc::clone(world)));
    trouble.spawn(refuse_invoices(Arc::clone(world)));
    trouble.spawn(carry(Arc::clone(world)));
    trouble.spawn(report_texts(Arc::clone(world)));
    trouble
}

pub async fn pause(dice: &mut StdRng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(dice.random_range(millis))).await;
}

/// SIGKILL at any moment; started again a moment later. On a slow machine a server would never serve if most of them were not
/// given the time to start.
async fn kill(world: Arc<World>, which: usize) {
    let mut dice = world.dice(20 + which as u64);
    while !world.time_is_over() {
        if dice.random_range(0..4) > 0 {
            world.until_serving(which).await;
        }
        pause(&mut dice, 800..5_000).await;
        let _turn = world.calm.read().await;
        world.machine.kill(which);
        world.count(if which < 2 { "servers killed" } else { "workers killed" });
        pause(&mut dice, 0..600).await;
        world.machine.start_again(which);
        // A dead worker's jobs are taken over when its lease ends: sometimes the lease is ended at once.
        if dice.random_range(0..2) == 0 {
            world.sql("UPDATE jobs SET lease_until = now() WHERE state = 'running'").await;
        }
    }
}

async fn crash_databases(world: Arc<World>) {
    let mut dice = world.dice(12);
    loop {
        pause(&mut dice, 6_000..16_000).await;
        let _turn = world.calm.read().await;
        if world.time_is_over() {
            return;
        }
        world.machine.crash_database();
        world.count("database crashes");
        pause(&mut dice, 0..1_000).await;
        world.machine.recover_database();
    }
}

/// Webhooks go to any of the servers.
async fn balance(world: Arc<World>) {
    let mut dice = world.dice(13);
    while !world.time_is_over() {
        pause(&mut dice, 300..1_500).await;
        let port = world.machine.ports[dice.random_range(0..2)];
        world.sandbox_post("/control/shop", &json!({"url": format!("http://127.0.0.1:{port}")})).await;
        world.look_after_processes();
    }
}

/// The tax authority rejects correct invoices, denies them, or is away for a while.
async fn refuse_invoices(world: Arc<World>) {
    let mut dice = world.dice(17);
    while !world.time_is_over() {
        pause(&mut dice, 2_000..6_000).await;
        match dice.random_range(0..6) {
            0..3 => {
                world.sandbox_post("/control/nfe/reject-next", &json!({"count": 1})).await;
                world.count("invoices ordered to be rejected");
            }
            3 => {
                world.sandbox_post("/control/nfe/deny-next", &json!({"count": 1})).await;
                world.count("invoices ordered to be denied");
            }
            _ => {
                world.sandbox_post("/control/nfe/away", &json!({"on": true})).await;
                pause(&mut dice, 1_000..6_000).await;
                world.sandbox_post("/control/nfe/away", &json!({"on": false})).await;
                world.count("times that the tax authority was away");
            }
        }
    }
}

/// Parcels are posted, held and delivered; tracking webhooks are lost, doubled and late.
async fn carry(world: Arc<World>) {
    let mut dice = world.dice(18);
    while !world.time_is_over() {
        pause(&mut dice, 200..1_200).await;
        let parcels = world.sandbox("/control/parcels").await;
        let moves = |parcel: &&Value| matches!(parcel["status"].as_str(), Some("generated" | "posted" | "undelivered"));
        let parcels: Vec<&Value> = parcels.as_array().into_iter().flatten().filter(moves).collect();
        let Some(parcel) = parcels.get(dice.random_range(0..parcels.len().max(1))) else { continue };
        let step = match (parcel["status"].as_str(), dice.random_range(0..8)) {
            (Some("generated"), 0..3) => "post", // the others stay for now
            (Some("posted"), 0) => "return",
            (Some("posted"), 1..4) => "out_for_delivery",
            (Some("posted"), _) | (Some("undelivered"), 0..4) => "deliver",
            _ => continue,
        };
        let webhook = ["once", "once", "twice", "lost", "late"][dice.random_range(0..5)];
        let body = json!({"id": parcel["id"], "step": step, "webhook": webhook, "delay_ms": dice.random_range(0..10_000)});
        if world.sandbox_post("/control/parcel", &body).await.0 == 200 {
            world.count(&format!("parcels: {step}"));
        }
    }
}

/// Networks report the results of SMS, in any order, or never.
async fn report_texts(world: Arc<World>) {
    let mut dice = world.dice(19);
    while !world.time_is_over() {
        pause(&mut dice, 200..1_200).await;
        let texts = world.sandbox("/control/sms").await;
        let texts: Vec<&Value> = texts.as_array().into_iter().flatten().filter(|text| is_taken(text)).collect();
        let Some(text) = texts.get(dice.random_range(0..texts.len().max(1))) else { continue };
        let status = ["Sent", "AbsentSubscriber", "Expired", "Success", "Success"][dice.random_range(0..5)];
        let webhook = ["once", "twice", "lost", "late"][dice.random_range(0..4)];
        let body = json!({"id": text["id"], "status": status, "webhook": webhook, "delay_ms": dice.random_range(0..10_000)});
        if world.sandbox_post("/control/sms/report", &body).await.0 == 200 {
            world.count(&format!("texts reported: {status}"));
        }
    }
}

/// One of the orders that were placed.
pub fn some_order(world: &World, dice: &mut StdRng) -> Option<Placed> {
    let purchases = lock(&world.purchases);
    let placed: Vec<&Placed> = purchases.values().filter_map(|purchase| purchase.placed.as_ref()).collect();
    placed.get(dice.random_range(0..placed.len().max(1))).map(|placed| (*placed).clone())
}

/// Forged events that say an order was paid.
async fn forge(world: Arc<World>) {
    let mut dice = world.dice(14);
    while !world.time_is_over() {
        pause(&mut dice, 20..250).await;
        let Some(placed) = some_order(&world, &mut dice) else { continue };
        let payment = match payment_of(&world, &mut dice, &placed).await {
            Some(payment) => payment,
            None => continue,
        };
        let mut body = news(&mut dice, &placed, &payment);
        let [wrong_way, right] = &world.machine.secrets;
        let other = hex::encode(dice.random::<[u8; 24]>());
        let (what, signature) = match dice.random_range(0..8) {
            0 => ("unsigned", None),
            1 => ("signed with nothing", Some(String::new())),
            2 => ("signed with nonsense", Some(hex::encode(dice.random::<[u8; 32]>()))),
            3 => ("signed with another secret", Some(hmac_sha256_hex(other.as_bytes(), body.as_bytes()))),
            4 => ("signed with the other way's secret", Some(hmac_sha256_hex(wrong_way.as_bytes(), body.as_bytes()))),
            5 => ("with half a signature", Some(hmac_sha256_hex(right.as_bytes(), body.as_bytes())[..32].to_owned())),
            6 => {
                let signature = hmac_sha256_hex(right.as_bytes(), body.as_bytes());
                body.truncate(body.len() - dice.random_range(1..20));
                ("truncated", Some(signature))
            }
            _ => {
                let signature = hmac_sha256_hex(right.as_bytes(), body.as_bytes());
                body = body.replace(&placed.total_cents.to_string(), &(placed.total_cents + 1).to_string());
                ("signed for another body", Some(signature))
            }
        };
        const PATHS: [&str; 10] = [
            "/api/webhooks/payment",
            "/api/webhooks/payment",
            "/api/webhooks/openpix",
            "/api/webhooks/stripe",
            "/api/webhooks/pix",
            "/api/webhooks/pix?hmac=0123456789abcdef0123456789abcdef",
            "/api/webhooks/focusnfe",
            "/api/webhooks/focusnfe?token=0123456789abcdef0123456789abcdef",
            "/api/webhooks/enotas",
            "/api/webhooks/enotas?token=0123456789abcdef0123456789abcdef",
        ];
        let path = PATHS[dice.random_range(0..PATHS.len())];
        let port = world.machine.ports[dice.random_range(0..2)];
        let mut request = world.http.post(format!("http://127.0.0.1:{port}{path}")).header("content-type", "application/json");
        for name in ["x-propay-signature", "x-openpix-signature", "x-webhook-signature", "stripe-signature", "x-focus-token"] {
            if let Some(signature) = &signature {
                request = request.header(name, signature);
            }
        }
        let Ok(answer) = request.body(body).send().await else { continue };
        world.count("webhooks forged");
        if answer.status().is_success() {
            world.violation(format!("a webhook {what} was answered {} at {path}", answer.status()));
        }
    }
}

/// The order's newest payment, as its buyer sees it.
async fn payment_of(world: &World, dice: &mut StdRng, placed: &Placed) -> Option<String> {
    let path = format!("/api/orders/{}/payments", placed.id);
    let server = dice.random_range(0..2);
    let seen = world.call(server, "GET", &path, &[("X-Order-Token", &placed.token)], None).await?;
    Some(seen.body["items"].as_array()?.last()?["payment_id"].as_str()?.to_owned())
}

fn news(dice: &mut StdRng, placed: &Placed, payment: &str) -> String {
    json!({
        "id": format!("evt_{}", hex::encode(dice.random::<[u8; 16]>())), "event": "payment.paid", "payment_id": payment,
        "order_id": placed.id, "txid": payment.replace('-', ""), "amount_cents": placed.total_cents, "currency": "BRL",
        "created_at": jiff::Timestamp::now().to_string(), "paid_at": jiff::Timestamp::now().to_string(),
        "end_to_end_id": "E99999999202601010000abcdefghijk",
    })
    .to_string()
}

/// Repeats a true event, which must change nothing.
async fn replay(world: Arc<World>) {
    let mut dice = world.dice(15);
    while !world.time_is_over() {
        pause(&mut dice, 100..800).await;
        let paid = {
            let paid = lock(&world.paid);
            paid.get(dice.random_range(0..paid.len().max(1))).cloned()
        };
        let Some(payment) = paid else { continue };
        let body = json!({"payment_id": payment, "event": "payment.paid", "webhook": "once"});
        if world.sandbox_post("/control/webhook", &body).await.0 == 200 {
            world.count("webhooks replayed");
        }
    }
}

/// Refunds, whole and partial; sometimes a bank refuses one.
async fn refund(world: Arc<World>) {
    let mut dice = world.dice(16);
    while !world.time_is_over() {
        pause(&mut dice, 200..1_200).await;
        if dice.random_range(0..12) == 0 {
            world.sandbox_post("/control/refunds/fail", &json!({"count": 1})).await;
            world.count("refunds ordered to fail at the bank");
        }
        let Some(placed) = some_order(&world, &mut dice) else { continue };
        let mut body = json!({"reason": "torture"});
        if dice.random_range(0..3) > 0 {
            body["amount_cents"] = dice.random_range(1..placed.total_cents.max(2)).into();
        }
        let (admin, key) = (lock(&world.admin).clone(), hex::encode(dice.random::<[u8; 16]>()));
        let headers = [("Authorization", admin.as_str()), ("Idempotency-Key", key.as_str())];
        let path = format!("/api/orders/{}/refund", placed.id);
        let Some(first) = insist(&world, &mut dice, ("POST", &path), &headers, Some(&body)).await else { continue };
        world.count(&format!("refunds asked for, answered {}", first.status));
        if first.status != 201 {
            continue;
        }
        let Some(again) = insist(&world, &mut dice, ("POST", &path), &headers, Some(&body)).await else { continue };
        if (again.status, &again.body["refund_id"]) != (201, &first.body["refund_id"]) {
            world.violation(format!("a refund's key answered {} and then {}: {}", first.body, again.status, again.body));
        }
        come_back(&world, &mut dice, &first.body).await;
        let other = Value::from(first.body["amount_cents"].as_i64().unwrap_or(1) + 1);
        let changed = json!({"reason": "torture", "amount_cents": other});
        if let Some(answer) = insist(&world, &mut dice, ("POST", &path), &headers, Some(&changed)).await
            && answer.status != 422
        {
            world.violation(format!("a refund's key with another body was answered {}", answer.status));
        }
    }
}

/// Sometimes a refund to a card that was done comes back.
async fn come_back(world: &World, dice: &mut StdRng, refund: &Value) {
    let charge = world.sandbox(&format!("/control/charges/{}", refund["payment_id"].as_str().unwrap_or_default())).await;
    if charge["provider"] != "stripe" || dice.random_range(0..3) > 0 {
        return;
    }
    pause(dice, 2_000..6_000).await;
    if world.sandbox_post("/control/refunds/bounce", &json!({"refund_id": refund["refund_id"]})).await.0 == 200 {
        world.count("refunds to cards that came back");
    }
}
