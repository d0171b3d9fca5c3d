//! Emission: a row first, then the provider under that row's id, then whatever the provider says until it is final.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::fiscal::{FiscalProvider, NfeState};
use vitrine_kit::nfe::Nfe;
use vitrine_kit::{Cep, Money};

use super::account;
use super::build::{self, Back, Kind, Wanted};
use super::company;
use super::facts::{self, Facts};
use super::invoice::Invoice;
use super::parties::Cities;
use super::problem::{self, Problem};
use super::provider_state::{alert, issue_after, record_provider_state};
use super::returns;
use super::sold_to;
use super::store::{self, NewInvoice};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::calendar;
use crate::cause::Actor;
use crate::error::Result;
use crate::ids::{InvoiceId, OrderId};
use crate::jobs::{self, Job, Outcome};
use crate::sale::locks::LockedOrder;
use crate::sale::returned::Note;
use crate::sale::states::{InvoiceStatus, OrderStatus};
use crate::sale::{locks, off, stock};
use crate::users::cep;

/// That the provider does not know what it may have been sent counts when it is heard again after this: a reading may be behind.
const SECOND_LOOK: SignedDuration = SignedDuration::from_secs(10);
/// A return waits so long for the invoice of the sale that it gives back.
const FOR_THE_SALE: SignedDuration = SignedDuration::from_mins(30);

/// Has the NF-e of a paid order emitted, once. Where one was denied, or cancelled by somebody, only a person asks for another; one
/// that the shop gave up by itself is followed by another if the sale stands again.
pub async fn issue(app: &App, order: OrderId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    match store::sale_of(&tx, order).await? {
        Some(sale) if sale.status == InvoiceStatus::Authorized => {
            locks::lock_order_for_shop(&tx, order).await?;
            returns::follow_sums(&tx, order, None, false, Actor::System).await?;
        }
        Some(sale) if !sale.was_given_up() => {}
        _ => drop(start(&tx, app, order, Actor::System).await?),
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// Writes the row and sends its job; `None`: nobody emits invoices here, the order is not one to invoice (any more), or there is
/// a live one. The caller commits.
pub async fn start(tx: &impl GenericClient, app: &App, order: OrderId, actor: Actor) -> Result<Option<InvoiceId>> {
    let Some(fiscal) = &app.providers.fiscal else { return Ok(None) };
    let Some(total) = lock_sold(tx, order).await? else { return Ok(None) };
    let (provider, environment) = (fiscal.name(), app.config.nfe.environment);
    let new = NewInvoice { order, provider, environment, total, returned: None };
    let invoice = store::insert(tx, &new, actor).await?;
    if let Some(invoice) = invoice {
        jobs::push(tx, Job::SendInvoice { invoice }).await?;
    }
    Ok(invoice)
}

/// What the invoice of an order comes to whose sale stands, locked: without the pieces that came back before it.
async fn lock_sold(tx: &impl GenericClient, order: OrderId) -> Result<Option<Money>> {
    let is_sold = |order: &LockedOrder| {
        let is_going_on = matches!(order.status, OrderStatus::Processing | OrderStatus::Shipped | OrderStatus::Delivered);
        is_going_on && order.payment_status.is_paid()
    };
    let locked = locks::lock_order_for_shop(tx, order).await?;
    if !locked.is_some_and(|order| is_sold(&order)) || off::sale_is_off(tx, order).await? {
        return Ok(None);
    }
    let sums = stock::find_sums(tx, order).await?;
    Ok(sums.and_then(|sums| sums.total(&sums.sale_note())))
}

/// Sends an invoice, or asks how far it is. A repeat is harmless: the provider knows the row's id. One that no provider has heard
/// of goes to the one that is configured now; any other waits for its own.
pub async fn send(app: &App, id: InvoiceId) -> Result<Outcome> {
    let Some(mut invoice) = store::find(&app.db().await?, id).await? else {
        return Ok(Outcome::Dead("there is no such invoice".into()));
    };
    let is_unheard_of = invoice.sent_at.is_none() && invoice.is_open();
    if is_unheard_of && invoice.cancel_reason.is_some() {
        return abandon(app, &invoice).await;
    }
    if let Some(now) = app.providers.fiscal.as_deref().filter(|now| is_unheard_of && now.name() != invoice.provider) {
        if !store::hand_to(&app.db().await?, id, now.name()).await? {
            return Ok(Outcome::Again(Timestamp::now()));
        }
        now.name().clone_into(&mut invoice.provider);
    }
    let fiscal = account::provider_of(app, &invoice)?;
    let result = match invoice.sent_at {
        None if invoice.is_open() => emit(app, fiscal, invoice).await,
        _ if invoice.may_be_there() => go_on(app, fiscal, invoice).await,
        _ => Ok(Outcome::Done),
    };
    account::or_wait(app, id, result).await
}

/// The provider may have it, whatever we think of it: what it says decides.
async fn go_on(app: &App, fiscal: &dyn FiscalProvider, invoice: Invoice) -> Result<Outcome> {
    let (is_open, is_wanted) = (invoice.is_open(), invoice.cancel_reason.is_none());
    if !is_wanted && (is_open || invoice.status == InvoiceStatus::Rejected) {
        // It shall not stand: only if they have it, it goes on.
        return match ask_twice(app, fiscal, &invoice).await? {
            Some(outcome) => Ok(outcome),
            None => abandon(app, &invoice).await,
        };
    }
    if invoice.status == InvoiceStatus::Pending {
        return emit(app, fiscal, invoice).await; // saying it again is harmless
    }
    match fiscal.find(&invoice.reference()).await? {
        Some(seen) => record_provider_state(app, &invoice, &seen).await,
        None if is_open => emit(app, fiscal, invoice).await,
        None => Ok(Outcome::Done),
    }
}

/// `None`: the provider has nothing of it that stands or may come to stand, and has said so twice.
async fn ask_twice(app: &App, fiscal: &dyn FiscalProvider, invoice: &Invoice) -> Result<Option<Outcome>> {
    match fiscal.find(&invoice.reference()).await? {
        Some(seen) if seen.state != NfeState::Rejected => record_provider_state(app, invoice, &seen).await.map(Some),
        _ if store::doubt(&app.db().await?, invoice.id, SECOND_LOOK).await? => Ok(None),
        _ => Ok(Some(Outcome::Again(Timestamp::now() + SECOND_LOOK))),
    }
}

/// Puts it together from what is known now, and hands it over.
async fn emit(app: &App, fiscal: &dyn FiscalProvider, invoice: Invoice) -> Result<Outcome> {
    let db = app.db().await?;
    let (kind, note, is_changed) = match subject_of(&db, &invoice).await? {
        Subject::Now { kind, note, is_changed } => (kind, note, is_changed),
        Subject::Later(outcome) => return Ok(outcome),
        Subject::Gone => {
            drop(db);
            return give_way(app, &invoice, "the invoice of its sale is cancelled").await;
        }
    };
    let mut facts = facts::read(&db, app, invoice.order).await?;
    if let Kind::Return(back) = &kind {
        sold_to::fill(&db, &mut facts, &back.of).await?;
    }
    let company = company::find(&db).await?;
    drop(db);
    // What may be there stands there as it was sent: other pieces are only sent once it certainly is not.
    if is_changed && let Some(outcome) = ask_twice(app, fiscal, &invoice).await? {
        return Ok(outcome);
    }
    if note.is_empty() {
        return give_way(app, &invoice, "all of the goods came back before it").await;
    }
    let cities = cities(app, &invoice, &facts, company.as_ref()).await?;
    let configured = app.config.nfe.environment;
    let wanted = Wanted {
        reference: invoice.reference(),
        environment: configured,
        issued_at: invoice.issued_at,
        cnpj: app.config.nfe.cnpj.clone(),
        note,
        kind,
    };
    let built = if invoice.environment == configured {
        build::build(&wanted, &facts, company.as_ref(), &cities)
    } else {
        let text = "A nota foi pedida em outro ambiente (NFE_AMBIENTE): cancele-a e emita outra";
        Err(vec![Problem::new("environment", text)])
    };
    let nfe = match built {
        Ok(nfe) => nfe,
        Err(problems) => return refuse(app, fiscal, &invoice, &problems).await,
    };
    match may_go(app, &invoice, &facts, nfe.totals.invoice, &wanted.note).await? {
        MayGo::Yes => {}
        MayGo::No => return Ok(Outcome::Done),
        MayGo::Changed => return Ok(Outcome::Again(Timestamp::now())),
    }
    let seen = fiscal.emit(&nfe).await?;
    if lacks_reform(&wanted, &facts, &nfe) {
        let text = "Uma nota saiu sem IBS e CBS: falta o CST, o cClassTrib ou a alíquota de um produto. Veja GET /api/admin/invoices/readiness.";
        alerts::raise(&app.db().await?, Alert::new(Key::InvoiceWithoutReform, text).about(invoice.order)).await?;
    }
    record_provider_state(app, &invoice, &seen).await
}

/// A sale of Simples or MEI on a day on which its items are to name IBS and CBS, and one does not.
fn lacks_reform(wanted: &Wanted, facts: &Facts, nfe: &Nfe) -> bool {
    let is_due = calendar::day_of(nfe.issued_at) >= facts.rules.ibs_cbs_from(nfe.issuer.regime);
    matches!(wanted.kind, Kind::Sale) && is_due && nfe.items.iter().any(|item| item.taxes.ibs_cbs.is_none())
}

/// They do not have it, and nobody wants it any more.
async fn abandon(app: &App, invoice: &Invoice) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let is_unwanted = |now: &Invoice| now.cancel_reason.is_some() && (now.is_open() || now.status == InvoiceStatus::Rejected);
    if let Some(now) = store::lock(&tx, invoice.id).await?.filter(is_unwanted) {
        store::advance(&tx, &now, InvoiceStatus::Cancelled, now.cancel_reason.as_deref().unwrap_or_default()).await?;
        issue_after(&tx, &now).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// There is nothing for it to be about, and the provider does not have it: the sale's invoice could be cancelled after all, or all
/// of the goods came back before it.
async fn give_way(app: &App, invoice: &Invoice, why: &str) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some(now) = store::lock(&tx, invoice.id).await?.filter(|now| now.is_open() && now.sent_at == invoice.sent_at) {
        store::advance(&tx, &now, InvoiceStatus::Cancelled, why).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}

/// What an invoice is about.
enum Subject {
    Now {
        kind: Kind,
        note: Note,
        /// Goods came back since it may have been sent.
        is_changed: bool,
    },
    /// It cannot be sent now.
    Later(Outcome),
    /// The sale that it gives back is cancelled.
    Gone,
}

async fn subject_of(db: &impl GenericClient, invoice: &Invoice) -> Result<Subject> {
    let Some(sums) = stock::find_sums(db, invoice.order).await? else {
        return Ok(Subject::Later(Outcome::Dead("its order does not exist".into())));
    };
    let Some(sale) = invoice.sale.filter(|_| invoice.is_return) else {
        let note = sums.sale_note();
        let is_changed = invoice.sent_at.is_some() && invoice.note(&sums) != note;
        return Ok(Subject::Now { kind: Kind::Sale, note, is_changed });
    };
    Ok(match store::find(db, sale).await? {
        Some(sale) if sale.stands() || (sale.status == InvoiceStatus::Authorized && invoice.sent_at.is_some()) => {
            let Some(of) = sale.key.clone() else {
                return Ok(Subject::Later(Outcome::Dead("the sale that it gives back has no key".into())));
            };
            let back = Back { of, sold_at: sale.issued_at, sale: sale.note(&sums) };
            Subject::Now { kind: Kind::Return(back), note: invoice.note(&sums), is_changed: false }
        }
        Some(sale) if sale.status == InvoiceStatus::Cancelled && invoice.sent_at.is_none() => Subject::Gone,
        Some(sale) if !sale.status.is_over() => {
            Subject::Later(Outcome::Again(Timestamp::now() + FOR_THE_SALE)) // it is on its way, or being cancelled
        }
        _ => Subject::Later(Outcome::Dead("the sale that it gives back has no invoice".into())),
    })
}

enum MayGo {
    Yes,
    No,
    /// Goods came back, or its buyer was mended, since it was put together.
    Changed,
}

/// Under the order's lock: an order that was cancelled before its invoice was ever sent needs none, a sale whose invoice is
/// cancelled is not given back as well, what came back meanwhile is not on it, and its buyer is the one of now.
async fn may_go(app: &App, invoice: &Invoice, facts: &Facts, total: Money, note: &Note) -> Result<MayGo> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await?.filter(Invoice::is_open) else { return Ok(MayGo::No) };
    let Some(sums) = stock::find_sums(&tx, now.order).await? else { return Ok(MayGo::No) };
    let is_over = now.sent_at.is_none()
        && match now.sale {
            None => sums.status == OrderStatus::Cancelled,
            Some(sale) => !store::find(&tx, sale).await?.is_some_and(|sale| sale.stands()),
        };
    if is_over {
        store::advance(&tx, &now, InvoiceStatus::Cancelled, "there is nothing for it to be about any more").await?;
    } else if (!now.is_return && sums.sale_note() != *note) || facts::was_mended(&tx, facts).await? {
        return Ok(MayGo::Changed);
    } else {
        store::mark_sent(&tx, now.id, total, note).await?;
    }
    tx.commit().await?;
    Ok(if is_over { MayGo::No } else { MayGo::Yes })
}

/// The cities of both ends: what is kept with the address, what the shop said, else what the CEP says.
async fn cities(app: &App, invoice: &Invoice, facts: &Facts, company: Option<&company::Company>) -> Result<Cities> {
    let seller = match company {
        Some(company) => seller_city(app, company).await?,
        None => None,
    };
    let known = invoice.buyer_city.clone().or_else(|| facts.address.ibge_city.clone());
    let buyer = match known {
        Some(city) => Some(city),
        None => city_of(app, &facts.address.cep).await?,
    };
    Ok(Cities { seller, buyer })
}

/// What the settings say, else what the CEP says.
pub async fn seller_city(app: &App, company: &company::Company) -> Result<Option<String>> {
    match &company.address.ibge_city {
        Some(city) => Ok(Some(city.clone())),
        None => city_of(app, &company.address.cep).await,
    }
}

/// `None`: there is no such CEP, or nobody knows its city's code. While those who could say are away, the job waits.
async fn city_of(app: &App, text: &str) -> Result<Option<String>> {
    let Ok(cep) = Cep::parse(text) else { return Ok(None) };
    Ok(cep::look_up(app, &cep).await?.and_then(|place| place.ibge_city))
}

/// What the tax authority would refuse is refused here, before a number is spent, and the shop is told.
async fn refuse(app: &App, fiscal: &dyn FiscalProvider, invoice: &Invoice, problems: &[Problem]) -> Result<Outcome> {
    // An earlier try, from before the settings were changed, may have reached them.
    if invoice.sent_at.is_some()
        && let Some(outcome) = ask_twice(app, fiscal, invoice).await?
    {
        return Ok(outcome);
    }
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await?.filter(Invoice::is_open) else { return Ok(Outcome::Done) };
    if store::advance(&tx, &now, InvoiceStatus::Rejected, "refused before it was sent").await? {
        store::note_problems(&tx, now.id, problems).await?;
        alert(&tx, Key::InvoiceNotSent(now.id), &now, &problem::in_words(problems)).await?;
        store::mark_told(&tx, now.id).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}
