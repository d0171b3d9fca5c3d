//! Ends unpaid orders: an order expires a while after its charge.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;

use crate::app::App;
use crate::catalog;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::{Chain, Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::jobs::{self, Job, Outcome};
use crate::payments;
use crate::sale::life::{self, Ended};
use crate::sale::locks;
use crate::sale::states::{OrderStatus, PaymentStatus};

/// A PIX that was paid in the last second is in the provider's books after this time at the latest.
const SETTLED_AFTER: &str = "3 minutes";
/// When to try again if the provider refuses to say whether the order was paid.
const UNTIL_MENDED: SignedDuration = SignedDuration::from_mins(10);

/// Job: ends an unpaid order and gives its stock back. The provider is asked first, because its webhook may be lost. While it is
/// unknown whether the order was paid, the order waits.
pub async fn expire(app: &App, order: OrderId) -> Result<Outcome> {
    const LIVE: &str = sql!("SELECT id FROM payments WHERE order_id = $1 AND status IN ", PaymentStatus::LIVE_SQL);
    // This includes charges that ended within the last minutes and were not checked since then: they may have been paid in the
    // last second.
    const TO_ASK: &str = sql!(
        "
        SELECT id FROM payments
         WHERE order_id = $1 AND (status IN ",
        PaymentStatus::LIVE_SQL,
        "
            OR (status = 'expired' AND expires_at > now() - interval '30 minutes' AND NOT ended_unasked
                AND (checked_at IS NULL OR checked_at < expires_at + $2::text::interval)))
         ORDER BY id"
    );
    let to_ask = db::query(&app.db().await?, TO_ASK, &[&order, &SETTLED_AFTER]).await?;
    // An order has few charges, and rarely more than one to ask about here.
    for payment in to_ask.iter().map(|row| row.get::<_, PaymentId>("id")) {
        match payments::charge::check::check_payment(app, payment).await {
            Ok(Outcome::Again(at)) => return Ok(Outcome::Again(at)),
            // Refused, or not configured any more: the job of the payment alerts the operator. If the credentials are not
            // accepted, the worker does, and this job waits like all others.
            Err(error @ (Error::Provider(ProviderError::Rejected { .. }) | Error::Conflict(_))) => {
                tracing::warn!(error = %Chain(&error), "it is unknown whether the order was paid; it waits");
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
    if !found.is_over {
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
