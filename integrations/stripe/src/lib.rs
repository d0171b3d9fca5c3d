//! Stripe: card payments by PaymentIntents. The buyer pays on Stripe's own form with the intent's `client_secret`; no card
//! number comes near us. Requests are async-stripe's typed ones, sent over the kit's HTTP; of the answers only what the shop
//! needs is read, so that a new field or value of theirs never turns a success into an error.
//!
//! An intent offers cards alone, whatever is switched on in the Dashboard: a boleto inside a card payment would stay unpaid for
//! days and hold its stock. API 2026-09-30 refuses `payment_method_types`, and has `allowed_payment_method_types` in its place.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use stripe_client_core::RequestBuilder;
use uuid::Uuid;
use vitrine_kit::breaker::{Breaker, BreakerConfig, Lane};
use vitrine_kit::dispute::Dispute;
use vitrine_kit::http::{BadConfig, Http, HttpConfig, MAX_RESPONSE_BYTES};
use vitrine_kit::pix::{Received, Voided};
use vitrine_kit::{Money, ProviderError};

mod dispute;
mod exchange;
mod intent;
mod refunds;
mod requests;
#[cfg(test)]
mod tests;
mod webhook;
mod wire;

pub use intent::{Intent, IntentStatus, NewIntent};
pub use webhook::{CardNews, Event, Paid};

use exchange::{unsure, unsure_before};
use requests::Created;

/// The name in configuration, rows, metrics and logs.
pub const NAME: &str = "stripe";
/// The breaker of the calls that no buyer waits for.
const BACKGROUND: &str = "stripe background";

/// The smallest charge in BRL. Below it Stripe answers `amount_too_small`.
pub const LEAST_CHARGE: Money = Money::from_cents(50);
/// The largest charge: Stripe takes amounts of up to eight digits, and answers `amount_too_large` above.
pub const MOST_CHARGE: Money = Money::from_cents(99_999_999);
/// Most keys for one payment. Stripe repeats the answer to a key for a day, also a 500; after that only another key helps.
const KEYS: u32 = 5;
/// Most pages of 100 intents, not older than the payment, that are searched for an intent that may exist.
const FIND_PAGES: usize = 100;
/// Most pages of disputes.
const DISPUTE_PAGES: usize = 100;
/// Most pages of 50 intents for the comparison of the books (each with its charge).
const RECEIVED_PAGES: usize = 400;
/// How far Stripe's clock may differ from ours.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);
/// An intent is paid this long after its creation at the latest, for the books.
const LONGEST_OPEN: SignedDuration = SignedDuration::from_hours(48);

/// The address of Stripe, and the secrets of both sides.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// `https://api.stripe.com`, with or without the `/v1`.
    pub base_url: String,
    /// `sk_…` or `rk_…`.
    pub secret_key: SecretString,
    /// `whsec_…`, used as it is.
    pub webhook_secret: SecretString,
    pub timeout: Duration,
    pub breaker: BreakerConfig,
}

#[derive(Debug)]
pub struct Stripe {
    http: Http,
    secret_key: SecretString,
    webhook_secret: SecretString,
}

impl Stripe {
    pub fn new(config: StripeConfig) -> Result<Self, BadConfig> {
        let base_url = config.base_url.trim_end_matches('/');
        let http = Http::new(HttpConfig {
            provider: NAME,
            base_url: base_url.strip_suffix("/v1").unwrap_or(base_url).to_owned(),
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: config.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
            breaker: config.breaker,
            background: Some(BACKGROUND),
        })?;
        Ok(Self { http, secret_key: config.secret_key, webhook_secret: config.webhook_secret })
    }

    /// One for each lane: the buyers', then the background's.
    pub fn breakers(&self) -> Vec<Arc<Breaker>> {
        self.http.breakers()
    }

    /// Whether our key is of the live mode, if its prefix shows it. Events of the other mode are not ours.
    pub fn is_live(&self) -> Option<bool> {
        let (kind, rest) = self.secret_key.expose_secret().split_once('_')?;
        if !matches!(kind, "sk" | "rk") {
            return None;
        }
        match rest.split_once('_')?.0 {
            "live" => Some(true),
            "test" => Some(false),
            _ => None,
        }
    }

    /// Creates the intent, or returns the one that an earlier call for this payment created. Repeats have the same key. If Stripe
    /// stored a 5xx for it, the next key is used: at worst an intent is left over that can never be paid, because nobody knows
    /// its secret.
    pub async fn create(&self, new: &NewIntent) -> Result<Intent, ProviderError> {
        if new.attempt > 1
            && let Some(intent) = self.find(new.payment_id, new.asked_at, Lane::Buyer).await.map_err(unsure_before)?
        {
            return as_asked(new, intent);
        }
        let request = requests::new_intent(new);
        let mut last_failure = None;
        for n in 1..=new.attempt.clamp(1, KEYS) {
            let key = format!("pay-{}-{n}", new.payment_id);
            let sent = self.post(Lane::Buyer, &request, &key).await;
            let answer = if last_failure.is_some() { sent.map_err(unsure)? } else { sent? };
            if answer.status < 500 {
                return as_asked(new, self.made::<wire::Intent>(&answer)?.try_into()?);
            }
            last_failure = Some(answer.status);
        }
        Err(failed(last_failure))
    }

    /// `None`: Stripe does not have it. The lane says whether a buyer waits; except for `create`, all other calls are background
    /// calls.
    pub async fn read(&self, intent_id: &str, lane: Lane) -> Result<Option<Intent>, ProviderError> {
        let request = requests::intent(intent_id)?;
        match known(self.get::<wire::Intent>(lane, request).await)? {
            Some(intent) if intent.id == intent_id => intent.try_into().map(Some),
            Some(_) => Err(unclear("answered about another intent")),
            None => Ok(None),
        }
    }

    /// Finds the intent of a payment whose answer was lost. It reads the list, because Stripe's search is a minute behind.
    /// `None`: there is none after `created_after`.
    pub async fn find(&self, payment_id: Uuid, created_after: Timestamp, lane: Lane) -> Result<Option<Intent>, ProviderError> {
        let from = created_after.saturating_sub(CLOCKS_APART).unwrap_or(created_after);
        let is_it = |intent: &wire::Intent| intent.payment_id() == Some(payment_id);
        let has_it = |page: &[wire::Intent]| page.iter().any(is_it);
        let page = |after: Option<&str>| requests::intents(Created { from, to: None }, false, after);
        let intents = self.list(lane, FIND_PAGES, page, has_it).await?;
        intents.into_iter().find(is_it).map(Intent::try_from).transpose()
    }

    /// Makes an unpaid intent unpayable. A repeat changes nothing. While the bank is processing it the result is `Unknown`: ask
    /// again.
    pub async fn cancel(&self, intent_id: &str, payment_id: Uuid) -> Result<Voided, ProviderError> {
        let request = requests::cancel(intent_id)?;
        // Stripe repeats "not in this state" for the key even after the state has changed, so a second key is tried. Cancelling
        // twice is safe.
        for key in [format!("cancel-{payment_id}"), Uuid::new_v4().to_string()] {
            let answer = self.post(Lane::Background, &request, &key).await?;
            if answer.status != 400 {
                let intent: wire::Intent = self.made(&answer)?;
                return voided(intent.status()).ok_or_else(|| unclear("cancelling left the intent payable"));
            }
            let refused = self.refused(&answer);
            let Some(intent) = self.read(intent_id, Lane::Background).await.map_err(unsure)? else { return Err(refused) };
            match voided(intent.status) {
                Some(end) => return Ok(end),
                None if intent.status.is_payable() => {}
                None => return Err(unclear("it is being processed: neither paid nor void yet")),
            }
        }
        Err(unclear("cancelling was refused, and the intent is still payable"))
    }

    /// All money received in `[from, to)`, by intent, as long as it came within 48 hours of the intent's creation.
    pub async fn received(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Received>, ProviderError> {
        let first = from.saturating_sub(LONGEST_OPEN).unwrap_or(from);
        let page = |after: Option<&str>| requests::intents(Created { from: first, to: Some(to) }, true, after);
        let intents = self.list(Lane::Background, RECEIVED_PAGES, page, |_| false).await?;
        let received: Vec<_> =
            intents.iter().filter_map(|intent| wire::received(intent).transpose()).collect::<Result<_, _>>()?;
        Ok(received.into_iter().filter(|money| money.paid_at.is_none_or(|at| from <= at && at < to)).collect())
    }

    /// The present state of a dispute. `None`: Stripe does not have it.
    pub async fn dispute(&self, dispute_id: &str) -> Result<Option<Dispute>, ProviderError> {
        let request = requests::dispute(dispute_id)?;
        Ok(known(self.get::<dispute::Theirs>(Lane::Background, request).await)?.map(Dispute::from))
    }

    /// Every dispute that began since then, the oldest first.
    pub async fn disputes(&self, since: Timestamp) -> Result<Vec<Dispute>, ProviderError> {
        let created = Created { from: since, to: None };
        let page = |after: Option<&str>| requests::disputes(created, after);
        let theirs: Vec<dispute::Theirs> = self.list(Lane::Background, DISPUTE_PAGES, page, |_| false).await?;
        Ok(theirs.into_iter().rev().map(Dispute::from).collect())
    }

    /// Reads pages until the last one, or until `is_enough`. More than `pages` is an error, not a partial list.
    async fn list<T: wire::Listed>(
        &self,
        lane: Lane,
        pages: usize,
        page: impl Fn(Option<&str>) -> RequestBuilder,
        is_enough: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>, ProviderError> {
        let too_long = || {
            let reason = format!("the list is longer than {pages} pages");
            ProviderError::Unavailable { provider: NAME, reason, retry_after_s: None }
        };
        self.list_up_to(lane, pages, page, is_enough).await?.ok_or_else(too_long)
    }

    /// The same. `None`: there are more pages.
    async fn list_up_to<T: wire::Listed>(
        &self,
        lane: Lane,
        pages: usize,
        page: impl Fn(Option<&str>) -> RequestBuilder,
        is_enough: impl Fn(&[T]) -> bool,
    ) -> Result<Option<Vec<T>>, ProviderError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..pages {
            let wire::Page { data, has_more } = self.get(lane, page(all.last().map(T::id))).await?;
            let is_last = data.is_empty() || !has_more || is_enough(&data);
            all.extend(data);
            if is_last {
                return Ok(Some(all));
            }
        }
        Ok(None)
    }
}

/// The result of a cancellation by the intent's status; `None`: it has not ended.
fn voided(status: IntentStatus) -> Option<Voided> {
    match status {
        IntentStatus::Canceled => Some(Voided::Done),
        IntentStatus::Succeeded | IntentStatus::RequiresCapture => Some(Voided::AlreadyPaid),
        _ => None,
    }
}

/// Whether Stripe itself says that it has no such thing. A 404 without its error (a proxy's, a wrong address) does not count.
fn known<T>(outcome: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(ProviderError::Rejected { code, .. }) if code == "resource_missing" => Ok(None),
        Err(error) => Err(error),
    }
}

fn as_asked(new: &NewIntent, intent: Intent) -> Result<Intent, ProviderError> {
    let is_ours = intent.payment_id.is_none_or(|id| id == new.payment_id);
    if is_ours && intent.amount == new.amount && intent.currency == wire::BRL {
        Ok(intent)
    } else {
        Err(unclear("answered about another intent"))
    }
}

fn failed(status: Option<u16>) -> ProviderError {
    unclear(&status.map_or_else(|| "was not asked".to_owned(), |status| format!("answered {status}")))
}

fn unclear(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}
