//! The token that every call shows: asked for once, however many need it, and renewed before it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use vitrine_kit::ProviderError;
use vitrine_kit::http::{Answer, BadConfig, Http};

use crate::wire;

/// Where they do not say how long a token lives.
const UNSAID_LIFE_S: u64 = 300;
/// Nobody's token lives longer; a larger number is a mistake.
const LONGEST_LIFE_S: u64 = 24 * 3600;

#[derive(Debug)]
pub(crate) struct Tokens {
    http: Http,
    path: String,
    /// The whole header: HTTP Basic.
    credentials: SecretString,
    /// This bank wants a form, not JSON.
    wants_form: AtomicBool,
    /// Held while they are asked, so that all others wait for that one answer.
    kept: Mutex<Kept>,
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) value: SecretString,
    got_at: Instant,
    renew_at: Instant,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<Token>,
    failure: Option<(Instant, ProviderError)>,
}

impl Tokens {
    pub(crate) fn new(http: &Http, url: &str, id: &str, secret: &SecretString) -> Result<Self, BadConfig> {
        let (address, path) = split(url);
        let pair = STANDARD.encode(format!("{id}:{}", secret.expose_secret()));
        Ok(Self {
            http: http.at(address)?,
            path: path.to_owned(),
            credentials: format!("Basic {pair}").into(),
            wants_form: AtomicBool::new(false),
            kept: Mutex::default(),
        })
    }

    /// Errors: as theirs, and nothing of the call that needs the token has happened.
    pub(crate) async fn get(&self) -> Result<Token, ProviderError> {
        let came = Instant::now();
        let mut kept = self.kept.lock().await;
        if let Some(token) = &kept.token
            && (Instant::now() < token.renew_at || token.got_at >= came)
        {
            return Ok(token.clone());
        }
        // Who waited through a failed try shares its outcome: a dead bank is not asked by one after the other.
        if let Some((at, error)) = &kept.failure
            && *at >= came
        {
            return Err(error.clone());
        }
        match self.ask().await {
            Ok(token) => Ok(kept.token.insert(token).clone()),
            Err(error) => {
                kept.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// They took it back. One that came since stays.
    pub(crate) async fn forget(&self, refused: &Token) {
        let mut kept = self.kept.lock().await;
        kept.token.take_if(|token| token.got_at == refused.got_at);
    }

    async fn ask(&self) -> Result<Token, ProviderError> {
        let asked_at = Instant::now();
        let wants_form = self.wants_form.load(Ordering::Relaxed);
        let mut answer = self.post(wants_form).await?;
        if !wants_form && matches!(answer.status, 400 | 415) {
            answer = self.post(true).await?;
            self.wants_form.store(answer.is_success(), Ordering::Relaxed);
        }
        if !answer.is_success() {
            return Err(answer.refused(wire::refusal(&answer.body)));
        }
        let given: Given = answer.read()?;
        let renew_at = asked_at + nine_tenths(given.expires_in.map(|wire::Seconds(life)| life));
        Ok(Token { value: given.access_token, got_at: Instant::now(), renew_at })
    }

    /// Asking for a token changes nothing on their side.
    async fn post(&self, as_form: bool) -> Result<Answer, ProviderError> {
        let call = self.http.post(&self.path).header("Authorization", self.credentials.expose_secret());
        let call = if as_form {
            call.form(&[("grant_type", "client_credentials")])
        } else {
            call.json(&json!({"grant_type": "client_credentials"}))
        };
        call.read_only().repeatable().send_raw().await
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: SecretString,
    expires_in: Option<wire::Seconds>,
}

pub(crate) fn nine_tenths(life_s: Option<i64>) -> Duration {
    let life_s = life_s.map_or(UNSAID_LIFE_S, |s| u64::try_from(s).unwrap_or(0));
    Duration::from_secs(life_s.min(LONGEST_LIFE_S)) * 9 / 10
}

/// At the last slash of the path: the log then shows a path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    match url.rfind('/') {
        Some(at) if at > host => url.split_at(at),
        _ => (url, "/"),
    }
}
