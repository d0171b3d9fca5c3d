//! The demo shop's pictures, inside the binary.

use std::borrow::Cow;

use actix_web::http::header::{self, ETag, EntityTag, Header, IfNoneMatch};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

use crate::error::{Error, Result};

#[derive(RustEmbed)]
#[folder = "demo/pictures"]
struct Pictures;

pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/media/demo/{file}", web::get().to(picture));
}

/// An SVG can carry scripts: the headers of every answer keep them from running.
async fn picture(req: HttpRequest, file: web::Path<String>) -> Result<HttpResponse> {
    let sane = file.len() <= 120 && file.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    let found = Pictures::get(&file).filter(|_| sane).ok_or(Error::NotFound("The picture"))?;
    let tag = EntityTag::new_strong(hex::encode(&found.metadata.sha256_hash()[..12]));
    let known = match IfNoneMatch::parse(&req) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "public, max-age=604800"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"));
    if known {
        return Ok(answer.finish());
    }
    let picture = match found.data {
        Cow::Borrowed(picture) => Bytes::from_static(picture), // the binary's own: however many readers, it is there once
        Cow::Owned(picture) => picture.into(),
    };
    Ok(answer.content_type(found.metadata.mimetype()).body(picture))
}
