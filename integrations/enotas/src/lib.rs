//! eNotas Gateway: NF-e by our own id. Everything is asynchronous: the answer to a POST or DELETE says little, so the invoice
//! is read after each. Both environments have one address, and each id is accepted only once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::fiscal::{Cancellation, Corrected, Correction, Document, FiscalNotice, FiscalProvider, NfeState, SeenNfe};
use vitrine_kit::http::{Answer, BadConfig, Call, Http, HttpConfig, Refusal};
use vitrine_kit::nfe::{Environment, Nfe};
use vitrine_kit::{Cnpj, Delivery, Forged, ProviderError, sefaz};

mod item;
mod note;
#[cfg(test)]
mod note_tests;
#[cfg(test)]
#[path = "../../focusnfe/src/samples.rs"]
mod samples;
#[cfg(test)]
mod tests;
mod webhook;
mod wire;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "enotas";

/// Room for a DANFE of many pages.
const MAX_ANSWER_BYTES: usize = 5 * 1024 * 1024;
/// Shortest and longest text of a correction letter.
const LETTER: (usize, usize) = (15, 1000);
/// Prefix of ids in the test environment: an id used there is used up in production too.
const TEST_PREFIX: &str = "h-";

/// The account, its company and its environment.
#[derive(Debug, Clone)]
pub struct EnotasConfig {
    /// Without a path it gets `/v2`; with a path it is used as it is.
    pub base_url: String,
    pub api_key: SecretString,
    /// The company's id there: a UUID from the panel.
    pub company_id: String,
    pub cnpj: Cnpj,
    pub environment: Environment,
    /// The token that webhooks carry, in the URL (`?token=`) or in `X-Token`.
    pub webhook_secret: SecretString,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct Enotas {
    http: Http,
    authorization: SecretString,
    company_id: String,
    cnpj: Cnpj,
    environment: Environment,
    webhook_secret: SecretString,
}

impl Enotas {
    /// Fails on a URL that is not http(s), and on an empty key, secret or company.
    pub fn new(config: EnotasConfig) -> Result<Self, BadConfig> {
        let bad = |reason: &str| BadConfig { provider: NAME, reason: reason.to_owned() };
        if config.api_key.expose_secret().is_empty() || config.webhook_secret.expose_secret().is_empty() {
            return Err(bad("the key or the webhook's secret is empty"));
        }
        if !is_id(&config.company_id) {
            return Err(bad("the company's id is not one of theirs"));
        }
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: base_url(&config.base_url),
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_ANSWER_BYTES,
            breaker: config.breaker,
            background: None,
        })?;
        Ok(Self {
            http,
            // The plain key: eNotas uses `Basic` without base64.
            authorization: format!("Basic {}", config.api_key.expose_secret()).into(),
            company_id: config.company_id,
            cnpj: config.cnpj,
            environment: config.environment,
            webhook_secret: config.webhook_secret,
        })
    }

    /// Our reference as their id.
    fn their_id(&self, reference: &str) -> Result<String, ProviderError> {
        if !(1..=64).contains(&reference.len()) || !reference.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(rejected("id", "a reference has letters and digits alone"));
        }
        Ok(match self.environment {
            Environment::Homologation => format!("{TEST_PREFIX}{reference}"),
            Environment::Production => reference.to_owned(),
        })
    }

    /// Their id as our reference; `None`: of the other environment.
    fn our_reference(&self, id: &str) -> Option<String> {
        let reference = match self.environment {
            Environment::Homologation => id.strip_prefix(TEST_PREFIX)?,
            Environment::Production => id,
        };
        self.their_id(reference).ok().map(|_| reference.to_owned())
    }

    fn path(&self, rest: &str) -> String {
        format!("/empresas/{}/nf-e{rest}", self.company_id)
    }

    /// Sends with the key. A refused key (401), or a company that is not the key's (403), is `NotAccepted`.
    async fn send(&self, call: Call) -> Result<Answer, ProviderError> {
        let answer = call.header("Authorization", self.authorization.expose_secret()).send_raw().await?;
        if matches!(answer.status, 401 | 403) {
            return Err(answer.refused(wire::refusal(&answer.body)));
        }
        Ok(answer)
    }

    /// `None`: not found. Their 404 has no documented body, so a wrong URL looks the same; a note that is sent again for that
    /// reason has the same id.
    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ProviderError> {
        let answer = self.send(self.http.get(path).repeatable()).await?;
        match answer.status {
            404 => Ok(None),
            200..=299 => answer.read().map(Some),
            _ => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }

    /// The state after a request, if it can be read already. A rejection may be that of an earlier try.
    async fn taken(&self, reference: &str) -> Option<SeenNfe> {
        let seen = self.find(reference).await.ok().flatten()?;
        (seen.state != NfeState::Rejected).then_some(seen)
    }

    /// The invoice with their own name of its state.
    async fn look(&self, reference: &str) -> Result<Option<(SeenNfe, String)>, ProviderError> {
        let id = self.their_id(reference)?;
        let path = self.path(&format!("/{id}"));
        let Some(note) = self.get::<wire::Note>(&path).await? else { return Ok(None) };
        let status = note.status.clone();
        note.seen(reference, &id, &path, self.cnpj.as_str()).map(|seen| Some((seen, status))).map_err(unclear)
    }
}

#[async_trait]
impl FiscalProvider for Enotas {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn emit(&self, nfe: &Nfe) -> Result<SeenNfe, ProviderError> {
        nfe.is_of(self.environment, &self.cnpj).map_err(|(field, why)| rejected(field, why))?;
        let (reference, id) = (nfe.reference.as_str(), self.their_id(&nfe.reference)?);
        let call = self.http.post(&self.path("")).json(&note::Note::of(nfe, id));
        // An id never makes a second note: if it exists or is being processed, the request is refused.
        let answer = match self.send(call.repeatable()).await {
            Ok(answer) => answer,
            Err(error @ ProviderError::Unknown { .. }) => return self.taken(reference).await.ok_or(error),
            Err(error) => return Err(error),
        };
        if answer.is_success() {
            // The answer's body is not documented, and a read may not show the note yet.
            return Ok(self.taken(reference).await.unwrap_or_else(|| SeenNfe::bare(reference, NfeState::Processing)));
        }
        let refusal = wire::refusal(&answer.body);
        if answer.status != 400 {
            return Err(answer.refused(refusal));
        }
        match (self.find(reference).await?, refusal) {
            (Some(seen), _) if seen.state != NfeState::Rejected => Ok(seen),
            // The contents are wrong, not the call: an administrator must see it.
            (_, Some(Refusal { code, message })) => {
                let code = Some(code).filter(|code| !code.is_empty());
                Ok(SeenNfe { code, message: Some(message), ..SeenNfe::bare(reference, NfeState::Rejected) })
            }
            (_, None) => Err(unclear("answered 400 without their words")),
        }
    }

    async fn find(&self, reference: &str) -> Result<Option<SeenNfe>, ProviderError> {
        Ok(self.look(reference).await?.map(|(seen, _)| seen))
    }

    /// The reason cannot be given: eNotas sends one of its own to the tax authority.
    async fn cancel(&self, reference: &str, _reason: &str) -> Result<Cancellation, ProviderError> {
        let path = self.path(&format!("/{}", self.their_id(reference)?));
        let answer = self.send(self.http.delete(&path).repeatable()).await?; // cancelling twice is the same as once
        let refusal = wire::refusal(&answer.body);
        if !answer.is_success() && answer.status != 400 {
            return Err(answer.refused(refusal));
        }
        match self.look(reference).await? {
            Some((seen, _)) if seen.state == NfeState::Cancelled => Ok(Cancellation::Cancelled(seen)),
            Some((_, status)) if is_cancelling(&status) => Ok(Cancellation::Processing),
            Some((seen, status)) if status == "CancelamentoNegado" => {
                Ok(Cancellation::Refused { code: seen.code.unwrap_or(status), message: seen.message.unwrap_or_default() })
            }
            Some((seen, _)) if seen.state == NfeState::Processing => Err(ProviderError::Unavailable {
                provider: NAME,
                reason: "the invoice is not authorised yet".to_owned(),
                retry_after_s: None,
            }),
            _ if answer.is_success() => Ok(Cancellation::Processing), // a read may not show it yet
            _ => match refusal {
                Some(Refusal { code, message }) => Ok(Cancellation::Refused { code, message }),
                None => Err(unclear("answered 400 without their words")),
            },
        }
    }

    async fn correct(&self, letter: &Correction) -> Result<Corrected, ProviderError> {
        if letter.environment != self.environment {
            return Err(rejected("environment", "the letter is for another environment than this shop"));
        }
        let text = sefaz::text(&letter.text, LETTER.1);
        if text.chars().count() < LETTER.0 {
            return Err(rejected("text", &format!("the text must have {} to {} characters", LETTER.0, LETTER.1)));
        }
        let id = format!("{}-c{}", self.their_id(&letter.reference)?, letter.sequence);
        let body = wire::Letter {
            id: &id,
            ambiente_emissao: note::ambiente(letter.environment),
            numero: letter.sequence,
            correcao: &text,
            nfe: wire::OfKey { chave_acesso: letter.key.as_str() },
        };
        let call = self.http.post(&self.path("/cartaCorrecao")).json(&body);
        let answer = self.send(call.repeatable()).await?; // each id is accepted only once, as for an invoice
        let refusal = wire::refusal(&answer.body);
        if !answer.is_success() && answer.status != 400 {
            return Err(answer.refused(refusal));
        }
        let path = self.path(&format!("/cartaCorrecao/{id}"));
        match (self.get::<wire::SeenLetter>(&path).await?, refusal) {
            (Some(seen), _) => Ok(match seen.status.as_str() {
                status if status.starts_with("Autorizada") => Corrected::Accepted { pdf: None, xml: Some(format!("{path}/xml")) },
                "Negada" => {
                    let message = seen.motivo_status.unwrap_or_default();
                    Corrected::Refused { code: wire::code(&message).unwrap_or_default(), message }
                }
                _ => Corrected::Processing,
            }),
            (None, Some(Refusal { code, message })) => Ok(Corrected::Refused { code, message }),
            (None, None) if answer.is_success() => Ok(Corrected::Processing), // a read may not show it yet
            (None, None) => Err(unclear("answered 400 without their words")),
        }
    }

    async fn download(&self, seen: &SeenNfe, document: Document) -> Result<Option<Bytes>, ProviderError> {
        let (is_there, file) = match document {
            Document::Danfe => (seen.danfe.is_some(), "pdf"),
            Document::Xml => (seen.xml.is_some(), "xml"),
            Document::CancellationXml => (seen.cancellation_xml.is_some(), "xmlCancelamento"),
        };
        if !is_there {
            return Ok(None);
        }
        let path = self.path(&format!("/{}/{file}", self.their_id(&seen.reference)?));
        // In the background, where a 403 is about this call alone: it may be the file's.
        let call = self.http.get(&path).header("Accept", "*/*").lane(Lane::Background);
        let answer = self.send(call.repeatable()).await?;
        let is_whole = match document {
            Document::Danfe => sefaz::is_pdf(&answer.body),
            _ => seen.key.as_ref().is_some_and(|key| sefaz::is_xml_of(key, &answer.body)),
        };
        match answer.status {
            404 => Ok(None),
            200..=299 if is_whole => Ok(Some(answer.body)),
            200..=299 => Err(ProviderError::Unavailable {
                provider: NAME,
                reason: "the file is not what it should be".to_owned(),
                retry_after_s: None,
            }),
            _ => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }

    fn open(&self, delivery: &Delivery) -> Result<Vec<FiscalNotice>, Forged> {
        webhook::check(&self.webhook_secret, delivery)?;
        Ok(vec![webhook::notice(&delivery.body, &self.company_id, |id| self.our_reference(id))])
    }

    fn breaker(&self) -> Arc<Breaker> {
        self.http.breaker()
    }
}

/// `SolicitandoCancelamento`, `CancelamentoSolicitado`, `EmProcessoDeCancelamento`.
fn is_cancelling(status: &str) -> bool {
    status.contains("Cancelamento") && status != "CancelamentoNegado"
}

fn base_url(given: &str) -> String {
    let given = given.trim_end_matches('/');
    let has_path = given.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if has_path { given.to_owned() } else { format!("{given}/v2") }
}

/// Letters, digits and dashes: it is used in paths.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn unclear(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}
