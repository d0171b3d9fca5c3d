//! The parcels of an order: their labels, each bought once, and what the carrier reports.
//!
//! A row stands for each volume before any provider is called, and its id is the tag under which it is found again when an answer
//! was lost. `plan` makes the rows, `label` moves one through cart, checkout, generation and print, `give_up` hands it back.
//! `news` records what carriers report, by webhook or when `follow` asks; `by_hand` asks Correios about what was posted by hand.

mod by_hand;
mod facts;
mod follow;
mod give_up;
mod http;
mod label;
pub mod news;
mod plan;
pub mod readdress;
pub mod state;
mod store;

pub use follow::track;
pub use give_up::give_up;
pub use http::routes;
pub use label::buy;

use jiff::{SignedDuration, Timestamp};

/// The time after this wait.
fn after(wait: SignedDuration) -> Timestamp {
    Timestamp::now() + wait
}
