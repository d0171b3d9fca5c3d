//! The API document, and the page on which it can be tried. Both are in memory once, however many read them.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{CONTENT_ENCODING, ContentEncoding};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpResponse, Responder};
use utoipa_swagger_ui::Config;

use crate::error::{Error, Result};

const DOCUMENT: &str = "/openapi.json";

pub fn routes(document: Bytes) -> impl FnOnce(&mut web::ServiceConfig) {
    let page = Data::from(Arc::new(Config::new([DOCUMENT])));
    move |cfg| {
        cfg.app_data(page)
            .route(DOCUMENT, web::get().to(move || answer(document.clone())))
            .route("/docs/{file:.*}", web::get().to(file));
    }
}

async fn answer(document: Bytes) -> impl Responder {
    HttpResponse::Ok().content_type("application/json").body(document)
}

async fn file(name: web::Path<String>, page: Data<Config<'static>>) -> Result<HttpResponse> {
    let found = utoipa_swagger_ui::serve(&name, page.into_inner()).map_err(|e| Error::Internal(format!("/docs: {e}")))?;
    let file = found.ok_or(Error::NotFound("This address"))?;
    let mut answer = HttpResponse::Ok();
    if file.gzpipped {
        answer.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
    }
    answer.content_type(file.content_type);
    Ok(match file.bytes {
        Cow::Borrowed(bytes) => answer.body(Bytes::from_static(bytes)),
        Cow::Owned(bytes) => answer.body(bytes),
    })
}
