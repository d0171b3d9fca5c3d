//! The HTTP client for all providers: request id, breaker, bounded retries, one deadline for a call with all its tries, a limit
//! on the size of answers, and an outcome that says whether the call may have been done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ProviderError;
use crate::breaker::{Breaker, BreakerConfig, Lane};
use crate::pace::Turns;

mod answer;
mod exchange;
#[cfg(test)]
mod tests;
mod tls;

pub use crate::refusal::Refusal;
pub use answer::{Answer, Forbidding, ReadRefusal};

/// Providers' answers are small; more than this is a mistake or an attack.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Idle connections are closed after this, before the provider closes them in the middle of a request.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// This includes the media types of refusals: some providers answer 406 otherwise.
const ACCEPT: &str = "application/json, application/problem+json";

/// How to reach one provider.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub provider: &'static str,
    /// With or without a path; a final slash does not matter.
    pub base_url: String,
    pub user_agent: String,
    /// For the whole call: every try, every wait, and reading the answer.
    pub timeout: Duration,
    pub max_response_bytes: usize,
    pub breaker: BreakerConfig,
    /// The name of the breaker of [`Lane::Background`]. `None`: all calls share the provider's one.
    pub background: Option<&'static str>,
}

/// The configuration cannot work. Reported once, at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{provider}: {reason}")]
pub struct BadConfig {
    pub provider: &'static str,
    pub reason: String,
}

/// A provider's address, connection pool and breakers. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    provider: &'static str,
    base_url: String,
    timeout: Duration,
    max_response_bytes: usize,
    client: reqwest::Client,
    breakers: Breakers,
    paced: Option<Paced>,
}

/// Who gives out turns, and whether a call's first try needs one or only its repeats.
#[derive(Debug, Clone)]
struct Paced {
    turns: Arc<dyn Turns>,
    first: bool,
}

#[derive(Debug, Clone)]
struct Breakers {
    buyer: Arc<Breaker>,
    background: Arc<Breaker>,
}

impl Inner {
    fn breaker(&self, lane: Lane) -> &Arc<Breaker> {
        match lane {
            Lane::Buyer => &self.breakers.buyer,
            Lane::Background => &self.breakers.background,
        }
    }
}

impl Http {
    /// Fails on an address that is not http(s), or where TLS cannot be set up.
    pub fn new(config: HttpConfig) -> Result<Self, BadConfig> {
        Self::build(config, None)
    }

    /// Shows a client certificate (mutual TLS): `pem` holds it, its chain and its private key.
    pub fn with_certificate(config: HttpConfig, pem: &[u8]) -> Result<Self, BadConfig> {
        let identity = reqwest::Identity::from_pem(pem).map_err(|e| BadConfig {
            provider: config.provider,
            reason: format!("the client certificate cannot be read: {}", root(&e)),
        })?;
        Self::build(config, Some(identity))
    }

    fn build(config: HttpConfig, identity: Option<reqwest::Identity>) -> Result<Self, BadConfig> {
        let bad = |reason: String| BadConfig { provider: config.provider, reason };
        let base_url = address(config.provider, &config.base_url)?;
        let accept = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(ACCEPT))]);
        let builder = match identity {
            Some(identity) => reqwest::Client::builder().identity(identity),
            None => reqwest::Client::builder()
                .tls_backend_preconfigured(tls::shared().map_err(|e| bad(format!("TLS cannot be set up: {e}")))?),
        };
        let client = builder
            .user_agent(&config.user_agent)
            .default_headers(accept)
            // Shorter than the whole timeout, so that a failed connection (certainly not sent) is reported as such.
            .connect_timeout(config.timeout / 2)
            .pool_idle_timeout(IDLE_CONNECTION)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| bad(format!("the HTTP client cannot be built: {}", root(&e))))?;
        let buyer = Breaker::new(config.provider, config.breaker);
        let background = match config.background {
            Some(name) => Breaker::named(config.provider, name, config.breaker),
            None => Arc::clone(&buyer),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                provider: config.provider,
                base_url,
                timeout: config.timeout,
                max_response_bytes: config.max_response_bytes,
                client,
                breakers: Breakers { buyer, background },
                paced: None,
            }),
        })
    }

    /// The same provider at another address (its token server): the same pool, certificate and breakers.
    pub fn at(&self, base_url: &str) -> Result<Self, BadConfig> {
        let base_url = address(self.inner.provider, base_url)?;
        let (client, breakers, paced) = (self.inner.client.clone(), self.inner.breakers.clone(), self.inner.paced.clone());
        Ok(Self { inner: Arc::new(Inner { base_url, client, breakers, paced, ..*self.inner }) })
    }

    /// The same provider, where each try of a call takes a turn first. A call that gets none in its time is `Unavailable`.
    pub fn paced(&self, turns: Arc<dyn Turns>) -> Self {
        self.with(Paced { turns, first: true })
    }

    /// The same, for calls whose first turn their caller has taken: only repeats take one.
    pub fn repeats_paced(&self, turns: Arc<dyn Turns>) -> Self {
        self.with(Paced { turns, first: false })
    }

    fn with(&self, paced: Paced) -> Self {
        let Inner { base_url, client, breakers, .. } = &*self.inner;
        let (base_url, client, breakers) = (base_url.clone(), client.clone(), breakers.clone());
        Self { inner: Arc::new(Inner { base_url, client, breakers, paced: Some(paced), ..*self.inner }) }
    }

    /// The breaker of calls that a buyer waits for; the only one if the lanes share it.
    pub fn breaker(&self) -> Arc<Breaker> {
        self.breaker_of(Lane::Buyer)
    }

    pub fn breaker_of(&self, lane: Lane) -> Arc<Breaker> {
        Arc::clone(self.inner.breaker(lane))
    }

    /// Each breaker once, the buyers' first.
    pub fn breakers(&self) -> Vec<Arc<Breaker>> {
        let Breakers { buyer, background } = self.inner.breakers.clone();
        if Arc::ptr_eq(&buyer, &background) { vec![buyer] } else { vec![buyer, background] }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    pub fn patch(&self, path: &str) -> Call {
        self.call(Method::PATCH, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// `path` begins with a slash and goes behind the base address.
    fn call(&self, method: Method, path: &str) -> Call {
        let builder = self.inner.client.request(method.clone(), format!("{}{path}", self.inner.base_url));
        Call {
            http: Arc::clone(&self.inner),
            builder,
            is_read: method.is_safe(),
            method,
            path: template(path),
            lane: Lane::Buyer,
            is_repeatable: false,
            refusal: None,
            blames: &[],
            busy: &[],
            retry_header: None,
            keeps_failures: false,
            is_final: None,
            forbidding: Forbidding::Us,
        }
    }
}

/// Without a final slash.
fn address(provider: &'static str, base_url: &str) -> Result<String, BadConfig> {
    let bad = |reason: String| BadConfig { provider, reason };
    let base_url = base_url.trim_end_matches('/').to_owned();
    let url = reqwest::Url::parse(&base_url).map_err(|e| bad(format!("the address is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.query().is_some() {
        return Err(bad("the address must be http(s)://host[/path]".to_owned()));
    }
    Ok(base_url)
}

/// One call being put together. Nothing happens before `send`.
#[must_use = "nothing is sent before `send`"]
pub struct Call {
    http: Arc<Inner>,
    builder: reqwest::RequestBuilder,
    method: Method,
    /// For the log: ids taken out.
    path: String,
    lane: Lane,
    is_repeatable: bool,
    is_read: bool,
    refusal: Option<ReadRefusal>,
    blames: &'static [u16],
    busy: &'static [u16],
    retry_header: Option<&'static str>,
    keeps_failures: bool,
    is_final: Option<fn(&Answer) -> bool>,
    forbidding: Forbidding,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} {} {})", self.http.provider, self.method, self.path)
    }
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub fn bearer(mut self, token: &str) -> Self {
        self.builder = self.builder.bearer_auth(token);
        self
    }

    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.builder = self.builder.query(pairs);
        self
    }

    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    pub fn form<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.builder = self.builder.form(body);
        self
    }

    /// A form that is already encoded.
    pub fn encoded_form(mut self, body: String) -> Self {
        self.builder = self.builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        self
    }

    /// The lane of the call. Default: a buyer waits for it.
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Promises that sending this twice does it once. A comment at the call says why.
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// A POST that only asks: without an answer nothing has happened, so it never ends `Unknown`.
    pub fn read_only(mut self) -> Self {
        self.is_read = true;
        self
    }

    /// How to read their code and words out of a 4xx body. Without it the code is the status.
    pub fn refusals(mut self, read: ReadRefusal) -> Self {
        self.refusal = Some(read);
        self
    }

    /// Statuses below 500 that the breaker counts as failures.
    pub fn blames(mut self, statuses: &'static [u16]) -> Self {
        self.blames = statuses;
        self
    }

    /// Statuses that mean "not now" like 429 does: this try did nothing, and the same call may be sent again.
    pub fn busy(mut self, statuses: &'static [u16]) -> Self {
        self.busy = statuses;
        self
    }

    /// Answers that mean "not now" and will mean it for long: the call is not sent again at once.
    pub fn gives_up_on(mut self, is_final: fn(&Answer) -> bool) -> Self {
        self.is_final = Some(is_final);
        self
    }

    /// A header by which the provider allows or forbids another try. It takes precedence over the status.
    pub fn retry_header(mut self, name: &'static str) -> Self {
        self.retry_header = Some(name);
        self
    }

    /// The provider stores a 5xx as the answer to this call's key. After the last try `send_raw` returns it without its body, and
    /// the caller decides.
    pub fn keeps_failures(mut self) -> Self {
        self.keeps_failures = true;
        self
    }

    /// What a 401 or 403 to this call means. Default: our credentials are not accepted.
    pub fn forbidding(mut self, forbidding: Forbidding) -> Self {
        self.forbidding = forbidding;
        self
    }

    /// The body of a 2xx, read as `T` (an empty body reads as `null`). Any other answer becomes the error of [`Answer::refused`].
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, ProviderError> {
        let refusal = self.refusal;
        let read = |answer: Answer| {
            if answer.is_success() { answer.parse().map(Ok) } else { Ok(Err(answer)) }
        };
        match exchange::run(self, read).await? {
            Ok(value) => Ok(value),
            Err(answer) => Err(answer.refused(refusal.and_then(|read| read(&answer.body)))),
        }
    }

    /// Any answer below 500 (with `keeps_failures` any), for clients that tell refusals apart themselves.
    pub async fn send_raw(self) -> Result<Answer, ProviderError> {
        exchange::run(self, Ok).await
    }
}

/// The path without anything that looks like an id, so that log lines can be grouped by it and hold no CEP.
fn template(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let looks_like_id = |part: &str| part.len() >= 6 && part.bytes().any(|b| b.is_ascii_digit());
    path.split('/').map(|part| if looks_like_id(part) { "{id}" } else { part }).collect::<Vec<_>>().join("/")
}

/// The innermost error. Unlike the outer ones, it never contains the URL.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if cause.is::<reqwest::Error>() { "no cause given".to_owned() } else { cause.to_string() }
}
