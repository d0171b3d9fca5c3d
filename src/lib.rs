//! Vitrine: a backend-for-frontend for Brazilian online shops.
//!
//! The modules from the ground up: each imports only what stands before it in this list, and `tests/it/tidy.rs` holds it to that.

// Words and tools that know no feature.
pub mod ids;
pub mod lang;
pub mod calendar;
pub mod text;
pub mod words;
pub mod currency;
pub mod config;
pub mod request;
pub mod error;
pub mod signal;
pub mod progress;
pub mod cause;
pub mod db;
pub mod jobs;
pub mod audit_log;
pub mod alerts;
pub mod client_ip;
pub mod access_log;
pub mod seal;
pub mod key_store;
pub mod token;
pub mod password;
pub mod standing;
pub mod limits;
pub mod guesses;
pub mod pace;
pub mod answer;
pub mod cache;
pub mod providers;
pub mod app;
pub mod http;

// Features. What two of them need stands below both.
pub mod tax;
pub mod users;
pub mod coupons;
pub mod catalog;
pub mod cart;
pub mod auth;
pub mod shipping;
pub mod sale;
pub mod mail;
pub mod invoices;
pub mod shipments;
pub mod payments;
pub mod orders;
pub mod privacy;
pub mod webhooks;
pub mod admin;
pub mod pages;

// The whole shop: what looks at it, and what runs it.
pub mod purge;
pub mod rekey;
pub mod audit;
pub mod explain;
pub mod worker;
pub mod ops;
pub mod openapi;
pub mod server;
pub mod telemetry;
pub mod seed;
pub mod run;
#[cfg(feature = "dev")]
pub mod dev;
