//! Melhor Envio, a broker of many carriers: freight quotes, labels and tracking.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::{Breaker, BreakerConfig};
use vitrine_kit::http::{BadConfig, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::pace::{Pace, Turns};
use vitrine_kit::shipping::{FreightOption, QuoteRequest, ShippingProvider};

mod label;
#[cfg(test)]
mod label_search_tests;
mod label_wire;
mod labels;
#[cfg(test)]
mod labels_tests;
#[cfg(test)]
mod tests;
mod webhook;
#[cfg(test)]
mod webhook_tests;
mod wire;

pub use label::{Contact, Content, Label, LabelStatus, NewLabel};
pub use webhook::{News, Notice, event_of, open_webhook, reread};

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "melhorenvio";

/// Default for a quote: a buyer waits for it.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// What they allow a token, by their documentation.
pub const CALLS_PER_MINUTE: u32 = 250;
const MINUTE: Duration = Duration::from_secs(60);

/// Default for labels: a job buys them and may wait longer.
pub const LABEL_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub struct MelhorEnvioConfig {
    pub base_url: String,
    /// A personal token from the panel.
    pub token: SecretString,
    /// `Loja (contato@loja.com.br)`: without a name and a contact their firewall answers 403.
    pub user_agent: String,
    /// Of a quote.
    pub timeout: Duration,
    /// Of every other call.
    pub label_timeout: Duration,
    pub breaker: BreakerConfig,
    /// What the token allows, less what other processes use of it.
    pub calls_per_minute: u32,
}

#[derive(Debug)]
pub struct MelhorEnvio {
    http: Http,
    /// With a longer timeout and a breaker of its own: slow quotes do not stop the buying of labels.
    labels: Http,
    token: SecretString,
}

/// How long a quote waits for its turn: a buyer waits for it.
const QUOTE_WAIT: Duration = Duration::from_millis(500);

/// The turns of quotes: four fifths of the token's allowance at most. Anybody can ask for a quote, and a fifth stays for labels.
#[derive(Debug)]
struct QuoteTurns {
    own: Pace,
    all: Arc<Pace>,
}

impl QuoteTurns {
    fn new(calls_per_minute: u32, all: &Arc<Pace>) -> Self {
        let own = Pace::new(calls_per_minute * 4 / 5, MINUTE, calls_per_minute / 8);
        Self { own, all: Arc::clone(all) }
    }
}

#[async_trait]
impl Turns for QuoteTurns {
    async fn turn(&self, limit: Duration) -> Result<(), Duration> {
        let limit = limit.min(QUOTE_WAIT);
        self.own.turn(limit).await?;
        self.all.turn(limit).await
    }
}

/// The allowance of the token.
fn all_turns(calls_per_minute: u32) -> Arc<Pace> {
    Arc::new(Pace::new(calls_per_minute, MINUTE, calls_per_minute / 5))
}

impl MelhorEnvio {
    pub fn new(config: MelhorEnvioConfig) -> Result<Self, BadConfig> {
        let with = |timeout| {
            Http::new(HttpConfig {
                provider: NAME,
                base_url: config.base_url.clone(),
                user_agent: config.user_agent.clone(),
                timeout,
                max_response_bytes: MAX_RESPONSE_BYTES,
                breaker: config.breaker,
                background: None,
            })
        };
        let all = all_turns(config.calls_per_minute);
        let http = with(config.timeout)?.paced(Arc::new(QuoteTurns::new(config.calls_per_minute, &all)));
        Ok(Self { http, labels: with(config.label_timeout)?.paced(all), token: config.token })
    }

    /// Of the quotes.
    pub fn breaker(&self) -> Arc<Breaker> {
        self.http.breaker()
    }

    /// Of everything else.
    pub fn label_breaker(&self) -> Arc<Breaker> {
        self.labels.breaker()
    }
}

#[async_trait]
impl ShippingProvider for MelhorEnvio {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quote(&self, ask: &QuoteRequest) -> Result<Vec<FreightOption>, ProviderError> {
        let call = self.http.post("/api/v2/me/shipment/calculate").bearer(self.token.expose_secret());
        let call = call.json(&wire::Quote::from(ask)).refusals(wire::refusal);
        let answer: Box<RawValue> = call.read_only().repeatable().send().await?; // a calculation: nothing is stored
        wire::options(&answer).ok_or_else(|| ProviderError::Unavailable {
            provider: NAME,
            reason: "no entry of the answer makes sense".to_owned(),
            retry_after_s: None,
        })
    }
}
