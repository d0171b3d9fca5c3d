//! The answer of a provider.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::ProviderError;
use crate::breaker::{Breaker, Lane};
use crate::refusal::Refusal;

/// A whole answer with a status below 500, or a kept failure without its body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) breaker: Arc<Breaker>,
    pub(super) is_read: bool,
    pub(super) lane: Lane,
    pub(super) forbidding: Forbidding,
}

/// What a 401 or 403 to a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forbidding {
    /// They do not accept our credentials.
    #[default]
    Us,
    /// 401 as above. A 403 with an error in the provider's format is a refusal of this one thing, which may belong to another
    /// account.
    OneThing,
    /// The call had no credentials, so it is a refusal like any other.
    Anybody,
}

/// Reads a refusal from a 4xx body. `None`: it is not in the provider's format.
pub type ReadRefusal = fn(&[u8]) -> Option<Refusal>;

/// Most characters of a provider's text that are kept.
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

    /// The body as JSON, after `send_raw`. If it cannot be read, the error is `Unknown` after a write and `Unavailable` after a
    /// read, and the breaker counts it.
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

    /// This answer as an error: 429 is `Unavailable`, 401 and 403 are `NotAccepted` (but see [`Forbidding`]), all else
    /// `Rejected`, with their code or else the status.
    ///
    /// A 401, and a 403 to a call that a buyer waits for, open the lane's breaker. A 403 to any other call may be about this kind
    /// of call alone (a permission that our key lacks), so it does not stop others.
    pub fn refused(&self, refusal: Option<Refusal>) -> ProviderError {
        if self.is_about_us(refusal.is_some()) {
            let refusal = self.worded(refusal);
            if self.status == 401 || self.lane == Lane::Buyer {
                self.breaker.refuse(refusal.clone());
            }
            return refusal.not_accepted(self.breaker.provider());
        }
        let provider = self.breaker.provider();
        let Refusal { code, message } = self.worded(refusal);
        if self.status == 429 {
            return ProviderError::Unavailable { provider, reason: code, retry_after_s: self.retry_after_s() };
        }
        ProviderError::Rejected { provider, code, message }
    }

    /// The refusal of a token, without which no call is accepted: whatever its status, our credentials are not accepted.
    pub fn refused_entry(&self, refusal: Option<Refusal>) -> ProviderError {
        if self.status == 429 {
            return self.refused(refusal);
        }
        let refusal = self.worded(refusal);
        self.breaker.refuse(refusal.clone());
        refusal.not_accepted(self.breaker.provider())
    }

    fn is_about_us(&self, is_worded: bool) -> bool {
        match (self.status, self.forbidding) {
            (401, Forbidding::Us | Forbidding::OneThing) | (403, Forbidding::Us) => true,
            (403, Forbidding::OneThing) => !is_worded, // a firewall's page
            _ => false,
        }
    }

    /// With a code, and not too long.
    fn worded(&self, refusal: Option<Refusal>) -> Refusal {
        let Refusal { code, message } = refusal.unwrap_or_default();
        let code = if code.is_empty() { self.status.to_string() } else { code };
        Refusal { code, message: message.chars().take(MESSAGE_LIMIT).collect() }
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
