//! The contract of providers that issue NF-e (model 55).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::breaker::Breaker;
use crate::nfe::{Environment, Nfe};
use crate::{AccessKey, Delivery, Forged, ProviderError};

/// An invoice as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNfe {
    pub reference: String,
    pub state: NfeState,
    /// Its check digit was verified.
    pub key: Option<AccessKey>,
    pub number: Option<String>,
    pub series: Option<String>,
    /// The tax authority's code: "100", "539".
    pub code: Option<String>,
    /// Why it was rejected, or what they said, in Portuguese.
    pub message: Option<String>,
    /// The provider's addresses of the files, to be given back to `download`.
    pub danfe: Option<String>,
    pub xml: Option<String>,
    pub cancellation_xml: Option<String>,
    pub authorized_at: Option<Timestamp>,
}

impl SeenNfe {
    /// An invoice of which only the state is known.
    pub fn bare(reference: &str, state: NfeState) -> Self {
        Self {
            reference: reference.to_owned(),
            state,
            key: None,
            number: None,
            series: None,
            code: None,
            message: None,
            danfe: None,
            xml: None,
            cancellation_xml: None,
            authorized_at: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NfeState {
    Processing,
    Authorized,
    /// Refused: correct it and send it again under the same reference.
    Rejected,
    /// Refused for good; its number is used up (denegada).
    Denied,
    Cancelled,
}

/// What became of a request to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// Cancelled now or before.
    Cancelled(SeenNfe),
    /// Under way: ask with `find`.
    Processing,
    /// The tax authority refused (too late, the goods have left): it stays authorised.
    Refused { code: String, message: String },
}

/// A carta de correção.
#[derive(Debug, Clone)]
pub struct Correction {
    /// Of the invoice.
    pub reference: String,
    pub key: AccessKey,
    pub environment: Environment,
    /// 1 to 20; the last one replaces all before it.
    pub sequence: u16,
    /// 15 to 1000 characters.
    pub text: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corrected {
    Accepted { pdf: Option<String>, xml: Option<String> },
    Processing,
    Refused { code: String, message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    Danfe,
    Xml,
    CancellationXml,
}

/// A hint of the provider that an invoice has changed. It is not signed: ask with `find` before anything changes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiscalNotice {
    /// The same for every repeat.
    pub event_id: String,
    /// Their name for it, for the operator.
    pub event: String,
    /// `None`: not about an invoice of ours.
    pub reference: Option<String>,
}

/// The code of a `ProviderError::Rejected` that is about the shop's account (its token, certificate or enrolment), not about the
/// request. Nothing is issued until somebody mends it; then the same requests succeed.
pub const ACCOUNT_REFUSED: &str = "account_refused";

/// Focus NFe, eNotas.
#[async_trait]
pub trait FiscalProvider: Send + Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;

    /// Sends an invoice. A repeat under the same reference makes no second one: it returns the existing one.
    async fn emit(&self, nfe: &Nfe) -> Result<SeenNfe, ProviderError>;

    /// `None`: the provider does not have it.
    async fn find(&self, reference: &str) -> Result<Option<SeenNfe>, ProviderError>;

    /// Asks to cancel an authorised invoice. `reason`: 15 to 255 characters. A repeat changes nothing.
    async fn cancel(&self, reference: &str, reason: &str) -> Result<Cancellation, ProviderError>;

    /// Sends a carta de correção, or asks for the state of the one with this sequence.
    async fn correct(&self, letter: &Correction) -> Result<Corrected, ProviderError>;

    /// A file of an invoice, from the address that `SeenNfe` gave. `None`: not there (yet).
    async fn download(&self, seen: &SeenNfe, document: Document) -> Result<Option<Bytes>, ProviderError>;

    /// Checks who sent the delivery, then reads it.
    fn open(&self, delivery: &Delivery) -> Result<Vec<FiscalNotice>, Forged>;

    fn breaker(&self) -> Arc<Breaker>;
}
