//! The end of a refund: once, whoever tells it, and in the ledger.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::{SignedDuration, Timestamp};
use vitrine_kit::Money;

use crate::alerts::{self, Alert, Key};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::RefundId;
use crate::jobs::{self, Job};
use crate::payments::effect::{Applied, Effect};
use crate::payments::history::record_refund;
use crate::payments::refund::reserve::reserve_what_went;
use crate::payments::store::{self, Payment};
use crate::payments::sums;
use crate::sale::locks::LockedOrder;
use crate::sale::off::{queue_jobs_after_change, sale_is_off};
use crate::sale::states::{OrderStatus, RefundStatus};

/// After this a refund to a card is looked at once more.
const BOUNCES_WITHIN: SignedDuration = SignedDuration::from_hours(24 * 10);

/// How a refund ended.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    Done,
    Failed(&'a str),
    /// It was done and came back: the buyer's bank would not take it. Only from the provider's books, never from news alone.
    Bounced(&'a str),
}

/// A refund that is being brought to its end, under the locks of its order, payment and row.
struct Ending<'a> {
    provider: &'static str,
    order: &'a LockedOrder,
    payment: &'a Payment,
    id: RefundId,
    amount: Money,
    from: RefundStatus,
}

/// Brings a refund to its end, once. The caller commits.
pub async fn settle_refund(tx: &impl GenericClient, provider: &'static str, id: RefundId, end: End<'_>) -> Result<Effect> {
    const OF: &str = "SELECT payment_id FROM refunds WHERE id = $1";
    const LOCK: &str = "
        SELECT status, amount_cents, EXISTS (SELECT FROM money_movements m WHERE m.refund_id = r.id) AS was_done
          FROM refunds r WHERE id = $1 FOR NO KEY UPDATE";
    let Some(row) = db::query_opt(tx, OF, &[&id]).await? else { return Ok(Effect::of(Applied::UnknownPayment)) };
    let Some((order, payment)) = store::lock(tx, row.get("payment_id")).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok(Effect::of(Applied::UnknownPayment));
    };
    let row = db::query_one(tx, LOCK, &[&id]).await?;
    let (status, was_done): (RefundStatus, bool) = (row.try_get("status")?, row.get("was_done"));
    let ending = Ending { provider, order: &order, payment: &payment, id, amount: row.get("amount_cents"), from: status };
    let was_off = sale_is_off(tx, order.id).await?;
    let applied = match (status, end) {
        (RefundStatus::Done, End::Done) | (RefundStatus::Failed, End::Failed(_) | End::Bounced(_)) => Applied::AlreadyDone,
        (RefundStatus::Done, End::Failed(_)) => Applied::Ignored, // done is the later truth, whatever the order of news
        (RefundStatus::Failed, End::Done) if was_done || !reserve_what_went(tx, payment.id, ending.amount).await? => {
            ending.too_much(tx).await?
        }
        (_, End::Done) => ending.done(tx).await?,
        (RefundStatus::Done, End::Bounced(why)) => ending.bounced(tx, why).await?,
        (_, End::Failed(why) | End::Bounced(why)) => ending.failed(tx, why).await?,
    };
    queue_jobs_after_change(tx, order.id, was_off).await?; // of a bank that would not take all of the money it stands again
    Ok(Effect::on(order.id, applied))
}

impl Ending<'_> {
    async fn done(&self, tx: &impl GenericClient) -> Result<Applied> {
        const DONE: &str = "UPDATE refunds SET status = 'done', error = NULL, updated_at = now() WHERE id = $1";
        db::execute(tx, DONE, &[&self.id]).await?;
        self.enter(tx, "refund").await?;
        self.record(tx, RefundStatus::Done, "").await?;
        self.follow_the_sums(tx, "money went back").await?;
        jobs::push(tx, Job::MailRefunded { refund: self.id }).await?;
        if self.provider == vitrine_stripe::NAME {
            // A card's bank may send it back days later, and news of that get lost like all others.
            jobs::push_at(tx, Job::LookAtRefunds { payment: self.payment.id }, Timestamp::now() + BOUNCES_WITHIN).await?;
        }
        Ok(Applied::Done)
    }

    async fn failed(&self, tx: &impl GenericClient, why: &str) -> Result<Applied> {
        self.fail(tx, why).await?;
        let (order, cents) = (&self.order.number, self.amount.cents());
        let text = format!("A devolução {} de {cents} centavos do pedido {order} falhou: {why}.{}", self.id, self.what_now());
        alerts::raise(tx, Alert::new(Key::RefundFailed(self.id), text).about(self.order.id)).await?;
        Ok(Applied::Done)
    }

    /// The money is with us again, and the payment's and the order's states say so.
    async fn bounced(&self, tx: &impl GenericClient, why: &str) -> Result<Applied> {
        self.fail(tx, why).await?;
        self.enter(tx, "refund_back").await?;
        self.follow_the_sums(tx, "a refund came back").await?;
        let text = format!(
            "A devolução {} de {} centavos do pedido {} tinha sido feita e voltou: {why}. O dinheiro está outra vez conosco.{}",
            self.id,
            self.amount.cents(),
            self.order.number,
            self.what_now()
        );
        alerts::raise(tx, Alert::new(Key::RefundCameBack(self.id), text).about(self.order.id)).await?;
        Ok(Applied::Done)
    }

    async fn too_much(&self, tx: &impl GenericClient) -> Result<Applied> {
        let text = format!(
            "A devolução {} do pedido {} foi dada como falha e agora como feita, e já não cabe no valor pago.",
            self.id, self.order.number
        );
        alerts::raise(tx, Alert::new(Key::RefundTooMuch(self.id), text).about(self.order.id)).await?;
        Ok(Applied::Mismatch)
    }

    /// What the operator is to know of an order that was not cancelled.
    fn what_now(&self) -> &'static str {
        match self.order.status {
            OrderStatus::Processing => " Enquanto outra não for pedida, a venda vale e segue, com nota e etiqueta.",
            _ => "",
        }
    }

    /// Not with the buyer: its amount can be refunded again.
    async fn fail(&self, tx: &impl GenericClient, why: &str) -> Result<()> {
        const FAILED: &str = "UPDATE refunds SET status = 'failed', error = $2, updated_at = now() WHERE id = $1";
        const GIVE_BACK: &str = "UPDATE payments SET refunded_cents = refunded_cents - $2, updated_at = now() WHERE id = $1";
        db::execute(tx, FAILED, &[&self.id, &why]).await?;
        db::execute(tx, GIVE_BACK, &[&self.payment.id, &self.amount]).await?;
        self.record(tx, RefundStatus::Failed, why).await
    }

    async fn enter(&self, tx: &impl GenericClient, kind: &str) -> Result<()> {
        const ENTER: &str = "
            INSERT INTO money_movements (order_id, payment_id, refund_id, kind, amount_cents, provider, provider_ref, cause)
            SELECT order_id, payment_id, id, $2, $3, $4, provider_ref, $5 FROM refunds WHERE id = $1";
        db::execute(tx, ENTER, &[&self.id, &kind, &self.amount, &self.provider, &cause::current()]).await?;
        Ok(())
    }

    async fn record(&self, tx: &impl GenericClient, to: RefundStatus, why: &str) -> Result<()> {
        let actor = Actor::Provider(self.provider);
        record_refund(tx, self.payment.order_id, self.id, Some(self.from), to, why, actor).await
    }

    async fn follow_the_sums(&self, tx: &impl GenericClient, reason: &str) -> Result<()> {
        sums::follow_the_sums(tx, self.payment, reason, Actor::Provider(self.provider)).await
    }
}

/// The money went back.
pub async fn record_done(tx: &Transaction<'_>, provider: &'static str, id: RefundId) -> Result<Effect> {
    settle_refund(tx, provider, id, End::Done).await
}

/// The money did not go back.
pub async fn record_failed(tx: &Transaction<'_>, provider: &'static str, id: RefundId) -> Result<Effect> {
    settle_refund(tx, provider, id, End::Failed("the provider says that it failed")).await
}
