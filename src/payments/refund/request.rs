//! A refund that the shop asks for, with or without the goods.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::invoices;
use crate::payments::refund::reserve::{open_refund, refundable};
use crate::payments::refund::view::{RefundView, find_view};
use crate::payments::store::{self, Payment};
use crate::sale::goods::Goods;
use crate::sale::life;
use crate::sale::locks::LockedOrder;
use crate::sale::off::{queue_jobs_after_change, standing};
use crate::sale::states::PaymentStatus;
use crate::sale::stock;

/// A refund that was asked for.
#[derive(Debug)]
pub struct Requested {
    pub refund: RefundView,
    /// Goods came back that were sold out: cached answers are wrong.
    pub back_for_sale: bool,
}

/// Gives back `amount` of an order's money, or all that is left, and takes back goods with it. What follows from it for the order's
/// state, its invoices and its label depends on the sums alone, not on this call. The order is locked by the caller, who commits.
///
/// Errors: 409 there is nothing (or not so much) left to give back, of the money or of a line, or the payment is disputed;
/// 422 all of the goods while not all of the money is back.
pub async fn request_refund(
    tx: &impl GenericClient,
    order: &LockedOrder,
    amount: Option<Money>,
    reason: &str,
    goods: &Goods,
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
    let before = standing(tx, order.id).await?;
    let id = open_refund(tx, payment, amount, reason, !goods.is_nothing(), actor).await?.ok_or_else(too_much)?;
    if goods.everything && !stock::find_sums(tx, order.id).await?.is_some_and(|sums| sums.money_is_back) {
        return Err(Error::field("restock", "goes only with a refund of all that is left: name lines in restock_items"));
    }
    let back_for_sale = !goods.is_nothing() && stock::take_back(tx, order.id, goods, actor, reason).await?;
    life::follow_sums(tx, order.id, actor).await?;
    invoices::returns::follow_sums(tx, order.id, Some(id), false, actor).await?;
    queue_jobs_after_change(tx, order.id, before).await?;
    Ok(Requested { refund: find_view(tx, id).await?, back_for_sale })
}
