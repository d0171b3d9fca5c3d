//! Which order an address names: by its id, or by the number that people read and mails link to.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::http::asker;
use crate::ids::OrderId;

/// The longest text that is looked for. Numbers are shorter.
const MAX_NUMBER: usize = 40;

/// The `{id}` of an order's address: the order's id, or its number as people type it ([`readings`]). It is looked for
/// when it is known who asks; whether they may see it is asked later.
///
/// Errors: 404 there is no order of that number, or the text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderPath(pub OrderId);

impl FromRequest for OrderPath {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = req.match_info().get("id").unwrap_or_default().to_owned();
        let (app, known) = (req.app_data::<web::Data<App>>().cloned(), asker::is_known(req.clone()));
        Box::pin(async move {
            known.await;
            let app = app.ok_or(Error::NotFound("The order"))?;
            Ok(Self(find_order(&app, &text).await?))
        })
    }
}

/// The order that a text names, by its id or its number. An id is not looked up.
pub async fn find_order(app: &App, text: &str) -> Result<OrderId> {
    const FIND: &str = "SELECT id FROM orders WHERE number = ANY ($1) ORDER BY array_position($1, number) LIMIT 1";
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    if text.trim().is_empty() || text.len() > MAX_NUMBER || text.contains('\0') {
        return Err(Error::NotFound("The order"));
    }
    let row = db::query_opt(&app.db().await?, FIND, &[&readings(text)]).await?;
    Ok(row.ok_or(Error::NotFound("The order"))?.get("id"))
}

/// What somebody who typed this may have read, on a page, a parcel or over the phone: as it is, without spaces and hyphens, and as an
/// order's number, which has a hyphen in its middle and no letters that look like digits (`O`, `I`, `L`). In capitals, at most three.
pub fn readings(typed: &str) -> Vec<String> {
    let upper = typed.trim().to_uppercase();
    let bare: String = upper.chars().filter(|c| c.is_alphanumeric()).collect();
    let number: String = bare
        .chars()
        .map(|c| match c {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect();
    let number = match number.split_at_checked(5) {
        Some((left, right)) if right.len() == 5 => format!("{left}-{right}"),
        _ => number,
    };
    let mut readings = vec![upper, bare, number];
    readings.dedup();
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_number_is_read_as_people_type_it() {
        for typed in ["0A1B2-C3D4E", "0a1b2-c3d4e", "0A1B2C3D4E", " oa1b2 c3d4e ", "OAiB2-C3D4E", "0alb2c3d4e"] {
            assert!(readings(typed).contains(&"0A1B2-C3D4E".to_owned()), "{typed}");
        }
        assert!(readings("aa 123456785 br").contains(&"AA123456785BR".to_owned()));
        assert_eq!(readings("ÀÀÀÀÀ12345"), ["ÀÀÀÀÀ12345"]);
    }
}
