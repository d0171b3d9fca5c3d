//! News of money, applied once: late, early or doubled, it comes out right. Everything here runs in the caller's transaction.

use deadpool_postgres::{GenericClient, Transaction};
use vitrine_kit::Money;
use vitrine_kit::pix::PaidNews;

use crate::alerts::{self, Alert, Key};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::jobs::{self, Job};
use crate::orders::life;
use crate::payments::methods::Method;
use crate::payments::status::Status;
use crate::payments::store::{self, Order, Payment};
use crate::payments::{price, refund, tell};

/// What news did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// It was known.
    AlreadyDone,
    /// Money for an order that cannot take it: recorded, and on its way back.
    Surplus,
    /// It is not what we asked for: nothing moved, the operator is told.
    Mismatch,
    /// We know no such payment or refund: kept for the operator.
    UnknownPayment,
    /// Too late to matter.
    Ignored,
}

impl Applied {
    /// For the inbox.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "applied",
            Self::AlreadyDone => "already done",
            Self::Surplus => "surplus",
            Self::Mismatch => "mismatch",
            Self::UnknownPayment => "unknown",
            Self::Ignored => "ignored",
        }
    }
}

/// News, and the order that it was about.
pub type News = (Applied, Option<OrderId>);

/// "It was paid": captured once, then the order takes the money or it goes back.
pub async fn paid(tx: &Transaction<'_>, provider: &'static str, news: &PaidNews) -> Result<News> {
    let Some((order, payment)) = store::lock(tx, PaymentId(news.payment_id)).await? else {
        return Ok((Applied::UnknownPayment, None));
    };
    if payment.provider != provider {
        return Ok((Applied::UnknownPayment, Some(order.id)));
    }
    Ok((capture(tx, provider, &order, &payment, news).await?, Some(order.id)))
}

/// The same for rows that are already locked.
pub async fn capture(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &Order,
    payment: &Payment,
    news: &PaidNews,
) -> Result<Applied> {
    if let Some(difference) = difference(payment, news) {
        return mismatch(tx, provider, order, payment, &difference).await;
    }
    if !payment.captured.is_zero() {
        return Ok(Applied::AlreadyDone);
    }
    let actor = Actor::Provider(provider);
    let accepted = life::mark_paid(tx, order.id, actor, "payment received").await?
        || life::revive(tx, order.id, actor, "payment received late").await?;
    if accepted {
        take_its_price(tx, order, payment, actor).await?;
    }
    if !accepted {
        return send_back(tx, provider, order, payment, news, "payment received for an order that was closed or already paid")
            .await;
    }
    mark_captured(tx, payment, Status::Paid, news).await?;
    tell(tx, payment, Some(payment.status), Status::Paid, "payment received", actor).await?;
    if let Some(other) = store::find_live(tx, order.id).await? {
        jobs::push(tx, Job::VoidPayment { payment: other.id }).await?; // nobody must pay twice
    }
    Ok(Applied::Done)
}

/// Money that the provider's books have with another amount than was asked, or for nobody: it is recorded as what it is and
/// goes back by itself; the order waits on. News alone never come here: their amount is only believed once the books have it.
pub async fn capture_as_surplus(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &Order,
    payment: &Payment,
    news: &PaidNews,
) -> Result<Applied> {
    if !payment.captured.is_zero() || news.currency != payment.currency || news.amount <= Money::ZERO {
        return capture(tx, provider, order, payment, news).await;
    }
    send_back(tx, provider, order, payment, news, "paid with another amount than was asked").await
}

async fn send_back(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &Order,
    payment: &Payment,
    news: &PaidNews,
    reason: &str,
) -> Result<Applied> {
    mark_captured(tx, payment, Status::Surplus, news).await?;
    tell(tx, payment, Some(payment.status), Status::Surplus, reason, Actor::Provider(provider)).await?;
    if refund::insert(tx, payment, news.amount, reason, false, Actor::System).await?.is_none() {
        return Err(Error::Internal(format!("the surplus payment {} cannot be refunded", payment.id)));
    }
    let text = format!(
        "O pedido {} ({}, {}) recebeu o pagamento {} de {} centavos (pedidos: {}), que será devolvido.",
        order.number,
        order.status,
        order.payment_status,
        payment.id,
        news.amount.cents(),
        payment.amount.cents()
    );
    alerts::raise(tx, Alert::new(Key::Surplus(payment.id), text).about(order.id)).await?;
    Ok(Applied::Surplus)
}

/// The order's price is the one that the money was asked for, also where the buyer has changed the method since.
async fn take_its_price(tx: &impl GenericClient, order: &Order, payment: &Payment, actor: Actor) -> Result<()> {
    const METHOD: &str = "
        UPDATE orders SET payment_method = $2 WHERE id = $1 AND payment_method IS DISTINCT FROM $2";
    db::execute(tx, METHOD, &[&order.id, &payment.method]).await?;
    price::reprice(tx, order.clone(), Method::of(&payment.method), payment.method_discount, actor).await?;
    Ok(())
}

/// What of the news is not what we asked for, in words.
fn difference(payment: &Payment, news: &PaidNews) -> Option<String> {
    if news.amount != payment.amount {
        return Some(format!("amount {} instead of {}", news.amount.cents(), payment.amount.cents()));
    }
    if news.currency != payment.currency {
        return Some(format!("currency instead of {}", payment.currency));
    }
    if news.order_id.is_some_and(|id| id != payment.order_id.0) {
        return Some("another order".to_owned());
    }
    // Before the create call is answered we know no txid to compare with.
    if let (Some(theirs), Some(ours)) = (&news.txid, &payment.provider_ref)
        && theirs != ours
    {
        return Some("another txid".to_owned());
    }
    match (&news.end_to_end_id, &payment.end_to_end_id) {
        (Some(theirs), Some(ours)) if theirs != ours => Some("a second transfer".to_owned()),
        _ => None,
    }
}

/// Told once per payment and difference, however often it is looked at.
async fn mismatch(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &Order,
    payment: &Payment,
    difference: &str,
) -> Result<Applied> {
    const NOTE: &str = "
        UPDATE payments SET error = $2, checked_at = now(), updated_at = now() WHERE id = $1 AND error IS DISTINCT FROM $2";
    let why = format!("paid, but not as asked: {difference}");
    if db::execute(tx, NOTE, &[&payment.id, &why]).await? == 1 {
        tell(tx, payment, Some(payment.status), payment.status, &why, Actor::Provider(provider)).await?;
        let text = format!(
            "O pagamento {} do pedido {} não confere com a cobrança ({difference}). Nada foi baixado.",
            payment.id, order.number
        );
        alerts::raise(tx, Alert::new(Key::PaymentDiffers(payment.id), text).about(order.id)).await?;
        jobs::push_now(tx, Job::CheckPayment { payment: payment.id }).await?; // their books decide what really came
    } else {
        store::mark_checked(tx, payment.id).await?;
    }
    Ok(Applied::Mismatch)
}

async fn mark_captured(tx: &impl GenericClient, payment: &Payment, to: Status, news: &PaidNews) -> Result<()> {
    const CAPTURE: &str = "
        UPDATE payments
           SET status = $2, captured_cents = $6, paid_at = least(coalesce($3, now()), now()), error = NULL,
               end_to_end_id = coalesce(end_to_end_id, $4), provider_ref = coalesce(provider_ref, $5),
               checked_at = now(), updated_at = now()
         WHERE id = $1 AND captured_cents = 0";
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, kind, amount_cents, provider, provider_ref, cause)
        VALUES ($1, $2, 'capture', $3, $4, $5, $6)";
    db::execute(tx, CAPTURE, &[&payment.id, &to.as_str(), &news.paid_at, &news.end_to_end_id, &news.txid, &news.amount]).await?;
    let p = payment;
    let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
        &[&p.order_id, &p.id, &news.amount, &p.provider, &news.end_to_end_id, &cause::current()];
    db::execute(tx, ENTER, params).await?;
    Ok(())
}

/// The provider ended the charge. Paid beats expired: what was captured stays.
pub async fn ended(tx: &Transaction<'_>, provider: &'static str, id: PaymentId, to: Status) -> Result<News> {
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, payment)| payment.provider == provider) else {
        return Ok((Applied::UnknownPayment, None));
    };
    let to = if to == Status::Cancelled { payment.voided() } else { to };
    if !store::mark_ended(tx, id, to, None).await? {
        return Ok((Applied::Ignored, Some(order.id)));
    }
    tell(tx, &payment, Some(payment.status), to, "the provider says so", Actor::Provider(provider)).await?;
    Ok((Applied::Done, Some(order.id)))
}

/// The money went back.
pub async fn refund_done(tx: &Transaction<'_>, provider: &'static str, id: RefundId) -> Result<News> {
    refund::settle(tx, provider, id, refund::End::Done).await
}

/// The money did not go back.
pub async fn refund_failed(tx: &Transaction<'_>, provider: &'static str, id: RefundId) -> Result<News> {
    refund::settle(tx, provider, id, refund::End::Failed("the provider says that it failed")).await
}

/// A card was refused, or is being worked on by its bank: told in the order's story, and nothing else moves.
pub async fn noted(tx: &impl GenericClient, provider: &'static str, id: PaymentId, what: &str, is_refusal: bool) -> Result<News> {
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, payment)| payment.provider == provider) else {
        return Ok((Applied::UnknownPayment, None));
    };
    if !payment.status.is_live() {
        return Ok((Applied::Ignored, Some(order.id)));
    }
    if is_refusal {
        store::note_decline(tx, id, what).await?;
    }
    tell(tx, &payment, Some(payment.status), payment.status, what, Actor::Provider(provider)).await?;
    Ok((Applied::Done, Some(order.id)))
}

/// How much of a payment has not gone back, nor is on its way.
pub fn refundable(payment: &Payment) -> Money {
    payment.captured.checked_sub(payment.refunded).unwrap_or(Money::ZERO)
}

/// The order of a payment that was made with that provider.
pub async fn order_of(db: &impl GenericClient, provider: &str, id: PaymentId) -> Result<Option<OrderId>> {
    const FIND: &str = "SELECT order_id FROM payments WHERE id = $1 AND provider = $2";
    Ok(db::query_opt(db, FIND, &[&id, &provider]).await?.map(|row| row.get(0)))
}

/// The order of a refund that was made with that provider.
pub async fn order_of_refund(db: &impl GenericClient, provider: &str, id: RefundId) -> Result<Option<OrderId>> {
    const FIND: &str = "
        SELECT r.order_id FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = $1 AND p.provider = $2";
    Ok(db::query_opt(db, FIND, &[&id, &provider]).await?.map(|row| row.get(0)))
}

/// A contested PIX: the operator has days to answer, and the bank decides.
pub async fn disputed_pix(tx: &Transaction<'_>, provider: &'static str, id: Option<PaymentId>, text: &str) -> Result<News> {
    let known = match id {
        Some(id) => order_of(tx, provider, id).await?,
        None => None,
    };
    alerts::raise(tx, Alert::new(Key::PixDisputed { payment: id, text }, text).about(known)).await?;
    Ok((if known.is_some() { Applied::Done } else { Applied::UnknownPayment }, known))
}
