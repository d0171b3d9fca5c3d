//! Refunds that take longer than a day: the operator is told once of each.

use deadpool_postgres::GenericClient;
use vitrine_kit::Money;

use crate::alerts::{self, Alert, Key};
use crate::db;
use crate::error::Result;
use crate::ids::{OrderId, RefundId};
use crate::sale::states::RefundStatus;

/// Most rows per run. The next run comes in a minute.
const BATCH: i64 = 100;

/// Raises one alert for each refund that a provider has had in hand for more than a day, and one for each that has waited for so long
/// to be taken. The caller commits.
pub async fn tell_of_late_refunds(tx: &impl GenericClient) -> Result<()> {
    const LATE: &str = "
        WITH late AS (
            SELECT r.id FROM refunds r
             WHERE r.status IN ('processing', 'unknown', 'waiting')
               AND CASE r.status WHEN 'waiting' THEN r.waits_since ELSE r.in_hand_since END < now() - interval '24 hours'
               AND coalesce(r.late_told_at < CASE r.status WHEN 'waiting' THEN r.waits_since ELSE r.in_hand_since END, true)
             ORDER BY r.id LIMIT $1 FOR NO KEY UPDATE OF r SKIP LOCKED)
        UPDATE refunds r SET late_told_at = now() FROM late, orders o, payments p
         WHERE r.id = late.id AND o.id = r.order_id AND p.id = r.payment_id
        RETURNING r.id, r.order_id, r.status, r.amount_cents, r.error, o.number, p.provider";
    // Rare, and never many.
    for row in &db::query(tx, LATE, &[&BATCH]).await? {
        let (id, order): (RefundId, OrderId) = (row.get("id"), row.get("order_id"));
        let (number, provider): (String, String) = (row.get("number"), row.get("provider"));
        let cents = row.get::<_, Money>("amount_cents").cents();
        let said = row.get::<_, Option<String>>("error").map_or(String::new(), |error| format!(" Última resposta: {error}."));
        let alert = match row.try_get::<_, RefundStatus>("status")? {
            RefundStatus::Waiting => Alert::new(
                Key::RefundStillWaits(id),
                format!(
                    "A devolução {id} de {cents} centavos do pedido {number} espera há mais de um dia: {provider} não a faz.{said} \
                     Ponha saldo na conta; a loja tenta por sete dias, e POST /api/admin/refunds/{id}/retry tenta já."
                ),
            ),
            _ => Alert::new(
                Key::RefundSlow(id),
                format!(
                    "A devolução {id} de {cents} centavos do pedido {number} está com {provider} há mais de um dia, sem fim.{said} \
                     Confira no painel do provedor."
                ),
            ),
        };
        alerts::raise(tx, alert.about(order)).await?;
    }
    Ok(())
}
