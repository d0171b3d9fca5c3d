//! The digest: one mail to the operator with all new alerts, sent by a job of its own.
//!
//! It does not wait in the queue of customers' mails and takes none of their rate limit. When the provider's quota is used up, it
//! is sent after them. At most one a minute; one an hour when there are many.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use vitrine_kit::Email;

use super::digest_text::Digest;
use super::kind::Kind;
use super::link::Link;
use super::send;
use super::store::{self, Channel, Claim};
use super::templates::Story;
use super::{Whom, story, write};
use crate::alerts::{self, Told};
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};
use crate::jobs::Outcome;

/// How often occurrences are counted. The first alert of a key is mailed within a minute.
const EVERY: SignedDuration = SignedDuration::from_secs(15);
/// How long to wait after a failed try.
const AFTER_TROUBLE: SignedDuration = SignedDuration::from_mins(2);
/// Most alerts of one mail. The others are in the next.
const MOST: i64 = 20;
/// Most digests in an hour and in a day; beyond that one an hour. They must leave room in the quota of a small account.
const OF_HOUR: i64 = 6;
const OF_DAY: i64 = 30;
/// How long the digest waits after a used-up quota, so that customers' mails are sent first.
const CUSTOMERS_FIRST: Duration = Duration::from_secs(15 * 60);

/// Job, recurring: counts occurrences, and mails the alerts that are due. An error does not end it.
pub async fn send_alerts(app: &App) -> Result<Outcome> {
    let wait = match mail_due_alerts(app, Timestamp::now()).await {
        Ok(()) => EVERY,
        Err(error) => {
            if let Error::Provider(refused) = &error {
                alerts::raise_if_refused(&app.db().await?, refused, None).await?; // mailed once the provider accepts mail again, and listed until then
            }
            tracing::error!(error = %Chain(&error), "alerts could not be mailed; they are kept, and the next run tries again");
            AFTER_TROUBLE
        }
    };
    Ok(Outcome::Again(Timestamp::now() + wait))
}

/// Counts, and mails what is due at that time of the shop's day.
pub async fn mail_due_alerts(app: &App, now: Timestamp) -> Result<()> {
    alerts::count(&app.pool).await?;
    let Some(to) = &app.config.mail.alert_to else { return log(app, now).await };
    if app.mail_pace.customers_need_the_quota(CUSTOMERS_FIRST) {
        return Ok(());
    }
    // A digest that is not sent yet comes first. Until then, new alerts are collected for the next one.
    let (event, claim) = match find_unsent(app).await? {
        Some(event) => {
            let claim = store::claim(&app.db().await?, app, Channel::Email, &event).await?;
            (event, claim)
        }
        None => match compose(app, to, now).await? {
            Some(mail) => mail,
            None => return Ok(()),
        },
    };
    hand_over(app, &event, claim).await
}

async fn find_unsent(app: &App) -> Result<Option<String>> {
    const FIND: &str = "SELECT event FROM messages WHERE status = 'queued' AND kind = 'alert' ORDER BY id LIMIT 1";
    Ok(db::query_opt(&app.db().await?, FIND, &[]).await?.map(|row| row.get("event")))
}

/// Writes the next digest, marks its alerts as mailed, and claims it. `None`: no alert is due, or it is too early.
async fn compose(app: &App, to: &Email, now: Timestamp) -> Result<Option<(String, Claim)>> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if !alerts::is_due(&tx, now).await? || !may_mail(&tx).await? {
        return Ok(None);
    }
    let (told, left) = alerts::find_due(&tx, MOST).await?;
    if told.is_empty() {
        return Ok(None); // another run is mailing them
    }
    let event = format!("alert:{}", Uuid::now_v7());
    let digest = Digest::of(&told, left);
    let story = Story { digest: Some(&digest), ..story(app) };
    let whom = Whom { order: None, user: None, to: Some(to.as_str()) };
    let (claim, _) = write(&tx, app, Kind::Alert, &event, &whom, &story).await?;
    alerts::mark_told(&tx, &told, Some(&event)).await?;
    tx.commit().await?;
    Ok(Some((event, claim)))
}

/// Whether a digest may be sent now: a minute after the last one; an hour if there were many, or if the last one was refused.
async fn may_mail(db: &impl db::GenericClient) -> Result<bool> {
    const MAY: &str = "
        SELECT coalesce(max(created_at) < now() - CASE WHEN count(*) FILTER (WHERE created_at > now() - interval '1 hour') >= $1::bigint
                                                         OR count(*) >= $2::bigint
                                                         OR (array_agg(status ORDER BY created_at DESC))[1] = 'failed'
                                                       THEN interval '1 hour' ELSE interval '1 minute' END, true)
          FROM messages WHERE kind = 'alert' AND created_at > now() - interval '1 day' AND body IS NOT NULL";
    Ok(db::query_one(db, MAY, &[&OF_HOUR, &OF_DAY]).await?.get(0))
}

async fn hand_over(app: &App, event: &str, claim: Claim) -> Result<()> {
    match send::hand_over(app, claim, Link::None).await? {
        Outcome::Done | Outcome::Again(_) => Ok(()),
        Outcome::Dead(why) => {
            tracing::error!(why, "the operator cannot be mailed; the alerts are listed in /api/admin/alerts");
            give_back(app, event).await
        }
    }
}

/// Marks the alerts of a digest as not mailed, if it was certainly not sent.
async fn give_back(app: &App, event: &str) -> Result<()> {
    const IS_UNSENT: &str = "SELECT open_tries = 0 FROM messages WHERE event = $1 AND status = 'failed'";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if db::query_opt(&tx, IS_UNSENT, &[&event]).await?.is_some_and(|row| row.get(0)) {
        alerts::mark_untold(&tx, event).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Without an address, the alerts are logged as often as they would have been mailed.
async fn log(app: &App, now: Timestamp) -> Result<()> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if !alerts::is_due(&tx, now).await? {
        return Ok(());
    }
    let (told, _) = alerts::find_due(&tx, MOST).await?;
    alerts::mark_told(&tx, &told, None).await?;
    tx.commit().await?;
    for alert in &told {
        let Told { key, subject, text, count, .. } = alert;
        let severity = alert.severity.as_str();
        tracing::error!(
            alert.key = key,
            severity,
            subject,
            text,
            count,
            "an alert that nobody is mailed: ADMIN_ALERT_EMAIL is not set"
        );
    }
    Ok(())
}
