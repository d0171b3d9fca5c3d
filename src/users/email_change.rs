//! A new e-mail for an account: asked for with the password, in force once its mailbox was read, and told to the old one.

use actix_web::{HttpRequest, HttpResponse, post, web};
use deadpool_postgres::GenericClient;
use garde::Validate;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Email;

use super::rules;
use super::store::email_taken;
use crate::app::App;
use crate::db;
use crate::error::database::broken_constraint;
use crate::error::{Error, Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::ids::{EmailChangeId, UserId};
use crate::jobs::{self, Job};
use crate::seal::token_hash;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(verify_email);
}

/// The token of the link that was mailed to the new address.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "b6Q2…"}))]
struct VerifyEmail {
    /// The token.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, min_length = 1, max_length = 1000)]
    token: SecretString,
}

/// Confirms a new e-mail
///
/// From now on the account signs in with it, and the old address is told.
#[utoipa::path(
    tag = "auth", request_body = VerifyEmail,
    responses(
        (status = 204, description = "It is confirmed"),
        (status = 409, body = Problem, description = "`conflict`: the e-mail has an account by now"),
        (status = 422, body = Problem, description = "`invalid`: the token is not valid any more"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many tokens came from this address")))]
#[post("/api/auth/verify-email")]
async fn verify_email(app: web::Data<App>, req: HttpRequest, body: Json<VerifyEmail>) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    confirm(&app, body.token.expose_secret()).await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::NoContent().finish())
}

/// Mails a link to the new address and ends earlier ones. At most five an hour per account. Nobody is told here whether that address
/// has an account: then no mail goes out.
pub async fn begin(tx: &impl GenericClient, app: &App, user: UserId, old: &str, new: &Email) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO email_changes (id, user_id, old_email, new_email, token_hash, expires_at)
        SELECT $1, $2, $3, $4, $5, now() + interval '1 hour'
         WHERE (SELECT count(*) FROM email_changes WHERE user_id = $2 AND created_at > now() - interval '1 hour') < 5";
    const END_EARLIER: &str = "
        UPDATE email_changes SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL AND id <> $2";
    let change = EmailChangeId::new();
    let hash = token_hash(&app.keys.email_change_token(change));
    if db::execute(tx, INSERT, &[&change, &user, &old, &new.as_str(), &hash]).await? == 0 {
        return Err(Error::TooMany { retry_after_s: 60 * 60 });
    }
    db::execute(tx, END_EARLIER, &[&user, &change]).await?;
    jobs::push(tx, Job::MailEmailConfirm { change }).await
}

/// The address that waits to be confirmed.
pub async fn find_pending(db: &impl GenericClient, user: UserId) -> Result<Option<String>> {
    const FIND: &str = "
        SELECT new_email FROM email_changes WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now() ORDER BY id DESC LIMIT 1";
    Ok(db::query_opt(db, FIND, &[&user]).await?.map(|row| row.get("new_email")))
}

/// The new e-mail counts as good until a mail to it bounces. Password resets that were mailed to the old one end.
async fn confirm(app: &App, token: &str) -> Result<()> {
    const LOCK: &str = "
        SELECT u.id FROM users u JOIN email_changes c ON c.user_id = u.id
         WHERE c.id = $1 AND u.blocked_at IS NULL AND u.erased_at IS NULL FOR NO KEY UPDATE OF u";
    const USE: &str = "
        UPDATE email_changes SET ended_at = now(), confirmed_at = now()
         WHERE id = $1 AND token_hash = $2 AND ended_at IS NULL AND expires_at > now() RETURNING new_email";
    const SET: &str = "UPDATE users SET email = $2, mail_blocked_at = NULL, updated_at = now() WHERE id = $1";
    const END_RESETS: &str = "UPDATE password_resets SET used_at = now() WHERE user_id = $1 AND used_at IS NULL";
    let refused = || Error::field("token", "is not valid any more: change the e-mail once more");
    let change = app.keys.read_email_change_token(token).ok_or_else(refused)?;
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let user: UserId = db::query_opt(&tx, LOCK, &[&change]).await?.ok_or_else(refused)?.get("id");
    let new: String = db::query_opt(&tx, USE, &[&change, &token_hash(token)]).await?.ok_or_else(refused)?.get("new_email");
    db::execute(&tx, SET, &[&user, &new]).await.map_err(|error| match error {
        Error::Database(e) if broken_constraint(&e) == Some("users_email_key") => email_taken(),
        other => other,
    })?;
    db::execute(&tx, END_RESETS, &[&user]).await?;
    jobs::push(&tx, Job::MailEmailChanged { change }).await?;
    Ok(tx.commit().await?)
}
