//! After the faults: providers, servers and database work, waiting times end, and an operator does what needs a person.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::buyers::{insist, note};
use crate::labels;
use crate::outages::PAYMENT_PROVIDERS;
use crate::world::{World, lock};

/// How long the remaining jobs may take.
const LIMIT: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_secs(2);
/// Workers beside the two servers, because each process sends a limited number of mails per second.
const WORKERS: usize = 6;

/// What is still open: a name and a number.
const OPEN: &str = "
    SELECT 'orders pending' AS what, count(*) FROM orders WHERE status = 'pending'
    UNION ALL SELECT 'payments live', count(*) FROM payments WHERE status IN ('creating', 'unknown', 'pending')
    UNION ALL SELECT 'refunds open', count(*) FROM refunds WHERE status IN ('pending', 'processing', 'unknown')
    UNION ALL SELECT 'jobs to do', count(*) FROM jobs WHERE state IN ('waiting', 'running') AND kind NOT IN ('reconcile', 'purge', 'keep_books', 'track_parcels', 'watch_stock', 'watch_certificate', 'watch_disputes', 'send_alerts')
    UNION ALL SELECT 'payments never asked about again', count(*) FROM payments
               WHERE status IN ('expired', 'cancelled', 'failed') AND (checked_at IS NULL OR checked_at < updated_at + interval '9 minutes')
    UNION ALL SELECT 'payments that ended unasked', count(*) FROM payments WHERE ended_unasked
    UNION ALL SELECT 'jobs dead', count(*) FROM jobs WHERE state = 'dead'
    UNION ALL SELECT 'invoices open', count(*) FROM invoices WHERE status IN ('pending', 'processing', 'rejected')
    UNION ALL SELECT 'sales without an invoice', count(*) FROM orders o
               WHERE o.status IN ('processing', 'shipped', 'delivered') AND o.payment_status IN ('paid', 'partially_refunded')
                 AND (SELECT sum(p.captured_cents) > sum(p.refunded_cents) FROM payments p WHERE p.order_id = o.id)
                 AND NOT EXISTS (SELECT FROM invoices i WHERE i.order_id = o.id AND i.purpose = 'sale' AND i.status = 'authorized')
    UNION ALL SELECT 'parcels without a label', count(*) FROM orders o
               WHERE o.status = 'processing' AND o.payment_status IN ('paid', 'partially_refunded') AND o.shipping_provider = 'melhorenvio'
                 AND (SELECT sum(p.captured_cents) > sum(p.refunded_cents) FROM payments p WHERE p.order_id = o.id)
                 AND NOT EXISTS (SELECT FROM shipments s WHERE s.order_id = o.id AND s.status NOT IN ('cancelled', 'expired'))
    UNION ALL SELECT 'invoices to be cancelled', count(*) FROM invoices
               WHERE status = 'authorized' AND cancel_reason IS NOT NULL AND cancel_refused IS NULL
    UNION ALL SELECT 'invoices without their papers', count(*) FROM invoices
               WHERE status = 'authorized' AND (xml IS NULL OR danfe IS NULL)
    UNION ALL SELECT 'labels to buy', count(*) FROM shipments s JOIN orders o ON o.id = s.order_id
               WHERE (s.status IN ('pending', 'carted', 'released') OR (s.status = 'generated' AND s.label_url IS NULL))
                 AND o.status IN ('processing', 'shipped') AND o.payment_status IN ('paid', 'partially_refunded')
                 AND (SELECT sum(p.captured_cents) > sum(p.refunded_cents) FROM payments p WHERE p.order_id = o.id)
    UNION ALL SELECT 'labels without a price', count(*) FROM shipments
               WHERE price_cents IS NULL AND status IN ('released', 'generated', 'posted', 'undelivered', 'delivered')
    UNION ALL SELECT 'labels to give back', count(*) FROM shipments s JOIN orders o ON o.id = s.order_id
               WHERE s.status IN ('pending', 'carted', 'released', 'generated') AND s.error IS NULL
                 AND (o.status = 'cancelled' OR (o.status = 'processing' AND o.payment_status = 'refunded'))
    UNION ALL SELECT 'money to give back', count(*) FROM payments p JOIN orders o ON o.id = p.order_id
               WHERE p.refunded_cents < p.captured_cents
                 AND (p.status = 'surplus' OR (o.status = 'cancelled' AND p.status IN ('paid', 'partially_refunded')))";

/// Ends all waiting times: charges and orders expire, ended payments are old enough for another check, leases and claims of dead
/// workers end, and no parcel had an event for hours.
const TIME_PASSES: &str = "
    UPDATE orders SET expires_at = now() WHERE status = 'pending' AND expires_at > now();
    UPDATE payments SET expires_at = least(expires_at, now() - interval '10 minutes'), updated_at = now() - interval '11 minutes'
     WHERE status IN ('creating', 'unknown', 'pending') AND updated_at < now() - interval '1 second';
    UPDATE payments SET updated_at = now() - interval '11 minutes', checked_at = NULL
     WHERE status IN ('expired', 'cancelled', 'failed') AND updated_at > now() - interval '10 minutes';
    UPDATE refunds SET updated_at = now() - interval '3 minutes'
     WHERE status IN ('pending', 'processing', 'unknown') AND updated_at > now() - interval '2 minutes';
    UPDATE shipments SET claimed_until = now() WHERE claimed_until BETWEEN now() AND now() + interval '1 minute 30 seconds';
    UPDATE shipments SET heard_at = now() - interval '4 hours' WHERE heard_at > now() - interval '3 hours';
    UPDATE messages SET claimed_at = NULL WHERE status = 'queued' AND claimed_at < now() - interval '30 seconds';
    UPDATE jobs SET run_at = now() WHERE state = 'waiting' AND run_at > now() AND kind NOT IN ('purge', 'keep_books', 'watch_stock', 'watch_certificate', 'watch_disputes');
    UPDATE jobs SET lease_until = now() WHERE state = 'running' AND lease_until < now() + interval '1 minute 30 seconds'";

pub async fn heal(world: &World) {
    world.say("all heals");
    world.recover_everything().await;
    ask_again(world).await;
    world.machine.add_workers(WORKERS);
    let (started, mut said) = (Instant::now(), Instant::now());
    loop {
        world.sql(TIME_PASSES).await;
        operate(world).await;
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
    let rows = db.query(OPEN, &[]).await.unwrap();
    let mut open: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).filter(|(_, count)| *count > 0).collect();
    if open.is_empty() {
        let differ = labels::differ(world, &db).await;
        open.extend((differ > 0).then(|| ("labels that stand elsewhere".to_owned(), differ)));
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

    /// No refund is being processed, and no webhook is under way but those whose next try is much later: without them, too, the
    /// books must agree.
    async fn sandbox_is_calm(&self) -> bool {
        let state = self.sandbox("/control/state").await;
        let rows = |list: &str| state[list].as_array().cloned().unwrap_or_default();
        let soon = (Timestamp::now() + SignedDuration::from_secs(10)).to_string();
        let is_due = |delivery: &Value| delivery["state"] == "pending" && delivery["due_at"].as_str() < Some(soon.as_str());
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

/// What needs a person: dead jobs are retried, failed refunds requested again, rejected invoices retried, and denied ones
/// replaced.
async fn operate(world: &World) {
    const DEAD: &str = "SELECT id::text, kind, coalesce(last_error, '') FROM jobs WHERE state = 'dead'";
    const STRANDED: &str = "
        SELECT DISTINCT p.order_id::text FROM payments p JOIN orders o ON o.id = p.order_id
         WHERE p.refunded_cents < p.captured_cents
           AND (p.status = 'surplus' OR (o.status = 'cancelled' AND p.status IN ('paid', 'partially_refunded')))";
    const REJECTED: &str = "SELECT id::text FROM invoices WHERE status = 'rejected'";
    const DENIED: &str = "
        SELECT o.id::text FROM orders o
         WHERE o.status IN ('processing', 'shipped', 'delivered') AND o.payment_status IN ('paid', 'partially_refunded')
           AND (SELECT sum(p.captured_cents) > sum(p.refunded_cents) FROM payments p WHERE p.order_id = o.id)
           AND (SELECT i.status = 'denied' FROM invoices i WHERE i.order_id = o.id AND i.purpose = 'sale'
                 ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1)";
    let Some(db) = world.db().await else { return };
    let admin = lock(&world.admin).clone();
    let headers = [("Authorization", admin.as_str())];
    for row in db.query(DEAD, &[]).await.unwrap() {
        let (id, kind, why): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        if why.contains("not configured") || why.contains("no longer configured") {
            world.violation(format!("a job {kind} died because a provider was taken out: {why}"));
        }
        world.count(&format!("dead jobs tried again: {kind}: {}", why.chars().take(80).collect::<String>()));
        world.call(0, "POST", &format!("/api/admin/jobs/{id}/retry"), &headers, Some(&Value::Null)).await;
    }
    for row in db.query(REJECTED, &[]).await.unwrap() {
        let path = format!("/api/admin/invoices/{}/retry", row.get::<_, String>(0));
        world.call(0, "POST", &path, &headers, Some(&json!({}))).await;
        world.count("rejected invoices tried again by hand");
    }
    for row in db.query(DENIED, &[]).await.unwrap() {
        let path = format!("/api/admin/orders/{}/invoice", row.get::<_, String>(0));
        world.call(0, "POST", &path, &headers, Some(&json!({}))).await;
        world.count("invoices issued once more, by hand");
    }
    for row in db.query(STRANDED, &[]).await.unwrap() {
        let path = format!("/api/orders/{}/refund", row.get::<_, String>(0));
        world.call(0, "POST", &path, &headers, Some(&json!({"reason": "sent once more"}))).await;
        world.count("refunds sent once more by hand");
    }
}
