//! Refunds as the provider's books have them: ours, and those that somebody made there without us.

use deadpool_postgres::GenericClient;
use vitrine_kit::pix::{RefundStatus, TheirRefund};

use super::{End, follow_the_sale, is_off, reserve, settle, tell_refund};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::jobs::{self, Job, Outcome};
use crate::payments::apply::{Applied, News};
use crate::payments::gateway::Gateway;
use crate::payments::store;

const FAILED: &str = "the provider says that it failed";

/// The job: brings every refund that the provider knows of a payment into our rows.
pub async fn look(app: &App, id: PaymentId) -> Result<Outcome> {
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
pub async fn news(tx: &impl GenericClient, provider: &'static str, payment: PaymentId, theirs: &TheirRefund) -> Result<News> {
    bring_in(tx, provider, payment, theirs, false).await
}

async fn bring_in(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &TheirRefund,
    is_from_books: bool,
) -> Result<News> {
    const FIND: &str =
        "SELECT id, status FROM refunds WHERE payment_id = $1 AND (id = $2 OR provider_ref = $3) ORDER BY id LIMIT 1";
    const NAME: &str = "UPDATE refunds SET provider_ref = $2 WHERE id = $1 AND provider_ref IS NULL";
    // Locked first: the same refund may be told of twice at once.
    let Some((order, row)) = store::lock(tx, payment).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok((Applied::UnknownPayment, None));
    };
    let known = db::query_opt(tx, FIND, &[&payment, &theirs.refund_id, &theirs.reference]).await?;
    let (id, status) = match known {
        Some(found) => (found.get::<_, RefundId>("id"), found.get::<_, String>("status")),
        None if theirs.status != RefundStatus::Done => return Ok((Applied::Ignored, Some(order.id))),
        None => match adopt(tx, provider, &row, theirs).await? {
            Some(id) => (id, "processing".to_owned()),
            None => {
                let text = format!(
                    "O provedor {provider} devolveu {} centavos do pedido {} ({}), mais do que resta a devolver.",
                    theirs.amount.cents(),
                    order.number,
                    theirs.reference
                );
                let key = Key::RefundUnknown { provider, reference: &theirs.reference };
                alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
                return Ok((Applied::Mismatch, Some(order.id)));
            }
        },
    };
    db::execute(tx, NAME, &[&id, &theirs.reference]).await?;
    match (theirs.status, status.as_str()) {
        (RefundStatus::Processing, _) => Ok((Applied::Ignored, Some(order.id))),
        (RefundStatus::Failed, "done") | (RefundStatus::Done, "failed") if !is_from_books => {
            jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
            Ok((Applied::Ignored, Some(order.id)))
        }
        (RefundStatus::Done, _) => settle(tx, provider, id, End::Done).await,
        (RefundStatus::Failed, _) if is_from_books => settle(tx, provider, id, End::Bounced(FAILED)).await,
        (RefundStatus::Failed, _) => settle(tx, provider, id, End::Failed(FAILED)).await,
    }
}

/// A row for money that went back without us: somebody used the provider's own pages. What follows from it is the same as if it had
/// been asked for here. `None`: it does not fit.
async fn adopt(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: &store::Payment,
    theirs: &TheirRefund,
) -> Result<Option<RefundId>> {
    const INSERT: &str = "
        INSERT INTO refunds (id, payment_id, order_id, amount_cents, status, reason, requested_by, provider_ref)
        VALUES ($1, $2, $3, $4, 'processing', $5, $6, $7)";
    const REASON: &str = "made at the provider";
    let was_off = is_off(tx, payment.order_id).await?;
    if !reserve(tx, payment.id, theirs.amount).await? {
        return Ok(None);
    }
    let (id, actor) = (RefundId::new(), Actor::Provider(provider));
    let by = actor.to_string();
    let reference = &theirs.reference;
    db::execute(tx, INSERT, &[&id, &payment.id, &payment.order_id, &theirs.amount, &REASON, &by, reference]).await?;
    tell_refund(tx, payment.order_id, id, None, "processing", REASON, actor).await?;
    follow_the_sale(tx, payment.order_id, was_off).await?;
    Ok(Some(id))
}
