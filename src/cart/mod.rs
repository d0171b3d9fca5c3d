//! The cart: one per customer on every device, or one per guest token. It shows present stock, prices and coupons; the checkout
//! decides on them.

mod http;
mod merge;
mod store;
mod view;

use crate::http::who::Visitor;
use crate::ids::UserId;
use crate::seal;

pub use http::routes;
pub use merge::merge_guest_cart;
pub use store::list_sold;
pub use view::Cart;

/// Most different variants in one cart.
pub const MAX_LINES: i64 = 100;
/// Most pieces of one line; the tables have the same limit.
pub const MAX_QUANTITY: i32 = 9999;

/// The owner of a cart. A guest's token opens one cart and nothing of a person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    User(UserId),
    /// The hash of the cart's token.
    Guest(Vec<u8>),
}

impl Owner {
    /// The person who is signed in; else the bearer of a cart token; else nobody.
    pub fn of(visitor: &Visitor) -> Option<Self> {
        match (&visitor.user, &visitor.cart_token) {
            (Some(user), _) => Some(Self::User(user.id)),
            (None, Some(token)) => Some(Self::Guest(seal::token_hash(token))),
            (None, None) => None,
        }
    }

    /// What `carts.owner` holds: one key for both, so that one look-up finds the cart. A person's id has 16 bytes, a token's hash 32.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::User(id) => id.0.as_bytes(),
            Self::Guest(hash) => hash,
        }
    }

    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::Guest(_) => None,
        }
    }
}
