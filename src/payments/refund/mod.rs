//! Money back. The row and its reserve come first; the row's key is the provider's on every try, until it is used up there.

pub mod adopt;
mod displace;
pub mod http;
mod keys;
mod late;
mod locked;
mod open;
mod otherwise;
pub mod request;
pub mod reserve;
mod retry;
mod schedule;
pub mod send;
pub mod settle;
pub mod view;
mod wait;

pub use late::tell_of_late_refunds;
