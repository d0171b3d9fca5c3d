//! The states of a captured payment and of its order follow the sums of the ledger: what came, what went back, what disputes took.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::alerts::{self, Alert, Key};
use crate::cause::Actor;
use crate::db;
use crate::error::Result;
use crate::payments::history::record_payment;
use crate::payments::store::Payment;
use crate::sale::life;
use crate::sale::states::{OrderPaymentStatus, PaymentStatus};
use crate::sale::sums::Sums;

/// What became of a payment's money, by the ledger.
pub async fn sums_of(db: &impl GenericClient, payment: &Payment) -> Result<(PaymentStatus, Sums)> {
    const SUMS: &str = "
        SELECT p.status, p.captured_cents, p.lost_cents, p.is_surplus,
               coalesce((SELECT sum(CASE m.kind WHEN 'refund_back' THEN -m.amount_cents ELSE m.amount_cents END) FROM money_movements m
                          WHERE m.order_id = p.order_id AND m.payment_id = p.id AND m.refund_id IS NOT NULL), 0)::bigint AS refunded_cents,
               EXISTS (SELECT FROM disputes d WHERE d.payment_id = p.id AND d.stage = 'contested'
                          AND d.state IN ('open', 'under_review', 'unclear')) AS is_contested
          FROM payments p WHERE p.id = $1";
    let row = db::query_one(db, SUMS, &[&payment.id]).await?;
    let sums = Sums {
        captured: row.get("captured_cents"),
        refunded: row.get("refunded_cents"),
        lost: row.get("lost_cents"),
        is_contested: row.get("is_contested"),
        is_surplus: row.get("is_surplus"),
    };
    Ok((row.try_get("status")?, sums))
}

/// Brings a locked payment and its order to the states that the sums give. Whoever changed a sum calls this. The caller commits.
pub async fn follow_the_sums(tx: &impl GenericClient, payment: &Payment, reason: &str, actor: Actor) -> Result<()> {
    const MARK: &str = "UPDATE payments SET status = $2, updated_at = now() WHERE id = $1";
    let (from, sums) = sums_of(tx, payment).await?;
    if sums.captured.is_zero() {
        return Ok(());
    }
    let to = PaymentStatus::of_sums(&sums);
    if from != to {
        db::execute(tx, MARK, &[&payment.id, &to]).await?;
        record_payment(tx, payment, Some(from), to, reason, actor).await?;
    }
    if is_given_back_twice(&sums) {
        let text = format!(
            "Do pagamento {} entraram {} centavos; {} foram devolvidos e {} o banco do pagador tomou: é mais do que entrou. \
             Confira no painel do provedor e conteste o que foi pago duas vezes.",
            payment.id,
            sums.captured.cents(),
            sums.refunded.cents(),
            sums.lost.cents()
        );
        alerts::raise(tx, Alert::new(Key::PaidBackTwice(payment.id), text).about(payment.order_id)).await?;
    }
    if sums.is_surplus {
        return Ok(()); // it was never the order's
    }
    life::follow_the_money(tx, payment.order_id, OrderPaymentStatus::of_sums(&sums), reason, actor).await
}

/// The shop refunded it, and the payer's bank took it as well.
fn is_given_back_twice(sums: &Sums) -> bool {
    !sums.lost.is_zero() && Money::sum([sums.refunded, sums.lost]).is_none_or(|gone| gone > sums.captured)
}
