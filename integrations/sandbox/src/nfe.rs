//! The tax authority, behind both providers: numbers, authorises, refuses, cancels and corrects invoices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::control::{Refused, SendWebhook};
use crate::nfe_draft::Draft;
use crate::nfe_rules::{self, STATES};
use crate::webhooks;
use crate::world::World;
use crate::{enotas, focusnfe};

/// Later than this an invoice cannot be cancelled.
const CANCEL_WITHIN: SignedDuration = SignedDuration::from_hours(24);
const LETTERS_MAX: usize = 20;
/// How long it makes wait while it is away.
const AWAY: SignedDuration = SignedDuration::from_millis(200);

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

/// What the tax authority was told to do, whatever it is asked.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    /// Nothing is decided while it is.
    is_away: AtomicBool,
    orders: Mutex<Vec<Order>>,
}

/// For the next invoices to be decided.
#[derive(Debug, Clone)]
struct Order {
    count: u32,
    is_denial: bool,
    code: String,
    message: String,
}

impl Authority {
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    pub(crate) fn refuse_next(&self, count: u32, is_denial: bool, code: &str, message: &str) {
        let (code, message) = (code.to_owned(), message.to_owned());
        self.orders().push(Order { count, is_denial, code, message });
    }

    fn take(&self) -> Option<Order> {
        let mut orders = self.orders();
        orders.retain(|order| order.count > 0);
        let first = orders.first_mut()?;
        first.count -= 1;
        Some(first.clone())
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn id(provider: &str, reference: &str) -> String {
    format!("{provider}:{reference}")
}

/// A new invoice, or a rejected one anew. The caller has seen that it is one of these.
pub(crate) fn submit(
    world: &World,
    books: &mut Books,
    provider: &str,
    reference: &str,
    draft: Draft,
    request_hash: String,
) -> Nfe {
    let now = Timestamp::now();
    let id = id(provider, reference);
    let attempts = books.nfes.get(&id).map_or(0, |before| before.attempts) + 1;
    let wait = SignedDuration::try_from(world.cfg.nfe_authorizes_after).unwrap_or(SignedDuration::ZERO);
    let nfe = Nfe {
        id,
        provider: provider.to_owned(),
        reference: reference.to_owned(),
        status: NfeStatus::Processing,
        cnpj: draft.issuer.tax_id.clone(),
        total_cents: draft.totals.invoice,
        key: None,
        number: None,
        series: draft.series,
        protocol: None,
        code: None,
        message: None,
        attempts,
        created_at: now,
        due_at: now.saturating_add(wait).unwrap_or(now),
        authorized_at: None,
        cancelled_at: None,
        reason: None,
        is_cancel_refused: false,
        goods_moved: false,
        letters: Vec::new(),
        request_hash,
        draft,
    };
    books.put(nfe.clone());
    nfe
}

/// Decides all that is due.
pub(crate) fn pass_time(world: &World, books: &mut Books, now: Timestamp) {
    while let Some(mut nfe) = books.nfes.first_due(now).cloned() {
        if world.authority.is_away.load(Ordering::Relaxed) {
            nfe.due_at = now.saturating_add(AWAY).unwrap_or(Timestamp::MAX); // later than now, so this ends
            books.put(nfe);
            continue;
        }
        match nfe.status {
            NfeStatus::Cancelling => {
                let reason = nfe.reason.clone().unwrap_or_default();
                let _ = cancel(world, books, nfe, &reason); // a refusal is written down
            }
            _ => decide(world, books, nfe, now),
        }
    }
}

fn decide(world: &World, books: &mut Books, mut nfe: Nfe, now: Timestamp) {
    let ordered = world.authority.take();
    let refused = match ordered {
        Some(order) => Some((order.is_denial, order.code, order.message)),
        None => nfe_rules::judge(&nfe.draft).err().map(|(code, why)| (false, code.to_string(), why)),
    };
    if !matches!(refused, Some((false, ..))) {
        let number = next_number(books, &nfe);
        nfe.number = Some(number);
        nfe.key = Some(key(&nfe, number));
        nfe.protocol = Some(protocol(&nfe.draft.issuer.state, now));
    }
    (nfe.status, nfe.code, nfe.message) = match refused {
        Some((true, code, message)) => (NfeStatus::Denied, Some(code), Some(message)),
        Some((false, code, message)) => (NfeStatus::Rejected, Some(code), Some(message)),
        None => (NfeStatus::Authorized, Some("100".to_owned()), Some("Autorizado o uso da NF-e".to_owned())),
    };
    nfe.authorized_at = (nfe.status == NfeStatus::Authorized).then_some(now);
    books.put(nfe.clone());
    tell(world, books, &nfe);
}

/// Each issuer counts each series by itself, in each environment, and no number is left out.
fn next_number(books: &Books, nfe: &Nfe) -> u32 {
    let same =
        |other: &&Nfe| other.cnpj == nfe.cnpj && other.series == nfe.series && other.draft.production == nfe.draft.production;
    books.nfes.rows.iter().filter(same).filter_map(|other| other.number).max().unwrap_or(0) + 1
}

fn key(nfe: &Nfe, number: u32) -> String {
    let state = STATES.iter().find(|(state, _)| *state == nfe.draft.issuer.state).map_or("35", |(_, code)| code);
    let month = local(nfe.draft.issued_at).strftime("%y%m").to_string();
    let random = rand::random::<u32>() % 100_000_000;
    let key = format!("{state}{month}{}55{:03}{number:09}1{random:08}", nfe.cnpj, nfe.series);
    let digit = nfe_rules::check_digit(&key);
    key + &digit
}

/// State, year and a number that is the authority's own.
fn protocol(state: &str, now: Timestamp) -> String {
    let state = STATES.iter().find(|(name, _)| *name == state).map_or("35", |(_, code)| code);
    let number = now.as_microsecond().unsigned_abs() % 10_000_000_000;
    format!("1{state}{}{number:010}", local(now).strftime("%y"))
}

/// In Brasília's hours.
pub(crate) fn local(at: Timestamp) -> jiff::Zoned {
    at.to_zoned(TimeZone::fixed(Offset::constant(-3)))
}

/// Voids it now, or says why not: a code and its words.
pub(crate) fn cancel(world: &World, books: &mut Books, mut nfe: Nfe, reason: &str) -> Result<Nfe, (u16, &'static str)> {
    let now = Timestamp::now();
    let too_late = nfe.authorized_at.is_none_or(|at| now.duration_since(at) > CANCEL_WITHIN);
    let refusal = match nfe.status {
        NfeStatus::Cancelled => Some((573, "Rejeição: Duplicidade de evento")),
        _ if nfe.goods_moved => Some((219, "Rejeição: Circulação da NF-e verificada")),
        _ if too_late => Some((501, "Rejeição: Prazo de Cancelamento Superior ao Previsto na Legislação")),
        _ => None,
    };
    if nfe.status == NfeStatus::Cancelled {
        return Err((573, "Rejeição: Duplicidade de evento"));
    }
    nfe.is_cancel_refused = refusal.is_some();
    match refusal {
        Some((code, why)) => {
            nfe.status = NfeStatus::Authorized;
            (nfe.code, nfe.message) = (Some(code.to_string()), Some(why.to_owned()));
        }
        None => {
            nfe.status = NfeStatus::Cancelled;
            nfe.cancelled_at = Some(now);
            nfe.reason = Some(reason.to_owned());
            (nfe.code, nfe.message) = (Some("135".to_owned()), Some("Evento registrado e vinculado a NF-e".to_owned()));
        }
    }
    books.put(nfe.clone());
    tell(world, books, &nfe);
    refusal.map_or(Ok(nfe), Err)
}

/// One more carta de correção, or why not.
pub(crate) fn correct(world: &World, books: &mut Books, mut nfe: Nfe, id: &str, text: &str) -> Result<Nfe, (u16, &'static str)> {
    if nfe.letters.len() >= LETTERS_MAX {
        return Err((594, "Rejeição: O número de sequencia do evento informado é maior que o permitido"));
    }
    let at = Timestamp::now();
    let protocol = protocol(&nfe.draft.issuer.state, at);
    nfe.letters.push(Letter { id: id.to_owned(), text: text.to_owned(), protocol, at });
    books.put(nfe.clone());
    tell(world, books, &nfe);
    Ok(nfe)
}

/// In its provider's words.
pub(crate) fn tell(world: &World, books: &mut Books, nfe: &Nfe) {
    let envelope = match nfe.provider.as_str() {
        "focusnfe" => focusnfe::envelope(world, nfe),
        _ => enotas::envelope(world, nfe),
    };
    webhooks::enter(world, books, &nfe.provider, &nfe.reference, envelope, SendWebhook::Once);
}

/// By reference, id or key.
pub(crate) fn find<'a>(books: &'a Books, name: &str) -> Option<&'a Nfe> {
    let is_it = |nfe: &&Nfe| nfe.reference == name || nfe.key.as_deref() == Some(name);
    books.nfes.get(name).or_else(|| books.nfes.rows.iter().rev().find(is_it))
}

/// A tester's hand on an authorised invoice.
pub(crate) fn change(books: &mut Books, name: &str, change: impl FnOnce(&mut Nfe)) -> Result<Nfe, Refused> {
    let mut nfe = find(books, name).cloned().ok_or(Refused::NotFound)?;
    if nfe.status != NfeStatus::Authorized {
        return Err(Refused::Invalid("the invoice is not authorised".into()));
    }
    change(&mut nfe);
    books.put(nfe.clone());
    Ok(nfe)
}
