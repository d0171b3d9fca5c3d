//! What lost disputes took, in the ledger. A dispute's movements alternate: its odd steps take the money, its even ones bring it
//! back, and the table holds each step once.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::ids::{DisputeId, PaymentId};
use crate::jobs::{self, Job};
use crate::payments::store::{self, Payment};
use crate::payments::sums::{follow_the_sums, sums_of};
use crate::sale::states::DisputeState;

/// A dispute, and what it has taken so far.
struct Taken {
    id: DisputeId,
    state: DisputeState,
    amount: Option<Money>,
    cents: Money,
    steps: i16,
}

/// Brings the ledger to where the disputes of a locked payment stand, and the states of the payment and its order to the sums.
/// Repeating changes nothing. The caller commits.
pub(super) async fn follow(tx: &impl GenericClient, payment: PaymentId, reason: &str, actor: Actor) -> Result<()> {
    const LOST: &str = "UPDATE payments SET lost_cents = $2, updated_at = now() WHERE id = $1 AND lost_cents <> $2";
    let Some(payment) = store::find(tx, payment).await? else { return Ok(()) };
    if payment.captured.is_zero() {
        // That it was paid at all is news too. The ledger follows once its money is here.
        return jobs::push_now(tx, Job::CheckPayment { payment: payment.id }).await;
    }
    let disputes = list(tx, payment.id).await?;
    let mut lost = Money::sum(disputes.iter().map(|one| one.cents)).unwrap_or(Money::ZERO);
    // A payment has one dispute, and rarely two.
    for dispute in &disputes {
        let rest = left_to_take(tx, &payment, lost.checked_sub(dispute.cents).unwrap_or(Money::ZERO)).await?;
        let taken = move_money(tx, &payment, dispute, rest).await?;
        lost = lost.checked_sub(dispute.cents).and_then(|others| others.checked_add(taken)).unwrap_or(lost);
    }
    db::execute(tx, LOST, &[&payment.id, &lost]).await?;
    follow_the_sums(tx, &payment, reason, actor).await
}

/// The same for disputes that were told of before the payment's money came.
pub async fn follow_after_capture(tx: &impl GenericClient, payment: PaymentId, actor: Actor) -> Result<()> {
    follow(tx, payment, "it is disputed", actor).await
}

async fn list(tx: &impl GenericClient, payment: PaymentId) -> Result<Vec<Taken>> {
    const LIST: &str = "
        SELECT d.id, d.state, d.amount_cents, coalesce(m.taken, 0)::bigint AS taken_cents, coalesce(m.steps, 0)::smallint AS steps
          FROM disputes d
          LEFT JOIN (SELECT dispute_id, sum(CASE kind WHEN 'dispute_out' THEN amount_cents ELSE -amount_cents END) AS taken, max(dispute_step) AS steps
                       FROM money_movements WHERE dispute_id IN (SELECT id FROM disputes WHERE payment_id = $1) GROUP BY 1) m ON m.dispute_id = d.id
         WHERE d.payment_id = $1 ORDER BY d.id";
    let taken = |row: &tokio_postgres::Row| -> Result<Taken> {
        Ok(Taken {
            id: row.get("id"),
            state: row.try_get("state")?,
            amount: row.get("amount_cents"),
            cents: row.get("taken_cents"),
            steps: row.get("steps"),
        })
    };
    db::query(tx, LIST, &[&payment]).await?.iter().map(taken).collect()
}

/// What a dispute takes that names no amount: all that refunds and other disputes have left.
async fn left_to_take(tx: &impl GenericClient, payment: &Payment, lost_to_others: Money) -> Result<Money> {
    let (_, mut sums) = sums_of(tx, payment).await?;
    sums.lost = lost_to_others;
    Ok(sums.left())
}

/// What it has taken afterwards.
async fn move_money(tx: &impl GenericClient, payment: &Payment, dispute: &Taken, rest: Money) -> Result<Money> {
    const AMOUNT: &str = "UPDATE disputes SET amount_cents = $2 WHERE id = $1 AND amount_cents IS NULL";
    let wanted = match dispute.state {
        DisputeState::Lost => dispute.amount.unwrap_or(rest),
        _ => Money::ZERO,
    };
    if wanted == dispute.cents {
        return Ok(wanted);
    }
    let mut step = dispute.steps;
    if dispute.cents > Money::ZERO {
        step += 1;
        enter(tx, payment, dispute.id, "dispute_back", step, dispute.cents).await?;
    }
    if wanted > Money::ZERO {
        enter(tx, payment, dispute.id, "dispute_out", step + 1, wanted).await?;
        db::execute(tx, AMOUNT, &[&dispute.id, &wanted]).await?;
    }
    Ok(wanted)
}

async fn enter(
    tx: &impl GenericClient,
    payment: &Payment,
    dispute: DisputeId,
    kind: &str,
    step: i16,
    amount: Money,
) -> Result<()> {
    const ENTER: &str = "
        INSERT INTO money_movements (order_id, payment_id, dispute_id, dispute_step, kind, amount_cents, provider, provider_ref, cause)
        SELECT order_id, payment_id, id, $2, $3, $4, provider, provider_ref, $5 FROM disputes WHERE id = $1";
    let entered = db::execute(tx, ENTER, &[&dispute, &step, &kind, &amount, &cause::current()]).await?;
    tracing::info!(payment.id = %payment.id, kind, cents = amount.cents(), rows = entered, "money of a dispute moved");
    Ok(())
}
