//! Cancelling: within the law's hours the invoice is void; after them the sale is given back.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde_json::{Value, json};
use vitrine_kit::fiscal::{ACCOUNT_REFUSED, Cancellation, FiscalProvider, NfeState};
use vitrine_kit::{ProviderError, said};

use super::cancel_request::request_cancel;
use super::invoice::Invoice;
use super::provider_state::{SHORTEST_WAIT, alert, record_provider_state};
use super::store;
use super::{account, returns};
use crate::alerts::Key;
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::Actor;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{InvoiceId, OrderId};
use crate::jobs::{self, Job, Outcome};
use crate::sale::returned::Fate;
use crate::sale::states::InvoiceStatus;
use crate::sale::{locks, stock};
use crate::tax::TaxRules;
use crate::tax::states;

/// The order was cancelled after it was paid, or nothing is left of its sale before it left: so is its invoice, or, where it is too
/// late for that, the sale is given back. Where the bank would not take the money back meanwhile, the sale stands, and where it
/// does not take it later, another invoice follows.
pub async fn give_up(app: &App, order: OrderId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if locks::lock_order_for_shop(&tx, order).await?.is_none() {
        return Ok(Outcome::Done);
    }
    let (Some(sale), Some(sums)) = (store::sale_of(&tx, order).await?, stock::find_sums(&tx, order).await?) else {
        return Ok(Outcome::Done);
    };
    if sums.fate(!store::is_given_back(&tx, sale.id).await?) == Fate::Cancelled {
        let Some(sale) = store::lock(&tx, sale.id).await? else { return Ok(Outcome::Done) };
        store::note_given_up(&tx, sale.id).await?;
        request_cancel(&tx, &sale, "Pedido cancelado pelo comprador ou pela loja").await?;
    } else {
        returns::follow_sums(&tx, order, None, false, Actor::System).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// Asks the tax authority to void an authorised invoice; too late, the sale of a cancelled order is given back instead.
pub async fn cancel(app: &App, id: InvoiceId) -> Result<Outcome> {
    let db = app.db().await?;
    let Some(invoice) = store::find(&db, id).await? else { return Ok(Outcome::Dead("there is no such invoice".into())) };
    let Some(reason) = invoice.cancel_reason.clone().filter(|_| invoice.status == InvoiceStatus::Authorized) else {
        return Ok(Outcome::Done);
    };
    let too_late = hours_too_late(&db, &invoice).await?;
    drop(db);
    let fiscal = account::provider_of(app, &invoice)?;
    let result = match too_late {
        Some(hours) => keep_unless_gone(app, fiscal, &invoice, hours).await,
        None => send_cancellation(app, fiscal, &invoice, &reason).await,
    };
    account::or_wait(app, id, result).await
}

async fn send_cancellation(app: &App, fiscal: &dyn FiscalProvider, invoice: &Invoice, reason: &str) -> Result<Outcome> {
    match fiscal.cancel(&invoice.reference(), reason).await {
        Ok(Cancellation::Cancelled(seen)) => record_provider_state(app, invoice, &seen).await,
        Ok(Cancellation::Processing) => Ok(ask_again()),
        Ok(Cancellation::Refused { code, message }) => cannot_cancel(app, invoice, &said(&code, &message)).await,
        // The provider's own no is one too: whoever asked must read it.
        Err(ProviderError::Rejected { code, message, .. }) if code != ACCOUNT_REFUSED => {
            cannot_cancel(app, invoice, &said(&code, &message)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// It is too late to ask. But what was asked in time may have been done, its answer lost: then it is not given back as well.
async fn keep_unless_gone(app: &App, fiscal: &dyn FiscalProvider, invoice: &Invoice, hours: u32) -> Result<Outcome> {
    match fiscal.find(&invoice.reference()).await? {
        Some(seen) if seen.state == NfeState::Cancelled => record_provider_state(app, invoice, &seen).await,
        Some(seen) if seen.state == NfeState::Processing => Ok(ask_again()),
        _ => cannot_cancel(app, invoice, &format!("o prazo de {hours} horas para cancelar passou")).await,
    }
}

fn ask_again() -> Outcome {
    Outcome::Again(Timestamp::now() + SHORTEST_WAIT * 2)
}

/// The admin's wish, checked: an invoice whose goods moved cannot be cancelled any more.
///
/// Errors: 409 it is not one that can be cancelled.
pub async fn cancel_by_hand(app: &App, id: InvoiceId, reason: &str, actor: Actor) -> Result<()> {
    const MOVED: &str = "SELECT status IN ('shipped', 'delivered', 'returned') AS moved FROM orders WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let invoice = store::lock(&tx, id).await?.ok_or(Error::NotFound("The invoice"))?;
    if invoice.status.is_over() {
        return Err(Error::Conflict(format!("The invoice is {}: there is nothing to cancel", invoice.status)));
    }
    let moved: bool = db::query_one(&tx, MOVED, &[&invoice.order]).await?.get("moved");
    if moved && !invoice.is_return {
        return Err(Error::Conflict("The goods have left: the invoice can only be given back, with a refund".into()));
    }
    if !invoice.is_return && store::is_given_back(&tx, id).await? {
        return Err(Error::Conflict("The sale is given back by another invoice: this one stays".into()));
    }
    request_cancel(&tx, &invoice, reason).await?;
    audit_log::record(&tx, actor, Action::InvoiceCancel, &id.to_string(), None, Some(json!({"reason": reason}))).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(())
}

/// `Some`: the hours within which it could have been cancelled are over.
async fn hours_too_late(db: &impl GenericClient, invoice: &Invoice) -> Result<Option<u32>> {
    const FIND: &str = "
        SELECT (SELECT value ->> 'state' FROM (SELECT value -> 'address' AS value FROM settings WHERE name = 'company') a) AS state,
               (SELECT value FROM settings WHERE name = 'taxes') AS rules";
    let row = db::query_one(db, FIND, &[]).await?;
    let rules: Option<Value> = row.get("rules");
    let rules: TaxRules = rules.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let state: Option<String> = row.get("state");
    let hours = rules.cancel_hours.unwrap_or_else(|| states::cancel_hours(state.as_deref().unwrap_or_default()));
    let age = invoice.authorized_at.map_or(0, |at| Timestamp::now().duration_since(at).as_secs());
    Ok((age >= i64::from(hours) * 3600).then_some(hours))
}

/// The invoice stays. If nothing is left of its sale, the whole sale is given back by an invoice of its own, and else what came back
/// meanwhile; the shop is told.
async fn cannot_cancel(app: &App, invoice: &Invoice, why: &str) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(now) = store::lock(&tx, invoice.id).await? else { return Ok(Outcome::Done) };
    if store::note_refusal(&tx, now.id, why).await? {
        let mut gives_back = false;
        if !now.is_return {
            gives_back = !returns::follow_sums(&tx, now.order, None, true, Actor::System).await?.is_empty();
            jobs::push_now(&tx, Job::BuyLabel { order: now.order }).await?; // it waited for what would become of this one
        }
        let then = if gives_back { "Uma nota de devolução será emitida." } else { "A nota continua autorizada." };
        alert(&tx, Key::InvoiceNotCancelled(now.id), &now, &format!("{why}. {then}")).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}
