//! Resend: a mail or up to a hundred by one POST, safe to repeat for 24 h with its idempotency key, and delivery webhooks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::{Breaker, BreakerConfig};
use vitrine_kit::http::{Answer, BadConfig, Call, Http, HttpConfig, MAX_RESPONSE_BYTES, Refusal};
use vitrine_kit::mail::{BatchAnswer, BatchMailer, Mailer, OutgoingMail};
use vitrine_kit::pace::Turns;

#[cfg(test)]
mod tests;
mod webhook;
mod wire;

pub use webhook::{MailNews, ResendEvent, open_webhook, read_event};

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "resend";

/// How long they remember an idempotency key.
const KEY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// A first request with the same key is still running, or something is locked: tried again after this.
const SOON_S: u64 = 5;
/// The most mails of a batch.
const BATCH_MOST: usize = 100;
/// The key was used with another payload.
const CHANGED: &str = "invalid_idempotent_request";
/// Wait after the daily quota was used up.
const DAILY_QUOTA_S: u64 = 6 * 60 * 60;
/// Wait after the monthly quota was used up: somebody has to look at it.
const MONTHLY_QUOTA_S: u64 = 24 * 60 * 60;

#[derive(Debug, Clone)]
pub struct ResendConfig {
    pub base_url: String,
    pub api_key: SecretString,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
    /// Gives out the turns of repeats. The first try's turn is the caller's.
    pub turns: Option<Arc<dyn Turns>>,
}

#[derive(Debug)]
pub struct Resend {
    http: Http,
    api_key: SecretString,
}

impl Resend {
    pub fn new(config: ResendConfig) -> Result<Self, BadConfig> {
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: None,
        })?;
        let http = config.turns.map_or(http.clone(), |turns| http.repeats_paced(turns));
        Ok(Self { http, api_key: config.api_key })
    }

    pub fn breaker(&self) -> Arc<Breaker> {
        self.http.breaker()
    }

    /// The same key and payload are sent once within 24 h.
    fn post(&self, path: &str, key: &str) -> Call {
        let call = self.http.post(path).bearer(self.api_key.expose_secret()).header("Idempotency-Key", key);
        call.repeatable().gives_up_on(is_quota_spent)
    }
}

#[async_trait]
impl Mailer for Resend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn notices_repeats_for(&self) -> Option<Duration> {
        Some(KEY_LIFE)
    }

    async fn send(&self, mail: &OutgoingMail) -> Result<String, ProviderError> {
        let call = self.post("/emails", &mail.idempotency_key).json(&wire::Mail::from(mail));
        let answer = call.send_raw().await?;
        if answer.is_success() { answer.read::<wire::Sent>().map(|sent| sent.id) } else { Err(refused(&answer)) }
    }

    fn batches(&self) -> Option<&dyn BatchMailer> {
        Some(self)
    }
}

#[async_trait]
impl BatchMailer for Resend {
    fn most(&self) -> i64 {
        BATCH_MOST as i64
    }

    /// Mails with a mistake are left out by them and named (`permissive`); the default would refuse all for one.
    async fn send_batch(&self, key: &str, mails: &[OutgoingMail]) -> Result<BatchAnswer, ProviderError> {
        let batch: Vec<wire::Mail<'_>> = mails.iter().map(wire::Mail::from).collect();
        let call = self.post("/emails/batch", key).header("x-batch-validation", "permissive").json(&batch);
        let answer = call.send_raw().await?;
        if answer.is_success() {
            let sent: wire::SentBatch = answer.read()?;
            let unclear =
                || ProviderError::Unknown { provider: NAME, reason: "the answer names other mails than were sent".to_owned() };
            return sent.ids(mails.len()).map(BatchAnswer::Taken).ok_or_else(unclear);
        }
        match wire::refusal(&answer.body) {
            Some(refusal) if answer.status == 409 && refusal.code == CHANGED => Ok(BatchAnswer::Changed),
            _ => Err(refused(&answer)),
        }
    }
}

/// A quota comes back in hours: another try at once only adds a call.
fn is_quota_spent(answer: &Answer) -> bool {
    let named = |refusal: Refusal| ["daily_quota_exceeded", "monthly_quota_exceeded"].contains(&refusal.code.as_str());
    answer.status == 429 && wire::refusal(&answer.body).is_some_and(named)
}

/// By the error's name if it is known, else by the status.
fn refused(answer: &Answer) -> ProviderError {
    let refusal = wire::refusal(&answer.body).unwrap_or_default();
    let wait_s = match (answer.status, refusal.code.as_str()) {
        (409, CHANGED) => None, // our bug
        (409, _) => Some(SOON_S),
        (429, "daily_quota_exceeded") => Some(DAILY_QUOTA_S),
        (429, "monthly_quota_exceeded") => Some(MONTHLY_QUOTA_S),
        _ => None,
    };
    match wait_s {
        Some(wait_s) => {
            let Refusal { code, .. } = refusal;
            let reason = if code.is_empty() { answer.status.to_string() } else { code };
            ProviderError::Unavailable { provider: NAME, reason, retry_after_s: Some(wait_s) }
        }
        None => answer.refused(Some(refusal)),
    }
}
