//! The link to an order's documents, which carries its own right to them.

use garde::Validate;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::error::Result;
use crate::http::who::Visitor;
use crate::ids::{OrderId, UserId};
use crate::sale::viewer::{LINK_IS_OVER, Viewer, has_buyer};
use crate::seal::Opens;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Link {
    /// From a document's link; without it, sign in or send the order's token.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200)]
    token: Option<String>,
}

impl Link {
    /// As [`Viewer::scope`]: the link carries its own right to the order's documents.
    pub async fn scope(&self, app: &App, visitor: &Visitor, order: OrderId) -> Result<(bool, Option<UserId>)> {
        match self.token.as_deref().map(|token| app.keys.read_invoice_token(order, token)) {
            Some(Opens::Yes) if has_buyer(app, order).await? => Ok((true, None)),
            Some(Opens::NotAnyMore) if visitor.user.is_none() && visitor.order_token.is_none() => Err(LINK_IS_OVER),
            _ => Ok(Viewer::of(app, visitor, order).await?.scope()),
        }
    }
}
