//! What the provider says of an invoice moves its row, whatever we thought of it before: only what stands there counts.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::Cnpj;
use vitrine_kit::fiscal::{NfeState, SeenNfe};

use super::invoice::Invoice;
use super::store;
use super::{account, company, returns};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::jobs::{self, Job, Outcome};
use crate::sale::states::InvoiceStatus;

/// How long to wait before asking again how far an invoice is: a quarter of its age, within these. Their news come by webhook.
pub const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// A rejection may be that of an earlier try, while the last one is on its way: it is looked at once more.
const AFTER_A_REJECTION: SignedDuration = SignedDuration::from_mins(1);
/// So long one that was given up may still be authorised: a gateway tries for two days while the tax authority is away.
const MAY_STILL_COME: SignedDuration = SignedDuration::from_hours(72);

/// Brings the row to where the provider is.
pub async fn record_provider_state(app: &App, invoice: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await? else { return Ok(Outcome::Done) };
    if seen.state == NfeState::Rejected && now.issued_at != invoice.issued_at {
        return Ok(Outcome::Again(Timestamp::now())); // it was opened again since they were asked: that refusal is of the try before
    }
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
    let age = now.sent_at.map_or(SignedDuration::ZERO, |at| Timestamp::now().duration_since(at));
    match now.status {
        InvoiceStatus::Pending | InvoiceStatus::Rejected => {
            store::advance(tx, now, InvoiceStatus::Processing, "").await?;
        }
        InvoiceStatus::Processing => {}
        InvoiceStatus::Cancelled if now.authorized_at.is_none() && age < MAY_STILL_COME => {}
        _ => return Ok(Outcome::Done),
    }
    Ok(Outcome::Again(Timestamp::now() + (age / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT)))
}

async fn authorized(tx: &impl GenericClient, app: &App, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    let Some(key) = &seen.key else { return wait(tx, now).await };
    if now.status == InvoiceStatus::Authorized {
        store::record_answer(tx, now.id, seen).await?;
        return Ok(Outcome::Done);
    }
    if now.status == InvoiceStatus::Cancelled && now.authorized_at.is_some() {
        return Ok(Outcome::Done); // it was cancelled after it had stood: their reading is behind
    }
    let ours = own_cnpj(tx, app).await?;
    if key.model() != "55" || ours.is_some_and(|ours| ours.as_str() != key.cnpj()) {
        return Ok(Outcome::Dead(format!("the provider answered the key {} of another seller or document", key.as_str())));
    }
    let invoice = now.id;
    if now.status == InvoiceStatus::Cancelled {
        if store::has_twin(tx, now).await? {
            return Ok(Outcome::Dead(
                "the provider authorised an invoice that was given up and replaced: cancel it there".into(),
            ));
        }
        // It was given up here before its answer came: it must not stand there.
        store::ask_to_cancel(tx, invoice, "Nota autorizada depois que a loja desistiu dela").await?;
    }
    store::record_answer(tx, invoice, seen).await?;
    store::advance(tx, now, InvoiceStatus::Authorized, seen.message.as_deref().unwrap_or_default()).await?;
    jobs::push(tx, Job::KeepInvoice { invoice }).await?;
    if now.cancel_reason.is_some() || now.status == InvoiceStatus::Cancelled {
        jobs::push_now(tx, Job::CancelInvoice { invoice }).await?;
    } else if !now.is_return {
        jobs::push_now(tx, Job::BuyLabel { order: now.order }).await?;
        returns::follow_sums(tx, now.order, None, false, Actor::System).await?; // what came back since it was sent
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
    store::record_answer(tx, now.id, seen).await?;
    let why = said(seen);
    if now.cancel_reason.is_some() {
        store::advance(tx, now, InvoiceStatus::Cancelled, "given up after it was rejected").await?;
        issue_after(tx, now).await?;
        return Ok(Outcome::Done);
    }
    if seen.code.as_deref().is_some_and(is_about_the_shop) {
        store::advance(tx, now, InvoiceStatus::Pending, &why).await?; // it is sent again as it is
        return account::wait(tx, now.id, &now.provider, &why).await;
    }
    let why = match seen.code.as_deref() {
        Some("181" | "182") => format!("{why}. Peça ao comprador um CNPJ em situação regular na Receita, ou o CPF"),
        Some("183" | "184" | "185" | "186") => format!("{why}. Confira o CNPJ do local de retirada ou de entrega"),
        _ => why,
    };
    store::advance(tx, now, InvoiceStatus::Rejected, &why).await?;
    alert(tx, Key::InvoiceRejected(now.id), now, &why).await?;
    store::mark_told(tx, now.id).await?;
    Ok(Outcome::Again(Timestamp::now() + AFTER_A_REJECTION))
}

/// The tax authority's codes for which no invoice is at fault: a certificate that ended, was revoked or is another's; and, by the
/// Receita's register (NT 2026.007), the shop's own CNPJ unknown (178), irregular (179) or of another regime (180).
fn is_about_the_shop(code: &str) -> bool {
    code.parse::<u16>().is_ok_and(|code| matches!(code, 178..=180 | 280..=286 | 290..=298))
}

async fn denied(tx: &impl GenericClient, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    if !now.is_open() {
        return Ok(Outcome::Done);
    }
    store::record_answer(tx, now.id, seen).await?;
    let why = said(seen);
    store::advance(tx, now, InvoiceStatus::Denied, &why).await?;
    alert(tx, Key::InvoiceDenied(now.id), now, &format!("{why}. O número foi perdido: corrija a causa e emita outra nota"))
        .await?;
    store::mark_told(tx, now.id).await?;
    Ok(Outcome::Done)
}

async fn cancelled(tx: &impl GenericClient, now: &Invoice, seen: &SeenNfe) -> Result<Outcome> {
    store::record_answer(tx, now.id, seen).await?;
    let is_ours = now.cancel_reason.is_some();
    if store::advance(tx, now, InvoiceStatus::Cancelled, now.cancel_reason.as_deref().unwrap_or("cancelled at the provider"))
        .await?
    {
        jobs::push(tx, Job::KeepInvoice { invoice: now.id }).await?;
        issue_after(tx, now).await?;
        if !is_ours {
            alert(tx, Key::InvoiceCancelledElsewhere(now.id), now, "Alguém cancelou a nota no painel do provedor").await?;
        }
    }
    Ok(Outcome::Done)
}

/// Its sale may stand again meanwhile: the bank would not take the money back.
pub async fn issue_after(tx: &impl GenericClient, gone: &Invoice) -> Result<()> {
    if gone.is_given_up {
        jobs::push(tx, Job::InvoiceOrder { order: gone.order }).await?;
    }
    Ok(())
}

/// "539: Rejeição: …", in the authority's words.
fn said(seen: &SeenNfe) -> String {
    vitrine_kit::said(seen.code.as_deref().unwrap_or_default(), seen.message.as_deref().unwrap_or_default())
}

/// Tells the shop, with the order's number and nobody's name.
pub async fn alert(tx: &impl GenericClient, key: Key<'_>, invoice: &Invoice, text: &str) -> Result<()> {
    const NUMBER: &str = "SELECT number FROM orders WHERE id = $1";
    let number: String = db::query_one(tx, NUMBER, &[&invoice.order]).await?.get("number");
    let what = if invoice.is_return { "de devolução do" } else { "do" };
    let text = format!("Nota {what} pedido {number}: {text}");
    alerts::raise(tx, Alert::new(key, text).about(invoice.order)).await
}
