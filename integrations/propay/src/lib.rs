//! ProPay, a private PIX gateway. Its POSTs have our row's id as idempotency key, and may be repeated for 24 h.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::dispute::{Dispute, Document};
use vitrine_kit::http::{BadConfig, Call, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::pix::{Charge, NewCharge, NewRefund, Notice, PixProvider, Received, Refund, ReturnsPage, TheirRefund, Voided};
use vitrine_kit::{Delivery, Forged, ProviderError, signature};

#[cfg(test)]
mod tests;
mod token;
mod wire;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "propay";
/// The breaker of the calls that no buyer waits for.
const BACKGROUND: &str = "propay background";

/// ProPay's address, and the secrets of both sides. The two secrets must differ.
#[derive(Debug, Clone)]
pub struct ProPayConfig {
    pub base_url: String,
    /// Signs our calls.
    pub outgoing_secret: SecretString,
    /// Signs their webhooks.
    pub incoming_secret: SecretString,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct ProPay {
    http: Http,
    outgoing_secret: SecretString,
    incoming_secret: SecretString,
}

impl ProPay {
    pub fn new(config: ProPayConfig) -> Result<Self, BadConfig> {
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: Some(BACKGROUND),
        })?;
        Ok(Self { http, outgoing_secret: config.outgoing_secret, incoming_secret: config.incoming_secret })
    }

    /// Every call may be repeated: reads and DELETE by nature, POSTs by their idempotency key.
    fn signed(&self, call: Call, lane: Lane) -> Call {
        let token = token::sign(self.outgoing_secret.expose_secret(), Timestamp::now().as_second(), &Uuid::new_v4().to_string());
        call.lane(lane).bearer(&token).refusals(wire::refusal).repeatable()
    }
}

#[async_trait]
impl PixProvider for ProPay {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create_charge(&self, new: &NewCharge) -> Result<Charge, ProviderError> {
        let call = self.signed(self.http.post("/v1/payments"), Lane::Buyer);
        let call = call.header("Idempotency-Key", &new.payment_id.to_string()).json(&wire::NewCharge::from(new));
        same(new.payment_id, worded(call.send::<wire::Charge>().await)?)
    }

    async fn read_charge(&self, payment_id: Uuid, lane: Lane) -> Result<Option<Charge>, ProviderError> {
        let call = self.signed(self.http.get(&format!("/v1/payments/{payment_id}")), lane);
        match known(worded(call.send::<wire::Charge>().await))? {
            Some(charge) => same(payment_id, charge).map(Some),
            None => Ok(None),
        }
    }

    async fn void_charge(&self, payment_id: Uuid) -> Result<Voided, ProviderError> {
        let call = self.signed(self.http.delete(&format!("/v1/payments/{payment_id}")), Lane::Background);
        match worded(call.send::<wire::Charge>().await) {
            Ok(charge) => wire::voided(charge.status).ok_or_else(|| unclear("voiding left the charge payable")),
            Err(ProviderError::Rejected { code, .. }) if code == "already_paid" => Ok(Voided::AlreadyPaid),
            Err(ProviderError::Rejected { code, .. }) if code == "not_found" => Ok(Voided::Done),
            Err(error) => Err(error),
        }
    }

    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError> {
        let call = self.signed(self.http.post(&format!("/v1/payments/{}/refunds", new.payment_id)), Lane::Background);
        let call = call.header("Idempotency-Key", &new.refund_id.to_string()).json(&wire::NewRefund::from(new));
        let made = worded(call.send::<wire::Refund>().await).map_err(|error| error.of_refund(|code, _| wire::retry(code)))?;
        same_refund(new.refund_id, made)
    }

    async fn read_refund(&self, refund: &NewRefund) -> Result<Option<Refund>, ProviderError> {
        let path = format!("/v1/payments/{}/refunds/{}", refund.payment_id, refund.refund_id);
        match known(worded(self.signed(self.http.get(&path), Lane::Background).send::<wire::Refund>().await))? {
            Some(found) => same_refund(refund.refund_id, found).map(Some),
            None => Ok(None),
        }
    }

    async fn refunds_of(&self, _: Uuid) -> Result<Option<Vec<TheirRefund>>, ProviderError> {
        Ok(None) // a refund is only read by its id
    }

    async fn received(&self, _: Timestamp, _: Timestamp) -> Result<Option<Vec<Received>>, ProviderError> {
        Ok(None) // a payment is only read by its id
    }

    async fn returns(&self, _: Timestamp, _: Timestamp, _: u32) -> Result<Option<ReturnsPage>, ProviderError> {
        Ok(None) // they list neither payments nor refunds
    }

    async fn read_dispute(&self, _: &str) -> Result<Option<Dispute>, ProviderError> {
        Ok(None) // their contract has none
    }

    async fn disputes(&self, _: Timestamp) -> Result<Option<Vec<Dispute>>, ProviderError> {
        Ok(None)
    }

    async fn submit_evidence(&self, _: &str, _: &[Document]) -> Result<(), ProviderError> {
        Err(Dispute::takes_no_evidence(NAME))
    }

    fn open(&self, delivery: &Delivery) -> Result<Vec<Notice>, Forged> {
        let given = delivery.header("x-propay-signature").ok_or(Forged)?;
        let given = given.strip_prefix("sha256=").unwrap_or(given);
        let key = self.incoming_secret.expose_secret().as_bytes();
        if !signature::verify_hex(key, &delivery.body, given) {
            return Err(Forged);
        }
        Ok(self.reread(&delivery.body))
    }

    fn reread(&self, body: &Bytes) -> Vec<Notice> {
        vec![wire::notice(body)]
    }

    fn breakers(&self) -> Vec<Arc<Breaker>> {
        self.http.breakers()
    }
}

/// A refusal without ProPay's error may be a proxy's, so it is unknown what happened.
fn worded<T>(outcome: Result<T, ProviderError>) -> Result<T, ProviderError> {
    match outcome {
        Err(ProviderError::Rejected { code, .. }) if code.parse::<u16>().is_ok() => {
            Err(unclear(&format!("answered {code} without a word of theirs")))
        }
        other => other,
    }
}

/// Whether ProPay itself says that it has no such thing. A 404 without its error (a proxy's, a wrong address) must not count as
/// "not created".
fn known<T>(outcome: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(ProviderError::Rejected { code, .. }) if code == "not_found" => Ok(None),
        Err(error) => Err(error),
    }
}

fn same(payment_id: Uuid, charge: wire::Charge) -> Result<Charge, ProviderError> {
    if charge.payment_id == payment_id { Ok(charge.into()) } else { Err(unclear("answered about another charge")) }
}

fn same_refund(refund_id: Uuid, refund: wire::Refund) -> Result<Refund, ProviderError> {
    if refund.refund_id == refund_id { Ok(refund.into()) } else { Err(unclear("answered about another refund")) }
}

fn unclear(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}
