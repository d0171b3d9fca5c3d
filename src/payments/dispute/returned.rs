//! Money that a payer's bank took back by itself, as a provider's list of refunds shows it: a lost dispute, and no refund of the shop's.

use deadpool_postgres::GenericClient;
use vitrine_kit::dispute::Dispute as Theirs;
use vitrine_kit::pix::TheirRefund;
use vitrine_kit::refund::Nature;

use super::record::{Source, record_dispute};
use super::store as rows;
use crate::error::Result;
use crate::payments::effect::Effect;
use crate::payments::store::Payment;
use crate::sale::locks::LockedOrder;
use crate::sale::outcome::EventOutcome;

/// What became of an entry of their list that is no refund of ours. `None`: it is none of a bank's, as far as anybody can tell. The
/// order and the payment are locked by the caller, who commits.
pub(in crate::payments) async fn take_return(
    tx: &impl GenericClient,
    provider: &'static str,
    (order, payment): (&LockedOrder, &Payment),
    theirs: &TheirRefund,
    source: Source,
) -> Result<Option<Effect>> {
    if theirs.nature == Nature::Unsaid {
        return Ok(of_a_dispute(tx, payment, theirs).await?.map(|applied| Effect::on(order.id, applied)));
    }
    let Some(dispute) = Theirs::of_return(theirs, payment.end_to_end_id.as_deref()) else { return Ok(None) };
    let effect = record_dispute(tx, provider, payment.id, &dispute, source).await?;
    rows::keep_return(tx, provider, &dispute.reference, &theirs.reference).await?;
    Ok(Some(effect))
}

/// Of a provider that has disputes, and a list of refunds without a word on who made one: it may be the way in which a lost dispute
/// took its money, which must not be booked twice. While a dispute is open it waits: that one's end has the list read again.
async fn of_a_dispute(tx: &impl GenericClient, payment: &Payment, theirs: &TheirRefund) -> Result<Option<EventOutcome>> {
    if rows::knows_return(tx, payment.id, &theirs.reference).await? {
        return Ok(Some(EventOutcome::AlreadyDone));
    }
    if rows::match_return(tx, payment.id, theirs.amount, &theirs.reference).await? {
        return Ok(Some(EventOutcome::Applied));
    }
    Ok(rows::holds_money(tx, payment.id).await?.then_some(EventOutcome::Ignored))
}
