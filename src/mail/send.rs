//! Sends a stored message. No connection is held during the call, and its outcome is recorded in any case.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::mail::OutgoingMail;
use vitrine_kit::{Email, ProviderError, said};

use super::TOKEN;
use super::kind::Kind;
use super::link::Link;
use super::store::{self, Claim, Claimed};
use crate::app::App;
use crate::error::Result;
use crate::jobs::Outcome;

/// A wait that a provider asks for is a used-up quota if it is this long. It does not count as an attempt.
const LONG_WAIT_S: u64 = 60 * 60;
/// When to try again while another run sends the message.
const ELSEWHERE: SignedDuration = SignedDuration::from_secs(30);
/// Less than the provider's 24 hours: the key must not expire between our check and theirs.
const KEY_MARGIN_S: i64 = 60 * 60;
/// Providers that do not recognise a repeat: after an unclear answer the mail is sent once more, because a lost mail is worse
/// than a second.
const BLIND_TRIES: i16 = 2;

/// Sends a claimed message, with the token in the place of its mark.
pub async fn hand_over(app: &App, claim: Claim, link: Link) -> Result<Outcome> {
    let message = match claim {
        Claim::Ours(message) => message,
        Claim::Elsewhere => return Ok(Outcome::Again(Timestamp::now() + ELSEWHERE)),
        Claim::Nothing => return Ok(Outcome::Done),
    };
    if may_be_doubled(app, message.open_tries, message.open_for_s) {
        let why = "it may have been sent, and the provider would not notice a repeat: not sent again";
        return give_up(app, &message, why, true).await; // nothing was sent by this try
    }
    let Ok(to) = Email::parse(&message.recipient) else {
        return give_up(app, &message, "the address cannot be written to", true).await;
    };
    let mail = outgoing(app, &message, to, &link.token(&app.keys, message.id));
    // A digest does not wait for the rate limit: there is at most one a minute, and the limit leaves room for it.
    if message.kind != Kind::Alert.word() {
        app.mail_pace.turn().await;
    }
    match app.providers.mailer.send(&mail).await {
        Ok(provider_ref) => {
            let mut db = app.db().await?;
            let tx = db.transaction().await?;
            store::mark_sent(&tx, &message, &provider_ref).await?;
            tx.commit().await?;
            Ok(Outcome::Done)
        }
        Err(ProviderError::Rejected { code, message: words, .. }) => {
            let why = without_people(&said(&code, &words), &[mail.to]);
            give_up(app, &message, &why, true).await
        }
        Err(error) => {
            // If the credentials are not accepted, the mail is not refused: it waits.
            let is_unsent = error.is_away();
            store::note_trouble(&app.db().await?, &message, &error.to_string(), is_unsent).await?;
            match error {
                ProviderError::Unavailable { retry_after_s: Some(wait_s), .. } if wait_s >= LONG_WAIT_S => {
                    app.mail_pace.quota_is_spent(wait_s);
                    Ok(Outcome::Again(Timestamp::now() + SignedDuration::from_secs(wait_s as i64)))
                }
                _ => Err(error.into()),
            }
        }
    }
}

/// Whether another try might arrive as a second mail, after this many tries that may have arrived.
pub fn may_be_doubled(app: &App, open_tries: i16, open_for_s: i64) -> bool {
    match app.providers.mailer.notices_repeats_for() {
        Some(life) => open_tries > 0 && open_for_s > life.as_secs() as i64 - KEY_MARGIN_S,
        None => open_tries >= BLIND_TRIES,
    }
}

/// The mail to send. It is the same for every try: the stored text, and a token derived from ids.
fn outgoing(app: &App, message: &Claimed, to: Email, token: &str) -> OutgoingMail {
    OutgoingMail {
        idempotency_key: format!("{}/{}", message.kind, message.id),
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
