//! Vitrine: a backend-for-frontend for Brazilian online shops.
//!
//! The ground floor imports no feature; features call those above them in this list and send jobs to those below.

pub mod app;
pub mod calendar;
pub mod cause;
pub mod config;
pub mod db;
pub mod error;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod key_store;
pub mod lang;
pub mod password;
pub mod providers;
pub mod seal;
pub mod token;

pub mod admin;
pub mod auth;
pub mod cart;
pub mod catalog;
pub mod coupons;
pub mod invoices;
pub mod mail;
pub mod orders;
pub mod payments;
pub mod shipments;
pub mod shipping;
pub mod users;
pub mod webhooks;

pub mod audit;
pub mod dev;
pub mod explain;
pub mod ops;
pub mod pages;
pub mod purge;
pub mod rekey;
pub mod run;
pub mod seed;
pub mod server;
pub mod telemetry;
pub mod worker;
