//! Invoices and their states at the tax authority.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::books::nfe_draft::Draft;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NfeStatus {
    Processing,
    Authorized,
    /// May be sent again under its reference.
    Rejected,
    /// For good; its number is gone.
    Denied,
    /// Asked to be void, not decided yet.
    Cancelling,
    Cancelled,
}

/// An invoice at some provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nfe {
    /// Provider and reference.
    pub id: String,
    pub provider: String,
    pub reference: String,
    pub status: NfeStatus,
    /// The issuer's.
    pub cnpj: String,
    pub total_cents: i64,
    pub key: Option<String>,
    pub number: Option<u32>,
    pub series: u16,
    pub protocol: Option<String>,
    /// The tax authority's last word.
    pub code: Option<String>,
    pub message: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    pub created_at: Timestamp,
    /// When it is decided.
    pub due_at: Timestamp,
    pub authorized_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// A cancellation was asked for and refused.
    pub is_cancel_refused: bool,
    /// The goods are on the road: it can no longer be void.
    pub goods_moved: bool,
    pub letters: Vec<Letter>,
    pub request_hash: String,
    pub draft: Draft,
}

/// A carta de correção.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The caller's name for it, where a provider has one.
    pub id: String,
    pub text: String,
    pub protocol: String,
    pub at: Timestamp,
}

/// How an invoice stands in the books of a shop's tester: what is compared.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    provider: &'a str,
    reference: &'a str,
    status: NfeStatus,
    key: Option<&'a str>,
    number: Option<u32>,
    series: u16,
    total_cents: i64,
    is_return: bool,
    referenced: Option<&'a str>,
    code: Option<&'a str>,
    message: Option<&'a str>,
    attempts: u32,
    letters: usize,
}

impl<'a> From<&'a Nfe> for Entry<'a> {
    fn from(nfe: &'a Nfe) -> Self {
        Self {
            provider: &nfe.provider,
            reference: &nfe.reference,
            status: nfe.status,
            key: nfe.key.as_deref(),
            number: nfe.number,
            series: nfe.series,
            total_cents: nfe.total_cents,
            is_return: nfe.draft.purpose == 4,
            referenced: nfe.draft.takes_back(),
            code: nfe.code.as_deref(),
            message: nfe.message.as_deref(),
            attempts: nfe.attempts,
            letters: nfe.letters.len(),
        }
    }
}
