//! A refund as clients see it.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::currency::Currency;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::sale::states::RefundStatus;

/// A refund as clients see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefundView {
    /// The refund.
    pub refund_id: RefundId,
    /// The payment that it is of.
    pub payment_id: PaymentId,
    /// The amount in centavos.
    #[schema(value_type = i64, minimum = 0, example = 5990)]
    pub amount_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    #[schema(value_type = Currency)]
    pub currency: String,
    /// How far it is.
    pub status: RefundStatus,
    /// Why the money went back.
    #[schema(example = "Defeito na costura")]
    pub reason: String,
    /// Whether all goods that were left went back on the shelf with it.
    pub restock: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When an administrator recorded that the shop paid it another way (a bank transfer), because the provider did not make
    /// it; null: it was not.
    #[schema(required = true)]
    pub paid_otherwise_at: Option<Timestamp>,
    /// An administrator's, from recording it. Only for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Conferido no extrato")]
    pub note: Option<String>,
}

impl RefundView {
    /// What a buyer may see of it.
    pub fn shown(self, for_admin: bool) -> Self {
        Self { note: self.note.filter(|_| for_admin), ..self }
    }
}

/// What [`view_of`] reads.
const VIEW: &str = "
    SELECT r.id, r.payment_id, r.amount_cents, p.currency, r.status, r.reason, r.restock, r.created_at, r.paid_otherwise_at, r.note
      FROM refunds r JOIN payments p ON p.id = r.payment_id ";

/// One refund.
pub async fn find_view(db: &impl GenericClient, id: RefundId) -> Result<RefundView> {
    const FIND: &str = sql!(VIEW, "WHERE r.id = $1");
    view_of(&db::query_one(db, FIND, &[&id]).await?)
}

/// An order's refunds, the oldest first.
pub async fn list_of_order(db: &impl GenericClient, order: OrderId) -> Result<Vec<RefundView>> {
    const LIST: &str = sql!(VIEW, "WHERE r.order_id = $1 ORDER BY r.id");
    db::query(db, LIST, &[&order]).await?.iter().map(view_of).collect()
}

fn view_of(row: &tokio_postgres::Row) -> Result<RefundView> {
    Ok(RefundView {
        refund_id: row.get("id"),
        payment_id: row.get("payment_id"),
        amount_cents: row.get("amount_cents"),
        currency: row.get("currency"),
        status: row.try_get("status")?,
        reason: row.get("reason"),
        restock: row.get("restock"),
        created_at: row.get("created_at"),
        paid_otherwise_at: row.get("paid_otherwise_at"),
        note: row.get("note"),
    })
}
