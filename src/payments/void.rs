//! Making a charge unpayable: its order was cancelled or expired, its time is over, or its code is unfit.

use vitrine_kit::ProviderError;
use vitrine_kit::pix::Voided;

use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::PaymentId;
use crate::jobs::Outcome;
use crate::payments::store::{self, Payment};
use crate::payments::{learn, pix_of, tell};

/// The job.
pub async fn void(app: &App, id: PaymentId) -> Result<Outcome> {
    end(app, id).await?;
    Ok(Outcome::Done)
}

/// Ends a payment without money, or with it: what was paid at the last second is read and applied.
pub async fn end(app: &App, id: PaymentId) -> Result<()> {
    let Some(payment) = store::find(&app.db().await?, id).await? else { return Ok(()) };
    if payment.status.is_captured() {
        return Ok(());
    }
    let pix = pix_of(app, &payment.provider)?;
    match pix.void_charge(id.0).await? {
        Voided::Done => mark(app, &payment).await,
        Voided::AlreadyPaid => match pix.read_charge(id.0).await? {
            Some(charge) if charge.status.was_paid() => take(app, &payment, &charge).await,
            _ => {
                let reason = "a charge is said to be paid, and then not".to_owned();
                Err(Error::Provider(ProviderError::Unknown { provider: pix.name(), reason }))
            }
        },
    }
}

async fn mark(app: &App, payment: &Payment) -> Result<()> {
    let to = payment.voided();
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    // Locked, so that the order's story is told in order.
    if let Some((_, now)) = store::lock(&tx, payment.id).await? {
        if store::mark_ended(&tx, payment.id, to, None).await? {
            tell(&tx, &now, Some(now.status), to, "voided at the provider", Actor::System).await?;
        } else {
            store::mark_checked(&tx, payment.id).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn take(app: &App, payment: &Payment, charge: &vitrine_kit::pix::Charge) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some((order, payment)) = store::lock(&tx, payment.id).await? {
        learn::learn(&tx, app.providers.pix[0].name(), &order, &payment, charge).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}
