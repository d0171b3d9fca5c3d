//! Refunds that take longer than a day: the operator is told once of each.

use deadpool_postgres::GenericClient;
use vitrine_kit::{Money, said};

use crate::alerts::{self, Alert, Key};
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::{OrderId, RefundId};
use crate::sale::states::RefundStatus;

/// Most rows per run. The next run comes in a minute.
const BATCH: i64 = 100;

/// Raises one alert for each refund that a provider has had in hand for more than a day, and one for each that it has not taken for so
/// long: it refuses it for now, or cannot be asked. One under a dispute waits for that. The caller commits.
pub async fn tell_of_late_refunds(tx: &impl GenericClient) -> Result<()> {
    const LATE: &str = sql!("
        WITH late AS (
            SELECT r.id FROM refunds r
              JOIN payments p ON p.id = r.payment_id
             CROSS JOIN LATERAL (SELECT CASE r.status WHEN 'waiting' THEN r.waits_since WHEN 'pending' THEN r.created_at ELSE r.in_hand_since END) s (since)
             WHERE r.status IN ", RefundStatus::OPEN_SQL, " AND s.since < now() - interval '24 hours'
               AND coalesce(r.late_told_at < s.since, true) AND (r.status <> 'pending' OR p.status <> 'disputed')
             ORDER BY r.id LIMIT $1 FOR NO KEY UPDATE OF r SKIP LOCKED)
        UPDATE refunds r SET late_told_at = now() FROM late, orders o, payments p
         WHERE r.id = late.id AND o.id = r.order_id AND p.id = r.payment_id
        RETURNING r.id, r.order_id, r.status, r.amount_cents, r.error, o.number, p.provider");
    // Rare, and never many.
    for row in &db::query(tx, LATE, &[&BATCH]).await? {
        let (id, order): (RefundId, OrderId) = (row.get("id"), row.get("order_id"));
        let (number, provider): (String, String) = (row.get("number"), row.get("provider"));
        let cents = row.get::<_, Money>("amount_cents").cents();
        let said = row
            .get::<_, Option<String>>("error")
            .map_or(String::new(), |error| format!(" Última resposta: {}.", said("", &error)));
        let alert = match row.try_get::<_, RefundStatus>("status")? {
            RefundStatus::Waiting => Alert::new(
                Key::RefundStillWaits(id),
                format!(
                    "A devolução {id} de {cents} centavos do pedido {number} espera há mais de um dia: {provider} não a faz.{said} \
                     Ponha saldo na conta; a loja tenta por sete dias, e POST /api/admin/refunds/{id}/retry tenta já."
                ),
            ),
            RefundStatus::Pending => Alert::new(
                Key::RefundSlow(id),
                format!(
                    "A devolução {id} de {cents} centavos do pedido {number} ainda não foi aceita por {provider}, há mais de um \
                     dia.{said} Veja se {provider} responde; a loja continua tentando."
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
