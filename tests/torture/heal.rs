//! After the faults: providers, servers and database work, waiting times end, and an operator does what needs a person.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::buyers::{insist, note};
use crate::labels;
use crate::outages::PAYMENT_PROVIDERS;
use crate::sold::IS_SOLD;
use crate::world::{World, lock};
use crate::{contests, operator};

/// How long the remaining jobs may take.
const LIMIT: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_secs(2);
/// Workers beside the two servers, because each process sends a limited number of mails per second.
const WORKERS: usize = 6;

/// What may still be open: a name, and which rows. `{sold}` is [`IS_SOLD`].
const OPEN: &[(&str, &str)] = &[
    ("orders pending", "orders WHERE status = 'pending'"),
    ("payments live", "payments WHERE status IN ('creating', 'unknown', 'pending')"),
    ("refunds open", "refunds WHERE status IN ('pending', 'processing', 'unknown', 'waiting')"),
    ("sales on hold", "orders WHERE on_hold AND stock_held AND status = 'processing' AND payment_status <> 'refunded'"),
    ("disputes open", "disputes WHERE closed_at IS NULL"),
    ("jobs to do", "jobs WHERE state IN ('waiting', 'running') AND kind NOT IN (
        'reconcile', 'purge', 'keep_books', 'track_parcels', 'watch_stock', 'watch_certificate', 'watch_tax_rules', 'watch_disputes', 'watch_returns', 'send_alerts')"),
    ("jobs dead", "jobs WHERE state = 'dead'"),
    ("payments never asked about again", "payments
        WHERE status IN ('expired', 'cancelled', 'failed') AND (checked_at IS NULL OR checked_at < updated_at + interval '9 minutes')"),
    ("payments that ended unasked", "payments WHERE ended_unasked"),
    ("invoices open", "invoices WHERE status IN ('pending', 'processing', 'rejected')"),
    ("sales without an invoice", "orders o WHERE {sold}
        AND NOT EXISTS (SELECT FROM invoices i WHERE i.order_id = o.id AND i.purpose = 'sale' AND i.status = 'authorized')"),
    ("parcels without a label", "orders o WHERE {sold} AND o.status = 'processing' AND o.shipping_provider = 'melhorenvio'
        AND NOT EXISTS (SELECT FROM shipments s WHERE s.order_id = o.id AND s.status NOT IN ('cancelled', 'expired'))"),
    ("invoices to be cancelled", "invoices WHERE status = 'authorized' AND cancel_reason IS NOT NULL AND cancel_refused IS NULL"),
    ("invoices without their papers", "invoices WHERE status = 'authorized' AND (xml IS NULL OR danfe IS NULL)"),
    ("labels to buy", "shipments s JOIN orders o ON o.id = s.order_id WHERE {sold} AND o.status IN ('processing', 'shipped')
        AND (s.status IN ('pending', 'carted', 'released') OR (s.status = 'generated' AND s.label_url IS NULL))"),
    ("labels without a price", "shipments
        WHERE price_cents IS NULL AND status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')"),
    ("labels to give back", "shipments s JOIN orders o ON o.id = s.order_id
        WHERE s.status IN ('pending', 'carted', 'released', 'generated') AND s.error IS NULL
          AND (o.status = 'cancelled' OR (o.status = 'processing' AND o.payment_status = 'refunded'))"),
    ("money to give back", "payments p JOIN orders o ON o.id = p.order_id
        WHERE p.refunded_cents + p.lost_cents < p.captured_cents AND (p.is_surplus OR o.status = 'cancelled')"),
];

/// After so many tries of a webhook the next one is minutes later. After a long outage there are hundreds of them, spread over time.
const LATE_TRIES: usize = 4;

/// What banks took back is looked for, where its news were lost.
const A_WEEK_PASSES: &str = "UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND kind = 'watch_returns'";

/// Ends all waiting times: charges and orders expire, ended payments are old enough for another check, leases and claims of dead
/// workers end, and no parcel had an event for hours.
const TIME_PASSES: &str = "
    UPDATE orders SET expires_at = now() WHERE status = 'pending' AND expires_at > now();
    UPDATE payments SET expires_at = least(expires_at, now() - interval '10 minutes'), updated_at = now() - interval '11 minutes'
     WHERE status IN ('creating', 'unknown', 'pending') AND updated_at < now() - interval '1 second';
    UPDATE payments SET updated_at = now() - interval '11 minutes', checked_at = NULL
     WHERE status IN ('expired', 'cancelled', 'failed') AND updated_at > now() - interval '10 minutes';
    UPDATE refunds SET updated_at = now() - interval '3 minutes'
     WHERE status IN ('pending', 'processing', 'unknown', 'waiting') AND updated_at > now() - interval '2 minutes';
    UPDATE shipments SET claimed_until = now() WHERE claimed_until BETWEEN now() AND now() + interval '1 minute 30 seconds';
    UPDATE shipments SET heard_at = now() - interval '4 hours' WHERE heard_at > now() - interval '3 hours';
    UPDATE messages SET claimed_at = NULL WHERE status = 'queued' AND claimed_at < now() - interval '30 seconds';
    UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND run_at > now() AND kind NOT IN ('purge', 'keep_books', 'watch_stock', 'watch_certificate', 'watch_returns');
    UPDATE jobs SET lease_until = now() WHERE state = 'running' AND lease_until < now() + interval '1 minute 30 seconds'";

pub async fn heal(world: &World) {
    world.say("all heals");
    world.recover_everything().await;
    contests::end(world).await;
    ask_again(world).await;
    world.sql(A_WEEK_PASSES).await;
    world.machine.add_workers(WORKERS);
    let (started, mut said) = (Instant::now(), Instant::now());
    loop {
        world.sql(TIME_PASSES).await;
        operator::operate(world).await;
        tokio::time::sleep(LOOK).await;
        world.look_after_processes();
        let open = open(world).await;
        let sandbox = open.is_empty() && world.sandbox_is_calm().await;
        if sandbox {
            return world.say(&format!("everything is done after {:.0} s", started.elapsed().as_secs_f64()));
        }
        if started.elapsed() > LIMIT {
            return world.violation(format!(
                "not done after {} s: {open:?}, the providers have told everything: {sandbox}",
                LIMIT.as_secs()
            ));
        }
        if said.elapsed() > Duration::from_secs(15) {
            said = Instant::now();
            world.say(&format!("still open: {open:?}"));
        }
    }
}

async fn open(world: &World) -> Vec<(String, i64)> {
    let Some(db) = world.db().await else { return vec![("database".into(), 1)] };
    let counts = OPEN.iter().map(|(what, rows)| format!("SELECT '{what}' AS what, count(*) FROM {rows}"));
    let counts = counts.collect::<Vec<_>>().join(" UNION ALL ").replace("{sold}", IS_SOLD);
    let rows = db.query(&counts, &[]).await.unwrap();
    let mut open: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).filter(|(_, count)| *count > 0).collect();
    if open.is_empty() {
        let labels = ("labels that stand elsewhere", labels::differ(world, &db).await);
        let disputes = ("disputes that stand elsewhere", contests::differ(world, &db).await);
        open.extend([labels, disputes].into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| (what.to_owned(), count)));
    }
    open
}

impl World {
    async fn recover_everything(&self) {
        self.machine.end_silence();
        if self.db().await.is_none() {
            self.machine.recover_database();
        }
        self.machine.change_back();
        self.machine.start_all(); // whom a fault that was cut short left down
        let (_, counts) = self.sandbox_post("/control/chaos", &json!({"off": true})).await;
        drop(counts);
        let counts = self.sandbox("/control/chaos").await["counts"].clone();
        self.sandbox_post("/control/nfe/away", &json!({"on": false})).await;
        for provider in self.sandbox("/control/state").await["revoked"].as_array().into_iter().flatten() {
            self.sandbox_post("/control/key", &json!({"provider": provider, "revoked": false})).await;
        }
        for provider in PAYMENT_PROVIDERS {
            self.sandbox_post("/control/refunds/funded", &json!({"provider": provider})).await;
        }
        self.decide_cards().await;
        for (provider, count) in counts["by_provider"].as_object().into_iter().flatten() {
            self.add(&format!("provider faults at {provider}"), count.as_u64().unwrap_or(0));
        }
        for (kind, count) in counts["faults"].as_object().into_iter().flatten() {
            self.add(&format!("provider faults: {kind}"), count.as_u64().unwrap_or(0));
        }
        for (how, count) in counts["webhooks"].as_object().into_iter().flatten() {
            self.add(&format!("webhooks by chance: {how}"), count.as_u64().unwrap_or(0));
        }
        for port in self.machine.ports {
            self.until_ready(port).await;
        }
        self.sandbox_post("/control/shop", &json!({"url": format!("http://127.0.0.1:{}", self.machine.ports[0])})).await;
    }

    /// No bank keeps a card undecided for ever: those whose buyer left are paid and refused in turn.
    async fn decide_cards(&self) {
        let state = self.sandbox("/control/state").await;
        let is_undecided = |charge: &&Value| charge["status"] == "pending" && charge["card"]["stage"] == "processing";
        let charges = state["charges"].as_array().expect("the sandbox lists its charges");
        for (n, charge) in charges.iter().filter(is_undecided).enumerate() {
            let (step, code) = if n % 2 == 0 { ("/control/pay", "") } else { ("/control/decline", "insufficient_funds") };
            let body = json!({"payment_id": charge["payment_id"], "code": code, "force": true});
            let (status, answer) = self.sandbox_post(step, &body).await;
            if status != 200 {
                self.violation(format!("the sandbox cannot decide a card: {status} {answer}"));
            } else if n % 2 == 0 {
                lock(&self.paid).extend(charge["payment_id"].as_str().map(str::to_owned));
            }
            self.count("cards decided at the end");
        }
    }

    /// No refund is being processed, and no webhook is under way but those whose next try is much later, or waited for minutes: without
    /// them, too, the books must agree.
    async fn sandbox_is_calm(&self) -> bool {
        let state = self.sandbox("/control/state").await;
        let rows = |list: &str| state[list].as_array().cloned().unwrap_or_default();
        let soon = (Timestamp::now() + SignedDuration::from_secs(10)).to_string();
        let is_due = |delivery: &Value| {
            let tries = delivery["attempts"].as_array().map_or(0, Vec::len);
            delivery["state"] == "pending" && tries < LATE_TRIES && delivery["due_at"].as_str() < Some(soon.as_str())
        };
        !rows("refunds").iter().any(|refund| refund["status"] == "processing") && !rows("deliveries").iter().any(is_due)
    }
}

/// Buyers without a clear answer ask once more, with the same key, and get one.
async fn ask_again(world: &World) {
    let unclear: Vec<_> = lock(&world.purchases).values().filter(|p| p.placed.is_none() && !p.is_refused).cloned().collect();
    world.say(&format!("{} buyers without a clear answer ask again", unclear.len()));
    let mut dice = world.dice(30);
    for mut purchase in unclear {
        let headers = [("X-Cart-Token", purchase.cart.clone()), ("Idempotency-Key", purchase.key.clone())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        match insist(world, &mut dice, ("POST", "/api/orders"), &headers, Some(&purchase.body)).await {
            Some(answer) => drop(note(world, &mut purchase, &answer)),
            None => world.violation(format!("the key {} gets no clear answer though all is well", purchase.key)),
        }
    }
}
