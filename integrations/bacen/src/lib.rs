//! The Central Bank's Pix API of any bank, with the differences of Efí. A charge's txid is our payment id without dashes; a
//! refund's id is ours too. Before a PUT is repeated, it is read whether its result exists.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::dispute::{Dispute, Document};
use vitrine_kit::http::{Answer, BadConfig, Call, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::pix::{
    Charge, ChargeStatus, NewCharge, NewRefund, Notice, PixProvider, Received, Refund, ReturnsPage, TheirRefund, Voided,
};
use vitrine_kit::{Delivery, Forged, ProviderError};

use crate::token::Tokens;

mod brcode;
mod refusals;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod token_tests;
mod webhook;
#[cfg(test)]
mod webhook_tests;
mod wire;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "bacen";
/// The breaker of the calls that no buyer waits for.
const BACKGROUND: &str = "bacen background";

/// Most pages of received PIX that are read, at 100 a page.
const MAX_PAGES: u32 = 1000;

/// The bank's address, and the credentials of both sides.
#[derive(Debug, Clone)]
pub struct BacenConfig {
    /// `/v2` is added to a host without a path. A path is used as it is; with a slash at the end even the empty one:
    /// `http://mock/` is a bank with `/cob` at the root.
    pub base_url: String,
    /// `None`: `/oauth/token` beside the `/v2` of the base, or below a base of another name.
    pub token_url: Option<String>,
    pub client_id: String,
    pub client_secret: SecretString,
    /// Certificate, chain and private key. Banks ask for it on every call, the token's included.
    pub certificate_pem: Option<Vec<u8>>,
    /// The key (`chave`) that receives the money.
    pub pix_key: String,
    /// Their webhooks carry it in the address, as `?hmac=`.
    pub webhook_secret: SecretString,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct Bacen {
    http: Http,
    tokens: Tokens,
    pix_key: String,
    webhook_secret: SecretString,
}

impl Bacen {
    /// Fails on an address that is not http(s), on a certificate that cannot be read, and on an empty key or secret.
    pub fn new(config: BacenConfig) -> Result<Self, BadConfig> {
        let bad = |reason: &str| BadConfig { provider: NAME, reason: reason.to_owned() };
        if config.pix_key.is_empty() {
            return Err(bad("the PIX key is empty"));
        }
        if config.webhook_secret.expose_secret().is_empty() {
            return Err(bad("the webhook's secret is empty"));
        }
        let base_url = base_url(&config.base_url);
        let token_url = config.token_url.unwrap_or_else(|| token_url(&base_url));
        let http = HttpConfig {
            provider: NAME,
            base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: Some(BACKGROUND),
        };
        let http = match config.certificate_pem {
            Some(pem) => Http::with_certificate(http, &pem)?,
            None => Http::new(http)?,
        };
        let tokens = Tokens::new(&http, &token_url, &config.client_id, &config.client_secret)?;
        Ok(Self { http, tokens, pix_key: config.pix_key, webhook_secret: config.webhook_secret })
    }

    fn charge_of(&self, payment_id: Uuid, cob: wire::Cob) -> Result<Charge, ProviderError> {
        cob.into_charge(payment_id, &self.pix_key, Timestamp::now()).map_err(unclear)
    }

    /// Sends with a token, and once more with a new one after a 401, which did nothing.
    async fn send(&self, lane: Lane, call: impl Fn(&Http) -> Call + Sync) -> Result<Answer, ProviderError> {
        let token = self.tokens.get(lane).await?;
        let answer = call(&self.http).lane(lane).bearer(token.expose_secret()).send_raw().await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.tokens.forget(&token).await;
        let token = self.tokens.get(lane).await?;
        call(&self.http).lane(lane).bearer(token.expose_secret()).send_raw().await
    }

    /// `None`: the bank itself says that it does not have it. A 404 without its error (a proxy's, a wrong address) must not count
    /// as "not created".
    async fn find<T: DeserializeOwned>(&self, lane: Lane, path: &str) -> Result<Option<T>, ProviderError> {
        let answer = self.send(lane, |http| http.get(path).repeatable()).await?;
        if answer.is_success() {
            return answer.read().map(Some);
        }
        let refusal = refusals::read(&answer.body);
        match &refusal {
            Some(refusal) if refusals::is_not_found(answer.status, &refusal.code) => Ok(None),
            _ => Err(answer.refused(refusal)),
        }
    }

    async fn find_cob(&self, lane: Lane, payment_id: Uuid) -> Result<Option<wire::Cob>, ProviderError> {
        self.find(lane, &cob_path(payment_id)).await
    }

    /// Of the payment, as the caller knows it or as the charge tells.
    async fn end_to_end_id(&self, refund: &NewRefund) -> Result<Option<String>, ProviderError> {
        match &refund.end_to_end_id {
            Some(known) => Ok(Some(known.clone())),
            None => Ok(self.find_cob(Lane::Background, refund.payment_id).await?.and_then(wire::Cob::into_end_to_end_id)),
        }
    }

    /// A page of received PIX, from 0 on.
    async fn list_received(&self, from: Timestamp, to: Timestamp, page: u32) -> Result<wire::PixList, ProviderError> {
        let (inicio, fim, page) = (from.to_string(), to.to_string(), page.to_string());
        let query = [
            ("inicio", inicio.as_str()),
            ("fim", fim.as_str()),
            ("paginacao.paginaAtual", page.as_str()),
            ("paginacao.itensPorPagina", "100"),
        ];
        let answer = self.send(Lane::Background, |http| http.get("/pix").query(&query).repeatable()).await?;
        if answer.is_success() { answer.read() } else { Err(answer.refused(refusals::read(&answer.body))) }
    }

    async fn find_refund(&self, end_to_end_id: &str, refund_id: Uuid) -> Result<Option<Refund>, ProviderError> {
        match self.find::<wire::Devolucao>(Lane::Background, &refund_path(end_to_end_id, refund_id)).await? {
            Some(found) => found.into_refund(refund_id).map(Some).map_err(unclear),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl PixProvider for Bacen {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create_charge(&self, new: &NewCharge) -> Result<Charge, ProviderError> {
        // A second PUT would change the charge at some banks and is refused at others.
        if new.is_repeat
            && let Some(found) = self.read_charge(new.payment_id, Lane::Buyer).await?
        {
            return Ok(found);
        }
        let (path, cob) = (cob_path(new.payment_id), wire::NewCob::new(new, &self.pix_key));
        let answer = self.send(Lane::Buyer, |http| http.put(&path).json(&cob)).await?;
        if answer.is_success() {
            return self.charge_of(new.payment_id, answer.read()?);
        }
        let refusal = refusals::read(&answer.body);
        let may_exist = refusals::may_exist(answer.status, refusal.as_ref());
        let refused = answer.refused(refusal);
        if !may_exist {
            return Err(refused);
        }
        match self.read_charge(new.payment_id, Lane::Buyer).await {
            Ok(found) => found.ok_or(refused),
            Err(_) => Err(unclear("a charge of that txid may exist, and cannot be read")),
        }
    }

    async fn read_charge(&self, payment_id: Uuid, lane: Lane) -> Result<Option<Charge>, ProviderError> {
        match self.find_cob(lane, payment_id).await? {
            Some(cob) => self.charge_of(payment_id, cob).map(Some),
            None => Ok(None),
        }
    }

    async fn void_charge(&self, payment_id: Uuid) -> Result<Voided, ProviderError> {
        let path = cob_path(payment_id);
        let answer = self.send(Lane::Background, |http| http.patch(&path).json(&wire::REMOVE).repeatable()).await?; // removed twice is removed
        let refusal = refusals::read(&answer.body);
        if answer.is_success() {
            let left = self.charge_of(payment_id, answer.read()?)?;
            return over(left.status).ok_or_else(|| unclear("voiding left the charge payable"));
        }
        match &refusal {
            Some(refusal) if refusals::is_not_found(answer.status, &refusal.code) => return Ok(Voided::Done),
            Some(_) if matches!(answer.status, 400 | 409) => {}
            _ => return Err(answer.refused(refusal)),
        }
        // A refusal means that the state is not ATIVA, but not which it is.
        let now = self.read_charge(payment_id, Lane::Background).await?;
        now.map_or(Some(Voided::Done), |charge| over(charge.status)).ok_or_else(|| answer.refused(refusal))
    }

    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError> {
        let Some(end_to_end_id) = self.end_to_end_id(new).await? else {
            let reason = "the bank does not show the payment yet".to_owned();
            return Err(ProviderError::Unavailable { provider: NAME, reason, retry_after_s: None });
        };
        // An earlier try whose answer was lost is found by its id. The refund is sent only if it is not there.
        if let Some(found) = self.find_refund(&end_to_end_id, new.refund_id).await? {
            return Ok(found);
        }
        let (path, devolucao) = (refund_path(&end_to_end_id, new.refund_id), wire::NewDevolucao::from(new));
        let answer = self.send(Lane::Background, |http| http.put(&path).json(&devolucao)).await?;
        if answer.is_success() {
            return answer.read::<wire::Devolucao>()?.into_refund(new.refund_id).map_err(unclear);
        }
        let refusal = refusals::read(&answer.body);
        let may_exist = refusals::may_exist(answer.status, refusal.as_ref());
        let refused = answer.refused(refusal).of_refund(refusals::retry);
        if !may_exist {
            return Err(refused);
        }
        match self.find_refund(&end_to_end_id, new.refund_id).await {
            Ok(found) => found.ok_or(refused),
            Err(_) => Err(unclear("a refund of that id may exist, and cannot be read")),
        }
    }

    async fn read_refund(&self, refund: &NewRefund) -> Result<Option<Refund>, ProviderError> {
        match self.end_to_end_id(refund).await? {
            Some(end_to_end_id) => self.find_refund(&end_to_end_id, refund.refund_id).await,
            None => Ok(None), // not paid, so nothing went back
        }
    }

    async fn refunds_of(&self, payment_id: Uuid) -> Result<Option<Vec<TheirRefund>>, ProviderError> {
        let cob = self.find_cob(Lane::Background, payment_id).await?;
        Ok(Some(cob.map_or_else(Vec::new, wire::Cob::into_refunds)))
    }

    async fn received(&self, from: Timestamp, to: Timestamp) -> Result<Option<Vec<Received>>, ProviderError> {
        let mut received = Vec::new();
        for page in 0..MAX_PAGES {
            let list = self.list_received(from, to, page).await?;
            let is_last = list.is_last();
            received.extend(list.into_received(&self.pix_key, from, to));
            if is_last {
                return Ok(Some(received));
            }
        }
        let reason = format!("there are more than {MAX_PAGES} pages of received PIX");
        Err(ProviderError::Unavailable { provider: NAME, reason, retry_after_s: None })
    }

    async fn returns(&self, from: Timestamp, to: Timestamp, page: u32) -> Result<Option<ReturnsPage>, ProviderError> {
        if page >= MAX_PAGES {
            let message = format!("there are more than {MAX_PAGES} pages of received PIX");
            return Err(ProviderError::Rejected { provider: NAME, code: "too_many_pages".to_owned(), message });
        }
        let list = self.list_received(from, to, page).await?;
        let is_last = list.is_last();
        Ok(Some(ReturnsPage { received: list.into_returns(&self.pix_key, from, to).collect(), is_last }))
    }

    async fn read_dispute(&self, _: &str) -> Result<Option<Dispute>, ProviderError> {
        Ok(None) // the Pix API shows a MED as a return alone, and nothing before
    }

    async fn disputes(&self, _: Timestamp) -> Result<Option<Vec<Dispute>>, ProviderError> {
        Ok(None)
    }

    async fn submit_evidence(&self, _: &str, _: &[Document]) -> Result<(), ProviderError> {
        Err(Dispute::takes_no_evidence(NAME))
    }

    fn open(&self, delivery: &Delivery) -> Result<Vec<Notice>, Forged> {
        webhook::check(&self.webhook_secret, delivery.query())?;
        Ok(webhook::notices(&delivery.body, &self.pix_key))
    }

    fn reread(&self, body: &Bytes) -> Vec<Notice> {
        webhook::kept(body, &self.pix_key)
    }

    fn breakers(&self) -> Vec<Arc<Breaker>> {
        self.http.breakers()
    }
}

fn cob_path(payment_id: Uuid) -> String {
    format!("/cob/{}", payment_id.simple())
}

fn refund_path(end_to_end_id: &str, refund_id: Uuid) -> String {
    format!("/pix/{end_to_end_id}/devolucao/{}", refund_id.simple())
}

/// The result of a void by the charge's state; `None`: it can still be paid.
fn over(status: ChargeStatus) -> Option<Voided> {
    match status {
        ChargeStatus::Pending => None,
        ChargeStatus::Expired | ChargeStatus::Cancelled => Some(Voided::Done),
        ChargeStatus::Paid | ChargeStatus::PartiallyRefunded | ChargeStatus::Refunded => Some(Voided::AlreadyPaid),
    }
}

fn unclear(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}

fn base_url(given: &str) -> String {
    let bare = given.trim_end_matches('/');
    let is_whole = given.ends_with('/') || bare.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if is_whole { bare.to_owned() } else { format!("{bare}/v2") }
}

fn token_url(base_url: &str) -> String {
    format!("{}/oauth/token", base_url.strip_suffix("/v2").unwrap_or(base_url))
}
