//! Orders: placed completely or not at all, with every change written to their history.

mod buyer;
pub mod cancel;
pub mod checkout;
mod draft;
pub mod events;
pub mod expire;
pub mod handover;
mod http;
pub mod limits;
mod lines;
pub mod link;
pub mod mend;
mod pipeline;
pub mod place;
pub mod placed;
mod read;
mod resume;
pub mod returns;
pub mod search;
mod shown;
pub mod store;
pub mod tracking;
pub mod view;

pub use http::routes;
