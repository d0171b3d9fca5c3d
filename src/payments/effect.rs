//! What news of money did to our rows.

use crate::ids::OrderId;
use crate::sale::outcome::EventOutcome;

/// What news did, and the order that it was about, where we know one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    pub applied: EventOutcome,
    pub order: Option<OrderId>,
}

impl Effect {
    /// About no order of ours.
    pub fn of(applied: EventOutcome) -> Self {
        Self { applied, order: None }
    }

    pub fn on(order: OrderId, applied: EventOutcome) -> Self {
        Self { applied, order: Some(order) }
    }
}
