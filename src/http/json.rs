//! Bodies, queries and path parts, parsed and checked: after these extractors a request is valid.

use std::borrow::Cow;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use garde::Validate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::asker::{self, Judged, judged};
use super::body::{self, Bounds};
use super::objects::Objects;
use crate::error::{Error, FieldError, Result};
use crate::http::storable;

/// An optional text that may be left blank, as a form sends it: then it is absent. Use with `#[serde(default)]`.
pub fn typed<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(value)?.filter(|text| !text.trim().is_empty()))
}

/// A JSON body that is well formed, has no unknown fields and passes its own rules. It is read when it is known who asks.
#[derive(Debug)]
pub struct Json<T> {
    value: T,
    raw: Bytes,
}

impl<T> Json<T> {
    pub fn into_inner(self) -> T {
        self.value
    }

    /// SHA-256 of the body as it came: two requests with the same one are the same request.
    pub fn fingerprint(&self) -> Vec<u8> {
        Sha256::digest(&self.raw).to_vec()
    }
}

impl<T> Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> FromRequest for Json<T>
where
    T: DeserializeOwned + Validate + 'static,
    T::Context: Default,
{
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (is_json, known) = (is_sent_as_json(req), asker::is_known(req.clone()));
        let body = body::read(req, payload, Bounds::default());
        Box::pin(async move {
            known.await;
            Self::of(body.await?, is_json)
        })
    }
}

impl<T> Json<T>
where
    T: DeserializeOwned + Validate,
    T::Context: Default,
{
    fn of(raw: Bytes, is_json: bool) -> Result<Self> {
        if !is_json {
            return Err(Error::UnsupportedMedia);
        }
        storable::check_json(&raw)?;
        let value = parse(&raw)?;
        check(&value)?;
        Ok(Self { value, raw })
    }
}

/// A JSON body that may be left out. A body that was sent is checked like [`Json`]: one that cannot be read is refused, not
/// ignored.
#[derive(Debug)]
pub struct OptionalJson<T>(pub Option<Json<T>>);

impl<T> FromRequest for OptionalJson<T>
where
    T: DeserializeOwned + Validate + 'static,
    T::Context: Default,
{
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (is_json, known) = (is_sent_as_json(req), asker::is_known(req.clone()));
        let body = body::read(req, payload, Bounds::default());
        Box::pin(async move {
            known.await;
            let raw = body.await?;
            let value = if raw.is_empty() { None } else { Some(Json::of(raw, is_json)?) };
            Ok(Self(value))
        })
    }
}

fn is_sent_as_json(req: &HttpRequest) -> bool {
    req.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(is_json)
}

fn is_json(content_type: &str) -> bool {
    let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    mime == "application/json" || (mime.starts_with("application/") && mime.ends_with("+json"))
}

/// Broken JSON is malformed (400); JSON of the wrong shape is invalid and names the field (422).
fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(raw);
    let value = serde_path_to_error::deserialize(Objects(&mut json)).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        match cause.classify() {
            serde_json::error::Category::Data => Error::field(if path == "." { String::new() } else { path }, plain(&cause)),
            _ => Error::Malformed(format!("The body is not JSON: {}", plain(&cause))),
        }
    })?;
    json.end().map_err(|_| Error::Malformed("The body has something after the JSON".into()))?;
    Ok(value)
}

/// The same of a value that was made of a body, by laying it over what is there.
pub fn parse_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_path_to_error::deserialize(Objects(value)).map_err(|error| {
        let path = error.path().to_string();
        Error::field(if path == "." { String::new() } else { path }, error.inner().to_string())
    })
}

/// serde's message without the position in the text, which does not help a client.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Checks a value by its own rules.
pub fn check<T: Validate>(value: &T) -> Result<()>
where
    T::Context: Default,
{
    value.validate().map_err(|report| {
        Error::Invalid(report.iter().map(|(path, e)| FieldError { field: path.to_string(), message: e.to_string() }).collect())
    })
}

/// A query string, parsed and checked like a body. It is refused when it is known who asks.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T> FromRequest for Query<T>
where
    T: DeserializeOwned + Validate + 'static,
    T::Context: Default,
{
    type Error = Error;
    type Future = Judged<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        judged(req, parse_query(req.query_string()).map(Self))
    }
}

/// Parses and checks a query string.
pub fn parse_query<T: DeserializeOwned + Validate>(query: &str) -> Result<T>
where
    T::Context: Default,
{
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    storable::check_query(&pairs)?;
    let value: T = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(form_urlencoded::parse(
        query.as_bytes(),
    )))
    .map_err(|error| {
        let place = error.path().to_string();
        match repeated(&pairs) {
            Some(name) if place == "." => Error::field(name, "was sent more than once"),
            _ => Error::field(if place == "." { String::new() } else { place }, error.inner().to_string()),
        }
    })?;
    check(&value)?;
    Ok(value)
}

/// The first parameter that was sent twice.
fn repeated<'a>(pairs: &'a [(Cow<'_, str>, Cow<'_, str>)]) -> Option<&'a str> {
    pairs
        .iter()
        .enumerate()
        .find(|(i, (name, _))| pairs[..*i].iter().any(|(other, _)| other == name))
        .map(|(_, (name, _))| &**name)
}

/// A part of the path. If it cannot be an id, the answer is 404, when it is known who asks.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Error;
    type Future = Judged<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let parsed = web::Path::<T>::from_request(req, payload).into_inner().ok().filter(|_| storable::is_path(req.path()));
        judged(req, parsed.map(|path| Self(path.into_inner())).ok_or(Error::NotFound("This address")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Wish {
        #[allow(dead_code)] // only read by serde
        reason: Option<String>,
    }

    #[test]
    fn only_an_object_is_a_body() {
        assert!(parse::<Wish>(b" \n{}").is_ok() && parse::<Wish>(b"{\"reason\": null}").is_ok());
        for other in ["[]", "[", "[null]", " [\"x\"]", "null", "1", "\"reason\""] {
            assert!(matches!(parse::<Wish>(other.as_bytes()), Err(Error::Invalid(_))), "{other}");
        }
        for broken in ["", "{", "{} {}", "nonsense"] {
            assert!(matches!(parse::<Wish>(broken.as_bytes()), Err(Error::Malformed(_))), "{broken}");
        }
    }
}
