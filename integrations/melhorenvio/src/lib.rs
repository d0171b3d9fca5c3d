//! Melhor Envio, a broker of many carriers: what each would take to carry a parcel.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::{Breaker, BreakerConfig};
use vitrine_kit::http::{BadConfig, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::shipping::{FreightOption, QuoteRequest, ShippingProvider};

#[cfg(test)]
mod tests;
mod wire;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "melhorenvio";

/// A buyer waits for a quote no longer than this, if the configuration does not say otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct MelhorEnvioConfig {
    pub base_url: String,
    /// A personal token from their panel.
    pub token: SecretString,
    /// `Loja (contato@loja.com.br)`: without a name and a contact their firewall answers 403.
    pub user_agent: String,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct MelhorEnvio {
    http: Http,
    token: SecretString,
}

impl MelhorEnvio {
    pub fn new(config: MelhorEnvioConfig) -> Result<Self, BadConfig> {
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: config.user_agent,
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
        })?;
        Ok(Self { http, token: config.token })
    }

    pub fn breaker(&self) -> Arc<Breaker> {
        self.http.breaker()
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
        let answer: Box<RawValue> = call.read_only().repeatable().send().await?; // a calculation, nothing is kept
        wire::options(&answer).ok_or_else(|| ProviderError::Unavailable {
            provider: NAME,
            reason: "no entry of the answer makes sense".to_owned(),
            retry_after_s: None,
        })
    }
}
