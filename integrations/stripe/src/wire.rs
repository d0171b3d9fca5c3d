//! Stripe's format. Only fields that the shop needs are required; others may be missing, new, or of another type.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use uuid::Uuid;
use vitrine_kit::http::Refusal;
use vitrine_kit::pix::{Received, RefundStatus, Returns, TheirRefund};
use vitrine_kit::refund::{Nature, Obstacle, Retry};
use vitrine_kit::{Money, ProviderError};

use crate::{IntentStatus, unclear};

/// The only currency of the shop.
pub(crate) const BRL: &str = "brl";

/// A value that cannot be read as a `T` counts as absent.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Value::deserialize(deserializer).map(|value| serde_json::from_value(value).ok())
}

#[derive(Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    #[serde(default)]
    pub(crate) has_more: bool,
}

/// Things that come in pages; each page is asked for by the last id of the one before.
pub(crate) trait Listed: DeserializeOwned {
    fn id(&self) -> &str;
}

/// A reference: an id, or the expanded object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Linked<T> {
    Id(String),
    Whole(T),
}

#[derive(Deserialize)]
pub(crate) struct WithId {
    id: String,
}

type Metadata = HashMap<String, Value>;

#[derive(Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) amount: i64,
    #[serde(default, deserialize_with = "lenient")]
    amount_received: Option<i64>,
    pub(crate) currency: String,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    client_secret: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    latest_charge: Option<Linked<Charge>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) last_payment_error: Option<PaymentError>,
    #[serde(default, deserialize_with = "lenient")]
    metadata: Option<Metadata>,
    #[serde(default, deserialize_with = "lenient")]
    livemode: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) created: Option<i64>,
}

#[derive(Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "lenient")]
    created: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    amount_captured: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) amount_refunded: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    payment_intent: Option<Linked<WithId>>,
}

#[derive(Deserialize, Default)]
pub(crate) struct PaymentError {
    #[serde(default, deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    decline_code: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount: i64,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    failure_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    payment_intent: Option<Linked<WithId>>,
    #[serde(default, deserialize_with = "lenient")]
    charge: Option<Linked<WithId>>,
    #[serde(default, deserialize_with = "lenient")]
    metadata: Option<Metadata>,
}

impl Listed for Intent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The id behind a reference.
fn id_of<T>(link: Option<&Linked<T>>, id: fn(&T) -> &str) -> Option<String> {
    match link? {
        Linked::Id(id) => Some(id.clone()),
        Linked::Whole(whole) => Some(id(whole).to_owned()),
    }
}

pub(crate) fn linked(link: Option<&Linked<WithId>>) -> Option<String> {
    id_of(link, |whole| &whole.id)
}

fn our_id(metadata: Option<&Metadata>, name: &str) -> Option<Uuid> {
    metadata?.get(name)?.as_str()?.parse().ok()
}

pub(crate) fn time(second: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_second(second?).ok()
}

impl Intent {
    pub(crate) fn payment_id(&self) -> Option<Uuid> {
        our_id(self.metadata.as_ref(), "payment_id")
    }

    pub(crate) fn order_id(&self) -> Option<Uuid> {
        our_id(self.metadata.as_ref(), "order_id")
    }

    pub(crate) fn charge_id(&self) -> Option<String> {
        id_of(self.latest_charge.as_ref(), |charge| &charge.id)
    }

    /// The last charge, if it was expanded.
    pub(crate) fn charge(&self) -> Option<&Charge> {
        match self.latest_charge.as_ref()? {
            Linked::Whole(charge) => Some(charge),
            Linked::Id(_) => None,
        }
    }

    /// How much came. `None`: it succeeded, and neither it nor its charge says with how much.
    pub(crate) fn received(&self) -> Option<Money> {
        let captured = || match self.status() {
            IntentStatus::Succeeded => self.charge()?.amount_captured,
            _ => Some(0),
        };
        self.amount_received.or_else(captured).map(Money::from_cents)
    }

    pub(crate) fn status(&self) -> IntentStatus {
        match self.status.as_deref().unwrap_or_default() {
            "requires_payment_method" => IntentStatus::RequiresPaymentMethod,
            "requires_confirmation" => IntentStatus::RequiresConfirmation,
            "requires_action" => IntentStatus::RequiresAction,
            "processing" => IntentStatus::Processing,
            "requires_capture" => IntentStatus::RequiresCapture,
            "succeeded" => IntentStatus::Succeeded,
            "canceled" => IntentStatus::Canceled,
            _ => IntentStatus::Other,
        }
    }
}

impl TryFrom<Intent> for crate::Intent {
    type Error = ProviderError;

    fn try_from(theirs: Intent) -> Result<Self, ProviderError> {
        let amount_received = theirs.received().ok_or_else(no_amount)?;
        Ok(Self {
            payment_id: theirs.payment_id(),
            order_id: theirs.order_id(),
            status: theirs.status(),
            amount: Money::from_cents(theirs.amount),
            amount_received,
            latest_charge: theirs.charge_id(),
            id: theirs.id,
            currency: theirs.currency.to_ascii_lowercase(),
            client_secret: theirs.client_secret.map(Into::into),
            livemode: theirs.livemode,
            created: time(theirs.created),
            last_error: theirs.last_payment_error.map(|error| error.text()),
        })
    }
}

fn no_amount() -> ProviderError {
    unclear("does not say how much came")
}

impl Charge {
    pub(crate) fn paid_at(&self) -> Option<Timestamp> {
        time(self.created)
    }

    pub(crate) fn intent_id(&self) -> Option<String> {
        linked(self.payment_intent.as_ref())
    }
}

impl PaymentError {
    /// The bank's reason if there is one, else Stripe's code.
    pub(crate) fn code(&self) -> String {
        self.decline_code.clone().or_else(|| self.code.clone()).unwrap_or_default()
    }

    pub(crate) fn message(&self) -> String {
        self.message.clone().unwrap_or_default()
    }

    fn text(&self) -> String {
        [self.code(), self.message()].iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(": ")
    }
}

impl Refund {
    pub(crate) fn refund_id(&self) -> Option<Uuid> {
        our_id(self.metadata.as_ref(), "refund_id")
    }

    /// A refund that waits for balance (`pending`) is made by Stripe itself later.
    pub(crate) fn status(&self) -> RefundStatus {
        match self.status.as_deref() {
            Some("pending" | "requires_action") => RefundStatus::Processing,
            Some("succeeded") => RefundStatus::Done,
            Some("failed" | "canceled") => RefundStatus::Failed(match self.failure_reason.as_deref() {
                Some("insufficient_funds") => Retry::Later(Obstacle::Balance),
                Some("unknown") => Retry::Unsaid,
                Some(_) => Retry::Never,
                None if self.status.as_deref() == Some("canceled") => Retry::Never,
                None => Retry::Unsaid,
            }),
            _ => RefundStatus::Unclear,
        }
    }

    /// Why it failed, or a word that we do not know.
    pub(crate) fn said(&self) -> Option<String> {
        match self.status() {
            RefundStatus::Failed(_) => self.failure_reason.clone().or_else(|| self.status.clone()),
            RefundStatus::Unclear => Some(self.status.clone().unwrap_or_else(|| "no status".to_owned())),
            RefundStatus::Processing | RefundStatus::Done => None,
        }
    }

    pub(crate) fn intent_id(&self) -> Option<String> {
        linked(self.payment_intent.as_ref())
    }

    pub(crate) fn charge_id(&self) -> Option<String> {
        linked(self.charge.as_ref())
    }
}

impl From<&Refund> for TheirRefund {
    fn from(theirs: &Refund) -> Self {
        Self {
            refund_id: theirs.refund_id(),
            reference: theirs.id.clone(),
            status: theirs.status(),
            amount: Money::from_cents(theirs.amount),
            nature: Nature::Original, // what a bank takes back from a card is a dispute
            said: theirs.said(),
        }
    }
}

/// Whether a refused refund may be asked for again. Refusals are final, except because of the balance.
pub(crate) fn retry(code: &str, _: &str) -> Retry {
    match code {
        "balance_insufficient" | "insufficient_funds" => Retry::Later(Obstacle::Balance),
        _ => Retry::Never,
    }
}

/// The money of a succeeded intent in reais; `None`: it brought none.
pub(crate) fn received(intent: &Intent) -> Result<Option<Received>, ProviderError> {
    if intent.status() != IntentStatus::Succeeded || !intent.currency.eq_ignore_ascii_case(BRL) {
        return Ok(None);
    }
    let charge = intent.charge();
    Ok(Some(Received {
        payment_id: intent.payment_id(),
        reference: intent.id.clone(),
        amount: intent.received().ok_or_else(no_amount)?,
        refunded: Money::from_cents(charge.and_then(|charge| charge.amount_refunded).unwrap_or_default()),
        paid_at: charge.and_then(Charge::paid_at).or_else(|| time(intent.created)),
    }))
}

/// What went back, by the intent that it is of, in their order. What is of none is none of ours.
pub(crate) fn returns(refunds: &[Refund]) -> Vec<Returns> {
    let mut all: Vec<Returns> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    for refund in refunds {
        let Some(intent_id) = refund.intent_id() else { continue };
        let at = *place.entry(intent_id.clone()).or_insert_with(|| {
            all.push(Returns { payment_id: None, reference: Some(intent_id), is_whole: false, refunds: Vec::new() });
            all.len() - 1
        });
        all[at].refunds.push(refund.into());
    }
    all
}

/// The refusal's code (or its type) and text. Other fields are not read: one of them may be the whole intent with its secret.
pub(crate) fn refusal(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default, deserialize_with = "lenient")]
        r#type: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        code: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        decline_code: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        message: Option<String>,
    }
    let Envelope { error } = serde_json::from_slice(body).ok()?;
    let message = error.message.unwrap_or_default();
    let message = match error.decline_code {
        Some(decline_code) => format!("{decline_code}: {message}"),
        None => message,
    };
    Some(Refusal { code: error.code.or(error.r#type).unwrap_or_default(), message })
}
