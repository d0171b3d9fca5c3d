//! The traffic between the shop and the providers: calls, idempotency keys, webhooks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The answer that an idempotency key stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RememberedKey {
    pub(crate) id: String,
    pub(crate) request_hash: String,
    pub(crate) answer: serde_json::Value,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried, at `due_at`.
    Pending,
    /// The shop answered 2xx.
    Delivered,
    /// The last try failed too.
    GivenUp,
    /// Ordered to be lost on the way: never sent.
    Lost,
}

/// A webhook for the shop, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: String,
    pub provider: String,
    pub event_id: String,
    pub event: String,
    /// The payment or mail it speaks of.
    pub about: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// The exact bytes that are signed.
    pub body: String,
    pub state: DeliveryState,
    pub due_at: Timestamp,
    pub attempts: Vec<Attempt>,
}

/// One try of a delivery: an answer or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: Timestamp,
    pub status: Option<u16>,
    /// The shop's body (cut) or why there is none.
    pub answer: String,
}

/// A call that a provider received. Not in the journal.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub n: u64,
    pub at: Timestamp,
    pub provider: &'static str,
    /// Method and path pattern.
    pub endpoint: String,
    pub path: String,
    pub request_id: Option<String>,
    /// The fault that it met.
    pub fault: Option<String>,
    /// `None`: no answer was sent (yet).
    pub status: Option<u16>,
    pub duration_ms: Option<u64>,
}
