//! An unpaid order ends when its time is over: one clock, the charge's plus a grace.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;

use crate::app::App;
use crate::catalog;
use crate::cause::Actor;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::jobs::{self, Job, Outcome};
use crate::payments;
use crate::sale::life::{self, Ended};
use crate::sale::locks;
use crate::sale::states::OrderStatus;

/// A PIX of the last second stands in its provider's books after this at the latest.
const SETTLED_AFTER: &str = "3 minutes";
/// An order whose provider refuses to say whether it was paid is looked at again after this.
const UNTIL_MENDED: SignedDuration = SignedDuration::from_mins(10);

/// Job: gives the stock of an unpaid order back. The provider is asked first, for its webhook may be lost:
/// while nobody can say whether it was paid, the order waits.
pub async fn expire(app: &App, order: OrderId) -> Result<Outcome> {
    const LIVE: &str = "SELECT id FROM payments WHERE order_id = $1 AND status IN ('creating', 'unknown', 'pending')";
    // Also a charge that ended within the last minutes and was not asked about since its last second: whoever paid then is
    // found before the stock is given back.
    const TO_ASK: &str = "
        SELECT id FROM payments
         WHERE order_id = $1 AND (status IN ('creating', 'unknown', 'pending')
            OR (status = 'expired' AND expires_at > now() - interval '30 minutes' AND NOT ended_unasked
                AND (checked_at IS NULL OR checked_at < expires_at + $2::text::interval)))
         ORDER BY id";
    let to_ask = db::query(&app.db().await?, TO_ASK, &[&order, &SETTLED_AFTER]).await?;
    // An order has a handful of charges, and rarely more than one that is asked about here.
    for payment in to_ask.iter().map(|row| row.get::<_, PaymentId>("id")) {
        match payments::charge::check::check_payment(app, payment).await {
            Ok(Outcome::Again(at)) => return Ok(Outcome::Again(at)),
            // Refused, or not configured any more: the payment's own job tells the operator. Of credentials that are not accepted the
            // worker tells, and this job waits as all do.
            Err(error @ (Error::Provider(ProviderError::Rejected { .. }) | Error::Conflict(_))) => {
                tracing::warn!(error = %Chain(&error), "nobody can say whether the order was paid; it waits");
                return Ok(Outcome::Again(Timestamp::now() + UNTIL_MENDED));
            }
            other => other?,
        };
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(found) = locks::lock_order_for_shop(&tx, order).await? else { return Ok(Outcome::Done) };
    if found.status != OrderStatus::Pending {
        return Ok(Outcome::Done);
    }
    if found.expires_at > Timestamp::now() {
        return Ok(Outcome::Again(found.expires_at));
    }
    if db::query_opt(&tx, LIVE, &[&order]).await?.is_some() {
        return Ok(Outcome::Again(Timestamp::now() + SignedDuration::from_secs(30)));
    }
    let ended = life::end(&tx, order, life::Ending::Expired, Actor::System, "not paid in time").await?;
    if ended != Ended::No {
        jobs::push(&tx, Job::MailOrderCancelled { order }).await?;
    }
    tx.commit().await?;
    if ended == (Ended::Yes { back_for_sale: true }) {
        catalog::changed(app).await;
    }
    Ok(Outcome::Done)
}
