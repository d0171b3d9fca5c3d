//! OAuth2 client credentials: how the bank is asked for its token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::Lane;
use vitrine_kit::http::{Answer, BadConfig, Http};
use vitrine_kit::token as kit;

use crate::{refusals, wire};

/// A token's lifetime if the bank does not say it.
const UNSAID_LIFE: Duration = Duration::from_secs(300);

pub(crate) type Token = kit::Token<SecretString>;

#[derive(Debug)]
pub(crate) struct Tokens {
    http: Http,
    path: String,
    /// The whole header: HTTP Basic.
    credentials: SecretString,
    /// This bank wants JSON, as Efí does, and not RFC 6749's form.
    wants_json: AtomicBool,
    kept: kit::Tokens<SecretString>,
}

impl Tokens {
    pub(crate) fn new(http: &Http, url: &str, id: &str, secret: &SecretString) -> Result<Self, BadConfig> {
        let (address, path) = split(url);
        let pair = STANDARD.encode(format!("{id}:{}", secret.expose_secret()));
        Ok(Self {
            http: http.at(address)?,
            path: path.to_owned(),
            credentials: format!("Basic {pair}").into(),
            wants_json: AtomicBool::new(false),
            kept: kit::Tokens::default(),
        })
    }

    /// Errors: the bank's; the call that needs the token was then not sent.
    pub(crate) async fn get(&self, lane: Lane) -> Result<Token, ProviderError> {
        self.kept.get(self.ask(lane)).await
    }

    pub(crate) async fn forget(&self, refused: &Token) {
        self.kept.forget(refused).await;
    }

    async fn ask(&self, lane: Lane) -> Result<(SecretString, Duration), ProviderError> {
        let wants_json = self.wants_json.load(Ordering::Relaxed);
        let mut answer = self.post(lane, wants_json).await?;
        if may_be_the_form(answer.status) {
            let other = self.post(lane, !wants_json).await?;
            if other.is_success() {
                self.wants_json.store(!wants_json, Ordering::Relaxed);
            }
            if other.is_success() || says_more(other.status, answer.status) {
                answer = other;
            }
        }
        if !answer.is_success() {
            return Err(answer.refused_entry(refusals::read(&answer.body)));
        }
        let given: Given = answer.read()?;
        Ok((given.access_token, life(given.expires_in.map(|wire::Seconds(life)| life))))
    }

    /// Asking for a token changes nothing on their side.
    async fn post(&self, lane: Lane, as_json: bool) -> Result<Answer, ProviderError> {
        let call = self.http.post(&self.path).header("Authorization", self.credentials.expose_secret());
        let call = if as_json {
            call.json(&json!({"grant_type": "client_credentials"}))
        } else {
            call.form(&[("grant_type", "client_credentials")])
        };
        call.lane(lane).read_only().repeatable().send_raw().await
    }
}

/// Whether the bank may not understand the format of the request. Banks answer that with 400, 401, 404, 406, 415 or 422. A 403 is
/// about our credentials, and after a 429 another request would be refused too.
fn may_be_the_form(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 403 | 429)
}

/// Of two refusals, the one about our credentials or the rate limit: there the bank understood the request.
fn says_more(other: u16, first: u16) -> bool {
    matches!(other, 401 | 403 | 429) && first != 401
}

#[derive(Deserialize)]
struct Given {
    access_token: SecretString,
    expires_in: Option<wire::Seconds>,
}

pub(crate) fn life(said_s: Option<i64>) -> Duration {
    said_s.map_or(UNSAID_LIFE, |s| Duration::from_secs(u64::try_from(s).unwrap_or(0)))
}

/// Splits at the last slash, so that the log shows a path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    match url.rfind('/') {
        Some(at) if at > host => url.split_at(at),
        _ => (url, "/"),
    }
}
