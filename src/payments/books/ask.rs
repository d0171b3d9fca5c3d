//! Both sides of a day: theirs from their list, or payment by payment where they have none; ours from the ledger.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use jiff::Timestamp;
use vitrine_kit::Money;
use vitrine_kit::pix::{RefundStatus, TheirRefund};

use super::compare::{Books, Ours, Pair, Stray, Theirs};
use super::store;
use crate::app::App;
use crate::error::Result;
use crate::ids::PaymentId;
use crate::payments::gateway::Gateway;

/// Calls at a time: a provider's limits are the shop's buyers' first.
const AT_ONCE: usize = 8;

const OF_NOBODY: &str = "O provedor recebeu este dinheiro, e ele não é de nenhum pagamento da loja.";
const OF_ANOTHER_PROVIDER: &str = "O dinheiro leva o nome de um pagamento que a loja fez por outro provedor.";
const TWICE: &str = "O provedor tem o mesmo pagamento mais de uma vez.";

/// What both sides have of a day. No connection is held while the provider is asked.
pub(super) async fn books(app: &App, gateway: &Gateway<'_>, from: Timestamp, to: Timestamp) -> Result<Books> {
    // Theirs first: what comes in meanwhile is then on our side alone, and asked about by itself.
    let mut books = match gateway.received(from, to).await? {
        Some(list) => by_list(app, gateway, list.into_iter().map(Theirs::from).collect(), from, to).await?,
        None => one_by_one(app, gateway, from, to).await?,
    };
    look_twice(app, gateway, &mut books.pairs).await?;
    Ok(books)
}

/// Our side of a provider that cannot be asked.
pub(super) async fn ours_alone(app: &App, provider: &str, from: Timestamp, to: Timestamp) -> Result<Books> {
    let ours = store::list_of_day(&app.db().await?, provider, (from, to), &store::Also::default()).await?;
    let pair = |ours: Ours| Pair { counts: ours.is_of_day, theirs: None, lists_refunds: false, ours };
    Ok(Books { pairs: ours.into_iter().map(pair).collect(), strays: Vec::new() })
}

async fn by_list(app: &App, gateway: &Gateway<'_>, list: Vec<Theirs>, from: Timestamp, to: Timestamp) -> Result<Books> {
    let also = store::Also {
        ids: list.iter().filter_map(|theirs| theirs.payment_id.map(PaymentId)).collect(),
        references: list.iter().map(|theirs| theirs.reference.clone()).collect(),
        unpaid: false,
    };
    let ours = store::list_of_day(&app.db().await?, gateway.name(), (from, to), &also).await?;
    let (mut books, alone) = matched(gateway.name(), ours, list);
    for group in alone.chunks(AT_ONCE) {
        let read = try_join_all(group.iter().map(|ours| read(gateway, ours))).await?;
        for (ours, theirs) in group.iter().cloned().zip(read) {
            // They have it, but not in the list of this day: it is counted on the day of theirs.
            let is_here = |theirs: &Theirs| theirs.paid_at.is_some_and(|at| from <= at && at < to);
            let counts = ours.is_of_day && theirs.as_ref().is_none_or(is_here);
            books.pairs.push(Pair { counts, ours, theirs, lists_refunds: false });
        }
    }
    Ok(books)
}

/// Every line of their list finds its payment or is a stray. In the second place: payments of ours that their list lacks.
fn matched(provider: &str, ours: Vec<Ours>, list: Vec<Theirs>) -> (Books, Vec<Ours>) {
    let by_reference: HashMap<String, PaymentId> = ours
        .iter()
        .filter(|ours| ours.payment.provider == provider)
        .filter_map(|ours| Some((ours.payment.provider_ref.clone()?, ours.payment.id)))
        .collect();
    let by_id: HashMap<PaymentId, Ours> = ours.into_iter().map(|ours| (ours.payment.id, ours)).collect();
    let (mut books, mut seen) = (Books::default(), HashSet::new());
    for theirs in list {
        let named = theirs.payment_id.map(PaymentId).filter(|id| by_id.contains_key(id));
        let found = named.or_else(|| by_reference.get(&theirs.reference).copied()).and_then(|id| by_id.get(&id));
        let Some(ours) = found else {
            books.strays.push(Stray { theirs, named: None, note: OF_NOBODY });
            continue;
        };
        let note = match ours.payment.provider == provider {
            true if seen.insert(ours.payment.id) => {
                books.pairs.push(Pair { ours: ours.clone(), theirs: Some(theirs), counts: true, lists_refunds: false });
                continue;
            }
            true => TWICE,
            false => OF_ANOTHER_PROVIDER,
        };
        books.strays.push(Stray { theirs, named: Some((ours.payment.id, ours.number.clone())), note });
    }
    let is_alone = |ours: &Ours| ours.payment.provider == provider && !seen.contains(&ours.payment.id);
    let mut alone: Vec<Ours> = by_id.into_values().filter(is_alone).collect();
    alone.sort_by_key(|ours| ours.payment.id);
    (books, alone)
}

/// Without a list of theirs: every payment that came in, went back, or could have been paid on the day.
async fn one_by_one(app: &App, gateway: &Gateway<'_>, from: Timestamp, to: Timestamp) -> Result<Books> {
    let also = store::Also { unpaid: true, ..store::Also::default() };
    let ours = store::list_of_day(&app.db().await?, gateway.name(), (from, to), &also).await?;
    let mut books = Books::default();
    for group in ours.chunks(AT_ONCE) {
        let read = try_join_all(group.iter().map(|ours| read(gateway, ours))).await?;
        for (ours, theirs) in group.iter().cloned().zip(read) {
            let is_captured = ours.payment.status.is_captured();
            let came_today = theirs.as_ref().is_some_and(|theirs| theirs.paid_at.is_none_or(|at| from <= at && at < to));
            if is_captured || came_today {
                books.pairs.push(Pair { counts: !is_captured || ours.is_of_day, ours, theirs, lists_refunds: false });
            }
        }
    }
    Ok(books)
}

/// What they have of one payment. `None`: no money.
async fn read(gateway: &Gateway<'_>, ours: &Ours) -> Result<Option<Theirs>> {
    let Some(seen) = gateway.read(&ours.payment).await? else { return Ok(None) };
    if !seen.charge.status.was_paid() {
        return Ok(None);
    }
    let refunded = match gateway {
        Gateway::Pix(_) => seen.charge.refunded,
        Gateway::Card(_) => done(&gateway.refunds_of(&ours.payment).await?.unwrap_or_default()), // an intent does not say
    };
    Ok(Some(Theirs {
        payment_id: Some(ours.payment.id.0),
        reference: seen.charge.txid,
        amount: seen.charge.amount,
        currency: seen.currency,
        refunded,
        paid_at: seen.charge.paid_at,
    }))
}

fn done(refunds: &[TheirRefund]) -> Money {
    let done = refunds.iter().filter(|refund| refund.status == RefundStatus::Done);
    Money::sum(done.map(|refund| refund.amount)).unwrap_or(Money::ZERO)
}

/// Refunds that seem to differ are read one by one, where they can be, and ours once more: one may just have been settled.
async fn look_twice(app: &App, gateway: &Gateway<'_>, pairs: &mut [Pair]) -> Result<()> {
    let differs = |pair: &Pair| pair.theirs.as_ref().is_some_and(|theirs| theirs.refunded != pair.ours.returned);
    let mut suspects: Vec<&mut Pair> = pairs.iter_mut().filter(|pair| differs(pair)).collect();
    if suspects.is_empty() {
        return Ok(());
    }
    for group in suspects.chunks_mut(AT_ONCE) {
        let read = try_join_all(group.iter().map(|pair| gateway.refunds_of(&pair.ours.payment))).await?;
        for (pair, refunds) in group.iter_mut().zip(read) {
            pair.lists_refunds = refunds.is_some();
            if let (Some(refunds), Some(theirs)) = (refunds, &mut pair.theirs) {
                theirs.refunded = done(&refunds);
            }
        }
    }
    let ids: Vec<PaymentId> = suspects.iter().map(|pair| pair.ours.payment.id).collect();
    let returned = store::returned(&app.db().await?, &ids).await?;
    for pair in suspects {
        if let Some((sum, is_open)) = returned.get(&pair.ours.payment.id) {
            (pair.ours.returned, pair.ours.is_refund_open) = (*sum, *is_open);
        }
    }
    Ok(())
}
