//! Emission: a row first, then the provider under that row's id, then whatever the provider says until it is final.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::fiscal::{FiscalProvider, NfeState, SeenNfe};
use vitrine_kit::{Cep, Cnpj, Money};

use super::build::{self, Back, Cities, Kind, Wanted};
use super::company;
use super::facts::{self, Facts};
use super::problem::{self, Problem};
use super::returns;
use super::store::{self, Invoice, NewInvoice};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{InvoiceId, OrderId};
use crate::jobs::{self, Job, Outcome};
use crate::payments::refund;
use crate::users::cep;

/// How long to wait before asking again how far an invoice is: a quarter of its age, within these. Their news come by webhook.
pub const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// A return waits so long for the invoice of the sale that it gives back.
const FOR_THE_SALE: SignedDuration = SignedDuration::from_mins(30);

/// Has the NF-e of a paid order emitted, once. Where one was denied, or cancelled by somebody, only a person asks for another; one
/// that the shop gave up by itself is followed by another if the sale stands again.
pub async fn issue(app: &App, order: OrderId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if store::sale_of(&tx, order).await?.is_none_or(|sale| sale.was_given_up()) {
        start(&tx, app, order, Actor::System).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// Writes the row and sends its job; `None`: nobody emits invoices here, the order is not one to invoice (any more), or there is
/// a live one. The caller commits.
pub async fn start(tx: &impl GenericClient, app: &App, order: OrderId, actor: Actor) -> Result<Option<InvoiceId>> {
    const LOCK: &str = "
        SELECT total_cents FROM orders WHERE id = $1 AND status IN ('processing', 'shipped', 'delivered')
           AND payment_status IN ('paid', 'partially_refunded') FOR NO KEY UPDATE";
    let Some(fiscal) = &app.providers.fiscal else { return Ok(None) };
    let Some(row) = db::query_opt(tx, LOCK, &[&order]).await? else { return Ok(None) };
    if refund::is_off(tx, order).await? {
        return Ok(None);
    }
    let (provider, environment) = (fiscal.name(), app.config.nfe.environment);
    let new = NewInvoice { order, provider, environment, total: row.get("total_cents"), returned: None };
    let invoice = store::insert(tx, &new, actor).await?;
    if let Some(invoice) = invoice {
        jobs::push(tx, Job::SendInvoice { invoice }).await?;
    }
    Ok(invoice)
}

/// Sends an invoice, or asks how far it is. A repeat is harmless: the provider knows the row's id.
pub async fn send(app: &App, id: InvoiceId) -> Result<Outcome> {
    let Some(invoice) = store::find(&app.db().await?, id).await? else {
        return Ok(Outcome::Dead("there is no such invoice".into()));
    };
    let Some(fiscal) = app.providers.fiscal.as_deref().filter(|fiscal| fiscal.name() == invoice.provider) else {
        return Ok(Outcome::Dead(format!("{} is no longer configured", invoice.provider)));
    };
    match invoice.status.as_str() {
        // It may have reached them, and shall not stand: only if they have it, it goes on.
        "pending" if invoice.cancel_reason.is_some() => match fiscal.find(&invoice.reference()).await? {
            Some(seen) => learn(app, &invoice, &seen).await,
            None => abandon(app, &invoice).await,
        },
        "pending" => emit(app, fiscal, invoice).await,
        "processing" | "authorized" => match fiscal.find(&invoice.reference()).await? {
            Some(seen) => learn(app, &invoice, &seen).await,
            None if invoice.status == "processing" => emit(app, fiscal, invoice).await,
            None => Ok(Outcome::Done),
        },
        _ => Ok(Outcome::Done),
    }
}

/// Puts it together from what is known now, and hands it over.
async fn emit(app: &App, fiscal: &dyn FiscalProvider, invoice: Invoice) -> Result<Outcome> {
    let db = app.db().await?;
    let kind = match kind_of(&db, &invoice).await? {
        Ok(kind) => kind,
        Err(outcome) => return Ok(outcome),
    };
    let facts = facts::read(&db, app, invoice.order).await?;
    let company = company::find(&db).await?;
    drop(db);
    let cities = cities(app, &invoice, &facts, company.as_ref()).await?;
    let configured = app.config.nfe.environment;
    let wanted = Wanted {
        reference: invoice.reference(),
        environment: configured,
        issued_at: invoice.issued_at,
        cnpj: app.config.nfe.cnpj.clone(),
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
        Err(problems) => return refuse(app, &invoice, &problems).await,
    };
    if !begin(app, &invoice, nfe.totals.invoice).await? {
        return Ok(Outcome::Done);
    }
    let seen = fiscal.emit(&nfe).await?;
    learn(app, &invoice, &seen).await
}

/// They never got it, and nobody wants it any more.
async fn abandon(app: &App, invoice: &Invoice) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if let Some(now) = store::lock(&tx, invoice.id).await?.filter(|now| now.status == "pending") {
        store::advance(&tx, &now, "cancelled", now.cancel_reason.as_deref().unwrap_or_default()).await?;
        issue_after(&tx, &now).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// What it is about; `Err`: it cannot be sent now.
async fn kind_of(db: &impl GenericClient, invoice: &Invoice) -> Result<Result<Kind, Outcome>> {
    let Some(sale) = invoice.sale.filter(|_| invoice.is_return) else { return Ok(Ok(Kind::Sale)) };
    let sale = store::find(db, sale).await?;
    Ok(match sale {
        Some(Invoice { id, key: Some(of), status, issued_at, .. }) if status == "authorized" => {
            let before = returns::earlier(db, id, invoice.id).await?;
            Ok(Kind::Return(Back { of, sold_at: issued_at, lines: invoice.lines.clone(), before }))
        }
        Some(sale) if sale.is_open() || sale.status == "rejected" => Err(Outcome::Again(Timestamp::now() + FOR_THE_SALE)),
        _ => Err(Outcome::Dead("the sale that it gives back has no invoice".into())),
    })
}

/// Under the order's lock: an order that was cancelled before its invoice was ever sent needs none. `false`: it is not sent.
async fn begin(app: &App, invoice: &Invoice, total: Money) -> Result<bool> {
    const ORDER: &str = "SELECT status FROM orders WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await?.filter(Invoice::is_open) else { return Ok(false) };
    let status: String = db::query_one(&tx, ORDER, &[&now.order]).await?.get("status");
    let is_over = !now.is_return && status == "cancelled" && now.sent_at.is_none();
    if is_over {
        store::advance(&tx, &now, "cancelled", "the order was cancelled before it was sent").await?;
    } else {
        store::mark_sent(&tx, now.id, total).await?;
    }
    tx.commit().await?;
    Ok(!is_over)
}

/// The cities of both ends: what is kept with the address, what the shop said, else what the CEP says.
async fn cities(app: &App, invoice: &Invoice, facts: &Facts, company: Option<&company::Company>) -> Result<Cities> {
    let seller = match company {
        Some(company) if company.address.ibge_city.is_none() => city_of(app, &company.address.cep).await?,
        Some(company) => company.address.ibge_city.clone(),
        None => None,
    };
    let known = invoice.buyer_city.clone().or_else(|| facts.address.ibge_city.clone());
    let buyer = match known {
        Some(city) => Some(city),
        None => city_of(app, &facts.address.cep).await?,
    };
    Ok(Cities { seller, buyer })
}

/// `None`: there is no such CEP, or nobody knows its city's code. While those who could say are away, the job waits.
async fn city_of(app: &App, text: &str) -> Result<Option<String>> {
    let Ok(cep) = Cep::parse(text) else { return Ok(None) };
    Ok(cep::look_up(app, &cep).await?.and_then(|place| place.ibge_city))
}

/// What the tax authority would refuse is refused here, before a number is spent, and the shop is told.
async fn refuse(app: &App, invoice: &Invoice, problems: &[Problem]) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await?.filter(|now| now.status == "pending") else { return Ok(Outcome::Done) };
    if store::advance(&tx, &now, "rejected", "refused before it was sent").await? {
        store::note_problems(&tx, now.id, problems).await?;
        alert(&tx, &now, "NF-e não enviada", &problem::in_words(problems)).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// Brings the row to where the provider is.
pub async fn learn(app: &App, invoice: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await? else { return Ok(Outcome::Done) };
    let outcome = match seen.state {
        NfeState::Processing => wait(&tx, &now).await?,
        NfeState::Authorized => authorized(&tx, app, &now, seen).await?,
        NfeState::Rejected => rejected(&tx, &now, seen).await?,
        NfeState::Denied => denied(&tx, &now, seen).await?,
        NfeState::Cancelled => cancelled(&tx, &now, seen).await?,
    };
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(outcome)
}

async fn wait(tx: &impl GenericClient, now: &Invoice) -> Result<Outcome> {
    if !now.is_open() {
        return Ok(Outcome::Done);
    }
    if now.status == "pending" {
        store::advance(tx, now, "processing", "").await?;
    }
    let age = now.sent_at.map_or(SignedDuration::ZERO, |at| Timestamp::now().duration_since(at));
    Ok(Outcome::Again(Timestamp::now() + (age / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT)))
}

async fn authorized(tx: &impl GenericClient, app: &App, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    let Some(key) = &seen.key else { return wait(tx, now).await };
    if now.status == "authorized" {
        store::note(tx, now.id, seen).await?;
        return Ok(Outcome::Done);
    }
    let ours = own_cnpj(tx, app).await?;
    if key.model() != "55" || ours.is_some_and(|ours| ours.as_str() != key.cnpj()) {
        return Ok(Outcome::Dead(format!("the provider answered the key {} of another seller or document", key.as_str())));
    }
    if now.status == "cancelled" {
        // It was given up here before its answer came: it must not stand there.
        return Ok(Outcome::Dead("the provider authorised an invoice that was given up: cancel it there".into()));
    }
    store::note(tx, now.id, seen).await?;
    store::advance(tx, now, "authorized", seen.message.as_deref().unwrap_or_default()).await?;
    let invoice = now.id;
    jobs::push(tx, Job::KeepInvoice { invoice }).await?;
    if now.cancel_reason.is_some() {
        jobs::push(tx, Job::CancelInvoice { invoice }).await?;
    } else if !now.is_return {
        jobs::push_now(tx, Job::BuyLabel { order: now.order }).await?;
    }
    Ok(Outcome::Done)
}

/// Who sells, by the configuration or the settings.
async fn own_cnpj(db: &impl GenericClient, app: &App) -> Result<Option<Cnpj>> {
    if let Some(cnpj) = &app.config.nfe.cnpj {
        return Ok(Some(cnpj.clone()));
    }
    Ok(company::find(db).await?.and_then(|company| Cnpj::parse(&company.cnpj).ok()))
}

async fn rejected(tx: &impl GenericClient, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    if !now.is_open() {
        return Ok(Outcome::Done);
    }
    store::note(tx, now.id, seen).await?;
    let why = said(seen);
    if now.cancel_reason.is_some() {
        store::advance(tx, now, "cancelled", "given up after it was rejected").await?;
        issue_after(tx, now).await?;
    } else {
        store::advance(tx, now, "rejected", &why).await?;
        alert(tx, now, "NF-e rejeitada", &why).await?;
    }
    Ok(Outcome::Done)
}

async fn denied(tx: &impl GenericClient, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    if !now.is_open() {
        return Ok(Outcome::Done);
    }
    store::note(tx, now.id, seen).await?;
    let why = said(seen);
    store::advance(tx, now, "denied", &why).await?;
    alert(tx, now, "NF-e denegada", &format!("{why}. O número foi perdido: corrija a causa e emita outra nota")).await?;
    Ok(Outcome::Done)
}

async fn cancelled(tx: &impl GenericClient, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    store::note(tx, now.id, seen).await?;
    let is_ours = now.cancel_reason.is_some();
    if store::advance(tx, now, "cancelled", now.cancel_reason.as_deref().unwrap_or("cancelled at the provider")).await? {
        jobs::push(tx, Job::KeepInvoice { invoice: now.id }).await?;
        issue_after(tx, now).await?;
        if !is_ours {
            alert(tx, now, "NF-e cancelada fora da loja", "Alguém cancelou a nota no painel do provedor").await?;
        }
    }
    Ok(Outcome::Done)
}

/// Its sale may stand again meanwhile: the bank would not take the money back.
async fn issue_after(tx: &impl GenericClient, gone: &Invoice) -> Result<()> {
    if gone.is_given_up {
        jobs::push(tx, Job::InvoiceOrder { order: gone.order }).await?;
    }
    Ok(())
}

/// "539: Rejeição: …", in the authority's words.
fn said(seen: &SeenNfe) -> String {
    let message = seen.message.as_deref().unwrap_or("sem motivo informado");
    seen.code.as_ref().map_or_else(|| message.to_owned(), |code| format!("{code}: {message}"))
}

/// Tells the shop, with the order's number and nobody's name.
pub async fn alert(tx: &impl GenericClient, invoice: &Invoice, subject: &str, text: &str) -> Result<()> {
    const NUMBER: &str = "SELECT number FROM orders WHERE id = $1";
    let number: String = db::query_one(tx, NUMBER, &[&invoice.order]).await?.get("number");
    let what = if invoice.is_return { "de devolução do" } else { "do" };
    let text = format!("Nota {what} pedido {number}: {text}");
    jobs::push(tx, Job::MailAlert { subject: format!("{subject} – pedido {number}"), text }).await
}
