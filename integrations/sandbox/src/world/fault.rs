//! What may go wrong with a call, and the orders for it.

use std::time::Duration;

use serde::Serialize;

/// Nobody waits longer than this for an answer.
pub(crate) const HANG: Duration = Duration::from_secs(3600);

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not processed; answered with this status and the provider's own error body.
    Status(u16),
    /// Processed, and answered with this status all the same.
    StatusAfterRequest(u16),
    /// Processed and answered, so much later.
    Delay(Duration),
    /// Not processed, never answered; the connection stays open.
    Hang,
    /// Processed, never answered.
    HangAfterRequest,
    /// Processed; the answer keeps its status but is not JSON.
    Garbage,
    /// Processed; the answer is JSON whose fields have other types.
    WrongType,
    /// Not processed; the connection closes without an answer.
    DropBeforeRequest,
    /// Processed; the connection closes without an answer.
    DropAfterRequest,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::StatusAfterRequest(_) => "status_after",
            Self::Delay(_) => "delay",
            Self::Hang => "hang",
            Self::HangAfterRequest => "hang_after",
            Self::Garbage => "garbage",
            Self::WrongType => "wrong_type",
            Self::DropBeforeRequest => "drop_before",
            Self::DropAfterRequest => "drop_after",
        }
    }
}

/// A fault for the next calls of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultOrder {
    pub provider: String,
    pub fault: Fault,
    /// How many calls are left to meet it.
    pub count: u32,
    /// Only calls whose method and path (`POST /propay/v1/payments`) contain this.
    pub path_contains: Option<String>,
}

impl FaultOrder {
    pub(crate) fn meets(&self, provider: &str, call: &str) -> bool {
        self.provider == provider && self.path_contains.as_ref().is_none_or(|part| call.contains(part))
    }
}

/// A fault, and how long it hangs if it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) fault: Fault,
    pub(crate) hang: Duration,
}

/// For a provider that remembers its failures: it is to fail by itself, after the deed or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredFailure {
    pub(crate) code: u16,
    pub(crate) deed: bool,
}

/// How an order shows in JSON.
#[derive(Serialize)]
pub(crate) struct OrderView<'a> {
    provider: &'a str,
    kind: &'static str,
    code: Option<u16>,
    ms: Option<u128>,
    count: u32,
    path_contains: Option<&'a str>,
}

impl<'a> From<&'a FaultOrder> for OrderView<'a> {
    fn from(order: &'a FaultOrder) -> Self {
        let (code, ms) = match order.fault {
            Fault::Status(code) | Fault::StatusAfterRequest(code) => (Some(code), None),
            Fault::Delay(by) => (None, Some(by.as_millis())),
            _ => (None, None),
        };
        Self {
            provider: &order.provider,
            kind: order.fault.name(),
            code,
            ms,
            count: order.count,
            path_contains: order.path_contains.as_deref(),
        }
    }
}
