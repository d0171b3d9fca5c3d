//! Records a provider's state of a charge. Checks and webhooks end in the same transitions.

use deadpool_postgres::{GenericClient, Transaction};
use vitrine_kit::brcode;
use vitrine_kit::pix::{Charge, ChargeStatus, PaidNews};

use crate::alerts::{self, Alert, Key};
use crate::cause::Actor;
use crate::error::Result;
use crate::ids::PaymentId;
use crate::jobs::{self, Job};
use crate::payments::capture;
use crate::payments::effect::Effect;
use crate::payments::gateway::ProviderCharge;
use crate::payments::history::record_payment;
use crate::payments::store::{self, Payment};
use crate::sale::locks::LockedOrder;
use crate::sale::outcome::EventOutcome;
use crate::sale::states::PaymentStatus;

/// What can still be done with a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeState {
    /// The buyer can pay it.
    Payable,
    /// It was paid; the outcome says what that did.
    Paid(EventOutcome),
    /// It can no longer be paid, or is being voided.
    Over,
    /// Its code asks for another amount or cannot be paid: it is voided, and an alert is raised.
    Unfit,
}

/// Under the locks of [`store::lock`]. The caller commits.
pub async fn record_provider_charge(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    seen: &ProviderCharge,
) -> Result<ChargeState> {
    let charge = &seen.charge;
    match charge.status {
        status if status.was_paid() => take(tx, provider, order, payment, seen).await,
        ChargeStatus::Expired => end(tx, payment, PaymentStatus::Expired).await,
        ChargeStatus::Cancelled => end(tx, payment, payment.voided()).await,
        _ if payment.status.is_captured() => keep_code(tx, payment, charge).await,
        _ => payable(tx, order, payment, charge).await,
    }
}

fn news_of(seen: &ProviderCharge) -> PaidNews {
    let charge = &seen.charge;
    PaidNews {
        payment_id: charge.payment_id,
        order_id: None,
        txid: Some(charge.txid.clone()).filter(|txid| !txid.is_empty()),
        amount: charge.amount,
        currency: seen.currency.clone(),
        end_to_end_id: charge.end_to_end_id.clone(),
        paid_at: charge.paid_at,
        created_at: None,
    }
}

/// Records a charge that is paid in the provider's books. With another amount than was asked the money is refunded.
async fn take(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    seen: &ProviderCharge,
) -> Result<ChargeState> {
    let news = news_of(seen);
    let applied = match news.amount == payment.amount {
        true => capture::capture_payment(tx, provider, order, payment, &news).await?,
        false => capture::capture_as_surplus(tx, provider, order, payment, &news).await?,
    };
    if matches!(applied, EventOutcome::Applied | EventOutcome::Surplus) && !seen.charge.refunded.is_zero() {
        jobs::push_now(tx, Job::LookAtRefunds { payment: payment.id }).await?; // it was not ours: we did not know that it was paid
    }
    if applied == EventOutcome::Mismatch && store::mark_ended(tx, payment.id, PaymentStatus::Failed, None).await? {
        let why = "the provider has it as paid, but not as asked";
        record_payment(tx, payment, Some(payment.status), PaymentStatus::Failed, why, Actor::System).await?;
    }
    Ok(ChargeState::Paid(applied))
}

async fn end(tx: &impl GenericClient, payment: &Payment, to: PaymentStatus) -> Result<ChargeState> {
    if store::mark_ended(tx, payment.id, to, None).await? {
        record_payment(tx, payment, Some(payment.status), to, "the provider says so", Actor::System).await?;
    } else {
        store::mark_checked(tx, payment.id).await?;
    }
    Ok(ChargeState::Over)
}

/// The webhook came before the answer to the call: only the code is still missing.
async fn keep_code(tx: &impl GenericClient, payment: &Payment, charge: &Charge) -> Result<ChargeState> {
    store::keep_code(tx, payment, charge).await?;
    Ok(ChargeState::Paid(EventOutcome::AlreadyDone))
}

async fn payable(tx: &impl GenericClient, order: &LockedOrder, payment: &Payment, charge: &Charge) -> Result<ChargeState> {
    let waits = matches!(
        payment.status,
        PaymentStatus::Creating | PaymentStatus::Unknown | PaymentStatus::Pending | PaymentStatus::Failed
    );
    if waits && let Some(flaw) = flaw(payment, charge) {
        return refuse(tx, order, payment, &flaw).await;
    }
    if order.is_open() && payment.status == PaymentStatus::Pending {
        store::keep_code(tx, payment, charge).await?;
        return Ok(ChargeState::Payable);
    }
    if order.is_open() && waits && store::mark_pending(tx, payment, charge).await? {
        return Ok(ChargeState::Payable);
    }
    // The order does not wait for this charge any more, so it is voided.
    if store::mark_ended(tx, payment.id, PaymentStatus::Cancelled, None).await? {
        record_payment(
            tx,
            payment,
            Some(payment.status),
            PaymentStatus::Cancelled,
            "the order does not wait for it",
            Actor::System,
        )
        .await?;
    }
    jobs::push(tx, Job::VoidPayment { payment: payment.id }).await?;
    Ok(ChargeState::Over)
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

async fn refuse(tx: &impl GenericClient, order: &LockedOrder, payment: &Payment, flaw: &str) -> Result<ChargeState> {
    let why = format!("the code must not be shown: {flaw}");
    if store::mark_ended(tx, payment.id, PaymentStatus::Failed, Some(&why)).await? {
        record_payment(tx, payment, Some(payment.status), PaymentStatus::Failed, &why, Actor::System).await?;
        let text =
            format!("A cobrança {} do pedido {} veio com um código que não pode ser pago ({flaw}).", payment.id, order.number);
        let key = Key::PixCodeUnfit { provider: &payment.provider };
        alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
    }
    jobs::push(tx, Job::VoidPayment { payment: payment.id }).await?;
    Ok(ChargeState::Unfit)
}

/// The provider ended the charge. A captured payment stays captured.
pub async fn record_ended(tx: &Transaction<'_>, provider: &'static str, id: PaymentId, to: PaymentStatus) -> Result<Effect> {
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, payment)| payment.provider == provider) else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    let to = if to == PaymentStatus::Cancelled { payment.voided() } else { to };
    if !store::mark_ended(tx, id, to, None).await? {
        return Ok(Effect::on(order.id, EventOutcome::Ignored));
    }
    record_payment(tx, &payment, Some(payment.status), to, "the provider says so", Actor::Provider(provider)).await?;
    Ok(Effect::on(order.id, EventOutcome::Applied))
}

/// A card was refused, or its bank is still deciding: recorded in the order's history. Nothing else changes.
pub async fn record_note(
    tx: &impl GenericClient,
    provider: &'static str,
    id: PaymentId,
    what: &str,
    is_refusal: bool,
) -> Result<Effect> {
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, payment)| payment.provider == provider) else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    if !payment.status.is_live() {
        return Ok(Effect::on(order.id, EventOutcome::Ignored));
    }
    if is_refusal {
        store::note_decline(tx, id, what).await?;
    }
    record_payment(tx, &payment, Some(payment.status), payment.status, what, Actor::Provider(provider)).await?;
    Ok(Effect::on(order.id, EventOutcome::Applied))
}
