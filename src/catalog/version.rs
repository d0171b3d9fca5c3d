//! Which version of a product somebody has in hand: the `ETag` that every answer with one product carries, sent back as `If-Match`.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};

use super::Product;
use crate::answer;
use crate::error::{Error, Result};

/// An answer with one product and its `ETag`: the one that the public address gives to the same product.
pub fn tagged(mut builder: HttpResponseBuilder, product: &Product) -> Result<HttpResponse> {
    let body = bytes(product)?;
    Ok(builder.insert_header((ETAG, format!("\"{}\"", answer::hash_of(&body)))).content_type("application/json").body(body))
}

fn bytes(product: &Product) -> Result<Vec<u8>> {
    serde_json::to_vec(product).map_err(|e| Error::Internal(format!("a product: {e}")))
}

/// The header `If-Match` of a change: only the version that it names is changed.
#[derive(Debug, Default)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    pub fn is_sent(&self) -> bool {
        self.0.is_some()
    }

    /// The client says which version it knows, its stock among it. `*` names none: it only asks that there is one.
    pub fn names_one(&self) -> bool {
        self.0.as_ref().is_some_and(|tags| tags.split(',').all(|tag| tag.trim() != "*"))
    }

    /// Errors: [`Error::Stale`], it is not the version that the client knows.
    pub fn check(&self, product: &Product) -> Result<()> {
        match &self.0 {
            Some(tags) if !names(tags, &answer::hash_of(&bytes(product)?)) => Err(Error::Stale),
            _ => Ok(()),
        }
    }
}

/// As RFC 9110 (13.1.1) compares: `*` is any version, a weak tag is none. The suffix of an encoding does not count: the content is
/// the same.
fn names(tags: &str, hash: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        let name = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        tag == "*" || name.is_some_and(|name| name.split('-').next() == Some(hash))
    })
}

impl FromRequest for IfMatch {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut tags = req.headers().get_all(IF_MATCH).map(|value| value.to_str().unwrap_or_default()).peekable();
        let sent = tags.peek().is_some().then(|| tags.collect::<Vec<_>>().join(","));
        ready(Ok(Self(sent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_version_is_not_one_that_is_known() {
        let names_one = |tags: &str| IfMatch(Some(tags.to_owned())).names_one();
        assert!(names_one("\"abc\"") && names_one("W/\"x\", \"abc\""));
        assert!(!names_one("*") && !names_one(" * ") && !names_one("\"abc\", *") && !IfMatch(None).names_one());
    }

    #[test]
    fn a_tag_is_compared_strongly_and_in_any_encoding() {
        for good in ["\"abc\"", "\"abc-br\"", "\"x\", \"abc\"", "*"] {
            assert!(names(good, "abc"), "{good}");
        }
        for bad in ["", "\"ab\"", "W/\"abc\"", "abc", "\"abcd\"", "\"\""] {
            assert!(!names(bad, "abc"), "{bad}");
        }
    }
}
