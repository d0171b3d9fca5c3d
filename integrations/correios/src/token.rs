//! The token of every call, issued for a postage card, so that prices are the contract's.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::Lane;
use vitrine_kit::http::Http;
use vitrine_kit::token as kit;

use crate::NAME;
use crate::wire::{self, Pass, Token};

/// Lifetime of a token whose answer names none.
const UNSAID_LIFE: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Tokens {
    http: Http,
    /// The whole header: HTTP Basic.
    credentials: SecretString,
    card: String,
    contract: String,
    kept: kit::Tokens<Pass>,
}

impl Tokens {
    pub(crate) fn new(http: Http, user: &str, access_code: &SecretString, card: String, contract: String) -> Self {
        let pair = STANDARD.encode(format!("{user}:{}", access_code.expose_secret()));
        Self { http, credentials: format!("Basic {pair}").into(), card, contract, kept: kit::Tokens::default() }
    }

    /// Errors: as theirs, and nothing of the call that needs the token has happened.
    pub(crate) async fn get(&self, lane: Lane) -> Result<Token, ProviderError> {
        self.kept.get(self.ask(lane)).await
    }

    pub(crate) async fn forget(&self, refused: &Token) {
        self.kept.forget(refused).await;
    }

    async fn ask(&self, lane: Lane) -> Result<(Pass, Duration), ProviderError> {
        let call = self.http.post("/token/v1/autentica/cartaopostagem");
        let call = call.header("Authorization", self.credentials.expose_secret()).json(&json!({"numero": self.card}));
        let answer = call.lane(lane).read_only().repeatable().send_raw().await?; // asking for a token changes nothing on their side
        if !answer.is_success() {
            return Err(answer.refused_entry(wire::refusal(&answer.body)));
        }
        let given: Given = answer.read()?;
        let life = given.life();
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
        let pass = Pass {
            value: given.token,
            contract: contract.or_else(|| (!self.contract.is_empty()).then(|| self.contract.clone())),
            office: card.dr.as_ref().and_then(plain).and_then(|number| number.parse().ok()),
        };
        Ok((pass, life))
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
    /// The lifetime. Both times lack a zone, but it is the same one, and their clock alone is used.
    fn life(&self) -> Duration {
        let time = |text: &Option<String>| text.as_ref()?.parse::<DateTime>().ok();
        match (time(&self.emissao), time(&self.expira_em)) {
            (Some(issued), Some(end)) => Duration::try_from(end.duration_since(issued)).unwrap_or_default(),
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
