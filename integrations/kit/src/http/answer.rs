//! What came back.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::ProviderError;
use crate::breaker::Breaker;

/// A whole answer with a status below 500, or a kept failure without its body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) breaker: Arc<Breaker>,
    pub(super) is_read: bool,
}

/// Their own code and words for a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Empty where they have none: then it is the status.
    pub code: String,
    pub message: String,
}

/// Reads a refusal out of a 4xx body; `None` where it is not of their usual shape.
pub type ReadRefusal = fn(&[u8]) -> Option<Refusal>;

/// Of their words, so much is kept.
const MESSAGE_LIMIT: usize = 500;

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Retry-After` in seconds. A date is not understood and counts as absent.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse().ok()
    }

    /// The body as JSON, for who called `send_raw`. What cannot be read is `Unknown` after a write, `Unavailable` after a
    /// read, and the breaker hears of it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        self.parse().map_err(|reason| {
            self.breaker.blame();
            let provider = self.breaker.provider();
            if self.is_read {
                ProviderError::Unavailable { provider, reason, retry_after_s: None }
            } else {
                ProviderError::Unknown { provider, reason }
            }
        })
    }

    /// This answer as an error: 429 is `Unavailable`, all else `Rejected`, with their code or else the status.
    pub fn refused(&self, refusal: Option<Refusal>) -> ProviderError {
        let provider = self.breaker.provider();
        let Refusal { code, message } = refusal.unwrap_or_default();
        let code = if code.is_empty() { self.status.to_string() } else { code };
        if self.status == 429 {
            return ProviderError::Unavailable { provider, reason: code, retry_after_s: self.retry_after_s() };
        }
        ProviderError::Rejected { provider, code, message: message.chars().take(MESSAGE_LIMIT).collect() }
    }

    /// An empty body reads as `null`. The reason never quotes the body.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        let json: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        serde_json::from_slice(json).map_err(|e| format!("the answer makes no sense (line {}, column {})", e.line(), e.column()))
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after_s().map(Duration::from_secs)
    }
}
