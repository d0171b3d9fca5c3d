//! Being built.
use crate::{app::App, error::Result, ids::OrderId, jobs::Outcome};
pub async fn expire(_app: &App, _order: OrderId) -> Result<Outcome> {
    Ok(Outcome::Done)
}
