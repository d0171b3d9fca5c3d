//! Money in and money back, by what happens to it. A row is written before a provider is called, an unknown outcome is looked up
//! by its key, and money that arrived ends in a paid order or goes back.
//!
//! | folder | what happens there | begins at |
//! |---|---|---|
//! | `charge/` | a payment is asked for: started, checked, recorded as the provider has it, voided | `charge::start::start_payment` |
//! | `capture/` | money came: the order takes it, or it is a surplus and goes back | `capture::record_paid` |
//! | `refund/` | money goes back: reserved, sent, settled; refunds made at the provider are adopted | `refund::request::request_refund` |
//! | `dispute/` | the payer's bank contests a payment, or takes it back | `dispute::record::record_dispute` |
//! | `books/` | a day's money beside the provider's own books | `books::keep` |
//!
//! Below them: `store` (the row), `gateway` (PIX providers and Stripe asked by the same words), `history`, `effect` (what news did),
//! `sums` (the states that follow the ledger).
//! `reconcile` finds what nobody looks after, `reread` what went back of old payments.

pub mod books;
pub mod capture;
pub mod charge;
pub mod dispute;
pub mod effect;
pub mod gateway;
mod history;
mod http;
pub mod reconcile;
pub mod refund;
pub mod reread;
pub(crate) mod store;
mod sums;

pub use http::routes;
