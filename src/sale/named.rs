//! Which order an address names: by its id, or by the number that people read and mails link to.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::OrderId;

/// The longest text that is looked for. Numbers are shorter.
const MAX_NUMBER: usize = 40;

/// The `{id}` of an order's address: the order's id, or its number in any case. Whether the visitor may see it is asked later.
///
/// Errors: 404 there is no order of that number, or the text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderPath(pub OrderId);

impl FromRequest for OrderPath {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = req.match_info().get("id").unwrap_or_default().to_owned();
        let app = req.app_data::<web::Data<App>>().cloned();
        Box::pin(async move {
            let app = app.ok_or(Error::NotFound("The order"))?;
            Ok(Self(find_order(&app, &text).await?))
        })
    }
}

/// The order that a text names, by its id or its number. An id is not looked up.
pub async fn find_order(app: &App, text: &str) -> Result<OrderId> {
    const FIND: &str = "SELECT id FROM orders WHERE number = $1";
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let number = text.trim().to_uppercase();
    if number.is_empty() || number.len() > MAX_NUMBER {
        return Err(Error::NotFound("The order"));
    }
    let row = db::query_opt(&app.db().await?, FIND, &[&number]).await?;
    Ok(row.ok_or(Error::NotFound("The order"))?.get("id"))
}
