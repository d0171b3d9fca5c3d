//! Being built.
use crate::{app::App, error::Result, jobs::Outcome};
pub async fn reconcile(_app: &App) -> Result<Outcome> {
    Ok(Outcome::Done)
}
