//! Signing up, signing in, staying signed in, and getting back in.

pub mod http;
pub mod password_rules;
pub mod reset;
pub mod session;
pub mod sign_in;

pub use http::routes;
