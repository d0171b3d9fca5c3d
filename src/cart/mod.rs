//! Being built.

use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::error::Result;
use crate::ids::UserId;

pub fn routes(_cfg: &mut ServiceConfig<'_>) {}

pub async fn merge_guest_cart(_app: &App, _user: UserId, _token: &str) -> Result<()> {
    Ok(())
}
