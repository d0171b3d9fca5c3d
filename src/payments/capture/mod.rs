//! Money came. It is captured once, whether the news are late, early or repeated: the order takes it, or it is a surplus and goes
//! back. Everything here runs in the caller's transaction.

use deadpool_postgres::{GenericClient, Transaction};
use vitrine_kit::Money;
use vitrine_kit::pix::PaidNews;

use crate::alerts::{self, Alert, Key};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::PaymentId;
use crate::jobs::{self, Job};
use crate::payments::charge::methods::Method;
use crate::payments::charge::price;
use crate::payments::dispute;
use crate::payments::effect::Effect;
use crate::payments::history::record_payment;
use crate::payments::refund;
use crate::payments::store::{self, Payment};
use crate::sale::life;
use crate::sale::locks::LockedOrder;
use crate::sale::outcome::EventOutcome;
use crate::sale::states::PaymentStatus;

/// Records a webhook that says "paid". The payment is captured once; the order takes the money, or it is refunded.
pub async fn record_paid(tx: &Transaction<'_>, provider: &'static str, news: &PaidNews) -> Result<Effect> {
    let Some((order, payment)) = store::lock(tx, PaymentId(news.payment_id)).await? else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    if payment.provider != provider {
        return Ok(Effect::on(order.id, EventOutcome::Unknown));
    }
    Ok(Effect::on(order.id, capture_payment(tx, provider, &order, &payment, news).await?))
}

/// The same for rows that are already locked.
pub async fn capture_payment(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    news: &PaidNews,
) -> Result<EventOutcome> {
    if is_captured_surplus(payment, news) {
        return Ok(EventOutcome::AlreadyDone);
    }
    if let Some(difference) = difference(payment, news) {
        return mismatch(tx, provider, order, payment, &difference).await;
    }
    if !payment.captured.is_zero() {
        return Ok(EventOutcome::AlreadyDone);
    }
    let actor = Actor::Provider(provider);
    let accepted = life::mark_paid(tx, order.id, actor, "payment received").await?
        || life::revive(tx, order.id, actor, "payment received late").await?;
    if accepted {
        take_its_price(tx, order, payment, actor).await?;
    }
    if !accepted {
        return send_back(tx, provider, order, payment, news, "payment received for an order that was closed or already paid")
            .await;
    }
    let is_disputed = mark_captured(tx, payment, PaymentStatus::Paid, news).await?;
    record_payment(tx, payment, Some(payment.status), PaymentStatus::Paid, "payment received", actor).await?;
    if is_disputed {
        dispute::follow_after_capture(tx, payment.id, actor).await?;
    }
    if let Some(other) = store::find_live(tx, order.id).await? {
        jobs::push(tx, Job::VoidPayment { payment: other.id }).await?; // nobody must pay twice
    }
    Ok(EventOutcome::Applied)
}

/// Records money that the provider's books have with another amount than was asked: it is refunded, and the order still waits.
/// Only for amounts from the provider's books, never for a webhook's.
pub async fn capture_as_surplus(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    news: &PaidNews,
) -> Result<EventOutcome> {
    if !payment.captured.is_zero() || news.currency != payment.currency || news.amount <= Money::ZERO {
        return capture_payment(tx, provider, order, payment, news).await;
    }
    send_back(tx, provider, order, payment, news, "paid with another amount than was asked").await
}

async fn send_back(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    news: &PaidNews,
    reason: &str,
) -> Result<EventOutcome> {
    let is_disputed = mark_captured(tx, payment, PaymentStatus::Surplus, news).await?;
    record_payment(tx, payment, Some(payment.status), PaymentStatus::Surplus, reason, Actor::Provider(provider)).await?;
    if is_disputed {
        dispute::follow_after_capture(tx, payment.id, Actor::Provider(provider)).await?;
    }
    // What a dispute holds goes back once that has ended, if the bank does not take it.
    if refund::reserve::refund_rest(tx, payment.id, Actor::System, reason).await?.is_none() && !is_disputed {
        return Err(Error::Internal(format!("the surplus payment {} cannot be refunded", payment.id)));
    }
    let text = format!(
        "O pedido {} ({}, {}) recebeu o pagamento {} de {} centavos (pedidos: {}), que será devolvido.",
        order.number,
        order.status,
        order.payment_status,
        payment.id,
        news.amount.cents(),
        payment.amount.cents()
    );
    alerts::raise(tx, Alert::new(Key::Surplus(payment.id), text).about(order.id)).await?;
    Ok(EventOutcome::Surplus)
}

/// The order gets the price that the payment was asked for, also if the buyer has chosen another method since.
async fn take_its_price(tx: &impl GenericClient, order: &LockedOrder, payment: &Payment, actor: Actor) -> Result<()> {
    const METHOD: &str = "
        UPDATE orders SET payment_method = $2 WHERE id = $1 AND payment_method IS DISTINCT FROM $2";
    db::execute(tx, METHOD, &[&order.id, &payment.method]).await?;
    price::reprice(tx, order.clone(), Method::of(&payment.method), payment.method_discount, actor).await?;
    Ok(())
}

/// The same money again that went into the books as a surplus, for it was not what was asked.
fn is_captured_surplus(payment: &Payment, news: &PaidNews) -> bool {
    let is_same_transfer = match (&news.end_to_end_id, &payment.end_to_end_id) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    };
    !payment.captured.is_zero()
        && payment.captured != payment.amount
        && news.amount == payment.captured
        && news.currency == payment.currency
        && is_same_transfer
}

/// How the webhook differs from what we asked for.
fn difference(payment: &Payment, news: &PaidNews) -> Option<String> {
    if news.amount != payment.amount {
        return Some(format!("amount {} instead of {}", news.amount.cents(), payment.amount.cents()));
    }
    if news.currency != payment.currency {
        return Some(format!("currency instead of {}", payment.currency));
    }
    if news.order_id.is_some_and(|id| id != payment.order_id.0) {
        return Some("another order".to_owned());
    }
    // Before the create call is answered we know no txid to compare with.
    if let (Some(theirs), Some(ours)) = (&news.txid, &payment.provider_ref)
        && theirs != ours
    {
        return Some("another txid".to_owned());
    }
    match (&news.end_to_end_id, &payment.end_to_end_id) {
        (Some(theirs), Some(ours)) if theirs != ours => Some("a second transfer".to_owned()),
        _ => None,
    }
}

/// Recorded once per payment and difference.
async fn mismatch(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    difference: &str,
) -> Result<EventOutcome> {
    const NOTE: &str = "
        UPDATE payments SET error = $2, checked_at = now(), updated_at = now() WHERE id = $1 AND error IS DISTINCT FROM $2";
    let why = format!("paid, but not as asked: {difference}");
    if db::execute(tx, NOTE, &[&payment.id, &why]).await? == 1 {
        record_payment(tx, payment, Some(payment.status), payment.status, &why, Actor::Provider(provider)).await?;
        let booked = if payment.captured.is_zero() { "Nada foi baixado" } else { "O que já foi baixado não mudou" };
        let text =
            format!("O pagamento {} do pedido {} não confere com a cobrança ({difference}). {booked}.", payment.id, order.number);
        alerts::raise(tx, Alert::new(Key::PaymentDiffers(payment.id), text).about(order.id)).await?;
        jobs::push_now(tx, Job::CheckPayment { payment: payment.id }).await?; // the provider's books decide
    } else {
        store::mark_checked(tx, payment.id).await?;
    }
    Ok(EventOutcome::Mismatch)
}

/// `true`: disputes of it were told of before its money.
async fn mark_captured(tx: &impl GenericClient, payment: &Payment, to: PaymentStatus, news: &PaidNews) -> Result<bool> {
    const CAPTURE: &str = "
        UPDATE payments
           SET status = $2, is_surplus = $7, captured_cents = $6, paid_at = least(coalesce($3, now()), now()), error = NULL,
               end_to_end_id = coalesce(end_to_end_id, $4), provider_ref = coalesce(provider_ref, nullif($5, '')),
               checked_at = now(), ended_unasked = false, updated_at = now()
         WHERE id = $1 AND captured_cents = 0
        RETURNING EXISTS (SELECT FROM disputes d WHERE d.payment_id = payments.id) AS is_disputed";
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, kind, amount_cents, provider, provider_ref, cause)
        VALUES ($1, $2, 'capture', $3, $4, $5, $6)";
    let is_surplus = to == PaymentStatus::Surplus;
    let captured = db::query_one(
        tx,
        CAPTURE,
        &[&payment.id, &to, &news.paid_at, &news.end_to_end_id, &news.txid, &news.amount, &is_surplus],
    )
    .await?;
    let p = payment;
    let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
        &[&p.order_id, &p.id, &news.amount, &p.provider, &news.end_to_end_id, &cause::current()];
    db::execute(tx, ENTER, params).await?;
    Ok(captured.get("is_disputed"))
}
