//! Export and erasure for people without an account. Who reads the mailbox of an order's e-mail is taken for its buyer: every mail about
//! the order went there, with a link that opens it.

use actix_web::{HttpRequest, HttpResponse, post, web};
use deadpool_postgres::GenericClient;
use garde::Validate;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Email;

use super::erase_guest::{self, ErasedGuest};
use super::export_guest::{self, GuestExport};
use super::http::as_file;
use crate::app::App;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Json;
use crate::http::{rate_limit, spoken};
use crate::ids::PrivacyRequestId;
use crate::jobs::{self, Job};
use crate::lang::Lang;
use crate::seal::token_hash;
use crate::users::rules;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(ask).service(export).service(erase);
}

/// Whose purchases are asked for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ana@example.com"}))]
struct AskForData {
    /// The e-mail address that the orders were placed with.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    email: String,
}

/// The token of the link that was mailed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "b6Q2…"}))]
struct WithToken {
    /// The token.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, min_length = 1, max_length = 1000)]
    token: SecretString,
}

/// Mails a link to a guest's data
///
/// To this e-mail: with it, its purchases without an account can be exported and erased (LGPD, article 18). The answer is the
/// same where there are none.
#[utoipa::path(
    tag = "privacy", request_body = AskForData,
    responses(
        (status = 202, description = "Taken; nothing is said of whether a mail is sent"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many links were asked for from this address")))]
#[post("/api/privacy/requests")]
async fn ask(app: web::Data<App>, req: HttpRequest, body: Json<AskForData>) -> Result<HttpResponse> {
    app.limiters.forgot_password.check(rate_limit::address(&app, &req))?;
    let email = rules::parsed("email", Email::parse(&body.email))?;
    begin(&app, &email, spoken(&req)).await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Accepted().finish())
}

/// At most five an hour for one e-mail. Where nobody bought under it nothing is written, but as many statements run.
async fn begin(app: &App, email: &Email, lang: Lang) -> Result<()> {
    const INSERT: &str = "
        INSERT INTO privacy_requests (id, email, locale, token_hash, expires_at)
        SELECT $1, $2::text, $3::text, $4, now() + interval '1 hour'
         WHERE EXISTS (SELECT FROM orders WHERE customer_email = $2::text AND user_id IS NULL)
           AND (SELECT count(*) FROM privacy_requests WHERE email = $2::text AND created_at > now() - interval '1 hour') < 5";
    let request = PrivacyRequestId::new();
    let hash = token_hash(&app.keys.privacy_token(request));
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    db::execute(&tx, INSERT, &[&request, &email.as_str(), &lang.as_str(), &hash]).await?;
    jobs::push(&tx, Job::MailPrivacyRequest { request }).await?; // without a request it does nothing
    Ok(tx.commit().await?)
}

/// Exports the purchases of a link's e-mail
///
/// The link can be used again until it expires.
#[utoipa::path(
    tag = "privacy", request_body = WithToken,
    responses(
        (status = 200, body = GuestExport, description = "The purchases"),
        (status = 422, body = Problem, description = "`invalid`: the token is not valid any more"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many tokens came from this address")))]
#[post("/api/privacy/export")]
async fn export(app: web::Data<App>, req: HttpRequest, body: Json<WithToken>) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    let email = find(&app.db().await?, &app, body.token.expose_secret()).await?;
    Ok(as_file(&export_guest::export(&app, &email).await?))
}

/// Erases the person of a link's e-mail
///
/// From their purchases without an account. The orders themselves, payments and fiscal documents stay. Cannot be undone.
#[utoipa::path(
    tag = "privacy", request_body = WithToken,
    responses(
        (status = 200, body = ErasedGuest, description = "What was found"),
        (status = 409, body = Problem, description = "`conflict`: an order is still open"),
        (status = 422, body = Problem, description = "`invalid`: the token is not valid any more"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many tokens came from this address")))]
#[post("/api/privacy/erase")]
async fn erase(app: web::Data<App>, req: HttpRequest, body: Json<WithToken>) -> Result<HttpResponse> {
    const END: &str = "DELETE FROM privacy_requests WHERE email = $1";
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    let mut db = app.db_for_long().await?;
    let tx = db.transaction().await?;
    let email = find(&tx, &app, body.token.expose_secret()).await?;
    let found = erase_guest::erase(&tx, &[], Some(email.as_str())).await?;
    db::execute(&tx, END, &[&email.as_str()]).await?;
    tx.commit().await?;
    tracing::info!(orders = found.orders, "a guest was erased at their own request");
    Ok(HttpResponse::Ok().json(found))
}

/// The e-mail of a request that still holds.
async fn find(db: &impl GenericClient, app: &App, token: &str) -> Result<Email> {
    const FIND: &str = "SELECT email FROM privacy_requests WHERE id = $1 AND token_hash = $2 AND expires_at > now()";
    let refused = || Error::field("token", "is not valid any more: ask for a new link");
    let request = app.keys.read_privacy_token(token).ok_or_else(refused)?;
    let row = db::query_opt(db, FIND, &[&request, &token_hash(token)]).await?.ok_or_else(refused)?;
    rules::parsed("token", Email::parse(row.get("email")))
}
