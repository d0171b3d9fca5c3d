//! Being built.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Error, Result};
use crate::ids::OrderId;
use crate::orders::Viewer;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Pix,
    CreditCard,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pix => "pix",
            Self::CreditCard => "credit_card",
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Started {
    pub payment_id: uuid::Uuid,
}

pub async fn start(_app: &App, _viewer: Viewer, _order: OrderId, _method: Method) -> Result<Started> {
    Err(Error::Internal("not built".into()))
}
