//! Orders: placed whole or not at all, and every change of theirs told in their history.

pub mod cancel;
pub mod checkout;
mod draft;
pub mod events;
pub mod expire;
pub mod handover;
mod http;
pub mod life;
pub mod limits;
mod pipeline;
pub mod place;
pub mod store;
pub mod tracking;
pub mod view;

pub use http::routes;

use crate::app::App;
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::http::request_id;
use crate::http::who::Visitor;
use crate::ids::{OrderId, UserId};

/// As whom somebody looks at one order. Every query on orders names its viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    Customer(UserId),
    /// Holds the access token of this very order.
    Guest,
    Admin(UserId),
}

impl Viewer {
    /// Who this visitor is to that order; nobody at all is told that it was not found.
    pub fn of(app: &App, visitor: &Visitor, order: OrderId) -> Result<Self> {
        request_id::tell_order(order);
        if let Some(token) = &visitor.order_token
            && app.keys.is_order_token(order, token)
        {
            return Ok(Self::Guest);
        }
        match &visitor.user {
            Some(user) if user.is_admin() => Ok(Self::Admin(user.id)),
            Some(user) => Ok(Self::Customer(user.id)),
            None if visitor.order_token.is_some() => Err(Error::NotFound("The order")),
            None => Err(Error::Unauthorized("Sign in, or send the order's access token as X-Order-Token")),
        }
    }

    /// For `WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)`: an admin sees all, a customer their own,
    /// a guest only what belongs to no customer (and the token was for this id).
    pub fn scope(&self) -> (bool, Option<UserId>) {
        match self {
            Self::Admin(_) => (true, None),
            Self::Customer(id) => (false, Some(*id)),
            Self::Guest => (false, None),
        }
    }

    pub fn actor(&self) -> Actor {
        match self {
            Self::Customer(id) => Actor::User(*id),
            Self::Guest => Actor::Guest,
            Self::Admin(id) => Actor::Admin(*id),
        }
    }
}
