//! Handing a stored message over: no connection is held meanwhile, and the outcome is recorded whatever it is.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::mail::OutgoingMail;
use vitrine_kit::{Email, ProviderError};

use super::TOKEN;
use super::store::{self, Claimed};
use crate::app::App;
use crate::error::Result;
use crate::jobs::Outcome;

/// A provider that asks for this long has a quota, not a hiccup: waiting for it uses up no attempt.
const LONG_WAIT_S: u64 = 60 * 60;

/// Sends what was claimed, the token put in its place. Nothing claimed: it was sent, or there is nobody to send it to.
pub async fn hand_over(app: &App, claimed: Option<Claimed>, token: &str) -> Result<Outcome> {
    let Some(message) = claimed else { return Ok(Outcome::Done) };
    if message.is_too_late {
        let why = "it may have been sent a day ago, and the provider no longer knows its key: not sent again";
        return give_up(app, &message, why, false).await;
    }
    let Ok(to) = Email::parse(&message.recipient) else {
        return give_up(app, &message, "the address cannot be written to", true).await;
    };
    let mail = outgoing(app, &message, to, token);
    app.mail_pace.turn().await;
    match app.providers.mailer.send(&mail).await {
        Ok(provider_ref) => {
            let mut db = app.db().await?;
            let tx = db.transaction().await?;
            store::mark_sent(&tx, &message, &provider_ref).await?;
            tx.commit().await?;
            Ok(Outcome::Done)
        }
        Err(ProviderError::Rejected { code, message: words, .. }) => {
            let why = without_people(&format!("{code}: {words}"), &[mail.to]);
            give_up(app, &message, &why, true).await
        }
        Err(error) => {
            let is_unsent = matches!(error, ProviderError::Unavailable { .. });
            store::note_trouble(&app.db().await?, &message, &error.to_string(), is_unsent).await?;
            match error {
                ProviderError::Unavailable { retry_after_s: Some(wait_s), .. } if wait_s >= LONG_WAIT_S => {
                    Ok(Outcome::Again(Timestamp::now() + SignedDuration::from_secs(wait_s as i64)))
                }
                _ => Err(error.into()),
            }
        }
    }
}

/// The same for every try: what is stored, and a token that is made of ids.
fn outgoing(app: &App, message: &Claimed, to: Email, token: &str) -> OutgoingMail {
    OutgoingMail {
        idempotency_key: format!("{}/{}", message.kind, message.id),
        from: app.config.mail.from.clone(),
        to,
        subject: message.subject.clone(),
        html: message.html.replace(TOKEN, token),
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

/// A provider's words may quote the address; what we keep shows it masked.
pub fn without_people(words: &str, addresses: &[Email]) -> String {
    addresses.iter().fold(words.to_owned(), |words, address| words.replace(address.as_str(), &address.masked()))
}
