//! Handing a stored message over: no connection is held meanwhile, and the outcome is recorded whatever it is.

use jiff::{SignedDuration, Timestamp};
use vitrine_kit::mail::OutgoingMail;
use vitrine_kit::{Email, ProviderError};

use super::TOKEN;
use super::kind::Kind;
use super::store::{self, Claim, Claimed};
use crate::app::App;
use crate::error::Result;
use crate::jobs::Outcome;

/// A provider that asks for this long has a quota, not a hiccup: waiting for it uses up no attempt.
const LONG_WAIT_S: u64 = 60 * 60;
/// When to look again at what another run is handing over.
const ELSEWHERE: SignedDuration = SignedDuration::from_secs(30);
/// Less than they say: a key must not run out between our look and theirs.
const KEY_MARGIN_S: i64 = 60 * 60;
/// Where no repeat is noticed, a lost mail is worse than a second one: after an unclear answer it is sent once more.
const BLIND_TRIES: i16 = 2;

/// Sends what was claimed, the token put in its place.
pub async fn hand_over(app: &App, claim: Claim, token: &str) -> Result<Outcome> {
    let message = match claim {
        Claim::Ours(message) => message,
        Claim::Elsewhere => return Ok(Outcome::Again(Timestamp::now() + ELSEWHERE)),
        Claim::Nothing => return Ok(Outcome::Done),
    };
    if may_be_doubled(app, message.open_tries, message.open_for_s) {
        let why = "it may have been sent, and the provider would not notice a repeat: not sent again";
        return give_up(app, &message, why, true).await; // this try has not begun
    }
    let Ok(to) = Email::parse(&message.recipient) else {
        return give_up(app, &message, "the address cannot be written to", true).await;
    };
    let mail = outgoing(app, &message, to, token);
    // An alert takes no turn from customers' mails: one goes out a minute at most, and the pace leaves room for that.
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
            let why = without_people(&format!("{code}: {words}"), &[mail.to]);
            give_up(app, &message, &why, true).await
        }
        Err(error) => {
            // Credentials that are not accepted are no refusal of the mail: it waits for them.
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

/// Whether another try of a mail might be a second mail, after so many that may have arrived.
pub fn may_be_doubled(app: &App, open_tries: i16, open_for_s: i64) -> bool {
    match app.providers.mailer.notices_repeats_for() {
        Some(life) => open_tries > 0 && open_for_s > life.as_secs() as i64 - KEY_MARGIN_S,
        None => open_tries >= BLIND_TRIES,
    }
}

/// The same for every try: what is stored, and a token that is made of ids.
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

/// A provider's words may quote the address; what we keep shows it masked.
pub fn without_people(words: &str, addresses: &[Email]) -> String {
    addresses.iter().fold(words.to_owned(), |words, address| words.replace(address.as_str(), &address.masked()))
}
