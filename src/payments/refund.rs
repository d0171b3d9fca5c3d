//! Being built.
use deadpool_postgres::GenericClient;

use crate::cause::Actor;
use crate::db;
use crate::ids::{OrderId, RefundId};
use crate::jobs::{self, Job};
use crate::{app::App, error::Result, jobs::Outcome};

pub async fn send(_app: &App, _id: RefundId) -> Result<Outcome> {
    Ok(Outcome::Done)
}

/// Gives back everything of an order that was captured and not yet given back: one refund per payment, sent by a job.
pub async fn refund_all(tx: &impl GenericClient, order: OrderId, by: Actor, reason: &str) -> Result<()> {
    const OPEN: &str = "
        SELECT id, captured_cents - refunded_cents AS rest FROM payments
         WHERE order_id = $1 AND captured_cents > refunded_cents ORDER BY id FOR NO KEY UPDATE";
    const REFUND: &str = "
        WITH wanted AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS w (refund, payment, amount)),
             held AS (UPDATE payments p SET refunded_cents = refunded_cents + w.amount, updated_at = now() FROM wanted w WHERE p.id = w.payment)
        INSERT INTO refunds (id, payment_id, order_id, amount_cents, reason, requested_by)
        SELECT refund, payment, $4, amount, $5, $6 FROM wanted";
    let rows = db::query(tx, OPEN, &[&order]).await?;
    let refunds: Vec<RefundId> = rows.iter().map(|_| RefundId::new()).collect();
    let payments: Vec<uuid::Uuid> = rows.iter().map(|row| row.get("id")).collect();
    let amounts: Vec<i64> = rows.iter().map(|row| row.get("rest")).collect();
    db::execute(tx, REFUND, &[&refunds, &payments, &amounts, &order, &reason, &by.to_string()]).await?;
    let jobs: Vec<_> = refunds.iter().map(|refund| (Job::SendRefund { refund: *refund }, None)).collect();
    jobs::push_all(tx, &jobs).await
}
