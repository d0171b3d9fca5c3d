//! What every handler shares: the books behind their lock, the ordered faults, the shop's address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::web::ServiceConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::books::{Books, Shortage};
use crate::formats::brcode;
use crate::world::authority::Authority;
use crate::world::bank::Bank;
use crate::world::chaos::Dice;
use crate::world::config::SandboxConfig;
use crate::world::fault::{FaultOrder, HANG, Met};
use crate::world::news::{Envelope, News};
use crate::world::office::Office;

pub(crate) mod authority;
pub(crate) mod bank;
pub(crate) mod chaos;
pub(crate) mod config;
pub(crate) mod fault;
pub(crate) mod news;
pub(crate) mod office;
pub(crate) mod orders;
pub(crate) mod webhooks;

/// Drawing a QR code takes its time, and a charge is read often: so many pictures are kept.
const PICTURES_KEPT: usize = 1_000;

/// News in a provider's own words: an envelope for each of its events.
type Write = fn(&World, &Books, &News<'_>) -> Vec<Envelope>;
/// Headers for a body.
type Stamp = fn(&World, &str) -> BTreeMap<String, String>;

/// A simulated provider: its name is also the first part of its paths.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) routes: fn(&mut ServiceConfig),
    /// Its error body for a status that was ordered or has no route.
    pub(crate) error: fn(u16) -> Value,
    /// Puts news of a charge into its own words, signed. Only those that move money have any.
    pub(crate) webhook: Option<Write>,
    /// Headers of each try of a webhook: a signature that tells the time must be fresh.
    pub(crate) stamp: Option<Stamp>,
    /// A 500 is an answer like any other to its idempotency keys: it is repeated.
    pub(crate) stores_failures: bool,
    /// It asks for a key that can be revoked.
    pub(crate) has_key: bool,
}

impl Provider {
    /// Tells nothing, remembers no failure and lets everybody in.
    pub(crate) const SILENT: Self = Self {
        name: "",
        routes: |_| (),
        error: |_| Value::Null,
        webhook: None,
        stamp: None,
        stores_failures: false,
        has_key: false,
    };
}

/// Does what was due by now, and tells the shop.
pub(crate) type PassTime = fn(&World, &mut Books, Timestamp);

/// Who is played, and what happens by itself as time passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast {
    pub(crate) providers: &'static [Provider],
    pub(crate) clocks: &'static [PassTime],
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cfg: SandboxConfig,
    cast: Cast,
    /// Our own address, without a final slash.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    books: Mutex<Books>,
    faults: Mutex<Vec<FaultOrder>>,
    dice: Mutex<Dice>,
    bank: Mutex<Bank>,
    office: Mutex<Office>,
    /// Providers that no longer know the shop's key.
    revoked: Mutex<BTreeSet<&'static str>>,
    /// Whose account holds too little for refunds, how that is told, and for how many more of them (`None`: until it is funded).
    shortages: Mutex<BTreeMap<String, (Shortage, Option<u32>)>>,
    shop_url: Mutex<Option<String>>,
    /// BR Code → its QR as a data URI.
    pictures: Mutex<HashMap<String, String>>,
    /// So many of the next refunds to settle will fail.
    pub(crate) refunds_to_fail: AtomicU32,
    pub(crate) authority: Authority,
    /// What was paid in to buy labels with, in centavos.
    pub(crate) label_balance: AtomicI64,
    pub(crate) label_takes_ms: AtomicU64,
    /// What OpenPix allows a second; 0: anything.
    pub(crate) openpix_calls_per_second: AtomicU32,
    /// Something may be due sooner than the delivery loop thinks.
    pub(crate) wake: Notify,
    changed: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new(cfg: SandboxConfig, cast: Cast, url: String) -> std::io::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(cfg.webhook_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0) // used from several runtimes; a pooled connection dies with its own
            .no_proxy()
            .user_agent("Vitrine-Sandbox")
            .build()
            .map_err(std::io::Error::other)?;
        let books = Books::open(cfg.journal.as_deref())?;
        let shop_url = Mutex::new(cfg.shop_url.as_deref().map(tidy));
        let label_takes_ms = AtomicU64::new(u64::try_from(cfg.label_takes.as_millis()).unwrap_or(u64::MAX));
        Ok(Self {
            label_balance: AtomicI64::new(cfg.melhorenvio_balance_cents),
            label_takes_ms,
            cfg,
            cast,
            url,
            http,
            books: Mutex::new(books),
            faults: Mutex::default(),
            dice: Mutex::default(),
            bank: Mutex::default(),
            office: Mutex::default(),
            revoked: Mutex::default(),
            shortages: Mutex::default(),
            shop_url,
            pictures: Mutex::default(),
            refunds_to_fail: AtomicU32::new(0),
            openpix_calls_per_second: AtomicU32::new(0),
            authority: Authority::default(),
            wake: Notify::new(),
            changed: watch::channel(0).0,
        })
    }

    /// The books as they are.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&lock(&self.books))
    }

    /// The books once everything that was due has happened. Whoever waits for a change is woken.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        let mut books = lock(&self.books);
        let before = books.version();
        let now = Timestamp::now();
        for pass_time in self.cast.clocks {
            pass_time(self, &mut books, now);
        }
        let out = change(&mut books);
        let after = books.version();
        drop(books);
        if before != after {
            self.changed.send_replace(after);
            self.wake.notify_one();
        }
        out
    }

    /// The QR of a BR Code as a data URI; drawn outside of every lock.
    pub(crate) fn picture(&self, code: &str) -> String {
        if let Some(known) = lock(&self.pictures).get(code) {
            return known.clone();
        }
        let png = brcode::qr_png(code).unwrap_or_default(); // our own codes always fit
        let uri = format!("data:image/png;base64,{}", STANDARD.encode(png));
        let mut pictures = lock(&self.pictures);
        if pictures.len() == PICTURES_KEPT {
            pictures.clear();
        }
        pictures.insert(code.to_owned(), uri.clone());
        uri
    }

    /// Sees a new version after every change of the books.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&'static Provider> {
        self.cast.providers.iter().find(|provider| provider.name == name)
    }

    /// What a call meets: the first order that fits, else what chaos has for it.
    pub(crate) fn fault(&self, provider: &str, call: &str) -> Option<Met> {
        let mut orders = self.faults();
        let Some(at) = orders.iter().position(|order| order.meets(provider, call)) else {
            drop(orders);
            return self.dice().fault(provider);
        };
        let fault = orders[at].fault;
        orders[at].count = orders[at].count.saturating_sub(1);
        if orders[at].count == 0 {
            orders.remove(at);
        }
        Some(Met { fault, hang: HANG })
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Vec<FaultOrder>> {
        lock(&self.faults)
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    pub(crate) fn bank(&self) -> MutexGuard<'_, Bank> {
        lock(&self.bank)
    }

    pub(crate) fn office(&self) -> MutexGuard<'_, Office> {
        lock(&self.office)
    }

    /// Whether a provider has stopped knowing the shop's key.
    pub(crate) fn is_revoked(&self, provider: &str) -> bool {
        lock(&self.revoked).contains(provider)
    }

    pub(crate) fn set_revoked(&self, provider: &'static Provider, is_revoked: bool) {
        let mut revoked = lock(&self.revoked);
        match is_revoked {
            true => revoked.insert(provider.name),
            false => revoked.remove(provider.name),
        };
    }

    /// By name.
    pub(crate) fn revoked(&self) -> Vec<&'static str> {
        lock(&self.revoked).iter().copied().collect()
    }

    /// How the next refund at this provider is to lack its balance, if it is.
    pub(crate) fn take_shortage(&self, provider: &str) -> Option<Shortage> {
        let mut shortages = lock(&self.shortages);
        let (shortage, left) = shortages.get_mut(provider)?;
        let shortage = *shortage;
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                shortages.remove(provider);
            }
        }
        Some(shortage)
    }

    /// `left`: for so many refunds; `None`: until it is funded.
    pub(crate) fn begin_shortage(&self, provider: &str, shortage: Shortage, left: Option<u32>) {
        let mut shortages = lock(&self.shortages);
        match left {
            Some(0) => shortages.remove(provider),
            _ => shortages.insert(provider.to_owned(), (shortage, left)),
        };
    }

    pub(crate) fn end_shortage(&self, provider: &str) {
        lock(&self.shortages).remove(provider);
    }

    pub(crate) fn shop_url(&self) -> Option<String> {
        lock(&self.shop_url).clone()
    }

    pub(crate) fn set_shop_url(&self, url: &str) {
        *lock(&self.shop_url) = Some(tidy(url));
        self.wake.notify_one();
    }
}

fn tidy(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// A test that panicked while it held the lock leaves whole rows behind: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
