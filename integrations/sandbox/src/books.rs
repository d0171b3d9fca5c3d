//! What the providers remember. The only truth of the sandbox; tests compare the shop with it.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::journal::Journal;
use crate::nfe::{Nfe, NfeStatus};
use crate::parcels::Parcel;
use crate::table::{Entity, Table};

/// The calls log keeps this many; the counters keep all.
const CALLS_KEPT: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStatus {
    Pending,
    Paid,
    Expired,
    Cancelled,
    PartiallyRefunded,
    Refunded,
}

impl ChargeStatus {
    /// The money arrived, whatever became of it later.
    pub fn was_paid(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Refunded)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }
}

/// Who is asked to pay. The document stays out of `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    pub name: String,
    pub tax_id: String,
    pub email: Option<String>,
}

impl std::fmt::Debug for Payer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payer").finish_non_exhaustive()
    }
}

/// What else a provider was told, in its own words. Names and documents are in it: out of `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extra(pub serde_json::Value);

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extra").finish_non_exhaustive()
    }
}

impl std::ops::Deref for Extra {
    type Target = serde_json::Value;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A charge at some provider: by PIX, or by card if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub provider: String,
    pub payment_id: String,
    pub order_id: String,
    pub txid: String,
    pub status: ChargeStatus,
    /// What was asked for.
    pub amount_cents: i64,
    /// What the payer sent; may be short or over.
    pub paid_cents: Option<i64>,
    /// Sum of the refunds that are done.
    pub refunded_cents: i64,
    pub description: String,
    pub payer: Option<Payer>,
    pub copy_paste: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub end_to_end_id: Option<String>,
    /// SHA-256 of the request that made it: a repeat must be the same.
    pub request_hash: String,
    #[serde(default)]
    pub card: Option<Card>,
    #[serde(default)]
    pub extra: Extra,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    Processing,
    Done,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub provider: String,
    pub refund_id: String,
    pub payment_id: String,
    pub amount_cents: i64,
    pub reason: String,
    pub status: RefundStatus,
    pub end_to_end_id: String,
    pub created_at: Timestamp,
    pub settles_at: Timestamp,
    pub request_hash: String,
    #[serde(default)]
    pub extra: Extra,
}

/// A message that was accepted for sending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub provider: String,
    pub id: String,
    pub idempotency_key: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub reply_to: Vec<String>,
    pub subject: String,
    pub html: Option<String>,
    pub text: Option<String>,
    /// Name and value, as sent.
    pub tags: Vec<(String, String)>,
    pub headers: BTreeMap<String, String>,
    /// File names only.
    pub attachments: Vec<String>,
    pub scheduled_at: Option<String>,
    pub last_event: String,
    pub created_at: Timestamp,
}

/// A text that was accepted for sending, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    pub provider: String,
    pub id: String,
    pub from: Option<String>,
    pub to: String,
    pub text: String,
    /// So many texts are charged for it.
    pub parts: usize,
    /// Their code for what they did with it: 100 to 102 took it.
    pub status_code: u16,
    /// Their last word on it.
    pub status: String,
    pub created_at: Timestamp,
}

/// The answer that an idempotency key stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RememberedKey {
    pub(crate) id: String,
    pub(crate) request_hash: String,
    pub(crate) answer: serde_json::Value,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried, at `due_at`.
    Pending,
    /// The shop answered 2xx.
    Delivered,
    /// The last try failed too.
    GivenUp,
    /// Ordered to be lost on the way: never sent.
    Lost,
}

/// A webhook for the shop, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: String,
    pub provider: String,
    pub event_id: String,
    pub event: String,
    /// The payment or mail it speaks of.
    pub about: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// The exact bytes that are signed.
    pub body: String,
    pub state: DeliveryState,
    pub due_at: Timestamp,
    pub attempts: Vec<Attempt>,
}

/// One try of a delivery: an answer or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: Timestamp,
    pub status: Option<u16>,
    /// The shop's body (cut) or why there is none.
    pub answer: String,
}

/// A call that a provider received. Not in the journal.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub n: u64,
    pub at: Timestamp,
    pub provider: &'static str,
    /// Method and path pattern.
    pub endpoint: String,
    pub path: String,
    pub request_id: Option<String>,
    /// The fault that it met.
    pub fault: Option<String>,
    /// `None`: no answer was sent (yet).
    pub status: Option<u16>,
    pub duration_ms: Option<u64>,
}

macro_rules! entity {
    ($type:ty, $kind:literal, $table:ident, $id:ident, $due:expr) => {
        impl Entity for $type {
            const KIND: &'static str = $kind;
            fn id(&self) -> &str {
                &self.$id
            }
            fn due(&self) -> Option<Timestamp> {
                let due: fn(&$type) -> Option<Timestamp> = $due;
                due(self)
            }
            fn table(books: &mut Books) -> &mut Table<Self> {
                &mut books.$table
            }
        }
    };
}
entity!(Charge, "charge", charges, payment_id, |c| { (c.status == ChargeStatus::Pending).then_some(c.expires_at) });
entity!(Refund, "refund", refunds, refund_id, |r| { (r.status == RefundStatus::Processing).then_some(r.settles_at) });
entity!(Delivery, "delivery", deliveries, id, |d| { (d.state == DeliveryState::Pending).then_some(d.due_at) });
entity!(Mail, "mail", mails, id, |_| None);
entity!(Sms, "sms", sms, id, |_| None);
entity!(Nfe, "nfe", nfes, id, |n| { matches!(n.status, NfeStatus::Processing | NfeStatus::Cancelling).then_some(n.due_at) });
entity!(RememberedKey, "key", keys, id, |_| None);

/// All of it, behind one lock.
#[derive(Debug, Default)]
pub struct Books {
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) parcels: Table<Parcel>,
    pub(crate) mails: Table<Mail>,
    pub(crate) sms: Table<Sms>,
    pub(crate) nfes: Table<Nfe>,
    pub(crate) keys: Table<RememberedKey>,
    pub(crate) deliveries: Table<Delivery>,
    calls: VecDeque<Call>,
    calls_total: u64,
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
    journal: Option<Journal>,
    version: u64,
}

impl Books {
    /// Everything that the journal tells; later lines win.
    pub(crate) fn open(journal: Option<&std::path::Path>) -> std::io::Result<Self> {
        let mut books = Self::default();
        if let Some(path) = journal {
            let journal = Journal::open(path, |line| books.replay(line))?;
            books.journal = Some(journal);
        }
        Ok(books)
    }

    fn replay(&mut self, line: &crate::journal::Line) -> serde_json::Result<()> {
        fn put<T: Entity>(books: &mut Books, line: &crate::journal::Line) -> serde_json::Result<()> {
            let row: T = serde_json::from_str(line.entity.get())?;
            T::table(books).put(row);
            Ok(())
        }
        match line.kind.as_str() {
            Charge::KIND => put::<Charge>(self, line),
            Refund::KIND => put::<Refund>(self, line),
            Parcel::KIND => put::<Parcel>(self, line),
            Mail::KIND => put::<Mail>(self, line),
            Sms::KIND => put::<Sms>(self, line),
            Nfe::KIND => put::<Nfe>(self, line),
            RememberedKey::KIND => put::<RememberedKey>(self, line),
            Delivery::KIND => put::<Delivery>(self, line),
            _ => Ok(()), // of a later release
        }
    }

    /// Inserts or replaces, and writes it down first.
    pub(crate) fn put<T: Entity>(&mut self, row: T) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.append(T::KIND, row.id(), &row)
        {
            tracing::error!(%error, kind = T::KIND, "the sandbox's journal cannot be written");
        }
        T::table(self).put(row);
        self.version += 1;
    }

    /// Grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Lets go of the file, so that the next sandbox may take it.
    pub(crate) fn close_journal(&mut self) {
        self.journal = None;
    }

    pub fn charges(&self) -> &[Charge] {
        &self.charges.rows
    }

    pub fn refunds(&self) -> &[Refund] {
        &self.refunds.rows
    }

    pub fn parcels(&self) -> &[Parcel] {
        &self.parcels.rows
    }

    pub fn mails(&self) -> &[Mail] {
        &self.mails.rows
    }

    /// Also those that were refused.
    pub fn sms(&self) -> &[Sms] {
        &self.sms.rows
    }

    pub fn nfes(&self) -> &[Nfe] {
        &self.nfes.rows
    }

    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries.rows
    }

    /// The last 1,000, oldest first.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter()
    }

    /// Provider → method and path pattern → number of calls since the start.
    pub fn call_counts(&self) -> &BTreeMap<&'static str, BTreeMap<String, u64>> {
        &self.counts
    }

    /// A provider's charge, by payment id or txid: those of the others are nothing to it.
    pub(crate) fn charge_at(&self, provider: &str, id: &str) -> Option<&Charge> {
        let ours = |c: &&Charge| c.provider == provider;
        self.charges.get(id).filter(ours).or_else(|| self.charges.rows.iter().rev().filter(ours).find(|c| c.txid == id))
    }

    /// By payment id, txid, or order id (then its last charge).
    pub fn find_charge(&self, id: &str) -> Option<&Charge> {
        self.charges.get(id).or_else(|| self.charges.rows.iter().rev().find(|c| c.txid == id || c.order_id == id))
    }

    pub fn refunds_of(&self, payment_id: &str) -> impl Iterator<Item = &Refund> {
        self.refunds.rows.iter().filter(move |r| r.payment_id == payment_id)
    }

    pub(crate) fn call_begins(&mut self, mut call: Call) -> u64 {
        self.calls_total += 1;
        self.version += 1;
        call.n = self.calls_total;
        *self.counts.entry(call.provider).or_default().entry(call.endpoint.clone()).or_default() += 1;
        if self.calls.len() == CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
        self.calls_total
    }

    pub(crate) fn call_ends(&mut self, n: u64, status: Option<u16>, duration_ms: u64) {
        self.version += 1;
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.n == n) {
            call.status = status;
            call.duration_ms = Some(duration_ms);
        }
    }
}
