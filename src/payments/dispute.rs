//! Contested payments: the buyer's bank asks for the money back, and the operator has days to answer.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::Money;

use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::PaymentId;
use crate::orders::life::{self, Change};
use crate::payments::apply::{Applied, News};
use crate::payments::refund::{mark_refunded, returned};
use crate::payments::status::Status;
use crate::payments::store::{self, Payment};
use crate::payments::{alert, tell};

/// A dispute as the provider tells of it.
#[derive(Debug)]
pub struct Dispute<'a> {
    /// Their id of it.
    pub reference: &'a str,
    pub amount: Money,
    pub reason: &'a str,
    /// Until when evidence is taken.
    pub due_by: Option<Timestamp>,
}

/// The money is contested: no refund goes out meanwhile, and the operator is told. The caller commits.
pub async fn opened(tx: &impl GenericClient, provider: &'static str, id: PaymentId, dispute: &Dispute<'_>) -> Result<News> {
    const MARK: &str = "
        UPDATE payments SET dispute_ref = $2, dispute_state = 'open', updated_at = now(),
               status = CASE WHEN status IN ('paid', 'partially_refunded') THEN 'disputed' ELSE status END
         WHERE id = $1 AND dispute_ref IS DISTINCT FROM $2";
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok((Applied::UnknownPayment, None));
    };
    if db::execute(tx, MARK, &[&id, &dispute.reference]).await? == 0 {
        return Ok((Applied::AlreadyDone, Some(order.id))); // also when its end was told before its beginning
    }
    tell_dispute(tx, provider, &payment, None, "open", dispute.reason).await?;
    if matches!(payment.status, Status::Paid | Status::PartiallyRefunded) {
        tell(tx, &payment, Some(payment.status), Status::Disputed, "contested by the payer's bank", Actor::Provider(provider))
            .await?;
    }
    let until = dispute.due_by.map_or_else(|| "veja no painel do provedor".to_owned(), |at| format!("{at:.0}"));
    let text = format!(
        "O pagamento {id} do pedido {} foi contestado ({}): {} centavos. Disputa {}. Prazo para responder: {until}.",
        order.number,
        dispute.reason,
        dispute.amount.cents(),
        dispute.reference
    );
    alert(tx, "Pagamento contestado", text).await?;
    Ok((Applied::Done, Some(order.id)))
}

/// The bank has decided. Lost: the money is gone, and the ledger says so. The caller commits.
pub async fn closed(
    tx: &impl GenericClient,
    provider: &'static str,
    id: PaymentId,
    dispute: &Dispute<'_>,
    is_won: bool,
) -> Result<News> {
    const MARK: &str = "
        UPDATE payments SET dispute_ref = $2, dispute_state = $3, updated_at = now()
         WHERE id = $1 AND (dispute_ref IS DISTINCT FROM $2 OR dispute_state = 'open')";
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok((Applied::UnknownPayment, None));
    };
    let state = if is_won { "won" } else { "lost" };
    if db::execute(tx, MARK, &[&id, &dispute.reference, &state]).await? == 0 {
        return Ok((Applied::AlreadyDone, Some(order.id)));
    }
    tell_dispute(tx, provider, &payment, Some("open"), state, dispute.reason).await?;
    if is_won {
        won(tx, provider, &payment).await?;
    } else {
        lost(tx, provider, &payment, dispute).await?;
    }
    let text = format!(
        "A disputa {} do pedido {} terminou: {}.",
        dispute.reference,
        order.number,
        if is_won { "ganha" } else { "perdida" }
    );
    alert(tx, "Disputa encerrada", text).await?;
    Ok((Applied::Done, Some(order.id)))
}

async fn won(tx: &impl GenericClient, provider: &'static str, payment: &Payment) -> Result<()> {
    if payment.status != Status::Disputed {
        return Ok(());
    }
    let to = Status::Paid.after_refunds(payment.captured, returned(tx, payment).await?);
    mark_refunded(tx, payment, to, "dispute won", Actor::Provider(provider)).await
}

async fn lost(tx: &impl GenericClient, provider: &'static str, payment: &Payment, dispute: &Dispute<'_>) -> Result<()> {
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, kind, amount_cents, provider, provider_ref, cause)
        VALUES ($1, $2, 'dispute_out', $3, $4, $5, $6)";
    let p = payment;
    let gone: Money = dispute.amount;
    if p.captured.is_zero() || gone <= Money::ZERO {
        return Ok(());
    }
    db::execute(tx, ENTER, &[&p.order_id, &p.id, &gone, &p.provider, &dispute.reference, &cause::current()]).await?;
    if matches!(p.status, Status::Disputed | Status::Paid | Status::PartiallyRefunded) {
        mark_refunded(tx, p, Status::ChargedBack, "dispute lost", Actor::Provider(provider)).await?;
    }
    Ok(())
}

async fn tell_dispute(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: &Payment,
    from: Option<&str>,
    to: &str,
    reason: &str,
) -> Result<()> {
    let change =
        Change { subject: "dispute", subject_id: Some(payment.id.0), from, to, reason, actor: Actor::Provider(provider) };
    life::tell(tx, payment.order_id, &change).await
}
