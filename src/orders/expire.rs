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

/// An order whose provider refuses to say whether it was paid is looked at again after this.
const UNTIL_MENDED: SignedDuration = SignedDuration::from_mins(10);

/// Job: gives the stock of an unpaid order back. The provider is asked first, for its webhook may be lost:
/// while nobody can say whether it was paid, the order waits.
pub async fn expire(app: &App, order: OrderId) -> Result<Outcome> {
    const LIVE: &str = "SELECT id FROM payments WHERE order_id = $1 AND status IN ('creating', 'unknown', 'pending')";
    let live: Option<PaymentId> = db::query_opt(&app.db().await?, LIVE, &[&order]).await?.map(|row| row.get("id"));
    if let Some(payment) = live {
        match payments::charge::check::check_payment(app, payment).await {
            Ok(Outcome::Again(at)) => return Ok(Outcome::Again(at)),
            // Refused (a key that was changed, say), or not configured any more: the payment's own job tells the operator.
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
