//! Focus NFe: NF-e by our own reference. A reference never makes a second note, so after a POST without an answer the note is
//! looked up, and may be sent again if it is not there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::fiscal::{
    ACCOUNT_REFUSED, Cancellation, Corrected, Correction, Document, FiscalNotice, FiscalProvider, NfeState, SeenNfe,
};
use vitrine_kit::http::{Answer, BadConfig, Call, Http, HttpConfig};
use vitrine_kit::nfe::{Environment, Nfe};
use vitrine_kit::pace::Pace;
use vitrine_kit::{Cnpj, Delivery, Forged, ProviderError, sefaz};

mod item;
mod note;
#[cfg(test)]
mod note_tests;
mod parties;
mod reform;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod webhook;
mod wire;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "focusnfe";

/// Our share of the 100 calls per minute and token; the rest is left for the panel's users.
pub const CALLS_PER_MINUTE: u32 = 90;
/// Calls that may be made at once after a pause.
const BURST: u32 = 10;

/// Room for a DANFE of many pages.
const MAX_ANSWER_BYTES: usize = 5 * 1024 * 1024;
/// Shortest and longest text of a justification or correction letter.
const REASON: (usize, usize) = (15, 255);
const LETTER: (usize, usize) = (15, 1000);
/// Wait after a 429 that names none.
const ALLOWANCE_RESET_S: u64 = 60;
/// Wait while the tax authority is away.
const AUTHORITY_RESET_S: u64 = 120;

/// The account and its environment.
#[derive(Debug, Clone)]
pub struct FocusNfeConfig {
    pub base_url: String,
    /// Each environment has its own.
    pub token: SecretString,
    pub cnpj: Cnpj,
    pub environment: Environment,
    /// The token that webhooks carry in `X-Focus-Token`.
    pub webhook_secret: SecretString,
    pub timeout: Duration,
    /// [`CALLS_PER_MINUTE`], except in tests.
    pub calls_per_minute: u32,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct FocusNfe {
    http: Http,
    authorization: SecretString,
    cnpj: Cnpj,
    environment: Environment,
    webhook_secret: SecretString,
    timeout: Duration,
    pace: Pace,
}

impl FocusNfe {
    /// Fails on a URL that is not http(s) or of the other environment, and on an empty token or secret.
    pub fn new(config: FocusNfeConfig) -> Result<Self, BadConfig> {
        let bad = |reason: &str| BadConfig { provider: NAME, reason: reason.to_owned() };
        if config.token.expose_secret().is_empty() || config.webhook_secret.expose_secret().is_empty() {
            return Err(bad("the token or the webhook's secret is empty"));
        }
        match (config.environment, host(&config.base_url).as_str()) {
            (Environment::Homologation, "api.focusnfe.com.br") => {
                return Err(bad("a rehearsal cannot be held at the production's address"));
            }
            (Environment::Production, host) if host.starts_with("homologacao.") => {
                return Err(bad("production cannot be at the rehearsal's address"));
            }
            _ => {}
        }
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_ANSWER_BYTES,
            breaker: config.breaker,
            background: None,
        })?;
        let pair = format!("{}:", config.token.expose_secret());
        Ok(Self {
            http,
            authorization: format!("Basic {}", STANDARD.encode(pair)).into(),
            cnpj: config.cnpj,
            environment: config.environment,
            webhook_secret: config.webhook_secret,
            timeout: config.timeout,
            pace: Pace::new(config.calls_per_minute.saturating_add(BURST), Duration::from_secs(60), BURST),
        })
    }

    /// Sends within the rate limit, with the token. 401 and 403 are only given for the token, and are `NotAccepted`; another
    /// refusal that is about the account is `ACCOUNT_REFUSED`. A 429 is `Unavailable` for the time that they name, and delays all
    /// other calls too.
    async fn send(&self, call: Call) -> Result<Answer, ProviderError> {
        if let Err(wait) = self.pace.turn(self.timeout).await {
            return Err(unavailable("the minute's calls are spent", Some(wait.as_millis().div_ceil(1000) as u64)));
        }
        let answer = call.header("Authorization", self.authorization.expose_secret()).send_raw().await?;
        if answer.status == 429 {
            let reset = answer.header("rate-limit-reset").and_then(|seconds| seconds.trim().parse().ok());
            let wait_s = reset.unwrap_or(ALLOWANCE_RESET_S).min(ALLOWANCE_RESET_S);
            self.pace.spent_for(Duration::from_secs(wait_s));
            return Err(unavailable("429", Some(wait_s)));
        }
        match wire::refusal(&answer.body) {
            refusal if matches!(answer.status, 401 | 403) => Err(answer.refused(refusal)),
            Some(refusal) if !answer.is_success() && is_about_the_account(&refusal.code) => {
                Err(rejected(ACCOUNT_REFUSED, &refusal.said()))
            }
            _ => Ok(answer),
        }
    }

    /// Reads the note of a 2xx answer.
    fn seen(&self, reference: &str, note: wire::Note) -> Result<SeenNfe, ProviderError> {
        note.seen(reference, self.cnpj.as_str()).map_err(unclear)
    }

    /// `None`: they say that they do not know it. A bare 404 (a proxy's, a wrong URL) does not count as that.
    async fn read<T: DeserializeOwned>(&self, reference: &str) -> Result<Option<T>, ProviderError> {
        let path = path(reference)?;
        let answer = self.send(self.http.get(&path).query(&[("completa", "1")]).repeatable()).await?;
        if answer.is_success() {
            return answer.read().map(Some);
        }
        let refusal = wire::refusal(&answer.body);
        match &refusal {
            Some(refusal) if answer.status == 404 && refusal.code == "nao_encontrado" => Ok(None),
            Some(_) => Err(answer.refused(refusal)),
            None => Err(unavailable(&format!("answered {} without their words", answer.status), None)),
        }
    }

    /// The note, after an answer that does not tell its state; if it cannot be read, the answer's error. A rejection may be that
    /// of an earlier try.
    async fn find_after(&self, reference: &str, error: ProviderError) -> Result<SeenNfe, ProviderError> {
        match self.find(reference).await {
            Ok(Some(seen)) if seen.state != NfeState::Rejected => Ok(seen),
            _ => Err(error),
        }
    }
}

#[async_trait]
impl FiscalProvider for FocusNfe {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn emit(&self, nfe: &Nfe) -> Result<SeenNfe, ProviderError> {
        nfe.is_of(self.environment, &self.cnpj).map_err(|(field, why)| rejected(field, why))?;
        let reference = nfe.reference.as_str();
        path(reference)?;
        let call = self.http.post("/v2/nfe").query(&[("ref", reference)]).json(&note::Note::from(nfe));
        // A reference is never issued twice: a repeat is refused.
        let answer = match self.send(call.repeatable()).await {
            Ok(answer) => answer,
            Err(error @ ProviderError::Unknown { .. }) => return self.find_after(reference, error).await,
            Err(error) => return Err(error),
        };
        if answer.is_success() {
            return match answer.read().and_then(|note| self.seen(reference, note)) {
                Ok(seen) => Ok(seen),
                Err(error) => self.find_after(reference, error).await,
            };
        }
        let Some(refusal) = wire::refusal(&answer.body) else {
            return self.find_after(reference, without_code(&answer)).await;
        };
        match (answer.status, refusal.code.as_str()) {
            // It exists, or is being processed.
            (_, "nfe_autorizada" | "nfe_cancelada" | "em_processamento" | "already_processed" | "pending_operation") => {
                match self.find(reference).await? {
                    Some(seen) => Ok(seen),
                    None => Err(unclear("they have it, and do not show it")),
                }
            }
            // The contents are wrong, not the call: an administrator must see it.
            (422, _) => Ok(SeenNfe {
                code: Some(refusal.code),
                message: Some(refusal.message),
                ..SeenNfe::bare(reference, NfeState::Rejected)
            }),
            _ => Err(answer.refused(Some(refusal))),
        }
    }

    async fn find(&self, reference: &str) -> Result<Option<SeenNfe>, ProviderError> {
        match self.read::<wire::Note>(reference).await? {
            Some(note) => self.seen(reference, note).map(Some),
            None => Ok(None),
        }
    }

    async fn cancel(&self, reference: &str, reason: &str) -> Result<Cancellation, ProviderError> {
        let path = path(reference)?;
        let reason = said(reason, REASON)?;
        let call = self.http.delete(&path).json(&wire::Cancel { justificativa: &reason });
        let answer = self.send(call.repeatable()).await?; // cancelling twice is the same as once
        let refusal = wire::refusal(&answer.body);
        match refusal.as_ref().map(|refusal| refusal.code.as_str()) {
            Some("nfe_cancelada") => return self.cancelled(reference, None).await,
            Some("nfe_nao_autorizada") => return self.not_to_be_cancelled(reference, answer.refused(refusal)).await,
            Some(_) => return Err(answer.refused(refusal)),
            None => {}
        }
        let note: wire::Note = answer.read()?; // the tax authority's refusal is a note too, with any status
        let (code, message) = (note.status_sefaz.clone().unwrap_or_default(), note.mensagem_sefaz.clone().unwrap_or_default());
        match note.status.as_str() {
            "cancelado" => self.cancelled(reference, Some(note)).await,
            "erro_cancelamento" if wire::AUTHORITY_AWAY.contains(&code.as_str()) => Err(authority_away(&code)),
            "erro_cancelamento" if wire::EVENT_KNOWN.contains(&code.as_str()) => self.cancelled(reference, None).await,
            "erro_cancelamento" => Ok(Cancellation::Refused { code, message }),
            _ => Ok(Cancellation::Processing),
        }
    }

    async fn correct(&self, letter: &Correction) -> Result<Corrected, ProviderError> {
        let path = format!("{}/carta_correcao", path(&letter.reference)?);
        let text = said(&letter.text, LETTER)?;
        if letter.environment != self.environment {
            return Err(rejected("environment", "the letter is for another environment than this shop"));
        }
        // A POST makes a new letter each time, so an existing one is not sent again.
        if let Some(note) = self.read::<wire::Note>(&letter.reference).await?
            && let Some(sent) = note.numero_carta_correcao.filter(|&number| number >= letter.sequence)
        {
            let is_last = sent == letter.sequence; // files are answered only for the last letter
            return Ok(Corrected::Accepted {
                pdf: note.caminho_pdf_carta_correcao.filter(|_| is_last),
                xml: note.caminho_xml_carta_correcao.filter(|_| is_last),
            });
        }
        let answer = self.send(self.http.post(&path).json(&wire::Letter { correcao: &text })).await?;
        if let Some(refusal) = wire::refusal(&answer.body) {
            return match (answer.status, refusal.code.as_str()) {
                (400 | 422, "nfe_nao_autorizada" | "nfe_cancelada" | "erro_validacao_schema") => {
                    Ok(Corrected::Refused { code: refusal.code, message: refusal.message })
                }
                _ => Err(answer.refused(Some(refusal))),
            };
        }
        let note: wire::Note = answer.read()?;
        let code = note.status_sefaz.unwrap_or_default();
        Ok(match note.status.as_str() {
            "autorizado" => Corrected::Accepted { pdf: note.caminho_pdf_carta_correcao, xml: note.caminho_xml_carta_correcao },
            "erro_autorizacao" if wire::AUTHORITY_AWAY.contains(&code.as_str()) => return Err(authority_away(&code)),
            "erro_autorizacao" => Corrected::Refused { code, message: note.mensagem_sefaz.unwrap_or_default() },
            _ => Corrected::Processing,
        })
    }

    async fn download(&self, seen: &SeenNfe, document: Document) -> Result<Option<Bytes>, ProviderError> {
        let path = match document {
            Document::Danfe => &seen.danfe,
            Document::Xml => &seen.xml,
            Document::CancellationXml => &seen.cancellation_xml,
        };
        let Some(path) = path else { return Ok(None) };
        if !wire::is_path(path) {
            return Err(rejected("path", "the file's address is not below theirs"));
        }
        // In the background, where a 403 is about this call alone: it may be the file's.
        let call = self.http.get(path).header("Accept", "*/*").lane(Lane::Background);
        let answer = self.send(call.repeatable()).await?;
        match answer.status {
            404 => Ok(None),
            200..=299 if is_whole(&answer.body, document, seen) => Ok(Some(answer.body)),
            200..=299 => Err(unavailable("the file is not what it should be", None)),
            _ => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }

    fn open(&self, delivery: &Delivery) -> Result<Vec<FiscalNotice>, Forged> {
        webhook::check(&self.webhook_secret, delivery)?;
        Ok(vec![webhook::notice(&delivery.body, self.cnpj.as_str())])
    }

    fn breaker(&self) -> Arc<Breaker> {
        self.http.breaker()
    }
}

impl FocusNfe {
    /// Reads the whole note again; if that fails, uses what the answer told.
    async fn cancelled(&self, reference: &str, told: Option<wire::Note>) -> Result<Cancellation, ProviderError> {
        match (self.find(reference).await, told) {
            (Ok(Some(seen)), _) if seen.state == NfeState::Cancelled => Ok(Cancellation::Cancelled(seen)),
            (_, Some(told)) => self.seen(reference, told).map(Cancellation::Cancelled),
            (Ok(_), None) => Err(unclear("they call it cancelled, and show something else")),
            (Err(error), None) => Err(error),
        }
    }

    /// Only an authorised note can be cancelled. One that is being processed may become authorised.
    async fn not_to_be_cancelled(&self, reference: &str, refused: ProviderError) -> Result<Cancellation, ProviderError> {
        match self.find(reference).await?.map(|seen| seen.state) {
            Some(NfeState::Processing) => Err(unavailable("the invoice is not authorised yet", None)),
            Some(NfeState::Cancelled) => self.cancelled(reference, None).await,
            _ => Err(refused),
        }
    }
}

/// Not another site's page, and not cut off.
fn is_whole(body: &[u8], document: Document, seen: &SeenNfe) -> bool {
    match document {
        Document::Danfe => sefaz::is_pdf(body),
        Document::Xml | Document::CancellationXml => seen.key.as_ref().is_some_and(|key| sefaz::is_xml_of(key, body)),
    }
}

fn path(reference: &str) -> Result<String, ProviderError> {
    match wire::is_reference(reference) {
        true => Ok(format!("/v2/nfe/{reference}")),
        false => Err(rejected("ref", "a reference has letters and digits alone")),
    }
}

/// A person's text in the tax authority's characters and lengths.
fn said(text: &str, (least, most): (usize, usize)) -> Result<String, ProviderError> {
    let text = sefaz::text(text, most);
    if text.chars().count() < least {
        return Err(rejected("text", &format!("the text must have {least} to {most} characters")));
    }
    Ok(text)
}

/// The host of a URL, in lower case.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

/// The token of the other environment, a company without permission, an expired certificate.
fn is_about_the_account(code: &str) -> bool {
    matches!(code, "permissao_negada" | "empresa_nao_habilitada") || code.starts_with("certificado")
}

fn authority_away(code: &str) -> ProviderError {
    unavailable(&format!("the tax authority is away ({code})"), Some(AUTHORITY_RESET_S))
}

/// A refusal without a code: what was refused is not known.
fn without_code(answer: &Answer) -> ProviderError {
    match answer.status {
        400 | 422 => unclear(&format!("answered {} without their words", answer.status)),
        _ => answer.refused(None),
    }
}

fn unavailable(reason: &str, retry_after_s: Option<u64>) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s }
}

fn unclear(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}
