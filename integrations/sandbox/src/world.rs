//! What every handler shares: the books behind their lock, the ordered faults, the shop's address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::bacen_wire::Bank;
use crate::books::Books;
use crate::chaos::Dice;
use crate::correios::Office;
use crate::fault::FaultOrder;
use crate::nfe::Authority;
use crate::{SandboxConfig, brcode, nfe, parcels, pix};

/// Drawing a QR code takes its time, and a charge is read often: so many pictures are kept.
const PICTURES_KEPT: usize = 1_000;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cfg: SandboxConfig,
    /// Our own address, without a final slash.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    books: Mutex<Books>,
    faults: Mutex<Vec<FaultOrder>>,
    dice: Mutex<Dice>,
    bank: Mutex<Bank>,
    office: Mutex<Office>,
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
    pub(crate) fn new(cfg: SandboxConfig, url: String) -> std::io::Result<Self> {
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
            url,
            http,
            books: Mutex::new(books),
            faults: Mutex::default(),
            dice: Mutex::default(),
            bank: Mutex::default(),
            office: Mutex::default(),
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
        pix::pass_time(self, &mut books, now);
        nfe::pass_time(self, &mut books, now);
        parcels::pass_time(self, &mut books, now);
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
