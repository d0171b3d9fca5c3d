//! The tax authority, behind both providers: numbers, authorises, refuses, cancels and corrects invoices.

use jiff::{SignedDuration, Timestamp};

use crate::books::Books;
use crate::books::nfe::{Letter, Nfe, NfeStatus};
use crate::books::nfe_draft::Draft;
use crate::formats::time::local;
use crate::providers::nfe::rules::STATES;
use crate::world::news::News;
use crate::world::orders::{Refused, SendWebhook};
use crate::world::{World, webhooks};

pub(crate) mod classifications;
pub(crate) mod danfe;
pub(crate) mod danfe_pdf;
pub(crate) mod fields;
mod rejection;
pub(crate) mod rules;
mod tax_rules;
pub(crate) mod xml;
mod xml_parts;
mod xml_reform;

/// Later than this an invoice cannot be cancelled.
const CANCEL_WITHIN: SignedDuration = SignedDuration::from_hours(24);
const LETTERS_MAX: usize = 20;
/// "Autorizado o uso da NF-e, com alerta".
pub(crate) const AUTHORISED_WITH_REMARK: &str = "120";
/// How long it makes wait while it is away.
const AWAY: SignedDuration = SignedDuration::from_millis(200);

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
        if world.authority.is_away() {
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
        None => {
            let judged = rules::judge(&nfe.draft);
            let judged = judged.and_then(|()| rules::register(&nfe.draft, |cnpj| world.authority.taxpayer(cnpj)));
            let judged =
                judged.and_then(|()| rules::registration(&nfe.draft, world.authority.registration(&nfe.draft.buyer.tax_id)));
            judged.err().map(|(code, why)| (false, code.to_string(), why))
        }
    };
    // A code that authorises: 120 does so with a remark.
    let (refused, remark) = match refused {
        Some((false, code, message)) if code == AUTHORISED_WITH_REMARK => (None, Some((code, message))),
        other => (other, None),
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
        None => {
            let (code, message) = remark.unwrap_or_else(|| ("100".to_owned(), "Autorizado o uso da NF-e".to_owned()));
            (NfeStatus::Authorized, Some(code), Some(message))
        }
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
    let digit = rules::check_digit(&key);
    key + &digit
}

/// State, year and a number that is the authority's own.
fn protocol(state: &str, now: Timestamp) -> String {
    let state = STATES.iter().find(|(name, _)| *name == state).map_or("35", |(_, code)| code);
    let number = now.as_microsecond().unsigned_abs() % 10_000_000_000;
    format!("1{state}{}{number:010}", local(now).strftime("%y"))
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
    webhooks::tell(world, books, &News::Nfe(nfe), SendWebhook::Once);
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
