//! `/api/users/me`: a person's own data.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, put, web};
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::export::{self, Export};
use super::profile::{self, ChangeProfile, ReplaceProfile};
use super::{User, erase, rules};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::http::who::SignedIn;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(export_me).service(show_me).service(replace_me).service(change_me).service(erase_me);
}

/// The password again, as proof that the account's owner asks.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmErasure {
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, format = Password)]
    pub password: SecretString,
}

/// Shows the person who is signed in.
#[utoipa::path(tag = "users", security(("bearer" = [])), responses((status = 200, body = User), (status = 401, body = Problem)))]
#[get("/api/users/me")]
async fn show_me(app: web::Data<App>, me: SignedIn) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(profile::show(&app, me.id).await?))
}

/// Replaces name, e-mail, CPF or CNPJ, and phone; a field that is left out is emptied.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = ReplaceProfile,
    responses((status = 200, body = User), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[put("/api/users/me")]
async fn replace_me(app: web::Data<App>, me: SignedIn, body: Json<ReplaceProfile>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(profile::change(&app, me.id, body.into_inner().into()).await?))
}

/// Changes the fields that are sent.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = ChangeProfile,
    responses((status = 200, body = User), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/api/users/me")]
async fn change_me(app: web::Data<App>, me: SignedIn, body: Json<ChangeProfile>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(profile::change(&app, me.id, body.into_inner()).await?))
}

/// Exports all that the shop knows of the person (LGPD, article 18), with the CPF or CNPJ in full.
#[utoipa::path(tag = "users", security(("bearer" = [])), responses((status = 200, body = Export), (status = 401, body = Problem)))]
#[get("/api/users/me/export")]
async fn export_me(app: web::Data<App>, me: SignedIn) -> Result<HttpResponse> {
    let export = export::export(&app, me.id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"meus-dados.json\""))
        .json(export))
}

/// Erases the person. Orders and records that tax law requires stay, without the person. Cannot be undone.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = ConfirmErasure,
    responses((status = 204), (status = 409, body = Problem, description = "An order is still open"), (status = 422, body = Problem)))]
#[delete("/api/users/me")]
async fn erase_me(app: web::Data<App>, req: HttpRequest, me: SignedIn, body: Json<ConfirmErasure>) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    erase::erase(&app, me.id, body.into_inner().password).await?;
    Ok(HttpResponse::NoContent().finish())
}
