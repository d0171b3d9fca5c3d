//! What comes back: return invoices (finalidade 4) for goods that came back after the sale was invoiced, and for a sale whose money
//! is back and whose invoice can no longer be cancelled. Which ones are missing, and what stands on each, follows from the sums
//! (`sale::returned`).

use deadpool_postgres::GenericClient;
use vitrine_kit::nfe::{Regime, Taxes};

use super::cancel_request::request_cancel;
use super::invoice::Invoice;
use super::store::{self, NewInvoice, Returned};
use crate::cause::Actor;
use crate::error::{Error, Result};
use crate::ids::{InvoiceId, OrderId, RefundId};
use crate::jobs::{self, Job};
use crate::sale::returned::{Fate, Ground, NextReturns, Note, Sums};
use crate::sale::stock;

/// Brings the returns of a locked order to what its sums say: those that are missing are planned; those that gave something back for
/// money alone, which is not back after all, are cancelled. While the invoice of the sale does not stand there is nothing to do; it
/// is asked again once that is authorised, or was not cancelled. Answers what it planned. The caller commits.
///
/// `refund`: what it came with. `is_too_late`: the invoice of the sale cannot be cancelled.
pub async fn follow_sums(
    tx: &impl GenericClient,
    order: OrderId,
    refund: Option<RefundId>,
    is_too_late: bool,
    actor: Actor,
) -> Result<Vec<InvoiceId>> {
    let mut planned = Vec::new();
    let Some(sale) = store::sale_of(tx, order).await?.filter(Invoice::stands) else { return Ok(planned) };
    let Some(sums) = stock::find_sums(tx, order).await? else { return Ok(planned) };
    let live = store::list_returns(tx, sale.id).await?;
    let fate = sums.fate(live.is_empty() && !is_too_late);
    if fate == Fate::Cancelled {
        return Ok(planned); // `DropInvoice` sees to it
    }
    let mut next = next_returns(&sums, &sale, &live, fate);
    if next.is_too_much {
        take_back(tx, &live).await?;
        next = next_returns(&sums, &sale, &store::list_returns(tx, sale.id).await?, fate); // some of them are gone at once
    }
    // Two at most.
    for (ground, note) in [(Ground::Goods, &next.goods), (Ground::Money, &next.money)] {
        planned.extend(plan(tx, &sale, &sums, refund, ground, note, actor).await?);
    }
    Ok(planned)
}

fn next_returns(sums: &Sums, sale: &Invoice, live: &[Invoice], fate: Fate) -> NextReturns {
    let given: Vec<Note> = live.iter().map(|one| one.note(sums)).collect();
    sums.next_returns(&sale.note(sums), &given.iter().collect::<Vec<_>>(), fate == Fate::GivenBack)
}

async fn plan(
    tx: &impl GenericClient,
    sale: &Invoice,
    sums: &Sums,
    refund: Option<RefundId>,
    ground: Ground,
    note: &Note,
    actor: Actor,
) -> Result<Option<InvoiceId>> {
    if note.is_empty() {
        return Ok(None);
    }
    let too_large = || Error::Internal(format!("a return of order {} does not fit", sale.order));
    let new = NewInvoice {
        order: sale.order,
        provider: &sale.provider,
        environment: sale.environment,
        total: sums.total(note).ok_or_else(too_large)?,
        returned: Some(Returned { sale: sale.id, refund, ground, note }),
    };
    let planned = store::insert(tx, &new, actor).await?;
    if let Some(invoice) = planned {
        jobs::push(tx, Job::SendInvoice { invoice }).await?;
    }
    Ok(planned)
}

/// The refund failed: what was given back for money alone is not given back. Once it is cancelled, what did come back of it gets a
/// return of its own. One that can no longer be cancelled stays, and the shop is told.
async fn take_back(tx: &impl GenericClient, live: &[Invoice]) -> Result<()> {
    let is_wrong = |one: &&Invoice| one.ground == Some(Ground::Money) && one.cancel_reason.is_none() && !one.is_cancel_refused;
    // One, and another only where a part of the money went back twice.
    for wrong in live.iter().filter(is_wrong) {
        if let Some(wrong) = store::lock(tx, wrong.id).await? {
            store::note_given_up(tx, wrong.id).await?;
            request_cancel(tx, &wrong, "A devolução do dinheiro falhou: a venda vale").await?;
        }
    }
    Ok(())
}

/// The taxes of goods that come in again: PIS and COFINS have codes of their own for that (98, other entries), and MEI takes
/// goods back by CSOSN 900 (NT 2024.001). IBS and CBS stay as they were in the sale, on a base without its PIS and COFINS: a return gives
/// back what the sale bore, to the centavo.
pub fn turn_around(regime: Regime, taxes: &mut Taxes) {
    if regime == Regime::Mei {
        "900".clone_into(&mut taxes.icms.situation);
    }
    for contribution in [&mut taxes.pis, &mut taxes.cofins] {
        contribution.situation = "98".to_owned();
        contribution.own = None;
    }
}
