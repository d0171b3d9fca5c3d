//! Registration, sign-in, refresh, sign-out and new passwords.

pub mod attempts;
mod http;
pub mod password_rules;
pub mod reset;
pub mod session;
pub mod sign_in;

pub use http::routes;
