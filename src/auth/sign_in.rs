//! Registration, login and refresh: each answers with a session.

use secrecy::SecretString;
use vitrine_kit::{Email, Phone, TaxId};

use super::password_rules;
use super::session::Session;
use crate::app::App;
use crate::error::{Error, Result};
use crate::jobs::{self, Job};
use crate::lang::Lang;
use crate::users::consents::{self, Subject};
use crate::users::sessions::{self, Rotation};
use crate::users::store::{self, NewUser};

/// One text for every reason, so that the answer does not show which e-mails have accounts.
const WRONG: Error = Error::Unauthorized("The e-mail or the password is wrong");

/// A registration, every field parsed.
#[derive(Debug)]
pub struct SignUp {
    pub name: String,
    pub email: Email,
    pub password: SecretString,
    pub tax_id: Option<TaxId>,
    pub phone: Option<Phone>,
    pub lang: Lang,
    /// Of the notice that was accepted with it.
    pub privacy_version: Option<String>,
}

/// A new account and its first session. 409 where the e-mail has an account.
pub async fn register(app: &App, new: SignUp) -> Result<Session> {
    password_rules::check("password", &new.password, new.email.as_str(), &new.name)?;
    let password_hash = app.hasher.hash(new.password).await?;
    let SignUp { name, email, tax_id, phone, lang, privacy_version, .. } = new;
    let new = NewUser { name, email, password_hash, tax_id, phone, lang };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let user = store::insert_user(&tx, &app.keys, &new).await?;
    if let Some(version) = privacy_version {
        consents::record(&tx, user.id, Subject::Privacy, &version, true).await?;
    }
    let opened = sessions::open(&tx, user.id, &new.password_hash, app.config.auth.refresh_ttl).await?;
    jobs::push(&tx, Job::MailWelcome { user: user.id }).await?;
    tx.commit().await?;
    Session::new(app, user, opened.ok_or_else(|| Error::Internal("a new account cannot open a session".into()))?)
}

/// A session for an e-mail and its password. An unknown e-mail, a blocked person and a wrong password take the same time
/// and get the same answer.
pub async fn login(app: &App, email: &Email, password: SecretString) -> Result<Session> {
    let found = store::find_credentials(&app.db().await?, &app.keys, email).await?;
    let stored = found.as_ref().map(|c| c.password_hash.clone());
    let knows = app.hasher.verify(password, stored).await?;
    let credentials = found.filter(|_| knows).ok_or(WRONG)?;
    if credentials.needs_totp {
        // No account can have a second factor in this release: refuse one that has.
        return Err(WRONG);
    }
    let db = app.db().await?;
    let opened =
        sessions::open(&db, credentials.user.id, &credentials.password_hash, app.config.auth.refresh_ttl).await?.ok_or(WRONG)?;
    Session::new(app, credentials.user, opened)
}

/// Exchanges a refresh token for a new session answer. A second use of one, but for a twin's, ends its family, whoever used it.
pub async fn refresh(app: &App, presented: &str) -> Result<Session> {
    const REFUSED: Error = Error::Unauthorized("The refresh token is not valid any more: sign in");
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let rotation = sessions::rotate(&tx, presented, app.keys.refresh_after(presented), app.config.auth.refresh_ttl).await?;
    let user = match &rotation {
        Rotation::Fresh(opened) => store::find_user(&tx, &app.keys, opened.user).await?,
        Rotation::Reused(_) | Rotation::Refused => None,
    };
    tx.commit().await?;
    match (rotation, user) {
        (Rotation::Fresh(opened), Some(user)) => Session::new(app, user, opened),
        (Rotation::Reused(person), _) => {
            app.standings.forget(person);
            tracing::warn!(user.id = %person, "a refresh token was used twice: its session was ended");
            Err(REFUSED)
        }
        _ => Err(REFUSED),
    }
}
