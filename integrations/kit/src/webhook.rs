//! A webhook request before its sender is verified.

use bytes::Bytes;
use subtle::ConstantTimeEq;

/// A webhook request as it came: raw bytes first, parsed only after the signature was checked.
#[derive(Clone)]
pub struct Delivery {
    pub body: Bytes,
    headers: Vec<(String, String)>,
    query: String,
}

/// The delivery has no valid proof that it comes from the provider. It is answered 401 and not stored.
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

    /// Whether the header or the parameter in the address holds this secret, for providers that do not sign. Compared in constant
    /// time; an empty secret never matches.
    pub fn shows(&self, secret: &[u8], header: &str, parameter: &str) -> bool {
        let in_query = form_urlencoded::parse(self.query.as_bytes()).find(|(name, _)| name == parameter);
        let given = [self.header(header).map(str::to_owned), in_query.map(|(_, value)| value.into_owned())];
        let is_secret = |given: &String| bool::from(given.as_bytes().ct_eq(secret));
        !secret.is_empty() && given.iter().flatten().any(is_secret)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_the_header_or_the_address_whole_and_right() {
        let shows = |secret: &str, headers: &[(&str, &str)], query: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Delivery::new(Bytes::new(), headers, query).shows(secret.as_bytes(), "X-Secret", "token")
        };
        assert!(shows("a b+c", &[("x-secret", "a b+c")], ""));
        assert!(shows("a b+c", &[], "x=1&token=a+b%2Bc"));
        assert!(shows("abc", &[("x-secret", "wrong")], "token=abc"));
        for (headers, query) in
            [(vec![], ""), (vec![], "token=ab"), (vec![], "token=abcd"), (vec![], "Token=abc"), (vec![("x-other", "abc")], "")]
        {
            assert!(!shows("abc", &headers, query), "{headers:?} {query}");
        }
        assert!(!shows("", &[("x-secret", "")], "token="), "nobody set one");
    }
}
