//! OpenPix's disputes (MED): webhook, look-up, list and evidence.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::dispute::{Contested, Dispute, Document, Stage, State};

/// How long after its opening evidence can be sent.
const EVIDENCE_WITHIN: SignedDuration = SignedDuration::from_hours(72);
/// Most characters of OpenPix's text that are kept.
const MAX_WORD: usize = 80;
/// End-to-end ids have 32 characters; nothing much longer is kept as an id.
const MAX_ID: usize = 64;

/// The payer's name, e-mail and phone are not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Theirs {
    /// Only webhooks have it; evidence is sent by it.
    id: Option<String>,
    status: Option<String>,
    #[serde(default)]
    value: Value,
    dispute_reason: Option<String>,
    end_to_end_id: Option<String>,
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Timestamp>,
}

/// A value that is no time counts as absent; the dispute is still read.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().and_then(|text| text.parse().ok()))
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    dispute: Theirs,
}

/// A settled PIX, with the charge that it paid.
#[derive(Deserialize)]
pub(crate) struct Settled {
    transaction: Transaction,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    end_to_end_id: Option<String>,
    charge: Option<Paid>,
}

#[derive(Deserialize)]
struct Paid {
    #[serde(rename = "correlationID")]
    correlation_id: Option<String>,
}

impl Settled {
    /// `None`: another PIX, or one that paid no charge of ours.
    pub(crate) fn payment_id(self, end_to_end_id: &str) -> Option<Uuid> {
        let Transaction { end_to_end_id: theirs, charge } = self.transaction;
        let is_it = theirs.is_none_or(|theirs| theirs == end_to_end_id);
        charge.filter(|_| is_it)?.correlation_id?.parse().ok()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List {
    disputes: Vec<Theirs>,
    page_info: Option<PageInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    #[serde(default)]
    has_next_page: bool,
}

/// A text that can be part of a path and the reference of a dispute.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Shortens a text to one line, for display.
fn word(text: Option<String>) -> String {
    text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(MAX_WORD).collect()
}

/// Whole centavos, as a number or (as one of their schemas says) as the same in a text.
fn cents(value: &Value) -> Option<Money> {
    let cents = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    cents.filter(|cents| *cents >= 0).map(Money::from_cents)
}

/// The words of all three lists in OpenPix's documents. An undecided dispute is "under review": the money is held.
fn state(word: &str) -> State {
    match word {
        "CREATED" | "OPENED" => State::Open,
        "IN_REVIEW" => State::UnderReview,
        "ACCEPTED" => State::Lost,
        "REJECTED" => State::Won,
        "CANCELED" | "CANCELLED" => State::Closed,
        _ => State::Unclear,
    }
}

impl Theirs {
    /// The dispute's reference is its PIX, because a PIX has one dispute. `None`: it names no PIX.
    fn into_dispute(self) -> Option<Dispute> {
        let end_to_end_id = self.end_to_end_id.filter(|id| is_id(id))?;
        let status = word(self.status);
        Some(Dispute {
            reference: end_to_end_id.clone(),
            payment: Contested { end_to_end_id: Some(end_to_end_id), ..Contested::default() },
            amount: cents(&self.value),
            currency: Some("BRL".to_owned()),
            stage: Stage::Contested,
            state: state(&status),
            status,
            reason: word(self.dispute_reason),
            opened_at: self.created_at,
            due_by: self.created_at.and_then(|at| at.checked_add(EVIDENCE_WITHIN).ok()),
            evidence_ref: self.id.filter(|id| is_id(id)),
        })
    }
}

impl Answer {
    /// Errors: it is about another PIX.
    pub(crate) fn into_dispute(self, end_to_end_id: &str) -> Result<Dispute, &'static str> {
        let dispute = self.dispute.into_dispute().ok_or("answered about a dispute without its PIX")?;
        if dispute.reference == end_to_end_id { Ok(dispute) } else { Err("answered about another dispute") }
    }
}

impl List {
    /// A list without page numbers has one page.
    pub(crate) fn is_last(&self) -> bool {
        self.disputes.is_empty() || !self.page_info.as_ref().is_some_and(|info| info.has_next_page)
    }

    /// Leaves out a dispute that names no PIX.
    pub(crate) fn into_disputes(self) -> impl Iterator<Item = Dispute> {
        self.disputes.into_iter().filter_map(|theirs| {
            let dispute = theirs.into_dispute();
            if dispute.is_none() {
                tracing::warn!(provider = crate::NAME, "a dispute in their list names no PIX");
            }
            dispute
        })
    }
}

/// The dispute of a webhook. If the body has no state, the event's name gives it.
pub(crate) fn told(body: Option<&Value>, event: &str) -> Option<Dispute> {
    let mut theirs: Theirs = serde_json::from_value(body?.clone()).ok()?;
    theirs.status = theirs.status.or_else(|| event.rsplit('_').next().map(str::to_owned));
    theirs.into_dispute()
}

#[derive(Serialize)]
pub(crate) struct Evidence<'a> {
    documents: Vec<TheirDocument<'a>>,
}

#[derive(Serialize)]
struct TheirDocument<'a> {
    url: &'a str,
    description: &'a str,
    #[serde(rename = "correlationID")]
    correlation_id: Uuid,
}

impl<'a> From<&'a [Document]> for Evidence<'a> {
    fn from(documents: &'a [Document]) -> Self {
        let theirs = |document: &'a Document| TheirDocument {
            url: &document.url,
            description: &document.description,
            correlation_id: document.id,
        };
        Self { documents: documents.iter().map(theirs).collect() }
    }
}
