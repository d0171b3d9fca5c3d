//! Sends async-stripe's requests over the kit's HTTP client, and reads the answers.

use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod};
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::Lane;
use vitrine_kit::http::{Answer, Call};

use crate::{NAME, Stripe, wire};

/// A request under the same key is still running, or something is locked; or a dependency of Stripe's failed.
const BUSY: &[u16] = &[409, 424];

impl Stripe {
    pub(crate) async fn get<T: DeserializeOwned>(&self, lane: Lane, request: RequestBuilder) -> Result<T, ProviderError> {
        let answer = self.call(lane, &request).send_raw().await?;
        if answer.is_success() { answer.read() } else { Err(self.refused_read(&answer)) }
    }

    /// Any answer, also a 5xx, which is then stored for this key. The same key and body acts once, for 24 h.
    pub(crate) async fn post(&self, lane: Lane, request: &RequestBuilder, key: &str) -> Result<Answer, ProviderError> {
        self.call(lane, request).header("Idempotency-Key", key).keeps_failures().send_raw().await
    }

    /// The outcome of a `post`.
    pub(crate) fn made<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ProviderError> {
        if answer.is_success() { answer.read() } else { Err(self.refused(answer)) }
    }

    /// May be repeated: a GET by nature, a POST by its key.
    fn call(&self, lane: Lane, request: &RequestBuilder) -> Call {
        let query = request.query.as_deref().filter(|query| !query.is_empty());
        let path = match query {
            Some(query) => format!("/v1{}?{query}", request.path),
            None => format!("/v1{}", request.path),
        };
        let form = request.body.as_deref().unwrap_or_default();
        let call = match request.method {
            StripeMethod::Get => self.http.get(&path),
            StripeMethod::Post => self.http.post(&path).encoded_form(in_order(form)),
            StripeMethod::Delete => self.http.delete(&path),
        };
        let call = call.bearer(self.secret_key.expose_secret()).header("Stripe-Version", stripe_client_core::VERSION.as_str());
        call.lane(lane).repeatable().busy(BUSY).retry_header("stripe-should-retry")
    }

    /// A refused write. After "busy", another request under the same key may be running.
    pub(crate) fn refused(&self, answer: &Answer) -> ProviderError {
        match answer.status {
            409 | 424 | 500.. => ProviderError::Unknown { provider: NAME, reason: format!("answered {}", answer.status) },
            _ => self.refused_read(answer),
        }
    }

    fn refused_read(&self, answer: &Answer) -> ProviderError {
        let mut refusal = wire::refusal(&answer.body).unwrap_or_default();
        // Stripe masks the key when quoting it; a proxy in between may not.
        refusal.message = refusal.message.replace(self.secret_key.expose_secret(), "***");
        let request = answer.header("request-id").map(|id| format!(" ({id})")).unwrap_or_default();
        match answer.status {
            409 | 424 => {
                let reason = if refusal.code.is_empty() { answer.status.to_string() } else { refusal.code };
                ProviderError::Unavailable { provider: NAME, reason, retry_after_s: answer.retry_after_s() }
            }
            _ => {
                refusal.message.push_str(&request); // what their support asks for
                answer.refused(Some(refusal))
            }
        }
    }
}

/// Sorts the pairs: metadata is a map without order, and one idempotency key needs one body.
fn in_order(form: &str) -> String {
    let mut pairs: Vec<&str> = form.split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// The error of a failed look-up: what was looked for may exist.
pub(crate) fn unsure(error: ProviderError) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: error.to_string() }
}

/// The error of a failed look-up before anything was sent. A refusal of our credentials is kept as it is.
pub(crate) fn unsure_before(error: ProviderError) -> ProviderError {
    if matches!(error, ProviderError::NotAccepted { .. }) { error } else { unsure(error) }
}
