//! What the provider says of a charge, brought into our rows. Asking and being told end in the same transitions.

use deadpool_postgres::GenericClient;
use vitrine_kit::brcode;
use vitrine_kit::pix::{Charge, ChargeStatus, PaidNews};

use crate::alerts::{self, Alert, Key};
use crate::cause::Actor;
use crate::error::Result;
use crate::jobs::{self, Job};
use crate::payments::apply::{self, Applied};
use crate::payments::gateway::Seen;
use crate::payments::status::Status;
use crate::payments::store::{self, Order, Payment};
use crate::payments::tell;

/// What a charge is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// The buyer can pay it.
    Payable,
    /// Money came: see what became of it.
    Paid(Applied),
    /// It can no longer be paid, or must not be and is being voided.
    Over,
    /// Its code would make the buyer pay something else, or nothing: voided, and told to the operator.
    Unfit,
}

/// Under the locks of [`store::lock`]. The caller commits.
pub async fn learn(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &Order,
    payment: &Payment,
    seen: &Seen,
) -> Result<Learned> {
    let charge = &seen.charge;
    match charge.status {
        status if status.was_paid() => take(tx, provider, order, payment, seen).await,
        ChargeStatus::Expired => end(tx, payment, Status::Expired).await,
        ChargeStatus::Cancelled => end(tx, payment, payment.voided()).await,
        _ if payment.status.is_captured() => keep_code(tx, payment, charge).await,
        _ => payable(tx, order, payment, charge).await,
    }
}

fn news_of(seen: &Seen) -> PaidNews {
    let charge = &seen.charge;
    PaidNews {
        payment_id: charge.payment_id,
        order_id: None,
        txid: Some(charge.txid.clone()),
        amount: charge.amount,
        currency: seen.currency.clone(),
        end_to_end_id: charge.end_to_end_id.clone(),
        paid_at: charge.paid_at,
        created_at: None,
    }
}

/// What their books have as paid. With another amount than was asked it is no payment of the order: it goes back.
async fn take(tx: &impl GenericClient, provider: &'static str, order: &Order, payment: &Payment, seen: &Seen) -> Result<Learned> {
    let news = news_of(seen);
    let applied = match news.amount == payment.amount {
        true => apply::capture(tx, provider, order, payment, &news).await?,
        false => apply::capture_as_surplus(tx, provider, order, payment, &news).await?,
    };
    if applied == Applied::Mismatch && store::mark_ended(tx, payment.id, Status::Failed, None).await? {
        let why = "the provider has it as paid, but not as asked";
        tell(tx, payment, Some(payment.status), Status::Failed, why, Actor::System).await?;
    }
    Ok(Learned::Paid(applied))
}

async fn end(tx: &impl GenericClient, payment: &Payment, to: Status) -> Result<Learned> {
    if store::mark_ended(tx, payment.id, to, None).await? {
        tell(tx, payment, Some(payment.status), to, "the provider says so", Actor::System).await?;
    } else {
        store::mark_checked(tx, payment.id).await?;
    }
    Ok(Learned::Over)
}

/// The webhook was faster than the answer to the call: only the code is still missing.
async fn keep_code(tx: &impl GenericClient, payment: &Payment, charge: &Charge) -> Result<Learned> {
    store::keep_code(tx, payment, charge).await?;
    Ok(Learned::Paid(Applied::AlreadyDone))
}

async fn payable(tx: &impl GenericClient, order: &Order, payment: &Payment, charge: &Charge) -> Result<Learned> {
    let waits = matches!(payment.status, Status::Creating | Status::Unknown | Status::Pending | Status::Failed);
    if waits && let Some(flaw) = flaw(payment, charge) {
        return refuse(tx, order, payment, &flaw).await;
    }
    if order.is_open() && payment.status == Status::Pending {
        store::keep_code(tx, payment, charge).await?;
        return Ok(Learned::Payable);
    }
    if order.is_open() && waits && store::mark_pending(tx, payment, charge).await? {
        store::extend_order(tx, order.id, &payment.method, charge.expires_at).await?;
        tell(tx, payment, Some(payment.status), Status::Pending, "the provider made the charge", Actor::System).await?;
        return Ok(Learned::Payable);
    }
    // The order wants no money by it any more, so nobody must be able to pay it.
    if store::mark_ended(tx, payment.id, Status::Cancelled, None).await? {
        tell(tx, payment, Some(payment.status), Status::Cancelled, "the order does not wait for it", Actor::System).await?;
    }
    jobs::push(tx, Job::VoidPayment { payment: payment.id }).await?;
    Ok(Learned::Over)
}

fn flaw(payment: &Payment, charge: &Charge) -> Option<String> {
    if charge.amount != payment.amount {
        return Some(format!("it asks for {} centavos instead of {}", charge.amount.cents(), payment.amount.cents()));
    }
    match charge.copy_paste.as_str() {
        "" => None, // not every answer carries the code
        code => brcode::check(code, payment.amount, None).err().map(|flaw| flaw.to_string()),
    }
}

async fn refuse(tx: &impl GenericClient, order: &Order, payment: &Payment, flaw: &str) -> Result<Learned> {
    let why = format!("the code must not be shown: {flaw}");
    if store::mark_ended(tx, payment.id, Status::Failed, Some(&why)).await? {
        tell(tx, payment, Some(payment.status), Status::Failed, &why, Actor::System).await?;
        let text =
            format!("A cobrança {} do pedido {} veio com um código que não pode ser pago ({flaw}).", payment.id, order.number);
        let key = Key::PixCodeUnfit { provider: &payment.provider };
        alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
    }
    jobs::push(tx, Job::VoidPayment { payment: payment.id }).await?;
    Ok(Learned::Unfit)
}
