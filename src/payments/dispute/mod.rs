//! Contested payments: the buyer's bank asks for the money back, and the operator has days to answer.

use deadpool_postgres::{GenericClient, Transaction};
use jiff::Timestamp;
use vitrine_kit::Money;
use vitrine_kit::dispute::State;

use crate::alerts::{self, Alert, Key};
use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::PaymentId;
use crate::payments::effect::{Applied, Effect};
use crate::payments::history::record_payment;
use crate::payments::refund::reserve::refund_all;
use crate::payments::refund::settle::{mark_refunded, returned};
use crate::payments::store::{self, Payment};
use crate::sale::history::{Change, record_change};
use crate::sale::locks::LockedOrder;
use crate::sale::off::{queue_jobs_after_change, sale_is_off};
use crate::sale::states::{OrderStatus, PaymentStatus};

/// A dispute as the provider tells of it.
#[derive(Debug)]
pub struct Dispute<'a> {
    /// Their id of it.
    pub reference: &'a str,
    pub amount: Money,
    pub reason: &'a str,
    /// Their word for how far it is.
    pub status: &'a str,
    /// Until when evidence is taken.
    pub due_by: Option<Timestamp>,
}

/// Where the money of a closed dispute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeEnd {
    /// With the shop: it was given back, or never taken.
    Won,
    /// With the buyer.
    Lost,
    /// They do not say, or in a word that we do not know: somebody must look.
    Unclear,
}

/// The money is contested: no refund goes out meanwhile, and the operator is told. The caller commits.
pub async fn record_opened(
    tx: &impl GenericClient,
    provider: &'static str,
    id: PaymentId,
    dispute: &Dispute<'_>,
) -> Result<Effect> {
    const MARK: &str = "
        UPDATE payments SET dispute_ref = $2, dispute_state = 'open', updated_at = now(),
               status = CASE WHEN status IN ('paid', 'partially_refunded') THEN 'disputed' ELSE status END
         WHERE id = $1 AND dispute_ref IS DISTINCT FROM $2";
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok(Effect::of(Applied::UnknownPayment));
    };
    if db::execute(tx, MARK, &[&id, &dispute.reference]).await? == 0 {
        return Ok(Effect::on(order.id, Applied::AlreadyDone)); // also when its end was told before its beginning
    }
    record_dispute(tx, provider, &payment, None, "open", dispute.reason).await?;
    if matches!(payment.status, PaymentStatus::Paid | PaymentStatus::PartiallyRefunded) {
        record_payment(
            tx,
            &payment,
            Some(payment.status),
            PaymentStatus::Disputed,
            "contested by the payer's bank",
            Actor::Provider(provider),
        )
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
    let key = Key::DisputeOpened { reference: dispute.reference };
    alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
    Ok(Effect::on(order.id, Applied::Done))
}

/// The bank has decided. Lost: the money is gone, and the ledger says so; an appeal may bring it back. Where it is not said who
/// has won nothing moves, and the operator is asked to look. The caller commits.
pub async fn record_closed(
    tx: &impl GenericClient,
    provider: &'static str,
    id: PaymentId,
    dispute: &Dispute<'_>,
    end: DisputeEnd,
) -> Result<Effect> {
    const MARK: &str = "
        WITH before AS (SELECT id, CASE WHEN dispute_ref = $2 THEN dispute_state END AS state FROM payments WHERE id = $1)
        UPDATE payments p SET dispute_ref = $2, dispute_state = $3, updated_at = now() FROM before b
         WHERE p.id = b.id AND (b.state IS NULL OR b.state = 'open' OR (b.state = 'lost' AND $3 = 'won'))
        RETURNING b.state";
    let Some((order, payment)) = store::lock(tx, id).await?.filter(|(_, p)| p.provider == provider) else {
        return Ok(Effect::of(Applied::UnknownPayment));
    };
    let (state, word) = match end {
        DisputeEnd::Won => ("won", "ganha"),
        DisputeEnd::Lost => ("lost", "perdida"),
        DisputeEnd::Unclear => return unclear(tx, &order, dispute).await,
    };
    let Some(row) = db::query_opt(tx, MARK, &[&id, &dispute.reference, &state]).await? else {
        return Ok(Effect::on(order.id, Applied::AlreadyDone));
    };
    let from: Option<String> = row.get("state");
    record_dispute(tx, provider, &payment, from.as_deref(), state, dispute.reason).await?;
    let was_off = sale_is_off(tx, order.id).await?;
    if end == DisputeEnd::Won {
        won(tx, provider, &order, &payment, dispute).await?;
    } else {
        lost(tx, provider, &payment, dispute).await?;
    }
    queue_jobs_after_change(tx, order.id, was_off).await?;
    let key = Key::DisputeClosed { reference: dispute.reference, is_lost: end == DisputeEnd::Lost };
    let text = format!("A disputa {} do pedido {} terminou: {word}.", dispute.reference, order.number);
    alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
    Ok(Effect::on(order.id, Applied::Done))
}

async fn unclear(tx: &impl GenericClient, order: &LockedOrder, dispute: &Dispute<'_>) -> Result<Effect> {
    let text = format!(
        "A disputa {} do pedido {} terminou, e o provedor não diz para quem (\"{}\"). Nada foi movido: confira no painel dele.",
        dispute.reference, order.number, dispute.status
    );
    let key = Key::DisputeUnclear { reference: dispute.reference };
    alerts::raise(tx, Alert::new(key, text).about(order.id)).await?;
    Ok(Effect::on(order.id, Applied::Mismatch))
}

/// The money is the shop's again, and the buyer's where the order was cancelled meanwhile: nothing could be refunded then.
async fn won(
    tx: &impl GenericClient,
    provider: &'static str,
    order: &LockedOrder,
    payment: &Payment,
    dispute: &Dispute<'_>,
) -> Result<()> {
    let is_gone = bring_back(tx, payment, dispute).await?;
    if payment.status == PaymentStatus::Disputed || (payment.status == PaymentStatus::ChargedBack && !is_gone) {
        let to = PaymentStatus::Paid.after_refunds(payment.captured, returned(tx, payment).await?);
        mark_refunded(tx, payment, to, "dispute won", Actor::Provider(provider)).await?;
    }
    if order.status == OrderStatus::Cancelled {
        refund_all(tx, order.id, Actor::Provider(provider), "the dispute of a cancelled order was won").await?;
    }
    Ok(())
}

/// What that dispute took, if it was lost at first. `true`: another one still has some of the payment's money.
async fn bring_back(tx: &impl GenericClient, payment: &Payment, dispute: &Dispute<'_>) -> Result<bool> {
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, kind, amount_cents, provider, provider_ref, cause)
        SELECT order_id, payment_id, 'dispute_back', sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END)::bigint,
               provider, provider_ref, $3
          FROM money_movements WHERE order_id = $4 AND payment_id = $1 AND provider_ref = $2 AND kind IN ('dispute_out', 'dispute_back')
         GROUP BY order_id, payment_id, provider, provider_ref
        HAVING sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) > 0";
    const IS_GONE: &str = "
        SELECT coalesce(sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END), 0) > 0 AS is_gone
          FROM money_movements WHERE order_id = $2 AND payment_id = $1 AND kind IN ('dispute_out', 'dispute_back')";
    db::execute(tx, ENTER, &[&payment.id, &dispute.reference, &cause::current(), &payment.order_id]).await?;
    Ok(db::query_one(tx, IS_GONE, &[&payment.id, &payment.order_id]).await?.get("is_gone"))
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
    if matches!(p.status, PaymentStatus::Disputed | PaymentStatus::Paid | PaymentStatus::PartiallyRefunded) {
        mark_refunded(tx, p, PaymentStatus::ChargedBack, "dispute lost", Actor::Provider(provider)).await?;
    }
    Ok(())
}

async fn record_dispute(
    tx: &impl GenericClient,
    provider: &'static str,
    payment: &Payment,
    from: Option<&str>,
    to: &str,
    reason: &str,
) -> Result<()> {
    let change =
        Change { subject: "dispute", subject_id: Some(payment.id.0), from, to, reason, actor: Actor::Provider(provider) };
    record_change(tx, payment.order_id, &change).await
}

/// A contested PIX: the operator has days to answer, and the bank decides.
pub async fn record_pix_dispute(
    tx: &Transaction<'_>,
    provider: &'static str,
    dispute: &vitrine_kit::dispute::Dispute,
) -> Result<Effect> {
    let what = match dispute.state {
        State::Open => "foi aberta",
        State::UnderReview => "está em análise",
        State::Lost => "foi aceita: o valor volta ao pagador",
        State::Won => "foi rejeitada: o valor fica com a loja",
        State::Closed => "foi cancelada",
        State::Unclear => "mudou",
    };
    let known = [
        dispute.amount.map(|amount| format!("valor {amount}")),
        Some(&dispute.reason).filter(|reason| !reason.is_empty()).map(|reason| format!("motivo \"{reason}\"")),
        dispute.payment.end_to_end_id.as_ref().map(|id| format!("endToEndId {id}")),
        dispute.evidence_ref.as_ref().map(|id| format!("disputa {id}")),
        Some(format!("situação {}", dispute.status)),
    ];
    let known: Vec<String> = known.into_iter().flatten().collect();
    let text = format!(
        "Uma contestação (MED) em {provider} {what}: {}. Confira e responda no painel do provedor, dentro do prazo.",
        known.join(", ")
    );
    let key = Key::PixDisputed { payment: None, text: &text };
    alerts::raise(tx, Alert::new(key, text.clone())).await?;
    Ok(Effect::of(Applied::UnknownPayment))
}
