//! The books of the providers. Tests compare the shop with them.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

pub(crate) use crate::books::calls::RememberedKey;
pub use crate::books::calls::{Attempt, Call, Delivery, DeliveryState};
pub use crate::books::charges::{Charge, ChargeStatus, Extra, Payer, Refund, RefundOrigin, RefundStatus, Refusal, Shortage};
use crate::books::disputes::Dispute;
use crate::books::journal::{Journal, Line};
use crate::books::nfe::{Nfe, NfeStatus};
use crate::books::parcels::Parcel;
pub use crate::books::post::{Mail, Sms};
use crate::books::table::{Entity, Table};

pub(crate) mod calls;
pub(crate) mod card;
pub(crate) mod charges;
pub(crate) mod disputes;
mod journal;
pub(crate) mod nfe;
pub(crate) mod nfe_draft;
pub(crate) mod parcels;
pub(crate) mod post;
mod table;

/// The calls log keeps this many; the counters keep all.
const CALLS_KEPT: usize = 1_000;

/// What has a table here.
pub(crate) trait Row: Entity {
    fn table(books: &mut Books) -> &mut Table<Self>;
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
        }
        impl Row for $type {
            fn table(books: &mut Books) -> &mut Table<Self> {
                &mut books.$table
            }
        }
    };
}
entity!(Charge, "charge", charges, payment_id, |c| { (c.status == ChargeStatus::Pending).then_some(c.expires_at) });
entity!(Refund, "refund", refunds, refund_id, |r| { (r.status == RefundStatus::Processing).then_some(r.settles_at) });
entity!(Dispute, "dispute", disputes, id, |_| None);
entity!(Refusal, "refusal", refusals, id, |_| None);
entity!(Delivery, "delivery", deliveries, id, |d| { (d.state == DeliveryState::Pending).then_some(d.due_at) });
entity!(Parcel, "parcel", parcels, id, |p| p.moves_at);
entity!(Mail, "mail", mails, id, |_| None);
entity!(Sms, "sms", sms, id, |_| None);
entity!(Nfe, "nfe", nfes, id, |n| { matches!(n.status, NfeStatus::Processing | NfeStatus::Cancelling).then_some(n.due_at) });
entity!(RememberedKey, "key", keys, id, |_| None);

/// All of it, behind one lock.
#[derive(Debug, Default)]
pub struct Books {
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) refusals: Table<Refusal>,
    pub(crate) disputes: Table<Dispute>,
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

    fn replay(&mut self, line: &Line) -> serde_json::Result<()> {
        fn put<T: Row>(books: &mut Books, line: &Line) -> serde_json::Result<()> {
            let row: T = serde_json::from_str(line.entity.get())?;
            T::table(books).put(row);
            Ok(())
        }
        match line.kind.as_str() {
            Charge::KIND => put::<Charge>(self, line),
            Refund::KIND => put::<Refund>(self, line),
            Refusal::KIND => put::<Refusal>(self, line),
            Dispute::KIND => put::<Dispute>(self, line),
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
    pub(crate) fn put<T: Row>(&mut self, row: T) {
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

    /// Refunds that were not taken for want of balance.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals.rows
    }

    pub fn disputes(&self) -> &[Dispute] {
        &self.disputes.rows
    }

    pub fn disputes_of(&self, payment_id: &str) -> impl DoubleEndedIterator<Item = &Dispute> {
        self.disputes.rows.iter().filter(move |dispute| dispute.payment_id == payment_id)
    }

    /// By its own id, or the last one of a charge.
    pub fn find_dispute(&self, id: &str) -> Option<&Dispute> {
        self.disputes.get(id).or_else(|| self.disputes_of(&self.find_charge(id)?.payment_id).next_back())
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
