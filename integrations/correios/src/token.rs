//! The token that every call shows: asked for by postage card, so that prices are the contract's. Asked for once, however
//! many need it, and renewed before it ends.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use vitrine_kit::ProviderError;
use vitrine_kit::http::Http;

use crate::{NAME, wire};

/// Where they do not say how long a token lives.
const UNSAID_LIFE: Duration = Duration::from_secs(3600);
/// Theirs live a day; a larger number is a mistake.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(crate) struct Tokens {
    http: Http,
    /// The whole header: HTTP Basic.
    credentials: SecretString,
    card: String,
    contract: String,
    /// Held while they are asked, so that all others wait for that one answer.
    kept: Mutex<Kept>,
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) value: SecretString,
    pub(crate) contract: Option<String>,
    /// Their regional office ("DR").
    pub(crate) office: Option<i64>,
    pub(crate) got_at: Instant,
    renew_at: Instant,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<Token>,
    failure: Option<(Instant, ProviderError)>,
}

impl Tokens {
    pub(crate) fn new(http: Http, user: &str, access_code: &SecretString, card: String, contract: String) -> Self {
        let pair = STANDARD.encode(format!("{user}:{}", access_code.expose_secret()));
        Self { http, credentials: format!("Basic {pair}").into(), card, contract, kept: Mutex::default() }
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
        // Who waited through a failed try shares its outcome: they are not asked by one after the other.
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
        let call = self.http.post("/token/v1/autentica/cartaopostagem");
        let call = call.header("Authorization", self.credentials.expose_secret()).json(&json!({"numero": self.card}));
        let answer = call.read_only().repeatable().send_raw().await?; // asking for a token changes nothing on their side
        if !answer.is_success() {
            return Err(answer.refused(wire::refusal(&answer.body)));
        }
        let given: Given = answer.read()?;
        let renew_at = asked_at + given.life() * 9 / 10;
        let card = given.postage_card.unwrap_or_default();
        let contract = card.contrato.as_ref().and_then(plain);
        if let Some(theirs) = &contract
            && *theirs != self.contract
        {
            tracing::warn!(
                provider = NAME,
                theirs,
                ours = self.contract,
                "the postage card is another contract's: theirs is used"
            );
        }
        Ok(Token {
            value: given.token,
            contract: contract.or_else(|| (!self.contract.is_empty()).then(|| self.contract.clone())),
            office: card.dr.as_ref().and_then(plain).and_then(|number| number.parse().ok()),
            got_at: Instant::now(),
            renew_at,
        })
    }
}

#[derive(Deserialize)]
struct Given {
    token: SecretString,
    emissao: Option<String>,
    #[serde(rename = "expiraEm")]
    expira_em: Option<String>,
    #[serde(rename = "cartaoPostagem")]
    postage_card: Option<Card>,
}

#[derive(Deserialize, Default)]
struct Card {
    contrato: Option<Value>,
    dr: Option<Value>,
}

impl Given {
    /// From issue to end. Neither has a zone, but it is the same one: no clock but theirs counts.
    fn life(&self) -> Duration {
        let time = |text: &Option<String>| text.as_ref()?.parse::<DateTime>().ok();
        match (time(&self.emissao), time(&self.expira_em)) {
            (Some(issued), Some(end)) => Duration::try_from(end.duration_since(issued)).unwrap_or_default().min(LONGEST_LIFE),
            _ => UNSAID_LIFE,
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
