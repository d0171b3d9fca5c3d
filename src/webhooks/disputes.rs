//! Disputes of cards that no webhook told of: news get lost, and an answer to a bank has a deadline.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::ProviderError;
use vitrine_kit::dispute::{Dispute, State};

use super::stripe::disputed;
use crate::app::App;
use crate::error::{Chain, Error, Result};
use crate::jobs::Outcome;

const EVERY: SignedDuration = SignedDuration::from_hours(6);
/// A dispute that is older has ended, and was heard of while it was younger.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 180);

/// Job: has every one of them its effect, once, as if its webhook had come.
pub async fn watch(app: &App) -> Result<Outcome> {
    let next = Outcome::Again(Timestamp::now() + EVERY);
    let Some(stripe) = &app.providers.stripe else { return Ok(next) };
    let disputes = match stripe.disputes(Timestamp::now() - OLDEST).await {
        // A key that may not read them, or a stand-in that knows none: said every time, and no reason to stop.
        Err(error @ ProviderError::Rejected { .. }) => {
            tracing::warn!(error = %Chain(&Error::Provider(error)), "Stripe does not show its disputes");
            return Ok(next);
        }
        other => other?,
    };
    // A handful; one that is known is over after one look at its row.
    for dispute in &disputes {
        apply(app, dispute).await?;
    }
    app.jobs_were_pushed();
    Ok(next)
}

/// One whose end has no winner is told by its webhook: here it would be told every time.
async fn apply(app: &App, dispute: &Dispute) -> Result<()> {
    if dispute.state == State::Unclear {
        return Ok(());
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    disputed(&tx, dispute).await?;
    tx.commit().await?;
    Ok(())
}
