//! Being built.
use crate::{app::App, error::Result, ids::PaymentId, jobs::Outcome};
pub async fn void(_app: &App, _id: PaymentId) -> Result<Outcome> {
    Ok(Outcome::Done)
}
