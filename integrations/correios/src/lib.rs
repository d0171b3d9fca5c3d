//! Correios under a contract of the shop's own: prices and delivery times of its services, and tracking.
//! Every call here only reads, so every call may be repeated.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::http::{Answer, BadConfig, Call, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::shipping::{FreightOption, QuoteRequest, ShippingProvider, TrackingEvent};

use crate::plan::Plan;
use crate::services::Service;
use crate::token::Tokens;
use crate::wire::Token;

mod line;
mod plan;
mod services;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod token_tests;
mod track;
#[cfg(test)]
mod track_tests;
mod wire;

pub use services::DEFAULT_SERVICES;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "correios";
/// The breaker of the calls that no buyer waits for.
const BACKGROUND: &str = "correios background";

/// Default for how long one call may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Their limit of simulations in one batch.
const BATCH: usize = 5;
/// Their limit of objects in one tracking call.
const OBJECTS: usize = 50;

/// The smallest box that they take, in centimetres. Smaller ones are rounded up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinBox {
    pub length_cm: u32,
    pub width_cm: u32,
    pub height_cm: u32,
}

impl Default for MinBox {
    /// Their documents disagree about the minimums; these are the larger ones.
    fn default() -> Self {
        Self { length_cm: 16, width_cm: 11, height_cm: 2 }
    }
}

#[derive(Debug, Clone)]
pub struct CorreiosConfig {
    pub base_url: String,
    /// The user name at their portal.
    pub user: String,
    /// Created in the portal ("código de acesso às APIs"); not the password.
    pub access_code: SecretString,
    pub postage_card: String,
    /// Used where the token names no contract.
    pub contract: String,
    /// Codes of the services to ask for; see [`DEFAULT_SERVICES`].
    pub services: Vec<String>,
    pub min_box: MinBox,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct Correios {
    http: Http,
    tokens: Tokens,
    services: Vec<&'static Service>,
    min_box: MinBox,
}

impl Correios {
    /// Fails on an address that is not http(s) and on a service that is not known here.
    pub fn new(config: CorreiosConfig) -> Result<Self, BadConfig> {
        let services = services::find(&config.services).map_err(|reason| BadConfig { provider: NAME, reason })?;
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: Some(BACKGROUND),
        })?;
        let tokens = Tokens::new(http.clone(), &config.user, &config.access_code, config.postage_card, config.contract);
        Ok(Self { http, tokens, services, min_box: config.min_box })
    }

    /// One for each lane: the buyers', then the background's.
    pub fn breakers(&self) -> Vec<Arc<Breaker>> {
        self.http.breakers()
    }

    /// The events of each of these objects, oldest first, in the order of `codes`. An object that they do not know (yet) has
    /// none. More codes than one call takes are asked for in several calls, one after the other.
    pub async fn track(&self, codes: &[&str]) -> Result<Vec<(String, Vec<TrackingEvent>)>, ProviderError> {
        let began = Instant::now();
        let mut tracked = Vec::with_capacity(codes.len());
        for codes in codes.chunks(OBJECTS) {
            let list = codes.join(",");
            let query = [("codigosObjetos", list.as_str()), ("resultado", "T")];
            let call = |http: &Http, _: &Token| {
                http.get("/srorastro/v1/objetos").query(&query).header("Accept-Language", "pt-BR").repeatable()
            };
            let answer = self.send(Lane::Background, began, call).await?;
            if !answer.is_success() {
                return Err(answer.refused(wire::refusal(&answer.body)));
            }
            tracked.extend(track::events(codes, answer.read()?));
        }
        Ok(tracked)
    }

    /// With a token, and once more with a new one where they no longer take it. One that came after `began` is not renewed:
    /// then it is our contract that is not allowed to.
    async fn send(
        &self,
        lane: Lane,
        began: Instant,
        call: impl Fn(&Http, &Token) -> Call + Sync,
    ) -> Result<Answer, ProviderError> {
        let token = self.tokens.get(lane).await?;
        let answer = call(&self.http, &token).lane(lane).bearer(token.value.expose_secret()).send_raw().await?;
        if !matches!(answer.status, 401 | 403) || token.got_at() >= began {
            return Ok(answer);
        }
        self.tokens.forget(&token).await;
        let token = self.tokens.get(lane).await?;
        call(&self.http, &token).lane(lane).bearer(token.value.expose_secret()).send_raw().await
    }

    /// Sends one batch. With some lines refused the status may be anything: an array is an answer.
    async fn batch(
        &self,
        began: Instant,
        path: &str,
        body: impl Fn(&Token) -> serde_json::Value + Sync,
    ) -> Result<Vec<wire::Item>, ProviderError> {
        let call = |http: &Http, token: &Token| http.post(path).json(&body(token)).read_only().repeatable();
        let answer = self.send(Lane::Buyer, began, call).await?;
        match wire::items(&answer.body) {
            Some(items) => Ok(items),
            None if answer.is_success() => answer.read::<Vec<serde_json::Value>>().map(|_| Vec::new()), // for its error
            None => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }
}

#[async_trait]
impl ShippingProvider for Correios {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Asks for prices and delivery times in parallel. All calls are awaited, even if one has failed: dropping the breaker's
    /// probe would keep the breaker open.
    async fn quote(&self, ask: &QuoteRequest) -> Result<Vec<FreightOption>, ProviderError> {
        let plan = Plan::new(ask, &self.services, self.min_box);
        if plan.lines.is_empty() {
            return Ok(Vec::new()); // no service takes it
        }
        let (began, date) = (Instant::now(), wire::date(Timestamp::now()));
        let (plan, date) = (&plan, date.as_str());
        let prices = plan.lines.chunks(BATCH).enumerate().map(|(n, lines)| {
            self.batch(began, "/preco/v1/nacional", move |token| plan.ask_prices(n * BATCH, lines, token, date))
        });
        let deadlines =
            plan.services.chunks(BATCH).enumerate().map(|(n, services)| {
                self.batch(began, "/prazo/v1/nacional", move |_| plan.ask_deadlines(n * BATCH, services, date))
            });
        let (prices, deadlines) = tokio::join!(join_all(prices), join_all(deadlines));
        let prices = prices.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        let deadlines = deadlines.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        plan.options(&prices, &deadlines)
    }
}
