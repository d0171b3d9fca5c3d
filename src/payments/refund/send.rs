//! Sending a refund, and asking how far it is.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::pix::{NewRefund, Refund, RefundStatus};
use vitrine_kit::{Money, ProviderError};

use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{PaymentId, RefundId};
use crate::jobs::Outcome;
use crate::payments::gateway::Gateway;
use crate::payments::history::record_refund;
use crate::payments::refund::settle::{End, settle_refund};
use crate::payments::store;
use crate::sale::states;

/// How long to wait before asking again how far a refund is: a quarter of its age, within these.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// How long to wait where a dispute holds the money.
const UNDER_DISPUTE: SignedDuration = SignedDuration::from_hours(6);

/// A refund in hand.
struct Open {
    id: RefundId,
    payment_id: PaymentId,
    amount: Money,
    status: states::RefundStatus,
    /// Calls that asked for it so far.
    tries: i32,
    reason: String,
    provider: String,
    end_to_end_id: Option<String>,
    payment_ref: Option<String>,
    refund_ref: Option<String>,
    created_at: Timestamp,
    /// A dispute holds the payment's money.
    is_contested: bool,
    /// With what disputes took, no more goes back than came.
    fits: bool,
}

impl Open {
    /// Whoever has it cannot have paid it out.
    fn was_never_sent(&self) -> bool {
        self.status == states::RefundStatus::Pending && self.tries == 0
    }

    /// The provider is asked in the same words on every try.
    fn ask(&self) -> NewRefund {
        NewRefund {
            refund_id: self.id.0,
            payment_id: self.payment_id.0,
            end_to_end_id: self.end_to_end_id.clone(),
            payment_ref: self.payment_ref.clone(),
            refund_ref: self.refund_ref.clone(),
            amount: self.amount,
            reason: self.reason.clone(),
        }
    }
}

async fn find_open(db: &impl GenericClient, id: RefundId) -> Result<Option<Open>> {
    const FIND: &str = "
        SELECT r.id, r.payment_id, r.amount_cents, r.status, r.tries, r.reason, r.created_at, r.provider_ref AS refund_ref, p.provider, p.end_to_end_id,
               p.provider_ref AS payment_ref, p.status = 'disputed' AS is_contested, p.refunded_cents + p.lost_cents <= p.captured_cents AS fits
          FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE r.id = $1 AND r.status IN ('pending', 'processing', 'unknown')";
    let Some(row) = db::query_opt(db, FIND, &[&id]).await? else { return Ok(None) };
    Ok(Some(Open {
        id: row.get("id"),
        payment_id: row.get("payment_id"),
        amount: row.get("amount_cents"),
        status: row.try_get("status")?,
        tries: row.get("tries"),
        reason: row.get("reason"),
        provider: row.get("provider"),
        end_to_end_id: row.get("end_to_end_id"),
        payment_ref: row.get("payment_ref"),
        refund_ref: row.get("refund_ref"),
        created_at: row.get("created_at"),
        is_contested: row.get("is_contested"),
        fits: row.get("fits"),
    }))
}

/// The job: sends it, or asks how far it is.
pub async fn send_refund(app: &App, id: RefundId) -> Result<Outcome> {
    let Some(refund) = find_open(&app.db().await?, id).await? else { return Ok(Outcome::Done) };
    if refund.was_never_sent() {
        if refund.is_contested {
            return Ok(Outcome::Again(Timestamp::now() + UNDER_DISPUTE)); // the dispute's end brings it forward
        }
        if !refund.fits {
            return finish(app, &refund, End::Failed("the payer's bank took the money in a dispute")).await;
        }
    }
    let outcome = ask(app, &refund).await;
    let outcome = match outcome {
        // A refusal is the end only if they say that no earlier try did it.
        Err(Error::Provider(refused)) if refused.is_refusal() => {
            match Gateway::named(app, &refund.provider)?.read_refund(&refund.ask()).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => return refused_for_good(app, &refund, &refused).await,
                Err(_) => Err(Error::Provider(refused)),
            }
        }
        other => other,
    };
    note(app, &refund, outcome).await
}

/// The number of this try, written down before it is made.
async fn count_try(app: &App, id: RefundId) -> Result<u32> {
    const COUNT: &str = "UPDATE refunds SET tries = tries + 1 WHERE id = $1 RETURNING tries";
    Ok(db::query_one(&app.db().await?, COUNT, &[&id]).await?.get::<_, i32>("tries").unsigned_abs())
}

async fn ask(app: &App, refund: &Open) -> Result<Refund> {
    let gateway = Gateway::named(app, &refund.provider)?;
    // What an earlier try did is read first: their memory of our key may be shorter than our absence.
    if (refund.status == states::RefundStatus::Processing || refund.tries > 0)
        && let Some(found) = gateway.read_refund(&refund.ask()).await?
    {
        return Ok(found);
    }
    Ok(gateway.refund(&refund.ask(), count_try(app, refund.id).await?).await?)
}

async fn note(app: &App, refund: &Open, outcome: Result<Refund>) -> Result<Outcome> {
    match outcome {
        Ok(found) if found.amount != refund.amount => Ok(Outcome::Dead(format!(
            "the provider refunds {} centavos instead of {}",
            found.amount.cents(),
            refund.amount.cents()
        ))),
        Ok(Refund { status: RefundStatus::Processing | RefundStatus::Unclear, end_to_end_id, .. }) => {
            mark_open(app, refund, states::RefundStatus::Processing, end_to_end_id.as_deref(), None).await?;
            Ok(Outcome::Again(next_look(refund.created_at)))
        }
        Ok(Refund { status: RefundStatus::Done, end_to_end_id, .. }) => {
            mark_open(app, refund, refund.status, end_to_end_id.as_deref(), None).await?;
            finish(app, refund, End::Done).await
        }
        Ok(Refund { status: RefundStatus::Failed(_), .. }) => {
            finish(app, refund, End::Failed("the provider says that it failed")).await
        }
        Err(error) => {
            let to = if matches!(error, Error::Provider(ProviderError::Unknown { .. })) {
                states::RefundStatus::Unknown
            } else {
                refund.status
            };
            mark_open(app, refund, to, None, Some(&error.to_string())).await?;
            Err(error)
        }
    }
}

fn next_look(created_at: Timestamp) -> Timestamp {
    let now = Timestamp::now();
    now + (now.duration_since(created_at) / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

async fn refused_for_good(app: &App, refund: &Open, refused: &ProviderError) -> Result<Outcome> {
    finish(app, refund, End::Failed(&refused.to_string())).await
}

async fn finish(app: &App, refund: &Open, end: End<'_>) -> Result<Outcome> {
    let provider = Gateway::named(app, &refund.provider)?.name();
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    settle_refund(&tx, provider, refund.id, end).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// Nothing is settled yet. What a webhook settled meanwhile stays as it is.
async fn mark_open(
    app: &App,
    refund: &Open,
    to: states::RefundStatus,
    reference: Option<&str>,
    error: Option<&str>,
) -> Result<()> {
    const MARK: &str = "
        WITH before AS (SELECT status FROM refunds WHERE id = $1 AND status IN ('pending', 'processing', 'unknown') FOR NO KEY UPDATE)
        UPDATE refunds r SET status = $2, provider_ref = coalesce($3, provider_ref), error = $4, updated_at = now()
          FROM before b WHERE r.id = $1
        RETURNING b.status";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    // The order first, as everywhere: its story is told under its lock.
    let Some((order, _)) = store::lock(&tx, refund.payment_id).await? else { return Ok(()) };
    if let Some(row) = db::query_opt(&tx, MARK, &[&refund.id, &to, &reference, &error]).await? {
        let from: states::RefundStatus = row.try_get("status")?;
        if from != to {
            record_refund(&tx, order.id, refund.id, Some(from), to, error.unwrap_or_default(), Actor::System).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}
