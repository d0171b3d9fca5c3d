//! Sending a refund, and asking how far it is.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use vitrine_kit::ProviderError;
use vitrine_kit::pix::{Refund, RefundStatus};
use vitrine_kit::refund::Retry;

use crate::app::App;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::RefundId;
use crate::jobs::{self, Job, Outcome};
use crate::payments::gateway::Gateway;
use crate::payments::history::record_refund;
use crate::payments::refund::adopt::adopt_now;
use crate::payments::refund::keys;
use crate::payments::refund::open::{Open, find_open};
use crate::payments::refund::schedule::TRIED_FOR;
use crate::payments::refund::settle::{End, FAILED, record_done, settle_refund};
use crate::payments::refund::wait::{Refusal, wait};
use crate::payments::store;
use crate::sale::states;

/// How long to wait before asking again how far a refund is: a quarter of its age, within these.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// How long to wait where a dispute holds the money.
const UNDER_DISPUTE: SignedDuration = SignedDuration::from_hours(6);

/// The job: sends it, or asks how far it is.
pub async fn send_refund(app: &App, id: RefundId) -> Result<Outcome> {
    let Some(refund) = find_open(&app.db().await?, id).await? else { return Ok(Outcome::Done) };
    let outcome = match look(app, &refund).await {
        Ok(None) if refund.is_contested => {
            return Ok(Outcome::Again(Timestamp::now() + UNDER_DISPUTE)); // the dispute's end brings it forward
        }
        Ok(None) if !refund.fits => {
            return finish(app, &refund, End::Failed("the payer's bank took the money in a dispute")).await;
        }
        Ok(None) => make(app, &refund).await,
        Ok(Some(found)) => Ok(found),
        Err(error) => Err(error),
    };
    let outcome = match outcome {
        // A refusal is believed only if they say that no earlier try did it.
        Err(Error::Provider(refused)) if refused.is_refusal() => {
            match Gateway::named(app, &refund.provider)?.read_refund(&refund.ask()).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => return refused_call(app, &refund, &refused).await,
                Err(_) => Err(Error::Provider(refused)),
            }
        }
        other => other,
    };
    note(app, &refund, outcome).await
}

/// What their books hold of it, read before anything is sent: their memory of our key may be shorter than our absence. `None`:
/// nothing, so it was certainly not made.
async fn look(app: &App, refund: &Open) -> Result<Option<Refund>> {
    let gateway = Gateway::named(app, &refund.provider)?;
    if refund.status == states::RefundStatus::Processing || refund.tries > 0 {
        return Ok(gateway.read_refund(&refund.ask()).await?);
    }
    let Some(before) = refund.ask_before() else { return Ok(None) };
    // Nothing was asked for under this key. What was under the one before failed, and they may have changed their mind.
    match gateway.read_refund(&before).await? {
        Some(found) if !matches!(found.status, RefundStatus::Failed(_)) => {
            go_back_to(app, refund, before.refund_id).await?;
            Ok(Some(found))
        }
        _ => Ok(None),
    }
}

async fn go_back_to(app: &App, refund: &Open, earlier: Uuid) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if store::lock(&tx, refund.payment_id).await?.is_some() {
        keys::go_back_to(&tx, refund.id, earlier).await?;
    }
    Ok(tx.commit().await?)
}

/// The number of this try, written down before it is made.
async fn count_try(app: &App, id: RefundId) -> Result<u32> {
    const COUNT: &str = "UPDATE refunds SET tries = tries + 1 WHERE id = $1 RETURNING tries";
    Ok(db::query_one(&app.db().await?, COUNT, &[&id]).await?.get::<_, i32>("tries").unsigned_abs())
}

async fn make(app: &App, refund: &Open) -> Result<Refund> {
    let gateway = Gateway::named(app, &refund.provider)?;
    Ok(gateway.refund(&refund.ask(), count_try(app, refund.id).await?).await?)
}

/// They did not make it. It may be that somebody gave the money back on their pages: that takes its place. What cannot be done twice is
/// tried again also where they do not say why.
async fn refused_call(app: &App, refund: &Open, refused: &ProviderError) -> Result<Outcome> {
    let said = refused.to_string();
    let looked = adopt_now(app, refund.payment_id).await;
    if looked.is_ok() && find_open(&app.db().await?, refund.id).await?.is_none() {
        return Ok(Outcome::Done);
    }
    match refused.refund_retry() {
        // Without their list nobody knows why; and what is in process there may fail, and leave room for this one.
        Retry::Never if !looked? => finish(app, refund, End::Failed(&said)).await,
        Retry::Never => wait_or_fail(app, refund, Refusal { said: &said, retry: Retry::Unsaid, is_key_used_up: false }).await,
        retry => wait_or_fail(app, refund, Refusal { said: &said, retry, is_key_used_up: false }).await,
    }
}

/// They made it, and it failed there. Another try is another refund to them, so it is made only where they name a reason that passes.
async fn failed_there(app: &App, refund: &Open, retry: Retry, said: Option<&str>) -> Result<Outcome> {
    let why = said.map_or_else(|| FAILED.to_owned(), |said| format!("{FAILED}: {said}"));
    match retry {
        Retry::Later(_) => wait_or_fail(app, refund, Refusal { said: &why, retry, is_key_used_up: true }).await,
        Retry::Never | Retry::Unsaid => finish(app, refund, End::Failed(&why)).await,
    }
}

async fn wait_or_fail(app: &App, refund: &Open, why: Refusal<'_>) -> Result<Outcome> {
    if let Some(outcome) = wait(app, refund, &why).await? {
        return Ok(outcome);
    }
    let days = TRIED_FOR.as_hours() / 24;
    finish(app, refund, End::Failed(&format!("tried for {days} days, and the last answer was: {}", why.said))).await
}

async fn note(app: &App, refund: &Open, outcome: Result<Refund>) -> Result<Outcome> {
    match outcome {
        Ok(found) if found.amount != refund.amount => Ok(Outcome::Dead(format!(
            "the provider refunds {} centavos instead of {}",
            found.amount.cents(),
            refund.amount.cents()
        ))),
        Ok(Refund { status: RefundStatus::Processing | RefundStatus::Unclear, end_to_end_id, said, .. }) => {
            mark_open(app, refund, states::RefundStatus::Processing, end_to_end_id.as_deref(), said.as_deref()).await?;
            Ok(Outcome::Again(next_look(refund.created_at)))
        }
        Ok(Refund { status: RefundStatus::Done, end_to_end_id, .. }) => {
            mark_open(app, refund, refund.status, end_to_end_id.as_deref(), None).await?;
            finish(app, refund, End::Done).await
        }
        Ok(Refund { status: RefundStatus::Failed(retry), end_to_end_id, said, .. }) => {
            mark_open(app, refund, refund.status, end_to_end_id.as_deref(), None).await?;
            failed_there(app, refund, retry, said.as_deref()).await
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

async fn finish(app: &App, refund: &Open, end: End<'_>) -> Result<Outcome> {
    let provider = Gateway::named(app, &refund.provider)?.name();
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    match end {
        // By its key: it may have failed meanwhile, and been paid another way.
        End::Done => record_done(&tx, provider, refund.key).await?,
        end => settle_refund(&tx, provider, refund.id, end).await?,
    };
    if matches!(end, End::Failed(_)) {
        // It may have failed because somebody gave the money back on their pages.
        jobs::push_now(&tx, Job::LookAtRefunds { payment: refund.payment_id }).await?;
    }
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
    const MARK: &str = sql!(
        "
        WITH before AS (SELECT status FROM refunds WHERE id = $1 AND status IN ",
        states::RefundStatus::OPEN_SQL,
        " FOR NO KEY UPDATE)
        UPDATE refunds r SET status = $2, provider_ref = coalesce($3, provider_ref), error = $4, updated_at = now(),
               in_hand_since = CASE WHEN $2::refund_status IN ('processing', 'unknown') THEN coalesce(r.in_hand_since, now()) END
          FROM before b WHERE r.id = $1
        RETURNING b.status"
    );
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
