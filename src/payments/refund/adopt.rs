//! Refunds as the provider's books have them: ours, and those that somebody made there without us.

use deadpool_postgres::GenericClient;
use vitrine_kit::pix::{RefundStatus, TheirRefund};

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::jobs::{self, Job, Outcome};
use crate::payments::effect::{Applied, Effect};
use crate::payments::gateway::Gateway;
use crate::payments::history::record_refund;
use crate::payments::refund::reserve::reserve_what_went;
use crate::payments::refund::settle::{End, settle_refund};
use crate::payments::store;
use crate::sale::off::{queue_jobs_after_change, sale_is_off};
use crate::sale::states;

const FAILED: &str = "the provider says that it failed";

/// The job: brings every refund that the provider knows of a payment into our rows.
pub async fn adopt_refunds(app: &App, id: PaymentId) -> Result<Outcome> {
    let Some(payment) = store::find(&app.db().await?, id).await? else { return Ok(Outcome::Done) };
    let gateway = Gateway::named(app, &payment.provider)?;
    let Some(theirs) = gateway.refunds_of(&payment).await? else { return Ok(Outcome::Done) };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    // A payment has a handful of refunds.
    for refund in &theirs {
        bring_in(&tx, gateway.name(), id, refund, true).await?;
    }
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(Outcome::Done)
}

/// News of one refund, in any order. Where it goes against what we know, the provider's books decide. The caller commits.
pub async fn record_provider_refund(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &TheirRefund,
) -> Result<Effect> {
    bring_in(tx, provider, payment, theirs, false).await
}

async fn bring_in(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &TheirRefund,
    is_from_books: bool,
) -> Result<Effect> {
    const FIND: &str =
        "SELECT id, status FROM refunds WHERE payment_id = $1 AND (id = $2 OR provider_ref = $3) ORDER BY id LIMIT 1";
    const NAME: &str = "UPDATE refunds SET provider_ref = $2 WHERE id = $1 AND provider_ref IS NULL";
    // Locked first: the same refund may be told of twice at once.
    let Some((order, row)) = store::lock(tx, payment).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok(Effect::of(Applied::UnknownPayment));
    };
    let known = db::query_opt(tx, FIND, &[&payment, &theirs.refund_id, &theirs.reference]).await?;
    let (id, status) = match known {
        Some(found) => (found.get::<_, RefundId>("id"), found.try_get::<_, states::RefundStatus>("status")?),
        None if theirs.status != RefundStatus::Done => return Ok(Effect::on(order.id, Applied::Ignored)),
        None => match adopt_refund(tx, provider, &row, theirs).await? {
            Some(id) => (id, states::RefundStatus::Processing),
            None => {
                let text = format!(
                    "O provedor {provider} devolveu {} centavos do pedido {} ({}), mais do que resta a devolver.",
                    theirs.amount.cents(),
                    order.number,
                    theirs.reference
                );
                let key = Key::RefundUnknown { provider, reference: &theirs.reference };
                alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
                return Ok(Effect::on(order.id, Applied::Mismatch));
            }
        },
    };
    db::execute(tx, NAME, &[&id, &theirs.reference]).await?;
    match (theirs.status, status) {
        (RefundStatus::Processing | RefundStatus::Unclear, _) => Ok(Effect::on(order.id, Applied::Ignored)),
        (RefundStatus::Failed(_), states::RefundStatus::Done) | (RefundStatus::Done, states::RefundStatus::Failed)
            if !is_from_books =>
        {
            jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
            Ok(Effect::on(order.id, Applied::Ignored))
        }
        (RefundStatus::Done, _) => settle_refund(tx, provider, id, End::Done).await,
        (RefundStatus::Failed(_), _) if is_from_books => settle_refund(tx, provider, id, End::Bounced(FAILED)).await,
        (RefundStatus::Failed(_), _) => settle_refund(tx, provider, id, End::Failed(FAILED)).await,
    }
}

/// A row for money that went back without us: somebody used the provider's own pages. What follows from it is the same as if it had
/// been asked for here. `None`: it does not fit.
async fn adopt_refund(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: &store::Payment,
    theirs: &TheirRefund,
) -> Result<Option<RefundId>> {
    const INSERT: &str = "
        INSERT INTO refunds (id, payment_id, order_id, amount_cents, status, reason, requested_by, provider_ref)
        VALUES ($1, $2, $3, $4, 'processing', $5, $6, $7)";
    const REASON: &str = "made at the provider";
    let was_off = sale_is_off(tx, payment.order_id).await?;
    if !reserve_what_went(tx, payment.id, theirs.amount).await? {
        return Ok(None);
    }
    let (id, actor) = (RefundId::new(), Actor::Provider(provider));
    let by = actor.to_string();
    let reference = &theirs.reference;
    db::execute(tx, INSERT, &[&id, &payment.id, &payment.order_id, &theirs.amount, &REASON, &by, reference]).await?;
    record_refund(tx, payment.order_id, id, None, states::RefundStatus::Processing, REASON, actor).await?;
    queue_jobs_after_change(tx, payment.order_id, was_off).await?;
    Ok(Some(id))
}
