//! A refund that was refused for now waits, and is tried again. It keeps its reserve: its money cannot be refunded twice, and the sale
//! stays off.

use jiff::Timestamp;
use vitrine_kit::refund::{Obstacle, Retry};

use super::keys;
use super::open::Open;
use super::schedule::{jitter, next_try};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::cause::Actor;
use crate::db::{self, sql};
use crate::error::Result;
use crate::jobs::Outcome;
use crate::payments::history::record_refund;
use crate::payments::store;
use crate::sale::states::RefundStatus;

/// A refusal after which another try can help.
pub(super) struct Refusal<'a> {
    /// Their words.
    pub said: &'a str,
    pub retry: Retry,
    /// They made it under the present key, and it failed there.
    pub is_key_used_up: bool,
}

/// Makes a refund wait for its next try. `None`: it has been tried for long enough.
pub(super) async fn wait(app: &App, refund: &Open, why: &Refusal<'_>) -> Result<Option<Outcome>> {
    const WAIT: &str = sql!("
        WITH before AS (
            SELECT status, waits_since FROM refunds
             WHERE id = $1 AND key = $2 AND status IN ", RefundStatus::OPEN_SQL, " FOR NO KEY UPDATE)
        UPDATE refunds r SET status = 'waiting', waits_since = coalesce(r.waits_since, now()), in_hand_since = NULL, error = $3, updated_at = now()
          FROM before b WHERE r.id = $1
        RETURNING b.status, b.waits_since IS NULL AS is_first, r.waits_since");
    let now = Timestamp::now();
    let Some(next) = next_try(refund.waits_since.unwrap_or(now), now, jitter()) else { return Ok(None) };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some((order, _)) = store::lock(&tx, refund.payment_id).await? else { return Ok(Some(Outcome::Done)) };
    let Some(row) = db::query_opt(&tx, WAIT, &[&refund.id, &refund.key, &why.said]).await? else {
        return Ok(Some(Outcome::Done)); // somebody told its end meanwhile
    };
    if why.is_key_used_up {
        keys::take_another(&tx, refund.id).await?;
    }
    let from: RefundStatus = row.try_get("status")?;
    if from != RefundStatus::Waiting {
        record_refund(&tx, order.id, refund.id, Some(from), RefundStatus::Waiting, why.said, Actor::System).await?;
    }
    if row.get("is_first") {
        let text = format!(
            "{} não fez a devolução {} de {} centavos do pedido {}: {} ({}). A loja tenta outra vez sozinha, por sete dias; até lá o \
             valor fica reservado e nada é enviado.",
            refund.provider,
            refund.id,
            refund.amount.cents(),
            order.number,
            in_words(why.retry),
            why.said
        );
        alerts::raise(&tx, Alert::new(Key::RefundWaits(refund.id), text).about(order.id)).await?;
    }
    tx.commit().await?;
    Ok(Some(Outcome::Again(next)))
}

fn in_words(retry: Retry) -> &'static str {
    match retry {
        Retry::Later(Obstacle::Balance) => "falta saldo na conta",
        Retry::Later(Obstacle::Limit) => "um limite da conta foi atingido",
        Retry::Later(Obstacle::Hours) => "fora do horário",
        Retry::Later(Obstacle::TheirSide) => "algo do lado deles não respondeu",
        Retry::Never | Retry::Unsaid => "não dizem por quê",
    }
}
