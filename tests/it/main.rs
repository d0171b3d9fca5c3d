//! Tests through the door: real HTTP, a real PostgreSQL with a database per test, providers faked only at the socket.
#![allow(clippy::unwrap_used)]

mod shop;

mod admin_users;
mod auth;
mod cart;
mod checkout;
mod harness;
mod privacy;
mod users;
