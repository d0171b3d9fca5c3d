//! Another address for an order: no label may travel with the one before.

use deadpool_postgres::GenericClient;

use super::state::State;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::OrderId;
use crate::jobs::{self, Job};

/// Call this while holding the order's lock, before its address changes. A label that only the cart of the provider has goes back,
/// and another one follows; one that nobody asked for yet reads the new address when it is bought.
///
/// Errors: [`Error::OnPaper`], a label is bought, or being bought at this moment.
pub async fn free_labels(tx: &impl GenericClient, order: OrderId) -> Result<()> {
    const LOCK: &str = "
        SELECT status, coalesce(claimed_until > now(), false) AS is_claimed FROM shipments
         WHERE order_id = $1 AND status NOT IN ('cancelled', 'expired') ORDER BY volume FOR NO KEY UPDATE";
    // Without its claim, a run that was held up for longer than that cannot ask for the label with what it read before.
    const RECALL: &str = "
        UPDATE shipments SET claim = NULL, claimed_until = NULL, stale = stale OR asked_at IS NOT NULL OR provider_ref IS NOT NULL
         WHERE order_id = $1 AND status IN ('pending', 'carted') RETURNING stale";
    let labels = db::query(tx, LOCK, &[&order]).await?;
    if labels.iter().any(|label| State::read(label.get("status")).is_bought()) {
        return Err(Error::OnPaper("A label of the order is bought: it would travel with the address it has"));
    }
    if labels.iter().any(|label| label.get("is_claimed")) {
        return Err(Error::OnPaper("A label of the order is being bought at this moment: try again in a minute"));
    }
    let recalled = db::query(tx, RECALL, &[&order]).await?;
    if recalled.is_empty() {
        return Ok(());
    }
    let is_stale = recalled.iter().any(|label| label.get("stale"));
    // A purchase that failed because of the address is tried again.
    jobs::push_now(tx, if is_stale { Job::DropLabel { order } } else { Job::BuyLabel { order } }).await
}
