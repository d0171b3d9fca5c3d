//! A label: what it is bought with, and how far it is.

use jiff::Timestamp;
use vitrine_kit::shipping::Volume;
use vitrine_kit::{Cep, Money, TaxId};

/// Who sends, or who receives. `Debug` shows nobody.
#[derive(Clone)]
pub struct Contact {
    pub name: String,
    /// `+55…` or digits.
    pub phone: Option<String>,
    pub email: Option<String>,
    pub document: TaxId,
    /// Digits, or `ISENTO`. Companies only.
    pub state_registration: Option<String>,
    pub street: String,
    pub number: String,
    pub complement: Option<String>,
    pub district: String,
    pub city: String,
    /// Two letters.
    pub state: String,
    pub cep: Cep,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").finish_non_exhaustive()
    }
}

/// What lies in the parcel, for the declaration of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub name: String,
    pub quantity: u32,
    pub unit_price: Money,
}

/// A label to be bought. Correios takes one volume for each label.
#[derive(Debug, Clone)]
pub struct NewLabel {
    /// Our own id of it: by this it is found again.
    pub tag: String,
    /// Where the shop shows it.
    pub tag_url: String,
    /// Their code of the service, as in the quote.
    pub service: String,
    /// Where the parcel is handed over; some carriers (Jadlog, with a token of their panel) demand it.
    pub agency: Option<u64>,
    pub from: Contact,
    pub to: Contact,
    pub contents: Vec<Content>,
    pub volumes: Vec<Volume>,
    pub insured: Money,
    /// Access key of the NF-e; without one the parcel travels with a declaration of contents.
    pub invoice_key: Option<String>,
}

/// How far a label is, in their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelStatus {
    /// In the cart, not paid.
    Pending,
    /// Paid, not yet made.
    Released,
    /// Made: it can be printed.
    Generated,
    /// With the carrier.
    Posted,
    Delivered,
    Undelivered,
    Suspended,
    Canceled,
    Expired,
    /// A word that we do not know.
    Other,
}

/// A label as they keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Theirs.
    pub id: String,
    pub protocol: String,
    pub status: LabelStatus,
    pub price: Option<Money>,
    /// The carrier's number, or else their own.
    pub tracking: Option<String>,
    /// What we wrote onto it.
    pub tags: Vec<String>,
    pub generated_at: Option<Timestamp>,
    pub posted_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub canceled_at: Option<Timestamp>,
    pub expired_at: Option<Timestamp>,
}

impl Label {
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| one == tag)
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status, LabelStatus::Canceled | LabelStatus::Expired)
    }
}
