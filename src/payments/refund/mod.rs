//! Money back. The row and its reserve come first; the row's id is the provider's key on every try, however often it fails.

mod send;
mod settle;
mod theirs;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::{LineId, OrderId, PaymentId, RefundId};
use crate::invoices;
use crate::jobs::{self, Job};
use crate::orders::life::{self, Change};
use crate::payments::apply::refundable;
use crate::payments::status::Status;
use crate::payments::store::{self, Payment};

pub use send::send;
pub use settle::{End, settle};
pub(super) use settle::{mark_refunded, returned};
pub use theirs::{look, news};

/// A refund as clients see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefundView {
    pub refund_id: RefundId,
    pub payment_id: PaymentId,
    #[schema(value_type = i64)]
    pub amount_cents: Money,
    pub currency: String,
    /// `pending`, `processing`, `unknown`, then `done` or `failed`.
    pub status: String,
    pub reason: String,
    pub restock: bool,
    pub created_at: Timestamp,
}

/// What of the goods goes back on the shelf with a refund.
#[derive(Debug, Clone, Default)]
pub enum Restock {
    #[default]
    Nothing,
    /// Everything that the order still holds; only with all of the money.
    Everything,
    /// So many of these lines.
    Lines(Vec<(LineId, i32)>),
}

/// Of an order `o` that was paid: its sale is off. All that was paid for it went back or is on its way, was taken back by the
/// payer's bank, or its goods are on the shelf again. What has not left is not sent any more. A refund that fails puts the sale on again.
pub const IS_OFF: &str = "
    (NOT o.stock_held OR o.payment_status = 'refunded' OR coalesce((SELECT sum(p.captured_cents) > 0 AND sum(p.captured_cents) <= sum(p.refunded_cents)
                                     FROM payments p WHERE p.order_id = o.id), false))";

/// [`IS_OFF`] of one order. Who has it locked asks after that: what was committed meanwhile counts.
pub async fn is_off(db: &impl GenericClient, order: OrderId) -> Result<bool> {
    const ASK: &str = sql!("SELECT ", IS_OFF, " AS is_off FROM orders o WHERE o.id = $1");
    Ok(db::query_opt(db, ASK, &[&order]).await?.is_some_and(|row| row.get("is_off")))
}

/// What follows where a locked order's sale is off, or on again, and was not before. The jobs look for themselves whether there is
/// anything to do. The caller commits.
pub async fn follow_the_sale(tx: &impl GenericClient, order: OrderId, was_off: bool) -> Result<()> {
    let follows = match (was_off, is_off(tx, order).await?) {
        (false, true) => [Job::DropLabel { order }, Job::DropInvoice { order }],
        (true, false) => [Job::InvoiceOrder { order }, Job::BuyLabel { order }],
        _ => return Ok(()),
    };
    jobs::push_all_now(tx, &follows.map(|job| (job, None))).await
}

/// Gives back `amount` of an order's money, or all that is left. The order is locked by the caller, who commits.
/// `true` in the second place: goods came back that were sold out.
///
/// Errors: 409 there is nothing (or not so much) left to give back, of the money or of a line, or the payment is disputed;
/// 422 all of the goods without all of the money.
pub async fn request(
    tx: &impl GenericClient,
    order: OrderId,
    amount: Option<Money>,
    reason: &str,
    restock: &Restock,
    actor: Actor,
) -> Result<(RefundView, bool)> {
    let payments = store::list_of_order(tx, order).await?;
    if payments.iter().any(|p| p.status == Status::Disputed) {
        return Err(Error::Conflict("The payment is disputed: its money cannot be refunded meanwhile".into()));
    }
    // The order's own payment comes before a surplus whose refund failed.
    let can_refund = |p: &&Payment| p.status.is_captured() && refundable(p) > Money::ZERO;
    let chosen = payments.iter().filter(can_refund).min_by_key(|p| p.status == Status::Surplus);
    let Some(payment) = chosen else {
        return Err(Error::Conflict("Nothing is left to refund".into()));
    };
    let left = refundable(payment);
    let amount = amount.unwrap_or(left);
    let too_much = || Error::Conflict(format!("Only {} centavos are left to refund", left.cents()));
    if amount > left {
        return Err(too_much());
    }
    if matches!(restock, Restock::Everything) && amount < payment.captured {
        return Err(Error::field("restock", "goes only with a refund of everything: name lines in restock_items"));
    }
    let goods_too = !matches!(restock, Restock::Nothing);
    let id = insert(tx, payment, amount, reason, goods_too, actor).await?.ok_or_else(too_much)?;
    let back_for_sale = match restock {
        Restock::Nothing => false,
        Restock::Everything => {
            life::restock(tx, order, actor, reason).await?.ok_or_else(|| Error::Conflict("The goods are back already".into()))?
        }
        Restock::Lines(items) => life::take_back(tx, order, items, actor, reason)
            .await?
            .ok_or_else(|| Error::Conflict("Of a line there is not so much left to take back".into()))?,
    };
    give_goods_back(tx, order, id, restock, amount == left, actor).await?;
    Ok((find_view(tx, id).await?, back_for_sale))
}

/// Goods that had left come back: with an invoice of their own, and, all of them, with the order's end.
async fn give_goods_back(
    tx: &impl GenericClient,
    order: OrderId,
    refund: RefundId,
    restock: &Restock,
    is_all_the_money: bool,
    actor: Actor,
) -> Result<()> {
    const HAS_LEFT: &str = "SELECT status IN ('shipped', 'delivered') AS has_left FROM orders WHERE id = $1";
    if !db::query_one(tx, HAS_LEFT, &[&order]).await?.get::<_, bool>("has_left") {
        if is_all_the_money {
            // The sale did not take place, and nothing has moved: neither its label nor its invoice is wanted.
            jobs::push_all(tx, &[(Job::DropLabel { order }, None), (Job::DropInvoice { order }, None)]).await?;
        }
        return Ok(());
    }
    if is_all_the_money {
        jobs::push(tx, Job::DropLabel { order }).await?; // of several boxes, those that were to follow
    }
    match restock {
        Restock::Lines(items) => invoices::returns::plan(tx, order, Some(refund), Some(items), actor).await?,
        Restock::Everything => {
            invoices::returns::plan(tx, order, Some(refund), None, actor).await?;
            life::mark_returned(tx, order, actor).await?;
        }
        // Lost or spoilt goods are given back on paper too: the sale did not take place.
        Restock::Nothing if is_all_the_money => invoices::returns::plan(tx, order, Some(refund), None, actor).await?,
        Restock::Nothing => {}
    }
    Ok(())
}

/// Gives back all that is left of every payment of a locked order: for a cancel. The caller commits.
pub async fn refund_all(tx: &impl GenericClient, order: OrderId, by: Actor, reason: &str) -> Result<()> {
    // An order has a handful of payments, and rarely more than one with money.
    for payment in store::list_of_order(tx, order).await? {
        let left = refundable(&payment);
        if left > Money::ZERO {
            insert(tx, &payment, left, reason, false, by).await?;
        }
    }
    Ok(())
}

/// Reserves the amount, writes the row, and sends the job. `None`: not so much is left, whoever asked at the same time.
pub async fn insert(
    tx: &impl GenericClient,
    payment: &Payment,
    amount: Money,
    reason: &str,
    restock: bool,
    actor: Actor,
) -> Result<Option<RefundId>> {
    const INSERT: &str = "
        INSERT INTO refunds (id, payment_id, order_id, amount_cents, reason, restock, requested_by) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    if !reserve(tx, payment.id, amount).await? {
        return Ok(None);
    }
    let id = RefundId::new();
    let by = actor.to_string();
    db::execute(tx, INSERT, &[&id, &payment.id, &payment.order_id, &amount, &reason, &restock, &by]).await?;
    tell_refund(tx, payment.order_id, id, None, "pending", reason, actor).await?;
    jobs::push(tx, Job::SendRefund { refund: id }).await?;
    Ok(Some(id))
}

/// The guard that no two refunds can pass together: Σ refunds never exceeds what was captured.
async fn reserve(tx: &impl GenericClient, payment: PaymentId, amount: Money) -> Result<bool> {
    const RESERVE: &str = "
        UPDATE payments SET refunded_cents = refunded_cents + $2, updated_at = now()
         WHERE id = $1 AND refunded_cents + $2 <= captured_cents AND status IN ('paid', 'partially_refunded', 'surplus')";
    Ok(db::execute(tx, RESERVE, &[&payment, &amount]).await? == 1)
}

async fn find_view(db: &impl GenericClient, id: RefundId) -> Result<RefundView> {
    const FIND: &str = "
        SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1";
    Ok(view_of(&db::query_one(db, FIND, &[&id]).await?))
}

/// An order's refunds, the oldest first.
pub async fn list_of_order(db: &impl GenericClient, order: OrderId) -> Result<Vec<RefundView>> {
    const LIST: &str = "
        SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at
          FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.order_id = $1 ORDER BY r.id";
    Ok(db::query(db, LIST, &[&order]).await?.iter().map(view_of).collect())
}

fn view_of(row: &tokio_postgres::Row) -> RefundView {
    RefundView {
        refund_id: row.get("id"),
        payment_id: row.get("payment_id"),
        amount_cents: row.get("amount_cents"),
        currency: row.get("currency"),
        status: row.get("status"),
        reason: row.get("reason"),
        restock: row.get("restock"),
        created_at: row.get("created_at"),
    }
}

async fn tell_refund(
    tx: &impl GenericClient,
    order: OrderId,
    id: RefundId,
    from: Option<&str>,
    to: &str,
    reason: &str,
    actor: Actor,
) -> Result<()> {
    life::tell(tx, order, &Change { subject: "refund", subject_id: Some(id.0), from, to, reason, actor }).await
}
