//! What needs a person, by the routes that the shop documents for it.

use serde_json::{Value, json};

use crate::contests;
use crate::sold::IS_SOLD;
use crate::world::{World, lock};

/// Dead jobs are retried, failed refunds tried again, requested anew or (where the provider never will) paid another way, sales on hold
/// let go on, rejected invoices retried, denied ones replaced, and disputes without a winner settled.
pub async fn operate(world: &World) {
    const DEAD: &str = "SELECT id::text, kind, coalesce(last_error, '') FROM jobs WHERE state = 'dead'";
    const STRANDED: &str = "
        SELECT p.order_id::text, r.id::text,
               coalesce(r.error LIKE '%(charge_disputed)%' AND EXISTS (SELECT FROM audit_log a WHERE a.action = 'refund.retry' AND a.entity_id = r.id::text),
                        false) AS is_refused_for_good
          FROM payments p JOIN orders o ON o.id = p.order_id
          LEFT JOIN LATERAL (
               SELECT r.id, r.error FROM refunds r
                WHERE r.payment_id = p.id AND r.status = 'failed' AND r.amount_cents <= p.captured_cents - p.refunded_cents - p.lost_cents
                  AND NOT EXISTS (SELECT FROM money_movements m WHERE m.refund_id = r.id) ORDER BY r.id DESC LIMIT 1) r ON true
         WHERE p.refunded_cents + p.lost_cents < p.captured_cents AND p.status <> 'disputed' AND (p.is_surplus OR o.status = 'cancelled')";
    const REJECTED: &str = "SELECT id::text FROM invoices WHERE status = 'rejected'";
    const DENIED: &str = "
        SELECT o.id::text FROM orders o
         WHERE {sold}
           AND (SELECT i.status = 'denied' FROM invoices i WHERE i.order_id = o.id AND i.purpose = 'sale'
                 ORDER BY i.status IN ('denied', 'cancelled'), i.id DESC LIMIT 1)
        UNION
        SELECT i.order_id::text FROM invoices i
         WHERE i.purpose = 'return' AND i.status = 'denied'
           AND NOT EXISTS (SELECT FROM invoices later WHERE later.sale_id = i.sale_id AND later.purpose = 'return' AND later.id > i.id)";
    const ON_HOLD: &str = "
        SELECT o.id::text FROM orders o WHERE o.on_hold AND o.status IN ('processing', 'shipped') AND o.payment_status <> 'refunded'";
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
    for row in db.query(&DENIED.replace("{sold}", IS_SOLD), &[]).await.unwrap() {
        let path = format!("/api/admin/orders/{}/invoice", row.get::<_, String>(0));
        world.call(0, "POST", &path, &headers, Some(&json!({}))).await;
        world.count("invoices issued once more, by hand");
    }
    for row in db.query(STRANDED, &[]).await.unwrap() {
        if let Some(refund) = row.get::<_, Option<String>>(1) {
            if row.get(2) {
                let note = json!({"note": "by bank transfer"});
                let answer = world.call(0, "POST", &format!("/api/admin/refunds/{refund}/settle"), &headers, Some(&note)).await;
                if answer.is_some_and(|answer| answer.status == 200) {
                    world.count("refunds that the provider refuses for good, paid another way");
                }
                continue;
            }
            world.call(0, "POST", &format!("/api/admin/refunds/{refund}/retry"), &headers, Some(&Value::Null)).await;
            world.count("failed refunds tried again by hand");
            continue;
        }
        let path = format!("/api/orders/{}/refund", row.get::<_, String>(0));
        world.call(0, "POST", &path, &headers, Some(&json!({"reason": "sent once more"}))).await;
        world.count("refunds sent once more by hand");
    }
    for row in db.query(ON_HOLD, &[]).await.unwrap() {
        let path = format!("/api/admin/orders/{}/resume", row.get::<_, String>(0));
        world.call(0, "POST", &path, &headers, Some(&Value::Null)).await;
        world.count("sales on hold let go on by hand");
    }
    contests::settle(world, &db, &headers).await;
}
