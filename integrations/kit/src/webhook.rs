//! What arrives from a provider, before anyone believes it.

use bytes::Bytes;

/// A webhook request as it came: raw bytes first, parsed only after the signature was checked.
#[derive(Clone)]
pub struct Delivery {
    pub body: Bytes,
    headers: Vec<(String, String)>,
    query: String,
}

/// The delivery does not carry proof that it comes from the provider. Answered 401, stored nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's signature is missing or wrong")]
pub struct Forged;

impl Delivery {
    /// Header names are compared without case; values that are not text are dropped by the caller.
    pub fn new(body: Bytes, headers: Vec<(String, String)>, query: impl Into<String>) -> Self {
        Self { body, headers, query: query.into() }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The raw query string, without the question mark. May hold a secret: never logged.
    pub fn query(&self) -> &str {
        &self.query
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({} bytes)", self.body.len())
    }
}
