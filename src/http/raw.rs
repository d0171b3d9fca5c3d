//! A webhook as it was sent.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use vitrine_kit::Delivery;

use crate::error::{Error, Result};
use crate::http::body::{self, Bounds};

/// The raw body with its headers: nothing is parsed before the signature is checked.
#[derive(Debug)]
pub struct Raw(pub Delivery);

impl FromRequest for Raw {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = req
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let query = req.query_string().to_owned();
        let body = body::read(req, payload, Bounds::default());
        Box::pin(async move { Ok(Self(Delivery::new(body.await?, headers, query))) })
    }
}
