//! `/api/auth`: the routes, then their handlers.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post, web};
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::{Email, Phone, TaxId};

use super::attempts;
use super::reset;
use super::session::{Session, know_device, signed_out};
use super::sign_in::{self, SignUp};
use crate::app::App;
use crate::cart;
use crate::error::{Chain, Error, Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::http::spoken;
use crate::http::who::{CART_COOKIE, REFRESH_COOKIE, SignedIn};
use crate::ids::UserId;
use crate::lang::Lang;
use crate::users::profile::{self, Profile};
use crate::users::rules::{self, parsed};
use crate::users::sessions::{self, Reason};

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(register).service(login).service(refresh).service(logout);
    cfg.service(forgot_password).service(reset_password).service(change_password).service(show_me);
}

/// A new account.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Ana Souza",
    "email": "ana@example.com",
    "password": "correto-cavalo-bateria",
    "cpf": "529.982.247-25",
    "phone": "(11) 99999-0000",
    "privacy_version": "2026-11"
}))]
struct Register {
    /// The person's name.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    name: String,
    /// The e-mail address with which the account signs in.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// 8 to 1000 characters, not a well-known password.
    #[garde(custom(rules::new_password))]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1000)]
    password: SecretString,
    /// CPF or CNPJ, with or without punctuation. Left out, null or blank: none.
    #[garde(inner(custom(rules::tax_id)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    cpf: Option<String>,
    /// A Brazilian phone number with area code. Left out, null or blank: none.
    #[garde(inner(custom(rules::phone)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    phone: Option<String>,
    /// The language of messages to the person. Unset: from `Accept-Language`.
    #[garde(skip)]
    locale: Option<Lang>,
    /// The version of the privacy notice that the person accepts with this. It is recorded.
    #[garde(inner(custom(rules::version)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 40)]
    privacy_version: Option<String>,
}

/// Who signs in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ana@example.com", "password": "correto-cavalo-bateria"}))]
struct Login {
    /// The account's e-mail address.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// The password.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1000)]
    password: SecretString,
    /// Reserved: no account can have a second factor in this release.
    #[garde(inner(length(chars, max = 16)))]
    #[allow(dead_code)]
    #[schema(max_length = 16)]
    totp: Option<String>,
}

/// The refresh token, where there is no cookie.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "b6Q2…"}))]
struct Refresh {
    /// From the last session that was answered. Left out or null: the cookie's.
    #[garde(inner(custom(rules::secret)))]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000)]
    refresh_token: Option<SecretString>,
}

/// Whose password was forgotten.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ana@example.com"}))]
struct ForgotPassword {
    /// The account's e-mail address.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    email: String,
}

/// A new password, and the right to set it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "b6Q2…", "password": "correto-cavalo-bateria"}))]
struct ResetPassword {
    /// The token as it was mailed.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, min_length = 1, max_length = 1000)]
    token: SecretString,
    /// The new password: 8 to 1000 characters, not a well-known one.
    #[garde(custom(rules::new_password))]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1000)]
    password: SecretString,
}

/// A new password, and the present one.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correto-cavalo", "password": "correto-cavalo-bateria"}))]
struct ChangePassword {
    /// The present password.
    #[garde(custom(rules::secret))]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1000)]
    current_password: SecretString,
    /// The new password: 8 to 1000 characters, not a well-known one.
    #[garde(custom(rules::new_password))]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1000)]
    password: SecretString,
}

/// Registers an account
///
/// And signs in. A guest's cart is merged into the person's.
#[utoipa::path(
    tag = "auth", request_body = Register,
    responses(
        (status = 201, body = Session, description = "The session"),
        (status = 409, body = Problem, description = "`conflict`: the e-mail has an account"),
        (status = 422, body = Problem, description = "`invalid`: a field is wrong, or the password is a well-known one"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many registrations came from this address"),
        (status = 503, body = Problem, description = "`unavailable`: too many people are signing in at this moment")))]
#[post("/api/auth/register")]
async fn register(app: web::Data<App>, req: HttpRequest, body: Json<Register>) -> Result<HttpResponse> {
    app.limiters.register.check(rate_limit::address(&app, &req))?;
    let body = body.into_inner();
    let new = SignUp {
        name: body.name.trim().to_owned(),
        email: parsed("email", Email::parse(&body.email))?,
        password: body.password,
        tax_id: body.cpf.map(|text| parsed("cpf", TaxId::parse(&text))).transpose()?,
        phone: body.phone.map(|text| parsed("phone", Phone::parse(&text))).transpose()?,
        lang: body.locale.unwrap_or_else(|| spoken(&req)),
        privacy_version: body.privacy_version,
    };
    let device = app.keys.device_token(&new.email);
    let session = sign_in::register(&app, new).await?.on_device(device);
    app.jobs_were_pushed();
    merge_cart(&app, &req, session.user.id).await;
    session.answer(&app, StatusCode::CREATED)
}

/// Signs in
///
/// A guest's cart is merged into the person's. A wrong e-mail and a wrong password get the same answer. Wrong passwords are
/// limited per account; a device on which it was signed in before (a cookie, or `device_token`) counts apart.
#[utoipa::path(
    tag = "auth", request_body = Login,
    params(("X-Device-Token" = Option<String>, Header, description = "The `device_token` of an earlier session on this device")),
    responses(
        (status = 200, body = Session, description = "The session"),
        (status = 401, body = Problem,
            description = "`unauthorized`: the e-mail or the password is wrong, or the account is blocked"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many wrong passwords were sent"),
        (status = 503, body = Problem, description = "`unavailable`: too many people are signing in at this moment")))]
#[post("/api/auth/login")]
async fn login(app: web::Data<App>, req: HttpRequest, body: Json<Login>) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?;
    let body = body.into_inner();
    let email = parsed("email", Email::parse(&body.email))?;
    let device = attempts::known_device(&app, &req, &email);
    let attempt = sign_in::login(&app, &email, body.password);
    let session = attempts::counted(&app, &email, device.as_deref(), attempt).await?;
    let session = session.on_device(device.unwrap_or_else(|| app.keys.device_token(&email)));
    merge_cart(&app, &req, session.user.id).await;
    session.answer(&app, StatusCode::OK)
}

/// Exchanges the refresh token
///
/// In the body or in the cookie, for a new session. Each works once. The same one again within ten seconds (two tabs, or an answer that
/// was lost) gets the same next one, unless that was used already; any other second use ends the session.
#[utoipa::path(
    tag = "auth",
    request_body(content = Option<Refresh>, description = "Not needed where the cookie is sent"),
    responses(
        (status = 200, body = Session, description = "The session"),
        (status = 401, body = Problem, description = "`unauthorized`: the refresh token is missing, or not valid any more")))]
#[post("/api/auth/refresh")]
async fn refresh(app: web::Data<App>, presented: Presented) -> Result<HttpResponse> {
    sign_in::refresh(&app, presented.0.expose_secret()).await?.answer(&app, StatusCode::OK)
}

/// Signs out
///
/// Ends this session: its access and refresh tokens stop working.
#[utoipa::path(
    tag = "auth", security(("bearer" = [])),
    responses(
        (status = 204, description = "It is ended")))]
#[post("/api/auth/logout")]
async fn logout(app: web::Data<App>, me: SignedIn) -> Result<HttpResponse> {
    if let Some(session) = me.session {
        sessions::revoke(&app.db().await?, me.id, session, Reason::Logout).await?;
        app.standings.forget(me.id);
    }
    signed_out(&app)
}

/// Mails a link for a new password
///
/// If the e-mail has an account. The answer does not say whether it has.
#[utoipa::path(
    tag = "auth", request_body = ForgotPassword,
    responses(
        (status = 202, description = "Taken; nothing is said of whether a mail is sent"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many links were asked for from this address")))]
#[post("/api/auth/forgot-password")]
async fn forgot_password(app: web::Data<App>, req: HttpRequest, body: Json<ForgotPassword>) -> Result<HttpResponse> {
    app.limiters.forgot_password.check(rate_limit::address(&app, &req))?;
    reset::forgot(&app, &parsed("email", Email::parse(&body.email))?).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Sets a new password with a mailed token
///
/// The token works once. Every session ends. From then on this device is a known one: its `X-Device-Token` is also set as a
/// cookie.
#[utoipa::path(
    tag = "auth", request_body = ResetPassword,
    responses(
        (status = 204, description = "It is set"),
        (status = 422, body = Problem,
            description = "`invalid`: the token is not valid any more, or the password is a well-known one"),
        (status = 503, body = Problem, description = "`unavailable`: too many people are signing in at this moment")))]
#[post("/api/auth/reset-password")]
async fn reset_password(app: web::Data<App>, body: Json<ResetPassword>) -> Result<HttpResponse> {
    let body = body.into_inner();
    let email = reset::reset(&app, body.token.expose_secret(), body.password).await?;
    let mut answer = signed_out(&app)?;
    let device = app.keys.device_token(&email); // whoever reads the mailbox is no stranger
    know_device(&app, &mut answer, &device)?;
    let device = HeaderValue::from_str(&device).map_err(|e| Error::Internal(e.to_string()))?;
    answer.headers_mut().insert(HeaderName::from_static(attempts::HEADER), device);
    Ok(answer)
}

/// Sets a new password
///
/// Every other session of the person ends.
#[utoipa::path(
    tag = "auth", security(("bearer" = [])), request_body = ChangePassword,
    responses(
        (status = 204, description = "It is set"),
        (status = 409, body = Problem, description = "`conflict`: the password was changed at this moment"),
        (status = 422, body = Problem,
            description = "`invalid`: the present password is wrong, or the new one is a well-known one"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many passwords were tried"),
        (status = 503, body = Problem, description = "`unavailable`: too many people are signing in at this moment")))]
#[post("/api/auth/change-password")]
async fn change_password(
    app: web::Data<App>,
    req: HttpRequest,
    me: SignedIn,
    body: Json<ChangePassword>,
) -> Result<HttpResponse> {
    app.limiters.login.check(rate_limit::address(&app, &req))?; // so that a stolen access token cannot guess the password
    let body = body.into_inner();
    reset::change(&app, &me, body.current_password, body.password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Shows the person who is signed in, as /users/me does
///
/// The same as `GET /api/users/me`.
#[utoipa::path(
    tag = "auth", security(("bearer" = [])),
    responses(
        (status = 200, body = Profile, description = "The person")))]
#[get("/api/auth/me")]
async fn show_me(app: web::Data<App>, me: SignedIn) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(profile::show(&app, me.id).await?))
}

/// The refresh token that was sent: in the body if it is there, else in the cookie.
struct Presented(SecretString);

impl FromRequest for Presented {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let has_body = req.headers().get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
            || req.headers().contains_key(TRANSFER_ENCODING);
        let body = has_body.then(|| Json::<Refresh>::from_request(req, payload));
        let cookie = req.cookie(REFRESH_COOKIE).map(|cookie| SecretString::from(cookie.value()));
        Box::pin(async move {
            let in_body = match body {
                Some(body) => body.await?.into_inner().refresh_token,
                None => None,
            };
            in_body.or(cookie).map(Self).ok_or(Error::Unauthorized("Send the refresh token in the body or in the cookie"))
        })
    }
}

/// Merges the guest's cart that the request carries. A failure does not stop the sign-in: the cart stays the guest's.
async fn merge_cart(app: &App, req: &HttpRequest, user: UserId) {
    let header = req.headers().get("x-cart-token").and_then(|value| value.to_str().ok()).map(|text| text.trim().to_owned());
    let token = header.filter(|t| !t.is_empty()).or_else(|| req.cookie(CART_COOKIE).map(|cookie| cookie.value().to_owned()));
    let Some(token) = token else { return };
    if let Err(error) = cart::merge_guest_cart(app, user, &token).await {
        tracing::warn!(user.id = %user, error = %Chain(&error), "a guest's cart could not be merged");
    }
}
