//! The cart: one per customer on every device, or one per guest token. It reads the truth and decides nothing: stock, prices
//! and coupons are decided by the checkout.

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

/// Different variants that one cart may hold.
pub const MAX_LINES: i64 = 100;
/// Pieces that one line may hold; the tables say the same.
pub const MAX_QUANTITY: i32 = 9999;

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
