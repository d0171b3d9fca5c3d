//! Refunds as the provider's books have them: ours, and those that somebody made there without us.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::pix::{RefundStatus, TheirRefund};
use vitrine_kit::refund::Retry;

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::jobs::{self, Job, Outcome};
use crate::payments::dispute::record::Source;
use crate::payments::dispute::take_return;
use crate::payments::effect::Effect;
use crate::payments::gateway::Gateway;
use crate::payments::history::record_refund;
use crate::payments::refund::displace;
use crate::payments::refund::keys::{self, Known};
use crate::payments::refund::reserve::reserve_what_went;
use crate::payments::refund::settle::{End, FAILED, settle_refund, tell_of_second};
use crate::payments::store;
use crate::sale::locks::LockedOrder;
use crate::sale::off::{queue_jobs_after_change, standing};
use crate::sale::outcome::EventOutcome;
use crate::sale::states;

/// The job: brings every refund that the provider knows of a payment into our rows.
pub async fn adopt_refunds(app: &App, id: PaymentId) -> Result<Outcome> {
    adopt_now(app, id).await?;
    Ok(Outcome::Done)
}

/// The same at once. `true`: a refund of it is still in process there.
pub(super) async fn adopt_now(app: &App, id: PaymentId) -> Result<bool> {
    let Some(payment) = store::find(&app.db().await?, id).await? else { return Ok(false) };
    let gateway = Gateway::named(app, &payment.provider)?;
    let asked_at = db::clock(&app.db().await?).await?;
    let Some(theirs) = gateway.refunds_of(&payment).await? else { return Ok(false) };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    bring_in_all(&tx, gateway.name(), id, &theirs, asked_at).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(theirs.iter().any(|one| one.status.is_open()))
}

/// Brings in all that the provider's books have of a payment's refunds, read after that moment. The caller commits.
pub async fn bring_in_all(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &[TheirRefund],
    asked_at: Timestamp,
) -> Result<()> {
    let Some((order, row)) = store::lock(tx, payment).await?.filter(|(_, p)| p.provider == provider) else { return Ok(()) };
    let before = standing(tx, order.id).await?;
    let displaced = displace::make_way(tx, provider, (&order, &row), theirs).await?;
    // A payment has a handful of refunds.
    for refund in theirs {
        bring_in(tx, provider, payment, refund, Source::Books { asked_at }).await?;
    }
    if displaced.is_empty() {
        return Ok(());
    }
    displace::follow(tx, provider, (&order, &row), &displaced, before).await
}

/// News of one refund, in any order. Where it goes against what we know, the provider's books decide. The caller commits.
pub async fn record_provider_refund(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &TheirRefund,
) -> Result<Effect> {
    bring_in(tx, provider, payment, theirs, Source::News).await
}

async fn bring_in(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: PaymentId,
    theirs: &TheirRefund,
    source: Source,
) -> Result<Effect> {
    const NAME: &str = "UPDATE refunds SET provider_ref = $2 WHERE id = $1 AND provider_ref IS NULL";
    // Locked first: the same refund may be told of twice at once.
    let Some((order, row)) = store::lock(tx, payment).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    let mut is_second = false;
    let known = match keys::find_of_payment(tx, payment, theirs.refund_id, &theirs.reference).await? {
        Some(Known { earlier: Some(_), .. }) if theirs.status != RefundStatus::Done => {
            return Ok(Effect::on(order.id, EventOutcome::AlreadyDone)); // news of the past
        }
        // It went back under two keys, or was paid another way as well: this is one that nobody asked for.
        Some(Known { earlier: Some(_), status: states::RefundStatus::Done, id }) => {
            if source == Source::News && keys::came_back(tx, id).await? {
                jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
                return Ok(Effect::on(order.id, EventOutcome::Hint));
            }
            tell_of_second(tx, provider, &order, id, &theirs.reference).await?;
            is_second = true;
            None
        }
        Some(Known { earlier: Some(earlier), id, status }) => {
            keys::go_back_to(tx, id, earlier).await?;
            Some((id, status))
        }
        Some(Known { earlier: None, id, status }) => Some((id, status)),
        None => None,
    };
    if known.is_none()
        && !is_second
        && let Some(effect) = take_return(tx, provider, (&order, &row), theirs, source).await?
    {
        return Ok(effect);
    }
    let is_from_books = source != Source::News;
    let (id, status) = match known {
        Some(found) => found,
        None if theirs.status != RefundStatus::Done => return Ok(Effect::on(order.id, EventOutcome::Ignored)),
        None => match adopt_refund(tx, provider, &row, theirs).await? {
            Some(id) => {
                tell_if_goods_left(tx, provider, &order, id, theirs).await?;
                (id, states::RefundStatus::Processing)
            }
            None if is_second => return Ok(Effect::on(order.id, EventOutcome::Mismatch)),
            // A refund of ours that can no longer be made may have reserved it: their whole list decides.
            None if !is_from_books && displace::has_unmade(tx, payment).await? => {
                jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
                return Ok(Effect::on(order.id, EventOutcome::Hint));
            }
            None => {
                let text = format!(
                    "O provedor {provider} devolveu {} centavos do pedido {} ({}), mais do que resta a devolver.",
                    theirs.amount.cents(),
                    order.number,
                    theirs.reference
                );
                let key = Key::RefundUnknown { provider, reference: &theirs.reference };
                alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
                return Ok(Effect::on(order.id, EventOutcome::Mismatch));
            }
        },
    };
    db::execute(tx, NAME, &[&id, &theirs.reference]).await?;
    match (theirs.status, status) {
        (RefundStatus::Processing | RefundStatus::Unclear, _) => Ok(Effect::on(order.id, EventOutcome::Ignored)),
        (RefundStatus::Failed(_), states::RefundStatus::Done) | (RefundStatus::Done, states::RefundStatus::Failed)
            if !is_from_books =>
        {
            jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
            Ok(Effect::on(order.id, EventOutcome::Ignored))
        }
        (RefundStatus::Done, _) => settle_refund(tx, provider, id, End::Done).await,
        // It may be tried again: the job reads it in their books, and decides.
        (RefundStatus::Failed(Retry::Later(_)), status) if status.is_open() => {
            jobs::push_now(tx, Job::SendRefund { refund: id }).await?;
            Ok(Effect::on(order.id, EventOutcome::Hint))
        }
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
        INSERT INTO refunds (id, key, payment_id, order_id, amount_cents, status, reason, requested_by, provider_ref)
        VALUES ($1, $1, $2, $3, $4, 'processing', $5, $6, $7)";
    const REASON: &str = "made at the provider";
    let before = standing(tx, payment.order_id).await?;
    if !reserve_what_went(tx, payment.id, theirs.amount).await? {
        return Ok(None);
    }
    let (id, actor) = (RefundId::new(), Actor::Provider(provider));
    let by = actor.to_string();
    let reference = &theirs.reference;
    db::execute(tx, INSERT, &[&id, &payment.id, &payment.order_id, &theirs.amount, &REASON, &by, reference]).await?;
    record_refund(tx, payment.order_id, id, None, states::RefundStatus::Processing, REASON, actor).await?;
    queue_jobs_after_change(tx, payment.order_id, before).await?;
    Ok(Some(id))
}

/// Whether the goods of an order that had left came back with the money, only a person knows: no return is planned by itself.
async fn tell_if_goods_left(
    tx: &impl GenericClient,
    provider: &str,
    order: &LockedOrder,
    id: RefundId,
    theirs: &TheirRefund,
) -> Result<()> {
    if !order.status.has_left() {
        return Ok(());
    }
    let text = format!(
        "Alguém devolveu {} centavos do pedido {} no painel de {provider} ({}). A mercadoria já saiu, e nenhuma nota de devolução foi \
         feita: se ela voltou, registre-a com POST /api/orders/{}/returns, e a nota é emitida.",
        theirs.amount.cents(),
        order.number,
        theirs.reference,
        order.id
    );
    alerts::raise(tx, Alert::new(Key::RefundMadeElsewhere(id), text).about(order.id)).await
}
