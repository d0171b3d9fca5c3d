//! The providers, on a real socket: a server written from their documents, not from our clients.
//!
//! It keeps its own books (what was charged, paid, refunded, mailed), signs its own webhooks, and
//! has faults on demand. Tests run many of them in one process, each on its own port.
//!
//! The floors stand here from the ground up. A file imports from its own floor and from those before it, never in a circle;
//! `tests/it/floors.rs` reads the imports of all files.

/// Codes, signatures and notations that know nothing of the sandbox.
mod formats;

/// What each provider's ledger holds, in memory and in a journal.
mod books;

/// What all providers share: configuration, the books behind their lock, the clock, ordered faults, outgoing webhooks.
mod world;

/// A folder or file for each provider: its routes, its formats, what happens to its charges, parcels and invoices.
mod providers;

/// Routing, faults on the way in, the control API and the pages for people.
mod server;

pub use books::card::{Card, CardStage, Decline};
pub use books::disputes::{AmountForm, Dispute, DisputeStatus, Document};
pub use books::nfe::{Letter, Nfe, NfeStatus};
pub use books::nfe_draft::{Difal, Draft, DraftItem, IbsCbs, Party, Referenced, Sums, Tax};
pub use books::parcels::{Parcel, ParcelStatus, ParcelStep, Scan};
pub use books::{
    Attempt, Books, Call, Charge, ChargeStatus, Delivery, DeliveryState, Extra, Mail, Payer, Refund, RefundOrigin, RefundStatus,
    Refusal, Shortage, Sms,
};
pub use server::control::money::Pay;
pub use server::control::{Control, ShopAnswer};
pub use server::{Sandbox, start};
pub use world::authority::Taxpayer;
pub use world::bank::TokenForm;
pub use world::chaos::{Chaos, ChaosCounts};
pub use world::config::SandboxConfig;
pub use world::fault::{Fault, FaultOrder};
pub use world::office::Passage;
pub use world::orders::{MoveDispute, Nature, NewDispute, Refused, SendWebhook, TakeBack};
