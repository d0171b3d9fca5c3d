//! Money back. The row and its reserve come first; the row's id is the provider's key on every try, however often it fails.

pub mod adopt;
pub mod request;
pub mod reserve;
pub mod send;
pub mod settle;
pub mod view;
