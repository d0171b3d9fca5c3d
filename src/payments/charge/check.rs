//! Asks the provider for the state of a charge, because webhooks and answers get lost.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::pix::ChargeStatus;

use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::PaymentId;
use crate::jobs::Outcome;
use crate::payments::charge::record::{self, ChargeState};
use crate::payments::charge::void;
use crate::payments::gateway::{Gateway, ProviderCharge};
use crate::payments::history::record_payment;
use crate::payments::store::{self, Payment};
use crate::sale::states::PaymentStatus;

/// A charge that can be paid is checked again after half of its age, within these bounds.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// One check right after the end finds payments of the last second.
const AFTER_EXPIRY: SignedDuration = SignedDuration::from_secs(2);

/// The job.
pub async fn check_payment(app: &App, id: PaymentId) -> Result<Outcome> {
    let Some(payment) = store::find(&app.db().await?, id).await? else { return Ok(Outcome::Done) };
    if payment.status.is_captured() {
        return Ok(Outcome::Done);
    }
    let gateway = match Gateway::named(app, &payment.provider) {
        Err(Error::Unconfigured(_)) => return cannot_be_asked(app, &payment).await,
        other => other?,
    };
    match gateway.read(&payment).await? {
        // no connection is held meanwhile
        Some(seen) => known(app, gateway.name(), &payment, &seen).await,
        None => unknown(app, &payment).await,
    }
}

async fn known(app: &App, provider: &'static str, payment: &Payment, seen: &ProviderCharge) -> Result<Outcome> {
    let is_payable = seen.charge.status == ChargeStatus::Pending;
    if is_payable && (!payment.status.is_live() || payment.is_past_grace) && !payment.is_fresh {
        void::end_charge(app, payment.id).await?;
        return Ok(Outcome::Done);
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((order, payment)) = store::lock(&tx, payment.id).await? else { return Ok(Outcome::Done) };
    let learned = record::record_provider_charge(&tx, provider, &order, &payment, seen).await?;
    let now = db::clock(&tx).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(match learned {
        ChargeState::Payable if payment.status == PaymentStatus::Pending => {
            Outcome::Again(next_look(now, payment.created_at, payment.expires_at))
        }
        ChargeState::Payable => Outcome::Again(next_look(now, payment.created_at, seen.charge.expires_at)),
        ChargeState::Paid(_) | ChargeState::Over | ChargeState::Unfit => Outcome::Done,
    })
}

/// The provider of the charge is not configured any more. The charge is left as it is until its end, because the provider may be
/// configured again; after that it ends here.
async fn cannot_be_asked(app: &App, payment: &Payment) -> Result<Outcome> {
    if payment.status.is_live() && !payment.is_past_grace {
        return Ok(Outcome::Again(payment.grace_ends_at));
    }
    void::end_unasked(app, payment.id).await?;
    Ok(Outcome::Done)
}

/// The provider does not know the charge, so nobody can pay it.
async fn unknown(app: &App, payment: &Payment) -> Result<Outcome> {
    if !payment.status.is_live() {
        store::mark_checked(&app.db().await?, payment.id).await?;
        return Ok(Outcome::Done);
    }
    if payment.is_fresh {
        return Ok(Outcome::Again(Timestamp::now() + SHORTEST_WAIT)); // a call may be under way
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((_, now)) = store::lock(&tx, payment.id).await? else { return Ok(Outcome::Done) };
    if now.is_fresh {
        return Ok(Outcome::Again(Timestamp::now() + SHORTEST_WAIT));
    }
    let to = if now.status == PaymentStatus::Pending { PaymentStatus::Cancelled } else { PaymentStatus::Failed };
    let why = "the provider does not know it";
    if store::mark_ended(&tx, now.id, to, Some(why)).await? {
        record_payment(&tx, &now, Some(now.status), to, why, Actor::System).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}

/// By the database's clock, as all times here: by one that is behind it the next look would be due at once, again and again.
fn next_look(now: Timestamp, created_at: Timestamp, expires_at: Timestamp) -> Timestamp {
    let regular = now + (now.duration_since(created_at) / 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
    let last = expires_at + AFTER_EXPIRY;
    if now < last { regular.min(last) } else { now + SHORTEST_WAIT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_grow_apart_and_one_falls_right_after_expiry() {
        let now = Timestamp::now();
        let wait = |age: i64, left: i64| {
            let at = next_look(now, now - SignedDuration::from_secs(age), now + SignedDuration::from_secs(left));
            at.duration_since(now).as_secs_f64().round() as i64
        };
        assert_eq!(wait(0, 1800), 30);
        assert_eq!(wait(120, 1680), 60);
        assert_eq!(wait(1200, 600), 300);
        assert_eq!(wait(1790, 10), 12);
        assert_eq!(wait(1900, -100), 30);
    }
}
