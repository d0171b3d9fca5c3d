//! The order that an address names, as the one who asks sees it.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use super::locks;
use super::named::OrderPath;
use super::viewer::Viewer;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::who::Visitor;
use crate::ids::OrderId;

/// An order that the one who asks may see, and as whom: what has to be known before a body is read.
///
/// Errors: 401 as [`Viewer::of`]; 404 there is no such order, or it is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenOrder {
    pub id: OrderId,
    pub viewer: Viewer,
}

impl FromRequest for SeenOrder {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(req, &mut Payload::None);
        let path = OrderPath::from_request(req, &mut Payload::None);
        let app = req.app_data::<web::Data<App>>().cloned();
        Box::pin(async move {
            let visitor = visitor.await?;
            let OrderPath(id) = path.await?;
            let app = app.ok_or(Error::NotFound("The order"))?;
            let viewer = Viewer::of(&app, &visitor, id).await?;
            locks::find_order(&app.db().await?, id, viewer).await?;
            Ok(Self { id, viewer })
        })
    }
}
