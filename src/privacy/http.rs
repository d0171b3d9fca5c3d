//! `/api/users/me`: the export and the erasure of an account.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::erase;
use super::export::{self, Document, Export};
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::http::who::SignedIn;
use crate::users::{rules, store};

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(export_me).service(export_me_whole).service(erase_me);
}

/// The password again, as proof that the account's owner asks.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "correto-cavalo-bateria"}))]
pub struct ConfirmErasure {
    /// The present password.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1000)]
    pub password: SecretString,
}

/// The password again: a stolen access token alone must not read a whole CPF.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correto-cavalo-bateria"}))]
pub struct ConfirmExport {
    /// The present password.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1000)]
    pub current_password: SecretString,
}

/// Exports all that the shop knows of the person
///
/// LGPD, article 18. The CPF or CNPJ is masked; `POST` with the password gives it in full.
#[utoipa::path(
    tag = "users", security(("bearer" = [])),
    responses(
        (status = 200, body = Export, description = "Everything")))]
#[get("/api/users/me/export")]
async fn export_me(app: web::Data<App>, me: SignedIn) -> Result<HttpResponse> {
    let export = export::export(&app, me.id, Document::Masked).await?;
    Ok(as_file(&export))
}

/// Exports all that the shop knows of the person, the document in full
///
/// LGPD, article 18. Needs the password: a stolen access token alone must not read a whole CPF.
#[utoipa::path(
    tag = "users", security(("bearer" = [])), request_body = ConfirmExport,
    responses(
        (status = 200, body = Export, description = "Everything"),
        (status = 422, body = Problem, description = "`invalid`: the password is wrong"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many passwords were tried")))]
#[post("/api/users/me/export")]
async fn export_me_whole(app: web::Data<App>, req: HttpRequest, me: SignedIn, body: Json<ConfirmExport>) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    let stored = store::find_password(&app.db().await?, me.id).await?;
    if !app.hasher.verify(body.into_inner().current_password, stored).await? {
        return Err(Error::field("current_password", "is not the password of this account"));
    }
    let export = export::export(&app, me.id, Document::Whole).await?;
    Ok(as_file(&export))
}

/// An export as a file to keep, which no cache stores.
pub(super) fn as_file(export: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"meus-dados.json\""))
        .json(export)
}

/// Erases the person
///
/// Orders and records that tax law requires stay, without the person. Cannot be undone.
#[utoipa::path(
    tag = "users", security(("bearer" = [])), request_body = ConfirmErasure,
    responses(
        (status = 204, description = "The person is erased"),
        (status = 409, body = Problem,
            description = "`conflict`: an order is still open, the person is an administrator, or the password was changed at this moment"),
        (status = 422, body = Problem, description = "`invalid`: the password is wrong"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many passwords were tried")))]
#[delete("/api/users/me")]
async fn erase_me(app: web::Data<App>, req: HttpRequest, me: SignedIn, body: Json<ConfirmErasure>) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    erase::erase(&app, me.id, body.into_inner().password).await?;
    Ok(HttpResponse::NoContent().finish())
}
