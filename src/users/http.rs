//! `/api/users/me`: a person's own data.

use actix_web::{HttpRequest, HttpResponse, get, patch, put, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::profile::{self, ChangeProfile, Profile, ReplaceProfile};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::http::who::SignedIn;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(show_me).service(replace_me).service(change_me);
}

/// Shows the person who is signed in
///
/// The document is masked; `GET /api/users/me/export` has it in full.
#[utoipa::path(
    tag = "users", security(("bearer" = [])),
    responses(
        (status = 200, body = Profile, description = "The person")))]
#[get("/api/users/me")]
async fn show_me(app: web::Data<App>, me: SignedIn) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(profile::show(&app, me.id).await?))
}

/// Replaces the profile
///
/// Name, e-mail, CPF or CNPJ, and phone; a field that is left out is emptied. Another e-mail needs `current_password`, and
/// counts once the link that is mailed to it was opened.
#[utoipa::path(
    tag = "users", security(("bearer" = [])), request_body = ReplaceProfile,
    responses(
        (status = 200, body = Profile, description = "The person as they are now"),
        (status = 409, body = Problem, description = "`conflict`: the e-mail has an account"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or `current_password` is"),
        (status = 429, body = Problem,
            description = "`too-many-requests`: too many passwords were tried, or too many changes of e-mail asked for")))]
#[put("/api/users/me")]
async fn replace_me(app: web::Data<App>, req: HttpRequest, me: SignedIn, body: Json<ReplaceProfile>) -> Result<HttpResponse> {
    let profile = profile::change(&app, me.id, body.into_inner().into(), || guard(&app, &req)).await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(profile))
}

/// Changes the profile
///
/// The fields that are sent. Another e-mail needs `current_password`, and counts once the link that is mailed to it was opened.
#[utoipa::path(
    tag = "users", security(("bearer" = [])), request_body = ChangeProfile,
    responses(
        (status = 200, body = Profile, description = "The person as they are now"),
        (status = 409, body = Problem, description = "`conflict`: the e-mail has an account"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or `current_password` is"),
        (status = 429, body = Problem,
            description = "`too-many-requests`: too many passwords were tried, or too many changes of e-mail asked for")))]
#[patch("/api/users/me")]
async fn change_me(app: web::Data<App>, req: HttpRequest, me: SignedIn, body: Json<ChangeProfile>) -> Result<HttpResponse> {
    let profile = profile::change(&app, me.id, body.into_inner(), || guard(&app, &req)).await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(profile))
}

/// A password that is tried here counts like one at the sign-in.
fn guard(app: &App, req: &HttpRequest) -> Result<()> {
    app.limiters.login.check(rate_limit::address(app, req))
}
