//! Who sends a request: a signed-in person, an admin, or a visitor with a cart.

use std::future::Future;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::http::asker::finding;
use crate::http::request_id;
use crate::ids::{SessionId, UserId};
use crate::token::Role;

/// The cookie that carries a guest's cart.
pub const CART_COOKIE: &str = "vitrine_cart";
/// The cookie that says that the browser was signed in to an account before.
pub const DEVICE_COOKIE: &str = "vitrine_device";
/// The cookie that may carry the refresh token.
pub const REFRESH_COOKIE: &str = "vitrine_refresh";

/// A signed-in person who is not blocked and whose session has not ended.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn {
    pub id: UserId,
    pub role: Role,
    pub session: Option<SessionId>,
}

impl SignedIn {
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    pub fn actor(&self) -> Actor {
        if self.is_admin() { Actor::Admin(self.id) } else { Actor::User(self.id) }
    }
}

/// A signed-in person with the role `admin`.
#[derive(Debug, Clone, Copy)]
pub struct Admin(pub SignedIn);

/// Anybody, perhaps signed in, with a guest's cart, or with the token of one order.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub user: Option<SignedIn>,
    pub cart_token: Option<String>,
    pub order_token: Option<String>,
}

impl Visitor {
    pub fn actor(&self) -> Actor {
        self.user.map_or(Actor::Guest, |user| user.actor())
    }
}

type Asked<T> = LocalBoxFuture<'static, Result<T>>;

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = Asked<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let asked = signed_in(req);
        finding(req, async move { asked.await?.ok_or(Error::Unauthorized("Send an access token: Authorization: Bearer …")) })
    }
}

impl FromRequest for Admin {
    type Error = Error;
    type Future = Asked<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let asked = SignedIn::from_request(req, payload);
        finding(req, async move {
            let user = asked.await?;
            if user.is_admin() { Ok(Self(user)) } else { Err(Error::Forbidden("This is for administrators of the shop")) }
        })
    }
}

impl FromRequest for Visitor {
    type Error = Error;
    type Future = Asked<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let cart_token = header(req, "x-cart-token").or_else(|| req.cookie(CART_COOKIE).map(|c| c.value().to_owned()));
        let order_token = header(req, "x-order-token");
        let asked = signed_in(req);
        finding(req, async move { Ok(Self { user: asked.await?, cart_token, order_token }) })
    }
}

fn header(req: &HttpRequest, name: &str) -> Option<String> {
    req.headers().get(name)?.to_str().ok().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned)
}

/// The token in the header `Authorization`. The scheme's name has no case (RFC 9110, 11.1).
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether an administrator asks, at an address where anybody may. A token that is not valid is nobody's.
///
/// Only what says that it is an administrator's is looked up: everybody else's reads cost a signature at most.
pub async fn is_admins(app: &App, req: &HttpRequest) -> bool {
    let Some(token) = req.headers().get(AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?)) else { return false };
    let Ok(claims) = app.tokens.read(token) else { return false };
    claims.role == Role::Admin && matches!(app.standings.of(&app.pool, claims.sub, claims.sid).await, Ok(Some(Role::Admin)))
}

/// Without a token: `None`. With an invalid token: an error, because the client believes that it is signed in.
fn signed_in(req: &HttpRequest) -> impl Future<Output = Result<Option<SignedIn>>> + 'static {
    let token = req.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default().to_owned());
    let app = req.app_data::<web::Data<App>>().cloned();
    let req = req.clone();
    async move {
        let (Some(token), Some(app)) = (token, app) else { return Ok(None) };
        let claims = app.tokens.read(bearer(&token).unwrap_or_default())?;
        match app.standings.of(&app.pool, claims.sub, claims.sid).await? {
            Some(role) => {
                request_id::log_user(claims.sub);
                req.extensions_mut().insert(claims.sub);
                Ok(Some(SignedIn { id: claims.sub, role, session: claims.sid }))
            }
            None => Err(Error::Unauthorized("This session was ended: sign in again")),
        }
    }
}
