//! OpenPix (Woovi). A charge is known by our payment id as its `correlationID`; what their webhooks say is only a hint.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::dispute::{Dispute, Document};
use vitrine_kit::http::{Answer, BadConfig, Call, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::pace::Pace;
use vitrine_kit::pix::{
    Charge, ChargeStatus, NewCharge, NewRefund, Notice, PixProvider, Received, Refund, ReturnsPage, TheirRefund, Voided,
};
use vitrine_kit::{Delivery, Forged, ProviderError};

mod dispute;
#[cfg(test)]
mod dispute_tests;
mod proof;
#[cfg(test)]
mod tests;
mod webhook;
#[cfg(test)]
mod webhook_tests;
mod wire;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "openpix";
/// The breaker of the calls that no buyer waits for.
const BACKGROUND: &str = "openpix background";

/// What they allow, as documented.
pub const CALLS_PER_SECOND: u32 = 10;
/// The size of a page of disputes, and the most pages that are read.
const DISPUTES_AT_ONCE: usize = 100;
const DISPUTE_PAGES: usize = 50;
/// Evidence is taken for three days: an older open dispute has no deadline any more.
const LONGEST_OPEN: SignedDuration = SignedDuration::from_hours(24 * 4);
/// The wait after a 429, which names none.
const AFTER_A_429: Duration = Duration::from_secs(1);

/// OpenPix's address, and the credentials of both sides.
#[derive(Debug, Clone)]
pub struct OpenPixConfig {
    pub base_url: String,
    /// Sent as it is in `Authorization`: no `Bearer`.
    pub app_id: SecretString,
    /// Of one webhook (`X-OpenPix-Signature`). Without it, only the platform's signature counts.
    pub webhook_secret: Option<SecretString>,
    /// The key of `x-webhook-signature`; `None`: the one that they document for production.
    pub public_key_pem: Option<String>,
    pub timeout: Duration,
    /// [`CALLS_PER_SECOND`], except in tests and for accounts with a higher limit.
    pub calls_per_second: u32,
    pub breaker: BreakerConfig,
}

/// The priority of a call.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A buyer.
    Buyer,
    /// A refund or a void: no buyer waits, but it changes something.
    Soon,
    /// A look-up in the background. There can be hundreds at once.
    Spare,
}

impl Turn {
    fn to_look(lane: Lane) -> Self {
        match lane {
            Lane::Buyer => Self::Buyer,
            Lane::Background => Self::Spare,
        }
    }

    fn lane(self) -> Lane {
        match self {
            Self::Buyer => Lane::Buyer,
            Self::Soon | Self::Spare => Lane::Background,
        }
    }
}

#[derive(Debug)]
pub struct OpenPix {
    http: Http,
    app_id: SecretString,
    proof: proof::Proof,
    pace: Pace,
    timeout: Duration,
}

impl OpenPix {
    /// Fails on an address that is not http(s), and on a public key that cannot be read.
    pub fn new(config: OpenPixConfig) -> Result<Self, BadConfig> {
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: config.base_url,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: Some(BACKGROUND),
        })?;
        let proof = proof::Proof::new(config.webhook_secret, config.public_key_pem.as_deref())
            .map_err(|reason| BadConfig { provider: NAME, reason: reason.to_owned() })?;
        let calls = config.calls_per_second;
        let pace = Pace::new(calls, Duration::from_secs(1), calls.saturating_mul(2) / 5);
        Ok(Self { http, app_id: config.app_id, proof, pace, timeout: config.timeout })
    }

    /// Sends within the rate limit, with the AppID.
    async fn ask(&self, call: Call, turn: Turn) -> Result<Answer, ProviderError> {
        let waited = match turn {
            Turn::Buyer | Turn::Soon => self.pace.turn(self.timeout).await,
            Turn::Spare => self.pace.spare_turn(self.timeout).await,
        };
        if let Err(wait) = waited {
            let reason = "the second's calls are spent".to_owned();
            return Err(ProviderError::Unavailable { provider: NAME, reason, retry_after_s: Some(wait.as_secs() + 1) });
        }
        let answer = call.lane(turn.lane()).header("Authorization", self.app_id.expose_secret()).send_raw().await?;
        if answer.status == 429 {
            self.pace.spent_for(AFTER_A_429);
        }
        Ok(answer)
    }

    /// The same for a call whose every 4xx is a refusal.
    async fn send<T: DeserializeOwned>(&self, call: Call, turn: Turn) -> Result<T, ProviderError> {
        let answer = self.ask(call, turn).await?;
        if answer.is_success() { answer.read() } else { Err(answer.refused(wire::refusal(&answer.body))) }
    }

    /// `None`: OpenPix itself says that it does not have it, with 400 and a known text. A 400 or 404 without that text (a
    /// proxy's, a wrong address) must not count as "not created".
    async fn find<T: DeserializeOwned>(&self, path: &str, turn: Turn) -> Result<Option<T>, ProviderError> {
        let answer = self.ask(self.http.get(path).repeatable(), turn).await?;
        let refusal = wire::refusal(&answer.body);
        match answer.status {
            400 if refusal.is_some() => Ok(None),
            _ if answer.is_success() => answer.read().map(Some),
            _ => Err(answer.refused(refusal)),
        }
    }

    async fn find_charge(&self, payment_id: Uuid, turn: Turn) -> Result<Option<Charge>, ProviderError> {
        match self.find::<wire::ChargeAnswer>(&path_of(payment_id), turn).await? {
            Some(found) => charge_of(payment_id, found).map(Some),
            None => Ok(None),
        }
    }

    /// Empty if OpenPix has no such charge.
    async fn list_refunds(&self, payment_id: Uuid, turn: Turn) -> Result<Vec<wire::Refund>, ProviderError> {
        let found = self.find::<wire::Refunds>(&refunds_path(payment_id), turn).await?;
        Ok(found.map_or_else(Vec::new, |list| list.refunds))
    }

    /// The charge that a PIX paid, by its transaction: disputes and charges do not name each other. A refusal (an AppID without
    /// that permission) says nothing about the dispute.
    async fn payment_of(&self, end_to_end_id: &str) -> Result<Option<Uuid>, ProviderError> {
        let path = format!("/api/v1/transaction/{end_to_end_id}");
        match self.find::<dispute::Settled>(&path, Turn::Spare).await {
            Ok(found) => Ok(found.and_then(|settled| settled.payment_id(end_to_end_id))),
            Err(ProviderError::Rejected { .. } | ProviderError::NotAccepted { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds when the dispute began and until when evidence is taken, which only the list has. Without them the dispute is still
    /// valid.
    async fn add_times(&self, dispute: &mut Dispute) {
        let since = Timestamp::now().saturating_sub(LONGEST_OPEN).unwrap_or(Timestamp::UNIX_EPOCH);
        match self.disputes(since).await {
            Ok(list) => {
                let listed = list.into_iter().flatten().find(|listed| listed.reference == dispute.reference);
                (dispute.opened_at, dispute.due_by) = listed.map_or((None, None), |listed| (listed.opened_at, listed.due_by));
            }
            Err(error) => tracing::warn!(provider = NAME, %error, "their list of disputes cannot be read"),
        }
    }

    /// Adds what was refunded of a charge, by a second call. A refusal of that call says nothing about the payment.
    async fn with_refunds(&self, charge: Charge, turn: Turn) -> Result<Charge, ProviderError> {
        if charge.status != ChargeStatus::Paid {
            return Ok(charge);
        }
        match self.list_refunds(charge.payment_id, turn).await {
            Ok(refunds) => Ok(wire::refunded(charge, &refunds)),
            Err(ProviderError::Rejected { .. } | ProviderError::NotAccepted { .. }) => Ok(charge),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl PixProvider for OpenPix {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create_charge(&self, new: &NewCharge) -> Result<Charge, ProviderError> {
        // Repeatable by `return_existing`: the charge of that correlationID is returned, whatever its amount. The caller compares
        // the amount.
        let call = self.http.post("/api/v1/charge").query(&[("return_existing", "true")]).json(&wire::NewCharge::from(new));
        let made = self.send::<wire::ChargeAnswer>(call.repeatable(), Turn::Buyer).await?;
        self.with_refunds(charge_of(new.payment_id, made)?, Turn::Buyer).await
    }

    async fn read_charge(&self, payment_id: Uuid, lane: Lane) -> Result<Option<Charge>, ProviderError> {
        let turn = Turn::to_look(lane);
        match self.find_charge(payment_id, turn).await? {
            Some(charge) => self.with_refunds(charge, turn).await.map(Some),
            None => Ok(None),
        }
    }

    async fn void_charge(&self, payment_id: Uuid) -> Result<Voided, ProviderError> {
        // It is not documented what a DELETE of a paid charge does, so the charge is read first.
        if let Some(over) = self.find_charge(payment_id, Turn::Soon).await?.map_or(Some(Voided::Done), |c| over(c.status)) {
            return Ok(over);
        }
        let call = self.http.delete(&path_of(payment_id)).repeatable();
        let refused = match self.send::<serde_json::Value>(call, Turn::Soon).await {
            Ok(_) => return Ok(Voided::Done),
            Err(refused @ ProviderError::Rejected { .. }) => refused,
            Err(error) => return Err(error),
        };
        // Paid or deleted in between, perhaps by our own first try.
        let now = self.find_charge(payment_id, Turn::Soon).await?;
        now.map_or(Some(Voided::Done), |charge| over(charge.status)).ok_or(refused)
    }

    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError> {
        // An earlier try whose answer was lost is in the list. The refund is sent only if it is not there, and only once per
        // call.
        if let Some(found) = self.read_refund(new).await? {
            return Ok(found);
        }
        let call = self.http.post(&refunds_path(new.payment_id)).json(&wire::NewRefund::from(new));
        let made = self.send::<wire::RefundAnswer>(call, Turn::Soon).await.map_err(|error| error.of_refund(wire::retry))?.refund;
        if made.id() != Some(new.refund_id) {
            return Err(unclear("answered about another refund"));
        }
        Ok(made.into_refund(new.refund_id))
    }

    async fn read_refund(&self, refund: &NewRefund) -> Result<Option<Refund>, ProviderError> {
        let refunds = self.list_refunds(refund.payment_id, Turn::Soon).await?;
        let ours = refunds.into_iter().find(|theirs| theirs.id() == Some(refund.refund_id));
        Ok(ours.map(|theirs| theirs.into_refund(refund.refund_id)))
    }

    async fn refunds_of(&self, payment_id: Uuid) -> Result<Option<Vec<TheirRefund>>, ProviderError> {
        Ok(Some(self.list_refunds(payment_id, Turn::Spare).await?.into_iter().map(TheirRefund::from).collect()))
    }

    async fn received(&self, _: Timestamp, _: Timestamp) -> Result<Option<Vec<Received>>, ProviderError> {
        Ok(None) // their list goes by when a charge was made, not by when its money came
    }

    async fn returns(&self, _: Timestamp, _: Timestamp, _: u32) -> Result<Option<ReturnsPage>, ProviderError> {
        Ok(None) // their list of charges goes by when they were made, and does not say what went back
    }

    async fn read_dispute(&self, end_to_end_id: &str) -> Result<Option<Dispute>, ProviderError> {
        let path = format!("/api/v1/dispute/{}", in_path(end_to_end_id)?);
        let Some(found) = self.find::<dispute::Answer>(&path, Turn::Spare).await? else { return Ok(None) };
        let mut dispute = found.into_dispute(end_to_end_id).map_err(unclear)?;
        dispute.payment.payment_id = self.payment_of(end_to_end_id).await?;
        if dispute.state.is_open() && dispute.due_by.is_none() {
            self.add_times(&mut dispute).await;
        }
        Ok(Some(dispute))
    }

    async fn disputes(&self, since: Timestamp) -> Result<Option<Vec<Dispute>>, ProviderError> {
        let (start, mut disputes) = (since.to_string(), Vec::<Dispute>::new());
        for page in 0..DISPUTE_PAGES {
            let skip = (page * DISPUTES_AT_ONCE).to_string();
            let limit = DISPUTES_AT_ONCE.to_string();
            let call = self.http.get("/api/v1/dispute").query(&[("start", &start), ("skip", &skip), ("limit", &limit)]);
            let list: dispute::List = self.send(call.repeatable(), Turn::Spare).await?;
            let is_last = list.is_last();
            let had = disputes.len();
            for dispute in list.into_disputes() {
                if !disputes.iter().any(|known| known.reference == dispute.reference) {
                    disputes.push(dispute);
                }
            }
            if is_last {
                disputes.retain(|dispute| dispute.opened_at.is_none_or(|at| at >= since));
                disputes.sort_by_key(|dispute| dispute.opened_at);
                return Ok(Some(disputes));
            }
            if disputes.len() == had {
                return Err(unavailable("their list of disputes repeats a page"));
            }
        }
        Err(unavailable("their list of disputes is too long"))
    }

    async fn submit_evidence(&self, evidence_ref: &str, documents: &[Document]) -> Result<(), ProviderError> {
        let call = self.http.post(&format!("/api/v1/dispute/{}/evidence", in_path(evidence_ref)?));
        let _: serde_json::Value = self.send(call.json(&dispute::Evidence::from(documents)), Turn::Soon).await?;
        Ok(())
    }

    fn open(&self, delivery: &Delivery) -> Result<Vec<Notice>, Forged> {
        // The ping of a registration may come unsigned, and the registration fails if it is refused. It has no effect.
        if !proof::is_signed(delivery) && webhook::is_bare_ping(&delivery.body) {
            return Ok(Vec::new());
        }
        self.proof.check(delivery)?;
        Ok(self.reread(&delivery.body))
    }

    fn reread(&self, body: &Bytes) -> Vec<Notice> {
        webhook::notices(body)
    }

    fn breakers(&self) -> Vec<Arc<Breaker>> {
        self.http.breakers()
    }
}

fn path_of(payment_id: Uuid) -> String {
    format!("/api/v1/charge/{payment_id}")
}

fn refunds_path(payment_id: Uuid) -> String {
    format!("/api/v1/charge/{payment_id}/refund")
}

/// The result of a void by the charge's state; `None`: it can still be paid.
fn over(status: ChargeStatus) -> Option<Voided> {
    match status {
        ChargeStatus::Pending => None,
        ChargeStatus::Expired | ChargeStatus::Cancelled => Some(Voided::Done),
        ChargeStatus::Paid | ChargeStatus::PartiallyRefunded | ChargeStatus::Refunded => Some(Voided::AlreadyPaid),
    }
}

fn charge_of(payment_id: Uuid, answer: wire::ChargeAnswer) -> Result<Charge, ProviderError> {
    answer.into_charge(payment_id).map_err(unclear)
}

/// What becomes part of a path: letters and digits alone.
fn in_path(id: &str) -> Result<&str, ProviderError> {
    if dispute::is_id(id) {
        return Ok(id);
    }
    let message = "what we keep as their id is none".to_owned();
    Err(ProviderError::Rejected { provider: NAME, code: "bad_id".to_owned(), message })
}

fn unavailable(reason: &str) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s: None }
}

fn unclear(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}
