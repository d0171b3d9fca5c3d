//! Sends a stored message. No connection is held during the call, and its outcome is recorded in any case.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::mail::OutgoingMail;
use vitrine_kit::{Email, ProviderError, said};

use super::TOKEN;
use super::kind::Kind;
use super::link::Link;
use super::store::{self, Claim, Claimed};
use crate::app::App;
use crate::error::Result;
use crate::jobs::{self, Job, Outcome};

/// A wait that a provider asks for is a used-up quota if it is this long. It does not count as an attempt.
const LONG_WAIT_S: u64 = 60 * 60;
/// When to try again while another run sends the message.
const ELSEWHERE: SignedDuration = SignedDuration::from_secs(30);
/// When the job of a mail that is left to a batch looks whether it was sent, and whether what it says is still so.
const LEFT: SignedDuration = SignedDuration::from_mins(5);
/// Less than the provider's 24 hours: the key must not expire between our check and theirs.
const KEY_MARGIN_S: i64 = 60 * 60;
/// Providers that do not recognise a repeat: after an unclear answer the mail is sent once more, because a lost mail is worse
/// than a second.
const BLIND_TRIES: i16 = 2;

/// Sends a claimed message, or leaves it to the job that sends many by one call: where more is to be sent than the provider takes
/// calls. Why: docs/decisions/0033.
pub async fn hand_over(app: &App, claim: Claim, link: Link) -> Result<Outcome> {
    let message = match claim {
        Claim::Ours(message) => message,
        Claim::Elsewhere => return Ok(Outcome::Again(Timestamp::now() + ELSEWHERE)),
        Claim::Left => return Ok(Outcome::Again(Timestamp::now() + LEFT)),
        Claim::Nothing => return Ok(Outcome::Done),
    };
    let Some(rank) = batch_rank(app, &message) else { return deliver(app, &message, link, false).await };
    let has_turn = app.mail_pace.try_turn();
    if !has_turn && leave_to_batch(app, &message, rank).await? {
        return Ok(Outcome::Again(Timestamp::now() + LEFT));
    }
    deliver(app, &message, link, has_turn).await
}

/// Sends a claimed message by a call of its own.
pub async fn hand_over_alone(app: &App, claim: Claim, link: Link) -> Result<Outcome> {
    match claim {
        Claim::Ours(message) => deliver(app, &message, link, false).await,
        Claim::Elsewhere => Ok(Outcome::Again(Timestamp::now() + ELSEWHERE)),
        Claim::Left | Claim::Nothing => Ok(Outcome::Done),
    }
}

/// `None`: the message has a call of its own. One of which a try may have arrived has, because only that is a repeat.
fn batch_rank(app: &App, message: &Claimed) -> Option<i16> {
    app.providers.mailer.batches()?;
    if message.open_tries > 0 || Email::parse(&message.recipient).is_err() {
        return None;
    }
    Kind::named(&message.kind)?.batch_rank()
}

async fn leave_to_batch(app: &App, message: &Claimed, rank: i16) -> Result<bool> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let is_left = store::leave_to_batch(&tx, message, rank).await?;
    if is_left {
        jobs::push(&tx, Job::SendMails).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(is_left)
}

/// With the token in the place of its mark.
async fn deliver(app: &App, message: &Claimed, link: Link, has_turn: bool) -> Result<Outcome> {
    if may_be_doubled(app, message.open_tries, message.open_for_s, message.was_in_batch) {
        let why = "it may have been sent, and the provider would not notice a repeat: not sent again";
        return give_up(app, message, why, true).await; // nothing was sent by this try
    }
    let Ok(to) = Email::parse(&message.recipient) else {
        return give_up(app, message, "the address cannot be written to", true).await;
    };
    let mail = outgoing(app, message, to, &link.token(&app.keys, message.id));
    // A digest does not wait for the rate limit: there is at most one a minute, and the limit leaves room for it.
    if !has_turn && message.kind != Kind::Alert.word() {
        app.mail_pace.turn().await;
    }
    match app.providers.mailer.send(&mail).await {
        Ok(provider_ref) => {
            let mut db = app.db().await?;
            let tx = db.transaction().await?;
            store::mark_sent(&tx, message, &provider_ref).await?;
            tx.commit().await?;
            Ok(Outcome::Done)
        }
        Err(ProviderError::Rejected { code, message: words, .. }) => {
            let why = without_people(&said(&code, &words), &[mail.to]);
            give_up(app, message, &why, true).await
        }
        Err(error) => {
            // If the credentials are not accepted, the mail is not refused: it waits.
            let is_unsent = error.is_away();
            store::note_trouble(&app.db().await?, message, &error.to_string(), is_unsent).await?;
            match quota_wait_s(&error) {
                Some(wait_s) => {
                    app.mail_pace.quota_is_spent(wait_s);
                    Ok(Outcome::Again(Timestamp::now() + SignedDuration::from_secs(wait_s as i64)))
                }
                None => Err(error.into()),
            }
        }
    }
}

/// For how many seconds the provider's quota is spent. `None`: something else is wrong.
pub fn quota_wait_s(error: &ProviderError) -> Option<u64> {
    match error {
        ProviderError::Unavailable { retry_after_s, .. } => retry_after_s.filter(|wait_s| *wait_s >= LONG_WAIT_S),
        _ => None,
    }
}

/// Whether another try might arrive as a second mail, after this many tries that may have arrived, by a call of its own or with others.
pub fn may_be_doubled(app: &App, open_tries: i16, open_for_s: i64, was_in_batch: bool) -> bool {
    match app.providers.mailer.notices_repeats_for() {
        Some(life) => open_tries > 0 && (was_in_batch || is_forgotten(life, open_for_s)),
        None => open_tries >= BLIND_TRIES,
    }
}

/// Whether the provider's memory of a key may end before another try arrives.
pub fn is_forgotten(life: Duration, open_for_s: i64) -> bool {
    open_for_s > life.as_secs() as i64 - KEY_MARGIN_S
}

/// The mail to send. It is the same for every try: the stored text, and a token derived from ids.
pub fn outgoing(app: &App, message: &Claimed, to: Email, token: &str) -> OutgoingMail {
    OutgoingMail {
        idempotency_key: format!("{}/{}", message.kind, message.id),
        id: message.id.to_string(),
        from: app.config.mail.from.clone(),
        to,
        subject: message.subject.clone(),
        html: message.html.as_deref().unwrap_or_default().replace(TOKEN, token),
        text: message.text.replace(TOKEN, token),
        kind: message.kind.clone(),
    }
}

async fn give_up(app: &App, message: &Claimed, why: &str, is_unsent: bool) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    store::mark_failed(&tx, message, why, is_unsent).await?;
    tx.commit().await?;
    Ok(Outcome::Dead(why.to_owned()))
}

/// A provider's text may quote the address: it is stored with the address masked.
pub fn without_people(words: &str, addresses: &[Email]) -> String {
    addresses.iter().fold(words.to_owned(), |words, address| words.replace(address.as_str(), &address.masked()))
}
