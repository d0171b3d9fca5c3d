//! The parcel of an order: its label, bought once, and what the carrier says of it.
//!
//! A row stands for each volume before any provider is called, and its id is the tag under which it is found again when an
//! answer was lost. `plan` makes the rows, `label` moves one through cart, checkout, generation and print, `give_up` hands it
//! back. `news` is what they tell, by webhook or when `follow` asks; `by_hand` asks Correios about what was posted by hand.

mod by_hand;
mod facts;
mod follow;
mod give_up;
mod http;
mod label;
pub mod news;
mod plan;
pub mod state;
mod store;

pub use follow::track;
pub use give_up::give_up;
pub use http::routes;
pub use label::buy;

use jiff::{SignedDuration, Timestamp};

/// Until when not to look at it again.
fn after(wait: SignedDuration) -> Timestamp {
    Timestamp::now() + wait
}
