//! Africa's Talking: one SMS by one POST, and delivery reports.
//!
//! There are no idempotency keys: an SMS whose outcome is unknown must never be sent again automatically.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use vitrine_kit::breaker::{Breaker, BreakerConfig};
use vitrine_kit::http::{Answer, BadConfig, Http, HttpConfig, MAX_RESPONSE_BYTES, Refusal};
use vitrine_kit::{Phone, ProviderError};

mod report;
mod text;
mod wire;

#[cfg(test)]
mod tests;

pub use report::{Report, SmsNews, open_report, read_report};
pub use text::{PART, clip, plain};

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "africastalking";

/// The balance is empty: somebody has to top it up.
const NO_BALANCE_S: u64 = 6 * 60 * 60;

#[derive(Debug, Clone)]
pub struct AfricasTalkingConfig {
    pub base_url: String,
    /// `sandbox` at their own sandbox.
    pub username: String,
    pub api_key: SecretString,
    /// A short code or name that is registered with them; `None`: their default.
    pub sender: Option<String>,
    /// The token in the URL of our webhook: reports carry no signature.
    pub webhook_secret: SecretString,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

/// An SMS. Neither recipient nor text is logged.
#[derive(Clone)]
pub struct OutgoingSms {
    pub to: Phone,
    /// ASCII of at most [`PART`] characters: a longer text costs several times as much.
    pub text: String,
}

impl fmt::Debug for OutgoingSms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingSms({} characters to {})", self.text.len(), self.to.masked())
    }
}

#[derive(Debug)]
pub struct AfricasTalking {
    http: Http,
    username: String,
    api_key: SecretString,
    sender: Option<String>,
    webhook_secret: SecretString,
}

impl AfricasTalking {
    pub fn new(config: AfricasTalkingConfig) -> Result<Self, BadConfig> {
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: None,
        })?;
        let AfricasTalkingConfig { username, api_key, sender, webhook_secret, .. } = config;
        Ok(Self { http, username, api_key, sender, webhook_secret })
    }

    pub fn breaker(&self) -> Arc<Breaker> {
        self.http.breaker()
    }

    /// The token that reports must carry.
    pub fn webhook_secret(&self) -> &SecretString {
        &self.webhook_secret
    }

    /// Sends the SMS once: only a refused connection is tried again. Returns their id.
    pub async fn send(&self, sms: &OutgoingSms) -> Result<String, ProviderError> {
        let mut form = vec![
            ("username", self.username.as_str()),
            ("to", sms.to.as_str()),
            ("message", sms.text.as_str()),
            ("bulkSMSMode", "1"),
            ("enqueue", "1"),
        ];
        if let Some(sender) = &self.sender {
            form.push(("from", sender));
        }
        let call = self.http.post("/version1/messaging").header("apiKey", self.api_key.expose_secret()).form(&form);
        // No other type in `Accept`: else the answer is XML.
        let answer = call.header("Accept", "application/json").send_raw().await?;
        if answer.is_success() {
            return outcome(answer.read::<wire::Answer>()?);
        }
        // A refusal of the recipient alone may have an error status and still be JSON; any other refusal is plain text, or empty.
        match serde_json::from_slice::<wire::Answer>(&answer.body) {
            Ok(told) => outcome(told),
            Err(_) => Err(refused(&answer)),
        }
    }
}

/// A refusal by HTTP status. The statuses mean other things than the recipients' codes of the same numbers.
fn refused(answer: &Answer) -> ProviderError {
    match answer.status {
        429 => answer.refused(None),
        status => answer.refused(Some(Refusal { code: format!("http {status}"), message: String::new() })),
    }
}

/// The result is given per recipient, and there is one.
fn outcome(wire::Answer { data }: wire::Answer) -> Result<String, ProviderError> {
    let rejected = |code: String, message: &str| {
        Err(ProviderError::Rejected { provider: NAME, code, message: message.chars().take(200).collect() })
    };
    let unavailable = |reason: String, retry_after_s| Err(ProviderError::Unavailable { provider: NAME, reason, retry_after_s });
    let Some(one) = data.recipients.into_iter().next() else {
        return rejected(data.message, "the whole request was refused");
    };
    match one.status_code {
        100..=102 if one.has_id() => Ok(one.message_id),
        100..=102 => {
            Err(ProviderError::Unknown { provider: NAME, reason: "it was taken, but has no id to be known by".to_owned() })
        }
        405 => unavailable("the account is empty".to_owned(), Some(NO_BALANCE_S)),
        500..=502 => unavailable(format!("answered {} ({})", one.status_code, one.status), None),
        code => rejected(code.to_string(), &one.status),
    }
}
