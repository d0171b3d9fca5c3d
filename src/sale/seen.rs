//! The order that an address names, as the one who asks sees it.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::viewer::Viewer;
use super::{locks, named};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::asker::finding;
use crate::http::who::Visitor;
use crate::ids::OrderId;

/// The order that an address names by its id or its number, and as whom it is looked at. Whether they may see it say their queries
/// ([`Viewer::scope`]).
///
/// Errors: 401 nobody is signed in and no order token came, whether there is such an order or not; else as [`Viewer::of`]; 404 there is
/// no order of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewedOrder {
    pub id: OrderId,
    pub viewer: Viewer,
}

impl FromRequest for ViewedOrder {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(req, &mut Payload::None);
        let text = req.match_info().get("id").unwrap_or_default().to_owned();
        let app = req.app_data::<web::Data<App>>().cloned();
        finding(req, async move {
            let visitor = visitor.await?;
            Viewer::check_asks(&visitor)?;
            let app = app.ok_or(Error::NotFound("The order"))?;
            let id = named::find_order(&app, &text).await?;
            Ok(Self { id, viewer: Viewer::of(&app, &visitor, id).await? })
        })
    }
}

/// An order that the one who asks may see, and as whom: what has to be known before a body is read.
///
/// Errors: as [`ViewedOrder`]; 404 there is no such order, or it is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenOrder {
    pub id: OrderId,
    pub viewer: Viewer,
}

impl FromRequest for SeenOrder {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let viewed = ViewedOrder::from_request(req, payload);
        let app = req.app_data::<web::Data<App>>().cloned();
        finding(req, async move {
            let ViewedOrder { id, viewer } = viewed.await?;
            let app = app.ok_or(Error::NotFound("The order"))?;
            locks::find_order(&app.db().await?, id, viewer).await?;
            Ok(Self { id, viewer })
        })
    }
}
