//! The answer to a sign-in: an access token, a refresh token, and the refresh token again as a cookie.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration as CookieAge;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::who::{DEVICE_COOKIE, REFRESH_COOKIE};
use crate::users::User;
use crate::users::sessions::Opened;

/// Both paths of the routes that read the cookie. Requests to other paths do not carry it.
const COOKIE_PATHS: [&str; 2] = ["/api/auth", "/api/v1/auth"];

/// How long a browser stays a known device after its last sign-in.
const DEVICE_DAYS: i64 = 365;

/// How a token is sent: in the header `Authorization`, after this word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum TokenType {
    Bearer,
}

/// A session of a person who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// The access token: `Authorization: Bearer …`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9…")]
    pub token: String,
    /// How the access token is sent.
    pub token_type: TokenType,
    /// Lifetime of the access token in seconds.
    #[schema(example = 900, minimum = 0)]
    pub expires_in: i64,
    /// Works once, for `POST /api/auth/refresh`; within ten seconds again, with the same answer. Browsers also get it as an HttpOnly cookie and need not keep it.
    #[schema(example = "b6Q2…")]
    pub refresh_token: String,
    /// Says that this device was signed in before; after a sign-in or a registration. A client without cookies sends it as
    /// `X-Device-Token` with the next one, so that strangers' wrong passwords do not count for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "b6Q2…", nullable = false)]
    pub device_token: Option<String>,
    /// Who is signed in.
    pub user: User,
}

impl Session {
    pub fn new(app: &App, user: User, opened: Opened) -> Result<Self> {
        Ok(Self {
            token: app.tokens.issue(user.id, user.role, opened.session)?,
            token_type: TokenType::Bearer,
            expires_in: app.tokens.ttl_s(),
            refresh_token: opened.refresh_token,
            device_token: None,
            user,
        })
    }

    /// On this device, from now on a known one.
    pub fn on_device(self, token: String) -> Self {
        Self { device_token: Some(token), ..self }
    }

    /// The answer with its cookie. Never cached.
    pub fn answer(&self, app: &App, status: StatusCode) -> Result<HttpResponse> {
        let age = CookieAge::try_from(app.config.auth.refresh_ttl).unwrap_or(CookieAge::days(7));
        let mut answer = HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(self);
        set_cookie(app, &mut answer, REFRESH_COOKIE, &self.refresh_token, age)?;
        if let Some(token) = &self.device_token {
            know_device(app, &mut answer, token)?;
        }
        Ok(answer)
    }
}

/// Lets the browser show that the account was used on it.
pub fn know_device(app: &App, answer: &mut HttpResponse, token: &str) -> Result<()> {
    set_cookie(app, answer, DEVICE_COOKIE, token, CookieAge::days(DEVICE_DAYS))
}

/// An empty answer that removes the cookie.
pub fn signed_out(app: &App) -> Result<HttpResponse> {
    let mut answer = HttpResponse::NoContent().finish();
    set_cookie(app, &mut answer, REFRESH_COOKIE, "", CookieAge::ZERO)?;
    Ok(answer)
}

fn set_cookie(app: &App, answer: &mut HttpResponse, name: &'static str, value: &str, age: CookieAge) -> Result<()> {
    for path in COOKIE_PATHS {
        let cookie = Cookie::build(name, value)
            .path(path)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(app.config.http.public_url.starts_with("https://"))
            .max_age(age)
            .finish();
        answer.add_cookie(&cookie).map_err(|e| Error::Internal(format!("cookie: {e}")))?;
    }
    Ok(())
}
