//! The provider of one payment: a PIX provider or Stripe, behind the same calls, so that one set of rules holds for all methods.

use jiff::Timestamp;
use secrecy::SecretString;
use vitrine_kit::breaker::Lane;
use vitrine_kit::dispute::{Dispute, Document};
use vitrine_kit::pix::{
    Charge, ChargeStatus, NewCharge, NewRefund, PixProvider, Received, Refund, ReturnsPage, TheirRefund, Voided,
};
use vitrine_kit::{Money, ProviderError};
use vitrine_stripe::{Intent, IntentStatus, NewIntent, Stripe};

use crate::app::App;
use crate::error::{Error, Result};
use crate::payments::store::Payment;

/// The provider of a payment.
#[derive(Debug, Clone, Copy)]
pub enum Gateway<'a> {
    Pix(&'a dyn PixProvider),
    Card(&'a Stripe),
}

/// What a provider says of a payment.
#[derive(Debug)]
pub struct ProviderCharge {
    pub charge: Charge,
    /// In capitals, as in ISO 4217.
    pub currency: String,
    /// With it the buyer's browser pays a card payment. Never logged.
    pub client_secret: Option<SecretString>,
}

/// All but `create` is asked for by jobs, or at least not waited for: it goes by the background's breaker.
impl<'a> Gateway<'a> {
    /// The provider that a payment was made with, also one that takes no new payments.
    ///
    /// Errors: [`Error::Unconfigured`], nobody can be asked.
    pub fn named(app: &'a App, name: &str) -> Result<Self> {
        if name == vitrine_stripe::NAME
            && let Some(stripe) = &app.providers.stripe
        {
            return Ok(Self::Card(stripe));
        }
        let pix = app.providers.pix_named(name).map(Self::Pix);
        pix.ok_or_else(|| Error::Unconfigured(name.to_owned()))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Pix(pix) => pix.name(),
            Self::Card(_) => vitrine_stripe::NAME,
        }
    }

    /// Creates the charge, or answers the one that an earlier call for this payment created.
    pub async fn create(&self, payment: &Payment, new: &NewCharge) -> Result<ProviderCharge, ProviderError> {
        match self {
            Self::Pix(pix) => create_pix(*pix, new).await.map(ProviderCharge::from),
            Self::Card(stripe) => {
                let known = match &payment.provider_ref {
                    Some(id) => stripe.read(id, Lane::Buyer).await?,
                    None => None,
                };
                let intent = match known {
                    Some(intent) => intent,
                    None => stripe.create(&new_intent(payment, new)).await?,
                };
                self.seen(payment, intent)
            }
        }
    }

    /// Reads a charge. `None`: the provider does not know it, so it was certainly not created.
    pub async fn read(&self, payment: &Payment) -> Result<Option<ProviderCharge>, ProviderError> {
        match self {
            Self::Pix(pix) => Ok(pix.read_charge(payment.id.0, Lane::Background).await?.map(ProviderCharge::from)),
            Self::Card(stripe) => match self.intent(stripe, payment).await? {
                Some(intent) => self.seen(payment, intent).map(Some),
                None => Ok(None),
            },
        }
    }

    /// The intent of a payment: by its id, or, if its answer never came, among the recent ones.
    async fn intent(&self, stripe: &Stripe, payment: &Payment) -> Result<Option<Intent>, ProviderError> {
        match &payment.provider_ref {
            Some(id) => stripe.read(id, Lane::Background).await,
            None => stripe.find(payment.id.0, payment.created_at, Lane::Background).await,
        }
    }

    /// Voids an unpaid charge. Repeating is harmless.
    pub async fn void(&self, payment: &Payment) -> Result<Voided, ProviderError> {
        match self {
            Self::Pix(pix) => pix.void_charge(payment.id.0).await,
            Self::Card(stripe) => {
                let found = match &payment.provider_ref {
                    Some(id) => Some(id.clone()),
                    None => self.intent(stripe, payment).await?.map(|intent| intent.id),
                };
                match found {
                    Some(id) => stripe.cancel(&id, payment.id.0).await,
                    None => Ok(Voided::Done),
                }
            }
        }
    }

    /// Gives money back. Repeating with the same `refund_id` gives it back once. `attempt`: 1 for the first call, and one
    /// more for each later one.
    pub async fn refund(&self, new: &NewRefund, attempt: u32) -> Result<Refund, ProviderError> {
        match self {
            Self::Pix(pix) => pix.refund(new).await,
            Self::Card(stripe) => stripe.refund(new, attempt).await,
        }
    }

    pub async fn read_refund(&self, refund: &NewRefund) -> Result<Option<Refund>, ProviderError> {
        match self {
            Self::Pix(pix) => pix.read_refund(refund).await,
            Self::Card(stripe) => stripe.read_refund(refund).await,
        }
    }

    /// All refunds of a payment, also those that we did not ask for. `None`: they have no such list.
    pub async fn refunds_of(&self, payment: &Payment) -> Result<Option<Vec<TheirRefund>>, ProviderError> {
        match (self, &payment.provider_ref) {
            (Self::Pix(pix), _) => pix.refunds_of(payment.id.0).await,
            (Self::Card(stripe), Some(id)) => stripe.refunds_of(id).await.map(Some),
            (Self::Card(_), None) => Ok(Some(Vec::new())),
        }
    }

    /// All money received in `[from, to)`. `None`: they have no such list.
    pub async fn received(&self, from: Timestamp, to: Timestamp) -> Result<Option<Vec<Received>>, ProviderError> {
        match self {
            Self::Pix(pix) => pix.received(from, to).await,
            Self::Card(stripe) => stripe.received(from, to).await.map(Some),
        }
    }

    /// A page of what went back: of the PIX received in `[from, to)` until now, of cards in that time alone. `None`: they have no such
    /// list. What a bank takes back of a card is a dispute, and is listed as one.
    pub async fn returns(&self, from: Timestamp, to: Timestamp, page: u32) -> Result<Option<ReturnsPage>, ProviderError> {
        match self {
            Self::Pix(pix) => pix.returns(from, to, page).await,
            Self::Card(stripe) => Ok(Some(ReturnsPage { received: stripe.returns(from, to).await?, is_last: true })),
        }
    }

    /// A dispute as it stands, by their name for it. `None`: they know of none.
    pub async fn read_dispute(&self, reference: &str) -> Result<Option<Dispute>, ProviderError> {
        match self {
            Self::Pix(pix) => pix.read_dispute(reference).await,
            Self::Card(stripe) => stripe.dispute(reference).await,
        }
    }

    /// Every dispute that began since then. `None`: they have no such list.
    pub async fn disputes(&self, since: Timestamp) -> Result<Option<Vec<Dispute>>, ProviderError> {
        match self {
            Self::Pix(pix) => pix.disputes(since).await,
            Self::Card(stripe) => stripe.disputes(since).await.map(Some),
        }
    }

    /// Sends what speaks for the shop in a dispute. Stripe takes files of its own, in its dashboard alone.
    pub async fn submit_evidence(&self, evidence_ref: &str, documents: &[Document]) -> Result<(), ProviderError> {
        match self {
            Self::Pix(pix) => pix.submit_evidence(evidence_ref, documents).await,
            Self::Card(_) => Err(Dispute::takes_no_evidence(self.name())),
        }
    }

    /// An intent as a charge. One that names another payment is an error.
    fn seen(&self, payment: &Payment, intent: Intent) -> Result<ProviderCharge, ProviderError> {
        if intent.payment_id.is_some_and(|id| id != payment.id.0) {
            let reason = "answered about another payment".to_owned();
            return Err(ProviderError::Unknown { provider: self.name(), reason });
        }
        let is_paid = intent.status == IntentStatus::Succeeded;
        let status = match intent.status {
            IntentStatus::Succeeded => ChargeStatus::Paid,
            IntentStatus::Canceled => ChargeStatus::Cancelled,
            _ => ChargeStatus::Pending,
        };
        let charge = Charge {
            payment_id: payment.id.0,
            status,
            amount: if is_paid { intent.amount_received } else { intent.amount },
            txid: intent.id,
            copy_paste: String::new(),
            qr_code: None,
            qr_code_url: None,
            expires_at: payment.expires_at, // an intent has no end of its own: we void it
            paid_at: None,
            end_to_end_id: intent.latest_charge.filter(|_| is_paid),
            refunded: Money::ZERO,
        };
        Ok(ProviderCharge { charge, currency: intent.currency.to_uppercase(), client_secret: intent.client_secret })
    }
}

fn new_intent(payment: &Payment, new: &NewCharge) -> NewIntent {
    NewIntent {
        payment_id: new.payment_id,
        order_id: new.order_id,
        amount: new.amount,
        description: None,   // the metadata say which order it is
        receipt_email: None, // our own mails tell the buyer
        asked_at: payment.created_at,
        attempt: payment.tries,
    }
}

/// Creates a PIX charge. After a refusal the provider is asked whether an earlier try created the charge.
async fn create_pix(pix: &dyn PixProvider, new: &NewCharge) -> Result<Charge, ProviderError> {
    let refused = match pix.create_charge(new).await {
        Err(refused @ ProviderError::Rejected { .. }) => refused,
        other => return other,
    };
    match pix.read_charge(new.payment_id, Lane::Buyer).await {
        Ok(Some(charge)) => Ok(charge),
        Err(_) if new.is_repeat => {
            Err(ProviderError::Unknown { provider: refused.provider(), reason: format!("{refused}, after an earlier try") })
        }
        Ok(None) | Err(_) => Err(refused),
    }
}

impl From<Charge> for ProviderCharge {
    /// PIX is in reais only.
    fn from(charge: Charge) -> Self {
        Self { charge, currency: "BRL".to_owned(), client_secret: None }
    }
}
