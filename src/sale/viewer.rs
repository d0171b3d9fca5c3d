//! Who looks at an order. Every query on orders names its viewer.

use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::http::request_id;
use crate::http::who::Visitor;
use crate::ids::{OrderId, UserId};
use crate::seal::Opens;

/// The answer to a link of ours whose time is over.
pub const LINK_IS_OVER: Error =
    Error::Unauthorized("This link has expired: ask for a new one with POST /api/orders/link, the order's number and its e-mail");

const NOBODY_ASKS: Error = Error::Unauthorized("Sign in, or send the order's access token as X-Order-Token");

/// Whether the order still has its buyer. With an erasure all links to it end.
pub async fn has_buyer(app: &App, order: OrderId) -> Result<bool> {
    const FIND: &str = "SELECT FROM orders WHERE id = $1 AND customer_email IS NOT NULL";
    Ok(db::query_opt(&app.db().await?, FIND, &[&order]).await?.is_some())
}

/// As whom somebody looks at one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    Customer(UserId),
    /// Holds the access token of this very order.
    Guest,
    Admin(UserId),
    /// Hands orders over. What they are answered holds no person and no price.
    Shipper(UserId),
}

impl Viewer {
    /// Errors: 401 nobody is signed in and no order token came. Asked before an order is looked for: nobody learns which numbers there are.
    pub fn check_asks(visitor: &Visitor) -> Result<()> {
        if visitor.user.is_none() && visitor.order_token.is_none() { Err(NOBODY_ASKS) } else { Ok(()) }
    }

    /// Who this visitor is to that order.
    ///
    /// Errors: 401 nobody is signed in and no order token came, or it has expired; 404 the order token is not this order's, or its
    /// buyer was erased.
    pub async fn of(app: &App, visitor: &Visitor, order: OrderId) -> Result<Self> {
        request_id::log_order(order);
        let opens = visitor.order_token.as_deref().map(|token| app.keys.read_order_token(order, token));
        match opens {
            Some(Opens::Yes) if has_buyer(app, order).await? => return Ok(Self::Guest),
            Some(Opens::NotAnyMore) if visitor.user.is_none() => return Err(LINK_IS_OVER),
            _ => {}
        }
        match &visitor.user {
            Some(user) if user.is_admin() => Ok(Self::Admin(user.id)),
            Some(user) => Ok(Self::Customer(user.id)),
            None if visitor.order_token.is_some() => Err(Error::NotFound("The order")),
            None => Err(NOBODY_ASKS),
        }
    }

    /// For `WHERE o.id = $1 AND ($2 OR o.user_id IS NOT DISTINCT FROM $3)`: an admin and a shipper see all, a customer their own,
    /// a guest only what belongs to no customer (and the token was for this id).
    pub fn scope(&self) -> (bool, Option<UserId>) {
        match self {
            Self::Admin(_) | Self::Shipper(_) => (true, None),
            Self::Customer(id) => (false, Some(*id)),
            Self::Guest => (false, None),
        }
    }

    pub fn actor(&self) -> Actor {
        match self {
            Self::Customer(id) => Actor::User(*id),
            Self::Guest => Actor::Guest,
            Self::Admin(id) => Actor::Admin(*id),
            Self::Shipper(id) => Actor::Shipper(*id),
        }
    }
}
