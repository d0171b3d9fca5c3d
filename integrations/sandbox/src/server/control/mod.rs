//! The control, for tests: pays, expires, loses webhooks, orders faults. `http` offers the same over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::books::parcels::{Parcel, ParcelStep};
use crate::books::post::bare_address;
use crate::books::{Books, Charge, Delivery, DeliveryState, Mail, Refund, RefundStatus, Sms};
use crate::providers::bacen::received;
use crate::providers::melhorenvio::{news, parcels};
use crate::providers::{africastalking, bacen};
use crate::world::bank::TokenForm;
use crate::world::chaos::{Chaos, ChaosCounts};
use crate::world::fault::{Fault, FaultOrder};
use crate::world::news::News;
use crate::world::office::Passage;
use crate::world::orders::{Refused, SendWebhook};
use crate::world::{World, webhooks};

mod answers;
mod disputes;
pub(crate) mod http;
pub(crate) mod money;
mod nfe;

/// What the shop said to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShopAnswer {
    /// `None`: there was no answer, and `body` says why.
    pub status: Option<u16>,
    pub body: String,
}

/// The sandbox in hand. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) world: Arc<World>,
}

impl Control {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Sends an event of a charge: the same again if it was sent before, else a new one, true or not.
    /// `event`: the provider's own name, or `payment.paid` and its like, which all understand.
    pub fn send_webhook(&self, id: &str, event: &str, how: SendWebhook) -> Result<Delivery, Refused> {
        self.world.write(|books| {
            let charge = books.find_charge(id).cloned().ok_or(Refused::NotFound)?;
            let sent = |event: &str| {
                let same = |d: &&Delivery| d.about == charge.payment_id && d.event == event;
                books.deliveries().iter().rev().find(same).cloned()
            };
            let new = webhooks::write(&self.world, books, &News::Charge(&charge, event)).into_iter().next();
            let known = sent(event).or_else(|| sent(&new.as_ref()?.event)); // by the provider's name for it, too
            let Some(sent) = known else {
                let new = new.ok_or(Refused::NotFound)?;
                return Ok(webhooks::enter(&self.world, books, &charge.provider, &charge.payment_id, new, how));
            };
            let again = Delivery {
                id: uuid::Uuid::now_v7().to_string(),
                state: DeliveryState::Pending,
                due_at: Timestamp::now(),
                attempts: Vec::new(),
                ..sent
            };
            Ok(webhooks::send(books, again, how))
        })
    }

    /// One webhook of the bank about all these Pix (paid charges of `bacen`), beside what was told of each.
    pub fn batch_webhook(&self, ids: &[impl AsRef<str>], how: SendWebhook) -> Result<Delivery, Refused> {
        self.world.write(|books| {
            let mut charges = Vec::new();
            for id in ids {
                let charge = books.find_charge(id.as_ref()).ok_or(Refused::NotFound)?;
                if charge.provider != bacen::PROVIDER.name || !charge.status.was_paid() {
                    return Err(Refused::Invalid(format!("{} is not a paid charge of the bank", charge.payment_id)));
                }
                charges.push(charge);
            }
            let about: Vec<&str> = charges.iter().map(|charge| charge.payment_id.as_str()).collect();
            let (about, envelope) = (about.join(","), received::together(&self.world, books, &charges));
            Ok(webhooks::enter(&self.world, books, bacen::PROVIDER.name, &about, envelope, how))
        })
    }

    /// The bank forgets every access token that it gave out: the next call with one is answered 401.
    pub fn forget_pix_tokens(&self) {
        self.world.bank().tokens.clear();
    }

    /// From now on OpenPix answers 429 to what is more than so many calls a second. 0: it takes any number.
    pub fn limit_openpix(&self, calls_per_second: u32) {
        self.world.openpix_calls_per_second.store(calls_per_second, Ordering::Relaxed);
    }

    /// From now on the bank gives tokens only to who asks for them in this way. `None`: in either.
    pub fn take_pix_tokens_as(&self, form: Option<TokenForm>) {
        self.world.bank().token_form = form;
    }

    /// By the provider's id, the tag, the tracking number or the protocol.
    pub fn parcel(&self, id: &str) -> Option<Parcel> {
        self.books(|books| parcels::find(books, id).cloned())
    }

    pub fn parcels(&self) -> Vec<Parcel> {
        self.books(|books| books.parcels().to_vec())
    }

    /// A step in the life of a parcel, told to the shop as ordered.
    pub fn move_parcel(&self, id: &str, step: ParcelStep, how: SendWebhook) -> Result<Parcel, Refused> {
        self.world.write(|books| {
            let parcel = parcels::find(books, id).cloned().ok_or(Refused::NotFound)?;
            parcels::go(&self.world, books, parcel, step, how)
        })
    }

    /// Tells the shop something of a parcel, true or not, signed. `event`: `order.posted` and its like.
    pub fn send_parcel_webhook(&self, id: &str, event: &str, how: SendWebhook) -> Result<Delivery, Refused> {
        self.world.write(|books| {
            let parcel = parcels::find(books, id).cloned().ok_or(Refused::NotFound)?;
            let told = news::tell(&self.world, books, &parcel, event, how);
            told.ok_or_else(|| Refused::Invalid("no webhook is registered".into()))
        })
    }

    /// What the shop has paid in to buy labels with, bought ones included.
    pub fn set_label_balance(&self, cents: i64) {
        self.world.label_balance.store(cents, Ordering::Relaxed);
    }

    /// How long labels take to be made from now on.
    pub fn set_label_takes(&self, takes: Duration) {
        self.world.label_takes_ms.store(u64::try_from(takes.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Correios forget every token that they gave out: the next call with one is answered 401.
    pub fn forget_correios_tokens(&self) {
        self.world.office().tokens.clear();
    }

    /// Something happens to an object of Correios; before the first time they do not know it.
    pub fn pass(&self, code: &str, passage: Passage) {
        let mut office = self.world.office();
        let passages = office.objects.entry(code.to_uppercase()).or_default();
        passages.push(passage);
        passages.sort_by_key(|passage| passage.at);
    }

    /// Posts anything to the shop, now, and gives its answer. Nothing is signed or kept.
    pub async fn send_raw(&self, path: &str, headers: &BTreeMap<String, String>, body: String) -> Result<ShopAnswer, Refused> {
        let shop = self.world.shop_url().ok_or_else(|| Refused::Invalid("the shop's address is not set".into()))?;
        let attempt = webhooks::post(&self.world, &shop, path, headers, body).await;
        Ok(ShopAnswer { status: attempt.status, body: attempt.answer })
    }

    /// A fault for the next call of a provider. Panics on a name that no provider has.
    pub fn next(&self, provider: &str, fault: Fault) {
        self.next_calls(provider, fault, 1);
    }

    /// A fault for the next `count` calls of a provider. Panics on a name that no provider has.
    pub fn next_calls(&self, provider: &str, fault: Fault, count: u32) {
        let order = FaultOrder { provider: provider.to_owned(), fault, count, path_contains: None };
        self.order_fault(order).unwrap_or_else(|why| panic!("{why}"));
    }

    pub fn order_fault(&self, order: FaultOrder) -> Result<(), Refused> {
        if self.world.provider(&order.provider).is_none() {
            return Err(Refused::Invalid(format!("there is no provider {:?}", order.provider)));
        }
        if order.count > 0 {
            self.world.faults().push(order);
        }
        Ok(())
    }

    pub fn clear_faults(&self) {
        self.world.faults().clear();
    }

    /// The orders that are still to be met.
    pub fn faults(&self) -> Vec<FaultOrder> {
        self.world.faults().clone()
    }

    /// From now on each call and each webhook may go wrong at random. Begins anew, counters too.
    /// Ordered faults come first; a webhook that was ordered to travel in some way still does.
    pub fn begin_chaos(&self, chaos: Chaos) -> Result<(), Refused> {
        self.world.dice().begin(chaos, |name| self.world.provider(name).is_some())
    }

    pub fn end_chaos(&self) {
        self.world.dice().end();
    }

    /// What is going on (`None`: nothing), and what went wrong since it began.
    pub fn chaos(&self) -> (Option<Chaos>, ChaosCounts) {
        self.world.dice().show()
    }

    /// From now on a provider knows the shop's key no more, and answers every call as it answers a stranger's.
    pub fn revoke_key(&self, provider: &str) -> Result<(), Refused> {
        self.set_revoked(provider, true)
    }

    /// The key is good again.
    pub fn restore_key(&self, provider: &str) -> Result<(), Refused> {
        self.set_revoked(provider, false)
    }

    fn set_revoked(&self, provider: &str, is_revoked: bool) -> Result<(), Refused> {
        let with_key = self.world.provider(provider).filter(|provider| provider.has_key);
        let provider = with_key.ok_or_else(|| Refused::Invalid(format!("there is no provider {provider:?} with a key")))?;
        self.world.set_revoked(provider, is_revoked);
        Ok(())
    }

    pub fn set_shop_url(&self, url: &str) {
        self.world.set_shop_url(url);
    }

    /// A look into the books, once everything that was due has happened.
    pub fn books<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        self.world.write(|books| look(books))
    }

    /// By payment id, txid, or order id (then its last charge).
    pub fn charge(&self, id: &str) -> Option<Charge> {
        self.books(|books| books.find_charge(id).cloned())
    }

    pub fn charges(&self) -> Vec<Charge> {
        self.books(|books| books.charges().to_vec())
    }

    pub fn refunds(&self) -> Vec<Refund> {
        self.books(|books| books.refunds().to_vec())
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.books(|books| books.mails().to_vec())
    }

    /// The mails with this address among `to`, oldest first.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.books(|books| mails_to(books, address))
    }

    /// The texts that were taken or refused, oldest first.
    pub fn sms(&self) -> Vec<Sms> {
        self.books(|books| books.sms().to_vec())
    }

    /// The texts to this number, oldest first.
    pub fn sms_to(&self, phone: &str) -> Vec<Sms> {
        self.books(|books| books.sms().iter().filter(|sms| sms.to == phone).cloned().collect())
    }

    /// A delivery report of a text, true or not. `status`: `Success`, `Failed`, `Rejected`, or one that is not final.
    pub fn report_sms(&self, id: &str, status: &str, reason: Option<&str>, how: SendWebhook) -> Result<Delivery, Refused> {
        self.world.write(|books| {
            let sms = books.sms.get(id).cloned().ok_or(Refused::NotFound)?;
            Ok(africastalking::report(&self.world, books, sms, status, reason, how))
        })
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.books(|books| books.deliveries().to_vec())
    }

    /// All calls that a provider received, whatever became of them.
    pub fn calls(&self, provider: &str) -> u64 {
        self.books(|books| books.call_counts().get(provider).map_or(0, |counts| counts.values().sum()))
    }

    /// The calls to one endpoint: method and path pattern, `POST /propay/v1/payments`.
    pub fn calls_to(&self, provider: &str, endpoint: &str) -> u64 {
        self.books(|books| books.call_counts().get(provider).and_then(|c| c.get(endpoint)).copied().unwrap_or(0))
    }

    /// Waits until `look` finds something in the books; `None` when `limit` has passed before.
    pub async fn wait_for<T>(&self, limit: Duration, mut look: impl FnMut(&Books) -> Option<T>) -> Option<T> {
        let mut changes = self.world.changes();
        let search = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = self.books(&mut look) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await; // the sandbox is gone: only the limit is left
                }
            }
        };
        tokio::time::timeout(limit, search).await.ok()
    }

    /// Waits until no webhook is on its way and no refund or invoice in work (but for what waits for balance); false when `limit` has passed before.
    pub async fn settled(&self, limit: Duration) -> bool {
        let calm = |books: &Books| {
            let sent = books.deliveries().iter().all(|d| d.state != DeliveryState::Pending);
            let decided = books.nfes.waiting().next().is_none();
            let is_calm = |r: &Refund| r.status != RefundStatus::Processing || r.waits_for_balance() || r.is_held();
            (sent && decided && books.refunds().iter().all(is_calm)).then_some(())
        };
        self.wait_for(limit, calm).await.is_some()
    }
}

pub(crate) fn mails_to(books: &Books, address: &str) -> Vec<Mail> {
    let is_to = |to: &String| bare_address(to).eq_ignore_ascii_case(address);
    books.mails().iter().filter(|mail| mail.to.iter().any(is_to)).cloned().collect()
}
