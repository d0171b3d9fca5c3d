//! A refund that the shop asks for, with or without the goods.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::{LineId, RefundId};
use crate::invoices;
use crate::jobs::{self, Job};
use crate::payments::refund::reserve::{open_refund, refundable};
use crate::payments::refund::view::{RefundView, find_view};
use crate::payments::store::{self, Payment};
use crate::sale::life;
use crate::sale::locks::LockedOrder;
use crate::sale::states::{OrderStatus, PaymentStatus};
use crate::sale::stock::{self, TakenBack};

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

/// A refund that was asked for.
#[derive(Debug)]
pub struct Requested {
    pub refund: RefundView,
    /// Goods came back that were sold out: cached answers are wrong.
    pub back_for_sale: bool,
}

/// Gives back `amount` of an order's money, or all that is left. The order is locked by the caller, who commits.
///
/// Errors: 409 there is nothing (or not so much) left to give back, of the money or of a line, or the payment is disputed;
/// 422 all of the goods without all of the money.
pub async fn request_refund(
    tx: &impl GenericClient,
    order: &LockedOrder,
    amount: Option<Money>,
    reason: &str,
    restock: &Restock,
    actor: Actor,
) -> Result<Requested> {
    let payments = store::list_of_order(tx, order.id).await?;
    if payments.iter().any(|p| p.status == PaymentStatus::Disputed) {
        return Err(Error::Conflict("The payment is disputed: its money cannot be refunded meanwhile".into()));
    }
    // The order's own payment comes before a surplus whose refund failed.
    let can_refund = |p: &&Payment| p.status.is_captured() && refundable(p) > Money::ZERO;
    let chosen = payments.iter().filter(can_refund).min_by_key(|p| p.status == PaymentStatus::Surplus);
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
    let has_goods = !matches!(restock, Restock::Nothing);
    let id = open_refund(tx, payment, amount, reason, has_goods, actor).await?.ok_or_else(too_much)?;
    let (taken, refusal) = match restock {
        Restock::Nothing => (TakenBack::Yes { back_for_sale: false }, ""),
        Restock::Everything => (stock::restock(tx, order.id, actor, reason).await?, "The goods are back already"),
        Restock::Lines(items) => {
            (stock::take_back(tx, order.id, items, actor, reason).await?, "Of a line there is not so much left to take back")
        }
    };
    let TakenBack::Yes { back_for_sale } = taken else { return Err(Error::Conflict(refusal.into())) };
    give_goods_back(tx, order, id, restock, amount == left, actor).await?;
    Ok(Requested { refund: find_view(tx, id).await?, back_for_sale })
}

/// Goods that had left come back: with an invoice of their own, and, all of them, with the order's end.
async fn give_goods_back(
    tx: &impl GenericClient,
    order: &LockedOrder,
    refund: RefundId,
    restock: &Restock,
    is_all_the_money: bool,
    actor: Actor,
) -> Result<()> {
    let order_id = order.id;
    if !matches!(order.status, OrderStatus::Shipped | OrderStatus::Delivered) {
        if is_all_the_money {
            // The sale did not take place, and nothing has moved: neither its label nor its invoice is wanted.
            jobs::push_all(tx, &[(Job::DropLabel { order: order_id }, None), (Job::DropInvoice { order: order_id }, None)])
                .await?;
        }
        return Ok(());
    }
    if is_all_the_money {
        jobs::push(tx, Job::DropLabel { order: order_id }).await?; // of several boxes, those that were to follow
    }
    match restock {
        Restock::Lines(items) => invoices::returns::plan(tx, order_id, Some(refund), Some(items), actor).await?,
        Restock::Everything => {
            invoices::returns::plan(tx, order_id, Some(refund), None, actor).await?;
            life::mark_returned(tx, order_id, actor).await?;
        }
        // Lost or spoilt goods are given back on paper too: the sale did not take place.
        Restock::Nothing if is_all_the_money => invoices::returns::plan(tx, order_id, Some(refund), None, actor).await?,
        Restock::Nothing => {}
    }
    Ok(())
}
