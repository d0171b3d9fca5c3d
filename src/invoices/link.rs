//! The link to an order's documents, which carries its own right to them.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::asker::finding;
use crate::http::json::parse_query;
use crate::http::who::Visitor;
use crate::ids::{OrderId, UserId};
use crate::sale::named;
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
    async fn scope(&self, app: &App, visitor: &Visitor, order: OrderId) -> Result<(bool, Option<UserId>)> {
        match self.token.as_deref().map(|token| app.keys.read_invoice_token(order, token)) {
            Some(Opens::Yes) if has_buyer(app, order).await? => Ok((true, None)),
            Some(Opens::NotAnyMore) if visitor.user.is_none() && visitor.order_token.is_none() => Err(LINK_IS_OVER),
            _ => Ok(Viewer::of(app, visitor, order).await?.scope()),
        }
    }
}

/// The order that an address of documents names, for whom a link opens it or who may look at it themselves.
///
/// Errors: 401 the link opens nothing, nobody is signed in and no order token came, whether there is such an order or not; 404 there is
/// no order of that number; 422 the link is none.
pub(super) struct Opened {
    pub order: OrderId,
    /// As [`Viewer::scope`].
    pub scope: (bool, Option<UserId>),
}

impl FromRequest for Opened {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(req, &mut Payload::None);
        let (link, text) = (parse_query::<Link>(req.query_string()), req.match_info().get("id").unwrap_or_default().to_owned());
        let app = req.app_data::<web::Data<App>>().cloned();
        finding(req, async move {
            let (visitor, app) = (visitor.await?, app.ok_or(Error::NotFound("The order"))?);
            let found = named::find_order(&app, &text).await;
            if link.is_err() || found.is_err() {
                Viewer::check_asks(&visitor)?;
            }
            let (link, order) = (link?, found?);
            Ok(Self { order, scope: link.scope(&app, &visitor, order).await? })
        })
    }
}
