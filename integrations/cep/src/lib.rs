//! From a CEP to a street: ViaCEP first, BrasilAPI if it fails. Always optional: without an answer the buyer types the address.

use std::sync::Arc;
use std::time::Duration;

use vitrine_kit::breaker::{Breaker, BreakerConfig};
use vitrine_kit::http::{BadConfig, Forbidding, Http, HttpConfig};
use vitrine_kit::{Cep, ProviderError};

#[cfg(test)]
mod tests;
mod wire;

/// The names in metrics, logs and the list of breakers.
pub const VIACEP: &str = "viacep";
pub const BRASILAPI: &str = "brasilapi";

/// Default for each of the two sources.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// An address is a few hundred bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// Both block clients that ask too much: these answers open the breaker.
const CUT_OFF: &[u16] = &[403, 429];

#[derive(Debug, Clone)]
pub struct CepConfig {
    pub viacep_url: String,
    /// `None`: there is no second source.
    pub brasilapi_url: Option<String>,
    /// For each source.
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub cep: Cep,
    /// `None` in small towns, which have one CEP for all streets.
    pub street: Option<String>,
    pub district: Option<String>,
    pub city: String,
    /// Two letters.
    pub state: String,
    /// The IBGE's number of the city, 7 digits, which an NF-e needs.
    pub ibge_city: Option<String>,
}

#[derive(Debug)]
pub struct CepLookup {
    viacep: Http,
    brasilapi: Option<Http>,
}

impl CepLookup {
    pub fn new(config: CepConfig) -> Result<Self, BadConfig> {
        let source = |provider, base_url: &str| {
            Http::new(HttpConfig {
                provider,
                base_url: base_url.to_owned(),
                user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
                timeout: config.timeout,
                max_response_bytes: MAX_RESPONSE_BYTES,
                breaker: config.breaker,
                background: None,
            })
        };
        Ok(Self {
            viacep: source(VIACEP, &config.viacep_url)?,
            brasilapi: config.brasilapi_url.as_deref().map(|url| source(BRASILAPI, url)).transpose()?,
        })
    }

    /// One per source.
    pub fn breakers(&self) -> Vec<Arc<Breaker>> {
        [Some(&self.viacep), self.brasilapi.as_ref()].into_iter().flatten().map(Http::breaker).collect()
    }

    /// `None`: there is no such CEP. An error is always `Unavailable`; it says nothing about the CEP.
    pub async fn find(&self, cep: &Cep) -> Result<Option<Address>, ProviderError> {
        let first = match self.ask_viacep(cep).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let Some(brasilapi) = &self.brasilapi else { return Err(unavailable(first)) };
        // Its "not found" also comes when its own sources are down, so here it is an error like any other.
        ask_brasilapi(brasilapi, cep).await.map(Some).map_err(|_| unavailable(first))
    }

    async fn ask_viacep(&self, cep: &Cep) -> Result<Option<Address>, ProviderError> {
        let call = self.viacep.get(&format!("/ws/{}/json/", cep.as_str())).forbidding(Forbidding::Anybody).blames(CUT_OFF);
        let answer: wire::ViaCep = call.send().await?;
        if answer.is_unknown() {
            return Ok(None);
        }
        answer.address(cep).map(Some).ok_or_else(|| nonsense(VIACEP))
    }
}

async fn ask_brasilapi(http: &Http, cep: &Cep) -> Result<Address, ProviderError> {
    let call = http.get(&format!("/api/cep/v1/{}", cep.as_str())).forbidding(Forbidding::Anybody).blames(CUT_OFF);
    let answer: wire::BrasilApi = call.send().await?;
    answer.address(cep).ok_or_else(|| nonsense(BRASILAPI))
}

fn nonsense(provider: &'static str) -> ProviderError {
    let reason = "the answer is not this CEP's address".to_owned();
    ProviderError::Unavailable { provider, reason, retry_after_s: None }
}

/// Every failure is reported as unavailable: the buyer can try later or type the address.
fn unavailable(error: ProviderError) -> ProviderError {
    match error {
        ProviderError::Unavailable { .. } => error,
        _ => ProviderError::Unavailable { provider: error.provider(), reason: error.to_string(), retry_after_s: None },
    }
}
