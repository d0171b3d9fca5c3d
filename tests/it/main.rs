//! Tests through the door: real HTTP, a real PostgreSQL with a database per test, providers faked only at the socket.
#![allow(clippy::unwrap_used)]

mod seller;
mod shop;

mod admin;
mod admin_users;
mod arrivals;
mod audit;
mod auth;
mod books;
mod books_reports;
mod cards;
mod cart;
mod catalog;
mod catalog_cache;
mod certificate;
mod checkout;
mod coupons;
mod explain;
mod failover;
mod forged;
mod freight;
mod freight_carriers;
mod freight_rules;
mod fulfilment;
mod harness;
mod invoice_bodies;
mod invoices;
mod invoices_doubts;
mod invoices_undone;
mod jobs;
mod mail;
mod messages;
mod passwords;
mod payments;
mod price;
mod privacy;
mod process;
mod repeats;
mod shipments;
mod shipments_news;
mod sms;
mod strangers;
mod tidy;
mod users;
mod webhooks;
