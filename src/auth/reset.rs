//! Changing a password: with a mailed token, or with the old password.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use vitrine_kit::Email;

use super::password_rules;
use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::http::who::SignedIn;
use crate::ids::{ResetId, UserId};
use crate::jobs::{self, Job};
use crate::seal::token_hash;
use crate::users::sessions::{self, Reason};
use crate::users::store;

/// The least time of an answer, so that it does not show whether an account was found.
const MIN_ANSWER_TIME: Duration = Duration::from_millis(200);

/// Mails a token to the account of that e-mail, if there is one. The caller cannot see whether there is.
pub async fn forgot(app: &App, email: &Email) -> Result<()> {
    let not_before = Instant::now() + MIN_ANSWER_TIME;
    let result = begin(app, email).await;
    tokio::time::sleep_until(not_before).await;
    if result? {
        app.jobs_were_pushed();
    }
    Ok(())
}

/// Starts a reset and ends the earlier ones. At most five an hour per account, so that many addresses cannot flood a mailbox.
async fn begin(app: &App, email: &Email) -> Result<bool> {
    const LOCK: &str = "
        SELECT id FROM users
         WHERE email = $1 AND password_hash IS NOT NULL AND blocked_at IS NULL AND erased_at IS NULL FOR NO KEY UPDATE";
    const END_EARLIER: &str = "
        UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL AND id <> $2";
    const INSERT: &str = "
        INSERT INTO password_resets (id, user_id, token_hash, expires_at)
        SELECT $1, $2, $3, now() + interval '1 hour'
         WHERE (SELECT count(*) FROM password_resets WHERE user_id = $2 AND created_at > now() - interval '1 hour') < 5";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(row) = db::query_opt(&tx, LOCK, &[&email.as_str()]).await? else { return Ok(false) };
    let (user, reset): (UserId, _) = (row.get("id"), ResetId::new());
    let hash = token_hash(&app.keys.reset_token(reset));
    if db::execute(&tx, INSERT, &[&reset, &user, &hash]).await? == 0 {
        return Ok(false);
    }
    db::execute(&tx, END_EARLIER, &[&user, &reset]).await?;
    jobs::push(&tx, Job::MailPasswordReset { reset }).await?;
    tx.commit().await?;
    Ok(true)
}

/// Sets the password of the token's owner, and returns the account's e-mail. A token works once; every session ends.
pub async fn reset(app: &App, token: &str, password: SecretString) -> Result<Email> {
    const FIND: &str = "
        SELECT u.id, u.email, u.name FROM password_resets r JOIN users u ON u.id = r.user_id
         WHERE r.id = $1 AND r.token_hash = $2 AND r.used_at IS NULL AND r.expires_at > now()
           AND u.blocked_at IS NULL AND u.erased_at IS NULL";
    const USE: &str = "
        UPDATE password_resets SET used_at = now()
         WHERE id = $1 AND token_hash = $2 AND used_at IS NULL AND expires_at > now()";
    const END_OTHERS: &str = "UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL";
    let refused = || Error::field("token", "is not valid any more: ask for a new one");
    let reset = app.keys.read_reset_token(token).ok_or_else(refused)?;
    let hash = token_hash(token);
    let person = db::query_opt(&app.db().await?, FIND, &[&reset, &hash]).await?.ok_or_else(refused)?;
    // Checked before the token is used up: after a refused password the same token works with a better one.
    password_rules::check("password", &password, person.get("email"), person.get("name"))?;
    let user: UserId = person.get("id");
    let password_hash = app.hasher.hash(password).await?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if !store::mark_password(&tx, user, None, &password_hash).await? || db::execute(&tx, USE, &[&reset, &hash]).await? == 0 {
        return Err(refused());
    }
    db::execute(&tx, END_OTHERS, &[&user]).await?;
    jobs::push(&tx, Job::MailPasswordChanged { user }).await?;
    sessions::revoke_all(&tx, user, None, Reason::Password).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    app.standings.forget(user);
    Email::parse(person.get("email")).map_err(|e| Error::Internal(format!("the e-mail of user {user}: {e}")))
}

/// Sets the password of a person who is signed in and knows the old one. Ends every other session.
pub async fn change(app: &App, me: &SignedIn, current: SecretString, password: SecretString) -> Result<()> {
    const END_RESETS: &str = "UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL";
    let (person, stored) = {
        let db = app.db().await?;
        (store::find_user(&db, &app.keys, me.id).await?, store::find_password(&db, me.id).await?)
    };
    let person = person.ok_or(Error::NotFound("The person"))?;
    if !app.hasher.verify(current, stored.clone()).await? {
        return Err(Error::field("current_password", "is not the password of this account"));
    }
    password_rules::check("password", &password, &person.email, &person.name)?;
    let password_hash = app.hasher.hash(password).await?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if !store::mark_password(&tx, me.id, stored.as_deref(), &password_hash).await? {
        return Err(Error::Conflict("The password was changed at this moment: try again".into()));
    }
    db::execute(&tx, END_RESETS, &[&me.id]).await?;
    jobs::push(&tx, Job::MailPasswordChanged { user: me.id }).await?;
    sessions::revoke_all(&tx, me.id, me.session, Reason::Password).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    app.standings.forget(me.id);
    Ok(())
}
