//! The end of a refund: once, whoever tells it, and in the ledger.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use vitrine_kit::refund::Retry;
use vitrine_kit::{Money, said};

use crate::alerts::{self, Alert, Key};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::{PaymentId, RefundId};
use crate::jobs::{self, Job};
use crate::payments::effect::Effect;
use crate::payments::history::record_refund;
use crate::payments::refund::keys::{self, Known};
use crate::payments::refund::locked::{Locked, lock_refund};
use crate::payments::refund::reserve::{refund_what_nobody_keeps, refundable, reserve_what_went};
use crate::payments::store::{self, Payment};
use crate::payments::sums;
use crate::sale::locks::LockedOrder;
use crate::sale::off::{self, hold_after_failed_refund, queue_jobs_after_change, standing};
use crate::sale::outcome::EventOutcome;
use crate::sale::states::{OrderStatus, RefundStatus};

/// After this a refund to a card is looked at once more.
const BOUNCES_WITHIN: SignedDuration = SignedDuration::from_hours(24 * 10);

/// Why it failed, where they say no more.
pub(super) const FAILED: &str = "the provider says that it failed";

/// How a refund ended.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    Done,
    Failed(&'a str),
    /// It was done and came back: the buyer's bank would not take it. Only from the provider's books, never from news alone.
    Bounced(&'a str),
}

/// A refund that is being brought to its end, under the locks of its order, payment and row.
pub(super) struct Ending<'a> {
    pub(super) provider: &'static str,
    pub(super) order: &'a LockedOrder,
    pub(super) payment: &'a Payment,
    pub(super) id: RefundId,
    pub(super) amount: Money,
    pub(super) from: RefundStatus,
}

/// Brings a refund to its end, once. The caller commits.
pub async fn settle_refund(tx: &impl GenericClient, provider: &'static str, id: RefundId, end: End<'_>) -> Result<Effect> {
    let Some(locked) = lock_refund(tx, id).await?.filter(|locked| locked.payment.provider == provider) else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    let Locked { order, payment, status, amount, was_done } = locked;
    let ending = Ending { provider, order: &order, payment: &payment, id, amount, from: status };
    let before = standing(tx, order.id).await?;
    let applied = match (status, end) {
        (RefundStatus::Done, End::Done) | (RefundStatus::Failed, End::Failed(_) | End::Bounced(_)) => EventOutcome::AlreadyDone,
        (RefundStatus::Done, End::Failed(_)) => EventOutcome::Ignored, // done is the later truth, whatever the order of news
        (RefundStatus::Failed, End::Done) if was_done || !reserve_what_went(tx, payment.id, ending.amount).await? => {
            ending.too_much(tx).await?
        }
        (_, End::Done) => ending.done(tx).await?,
        (RefundStatus::Done, End::Bounced(why)) => ending.bounced(tx, why).await?,
        (_, End::Failed(why) | End::Bounced(why)) => ending.failed(tx, why).await?,
    };
    let has_failed = applied == EventOutcome::Applied && matches!(end, End::Failed(_) | End::Bounced(_));
    if has_failed {
        let is_held = hold_after_failed_refund(tx, order.id, before, "a refund of all its money failed").await?;
        ending.tell_of_failure(tx, end, is_held).await?;
        ending.refund_what_is_left(tx).await?;
    }
    queue_jobs_after_change(tx, order.id, before).await?;
    Ok(Effect::on(order.id, applied))
}

impl Ending<'_> {
    async fn done(&self, tx: &impl GenericClient) -> Result<EventOutcome> {
        const DONE: &str = "UPDATE refunds SET status = 'done', error = NULL, updated_at = now() WHERE id = $1";
        db::execute(tx, DONE, &[&self.id]).await?;
        enter(tx, self.id, "refund", self.amount, self.provider).await?;
        self.record(tx, RefundStatus::Done, "").await?;
        self.follow_the_sums(tx, "money went back").await?;
        jobs::push(tx, Job::MailRefunded { refund: self.id }).await?;
        if self.provider == vitrine_stripe::NAME {
            // A card's bank may send it back days later, and news of that get lost like all others.
            jobs::push_at(tx, Job::LookAtRefunds { payment: self.payment.id }, Timestamp::now() + BOUNCES_WITHIN).await?;
        }
        Ok(EventOutcome::Applied)
    }

    pub(super) async fn failed(&self, tx: &impl GenericClient, why: &str) -> Result<EventOutcome> {
        self.fail(tx, why).await?;
        Ok(EventOutcome::Applied)
    }

    /// The money is with us again, and the payment's and the order's states say so.
    async fn bounced(&self, tx: &impl GenericClient, why: &str) -> Result<EventOutcome> {
        self.fail(tx, why).await?;
        enter(tx, self.id, "refund_back", self.amount, self.provider).await?;
        self.follow_the_sums(tx, "a refund came back").await?;
        Ok(EventOutcome::Applied)
    }

    pub(super) async fn tell_of_failure(&self, tx: &impl GenericClient, end: End<'_>, is_held: bool) -> Result<()> {
        let (id, order) = (self.id, self.order);
        let again = match end {
            End::Bounced(_) => format!("Peça outra (POST /api/orders/{}/refund)", order.id),
            _ => format!("Tente outra vez (POST /api/admin/refunds/{id}/retry)"),
        };
        let sale = match (is_held, order.status) {
            (true, _) => format!(
                " Até lá a venda fica parada: nada é enviado nem faturado, a menos que alguém diga que ela segue \
                 (POST /api/admin/orders/{}/resume).",
                order.id
            ),
            (false, OrderStatus::Processing) if off::is_on_hold(tx, order.id).await? => " A venda já estava parada.".to_owned(),
            (false, OrderStatus::Processing) => " A venda segue como estava.".to_owned(),
            _ => String::new(),
        };
        let what_now = format!(
            " {again}; se o provedor não a fizer, pague ao comprador de outro modo, por exemplo por transferência, e registre isso \
             (POST /api/admin/refunds/{id}/settle).{sale}"
        );
        let (number, cents) = (&order.number, self.amount.cents());
        let (key, text) = match end {
            End::Bounced(why) => (
                Key::RefundCameBack(id),
                format!(
                    "A devolução {id} de {cents} centavos do pedido {number} tinha sido feita e voltou: {}. O dinheiro está outra \
                     vez conosco.{what_now}",
                    said("", why)
                ),
            ),
            End::Failed(why) => (
                Key::RefundFailed(id),
                format!("A devolução {id} de {cents} centavos do pedido {number} falhou: {}.{what_now}", said("", why)),
            ),
            End::Done => return Ok(()),
        };
        alerts::raise(tx, Alert::new(key, text).about(order.id)).await
    }

    /// A dispute took a part meanwhile, so this refund fits no more and cannot be tried again: what is left goes back by another one.
    async fn refund_what_is_left(&self, tx: &impl GenericClient) -> Result<()> {
        let Some(payment) = store::find(tx, self.payment.id).await? else { return Ok(()) };
        if self.amount <= refundable(&payment) {
            return Ok(());
        }
        let by = Actor::Provider(self.provider);
        refund_what_nobody_keeps(tx, self.order, &payment, by, "this is left of the money after a dispute").await
    }

    async fn too_much(&self, tx: &impl GenericClient) -> Result<EventOutcome> {
        let text = format!(
            "A devolução {} do pedido {} foi dada como falha e agora como feita, e já não cabe no valor pago.",
            self.id, self.order.number
        );
        alerts::raise(tx, Alert::new(Key::RefundTooMuch(self.id), text).about(self.order.id)).await?;
        Ok(EventOutcome::Mismatch)
    }

    /// Not with the buyer: its amount can be refunded again.
    async fn fail(&self, tx: &impl GenericClient, why: &str) -> Result<()> {
        const FAILED: &str = "UPDATE refunds SET status = 'failed', error = $2, updated_at = now() WHERE id = $1";
        const GIVE_BACK: &str = "UPDATE payments SET refunded_cents = refunded_cents - $2, updated_at = now() WHERE id = $1";
        db::execute(tx, FAILED, &[&self.id, &why]).await?;
        db::execute(tx, GIVE_BACK, &[&self.payment.id, &self.amount]).await?;
        self.record(tx, RefundStatus::Failed, why).await
    }

    async fn record(&self, tx: &impl GenericClient, to: RefundStatus, why: &str) -> Result<()> {
        let actor = Actor::Provider(self.provider);
        record_refund(tx, self.payment.order_id, self.id, Some(self.from), to, why, actor).await
    }

    async fn follow_the_sums(&self, tx: &impl GenericClient, reason: &str) -> Result<()> {
        sums::follow_the_sums(tx, self.payment, reason, Actor::Provider(self.provider)).await
    }
}

/// A refund's row in the ledger.
pub(super) async fn enter(tx: &impl GenericClient, id: RefundId, kind: &str, amount: Money, provider: &str) -> Result<()> {
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, provider_ref, cause)
        SELECT order_id, payment_id, id, $2, $3, $4, provider_ref, $5 FROM refunds WHERE id = $1";
    db::execute(tx, ENTER, &[&id, &kind, &amount, &provider, &cause::current()]).await?;
    Ok(())
}

/// A provider tells that the money went back, by the key that it knows the refund by.
pub async fn record_done(tx: &Transaction<'_>, provider: &'static str, key: Uuid) -> Result<Effect> {
    let Some((order, payment, known)) = lock_by_key(tx, provider, key).await? else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    match known.earlier {
        None => settle_refund(tx, provider, known.id, End::Done).await,
        Some(_) if known.status == RefundStatus::Done && keys::came_back(tx, known.id).await? => {
            jobs::push_now(tx, Job::LookAtRefunds { payment }).await?;
            Ok(Effect::on(order.id, EventOutcome::Hint))
        }
        Some(_) if known.status == RefundStatus::Done => {
            tell_of_second(tx, provider, &order, known.id, &key.to_string()).await?;
            jobs::push_now(tx, Job::LookAtRefunds { payment }).await?; // their books name it, where they list refunds
            Ok(Effect::on(order.id, EventOutcome::Mismatch))
        }
        Some(earlier) => {
            keys::go_back_to(tx, known.id, earlier).await?;
            settle_refund(tx, provider, known.id, End::Done).await
        }
    }
}

/// A refund that is done went back once more, under an earlier key. `name`: the key, or what the provider calls it.
pub(super) async fn tell_of_second(
    tx: &impl GenericClient,
    provider: &str,
    order: &LockedOrder,
    id: RefundId,
    name: &str,
) -> Result<()> {
    let text = format!(
        "A devolução {id} do pedido {} já estava feita, ou paga de outro modo, e {provider} a fez também com uma chave anterior ({name}): \
         o comprador recebeu duas vezes. Confira no painel deles.",
        order.number
    );
    alerts::raise(tx, Alert::new(Key::RefundTooMuch(id), text).about(order.id)).await
}

/// The refund that a provider knows by a key, under the locks of its order and payment.
async fn lock_by_key(tx: &impl GenericClient, provider: &str, key: Uuid) -> Result<Option<(LockedOrder, PaymentId, Known)>> {
    let Some((payment, _)) = keys::find(tx, provider, key).await? else { return Ok(None) };
    let Some((order, _)) = store::lock(tx, payment).await? else { return Ok(None) };
    Ok(keys::find(tx, provider, key).await?.map(|(payment, known)| (order, payment, known)))
}

/// The money did not go back. Where another try can help, their books are read first.
pub async fn record_failed(
    tx: &Transaction<'_>,
    provider: &'static str,
    key: Uuid,
    retry: Retry,
    words: Option<&str>,
) -> Result<Effect> {
    let Some((order, _, known)) = lock_by_key(tx, provider, key).await? else {
        return Ok(Effect::of(EventOutcome::Unknown));
    };
    match retry {
        _ if known.earlier.is_some() => Ok(Effect::on(order.id, EventOutcome::AlreadyDone)),
        Retry::Later(_) if known.status.is_open() => {
            jobs::push_now(tx, Job::SendRefund { refund: known.id }).await?;
            Ok(Effect::on(order.id, EventOutcome::Hint))
        }
        _ => {
            let why = said(FAILED, words.unwrap_or_default());
            settle_refund(tx, provider, known.id, End::Failed(&why)).await
        }
    }
}

/// The refund that a provider knows by this key. `is_present`: it is not one that was left.
pub async fn find_by_key(db: &impl GenericClient, provider: &str, key: Uuid) -> Result<Option<(PaymentId, RefundId, bool)>> {
    Ok(keys::find(db, provider, key).await?.map(|(payment, known)| (payment, known.id, known.earlier.is_none())))
}
