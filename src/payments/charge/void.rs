//! Voids a charge whose order was cancelled or has expired, that has expired itself, or whose code is unfit.

use deadpool_postgres::GenericClient;
use vitrine_kit::ProviderError;
use vitrine_kit::pix::Voided;

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::PaymentId;
use crate::jobs::{self, Job, Outcome};
use crate::payments::charge::record;
use crate::payments::gateway::{Gateway, ProviderCharge};
use crate::payments::history::record_payment;
use crate::payments::store::{self, Payment};

/// The job.
pub async fn void_payment(app: &App, id: PaymentId) -> Result<Outcome> {
    match end_charge(app, id).await {
        Err(Error::Unconfigured(_)) => end_unasked(app, id).await?,
        other => other?,
    }
    Ok(Outcome::Done)
}

/// Ends a payment here, because its provider is not configured any more and nobody can be asked. Once the provider is
/// configured again it is asked: what was paid meanwhile pays the order or goes back.
pub async fn end_unasked(app: &App, id: PaymentId) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((order, payment)) = store::lock(&tx, id).await? else { return Ok(()) };
    let why = "nobody can be asked: its provider is not configured";
    let to = payment.voided();
    if store::mark_ended_unasked(&tx, id, to, why).await? {
        record_payment(&tx, &payment, Some(payment.status), to, why, Actor::System).await?;
        let provider = payment.provider.as_str();
        let text = format!(
            "Há pagamentos em aberto de {provider}, que não está mais configurado: ninguém pode ser perguntado se foram pagos. \
             Cada um é encerrado aqui ao fim do seu prazo. Configure {provider} outra vez (sem pôr em PIX_PROVIDER, ou com \
             CARD_PROVIDER=none, ele não recebe cobranças novas): o que foi pago lá é então encontrado, e paga o pedido ou é devolvido."
        );
        alerts::raise(&tx, Alert::new(Key::ProviderUnconfigured { provider }, text).about(order.id)).await?;
    } else {
        store::mark_unasked(&tx, id).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

/// Voids a charge at the provider. A charge that was paid at the last second is recorded as paid.
pub async fn end_charge(app: &App, id: PaymentId) -> Result<()> {
    let Some(payment) = store::find(&app.db().await?, id).await? else { return Ok(()) };
    if payment.status.is_captured() {
        return Ok(());
    }
    let gateway = Gateway::named(app, &payment.provider)?;
    match gateway.void(&payment).await? {
        Voided::Done => mark(app, &payment).await,
        Voided::AlreadyPaid => match gateway.read(&payment).await? {
            Some(seen) if seen.charge.status.was_paid() => take(app, gateway.name(), &payment, &seen).await,
            _ => {
                let reason = "a charge is said to be paid, and then not".to_owned();
                Err(Error::Provider(ProviderError::Unknown { provider: gateway.name(), reason }))
            }
        },
    }
}

/// Ends a payment so that the order can have another: it is voided, or, if its provider does not answer, given up and voided
/// later by a job. Money that still comes by it pays the order or is refunded.
pub async fn void_or_give_up(app: &App, id: PaymentId) -> Result<()> {
    let error = match end_charge(app, id).await {
        Err(Error::Provider(error)) if error.is_transient() => error,
        Err(Error::Unconfigured(_)) => return end_unasked(app, id).await,
        other => return other,
    };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some((_, payment)) = store::lock(&tx, id).await? {
        give_up_charge(&tx, &payment, &error.to_string()).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

/// Gives up a live payment of a locked order: the order does not wait for it any more. The caller commits.
pub async fn give_up_charge(tx: &impl GenericClient, payment: &Payment, why: &str) -> Result<()> {
    let to = payment.voided();
    if store::mark_ended(tx, payment.id, to, Some(why)).await? {
        let reason = "given up: its provider gives no answer";
        record_payment(tx, payment, Some(payment.status), to, reason, Actor::System).await?;
        jobs::push(tx, Job::VoidPayment { payment: payment.id }).await?;
    }
    Ok(())
}

async fn mark(app: &App, payment: &Payment) -> Result<()> {
    let to = payment.voided();
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    // Under the order's lock, so that its history stays in order.
    if let Some((_, now)) = store::lock(&tx, payment.id).await? {
        if store::mark_ended(&tx, payment.id, to, None).await? {
            record_payment(&tx, &now, Some(now.status), to, "voided at the provider", Actor::System).await?;
        } else {
            store::mark_checked(&tx, payment.id).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn take(app: &App, provider: &'static str, payment: &Payment, seen: &ProviderCharge) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some((order, payment)) = store::lock(&tx, payment.id).await? {
        record::record_provider_charge(&tx, provider, &order, &payment, seen).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}
