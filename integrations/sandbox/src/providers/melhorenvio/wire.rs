//! What all calls of Melhor Envio share: the token, errors by field, numbers.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::world::World;

pub(crate) const NAME: &str = "melhorenvio";

pub(crate) type Problems = BTreeMap<String, Vec<String>>;

pub(crate) fn error_body(status: u16) -> Value {
    json!({"message": match status {
        401 => "Unauthenticated.",
        403 => "This action is unauthorized.",
        404 => "Not Found",
        429 => "Too Many Attempts.",
        _ => "Server Error",
    }})
}

/// The firewall wants a `User-Agent` with a contact and answers HTML; the application wants the token.
pub(crate) fn refuse(req: &HttpRequest, world: &World) -> Option<HttpResponse> {
    let header = |name: &str| req.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let contact = header("user-agent").split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    if !contact.is_some_and(|(contact, _)| contact.contains('@')) {
        let page = "<!DOCTYPE html><html><head><title>403 Forbidden</title></head><body><h1>Forbidden</h1></body></html>";
        return Some(HttpResponse::Forbidden().content_type("text/html; charset=utf-8").body(page));
    }
    let is_known = header("authorization").strip_prefix("Bearer ") == Some(&world.cfg.melhorenvio_token);
    if !is_known || world.is_revoked(NAME) {
        return Some(HttpResponse::Unauthorized().json(error_body(401)));
    }
    None
}

pub(crate) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Rounded up, and kept where sums cannot overflow.
#[expect(clippy::cast_possible_truncation, reason = "clamped before")]
pub(crate) fn whole(size: f64) -> i64 {
    (size - 1e-6).ceil().clamp(0.0, 1e9) as i64
}

#[expect(clippy::cast_possible_truncation, reason = "clamped before")]
pub(crate) fn cents(reais: f64) -> i64 {
    (reais * 100.0).round().clamp(0.0, 1e9) as i64
}

pub(crate) fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

pub(crate) fn invalid(problems: &Problems) -> HttpResponse {
    HttpResponse::UnprocessableEntity().json(json!({"message": "The given data was invalid.", "errors": problems}))
}

pub(crate) fn problem(field: &str, what: &str) -> Problems {
    Problems::from([(field.to_owned(), vec![what.to_owned()])])
}

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problems> {
    serde_json::from_slice(body).map_err(|error| problem("body", &error.to_string()))
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("").trim()
}
