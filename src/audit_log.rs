//! Who did what in the shop's administration: one row per change, before and after, in the change's own transaction.

use deadpool_postgres::GenericClient;
use serde_json::Value;
use strum::{IntoStaticStr, VariantNames};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::cause::{self, Actor};
use crate::db;
use crate::error::Result;
use crate::words::schema_of;

/// What was done, as `thing.verb`. A word that is not written any more stays here: the table keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
pub enum Action {
    #[strum(serialize = "alert.acknowledge")]
    AlertAcknowledge,
    #[strum(serialize = "category.create")]
    CategoryCreate,
    #[strum(serialize = "category.delete")]
    CategoryDelete,
    #[strum(serialize = "category.update")]
    CategoryUpdate,
    #[strum(serialize = "coupon.create")]
    CouponCreate,
    #[strum(serialize = "coupon.deactivate")]
    CouponDeactivate,
    #[strum(serialize = "coupon.delete")]
    CouponDelete,
    #[strum(serialize = "coupon.update")]
    CouponUpdate,
    #[strum(serialize = "dispute.evidence")]
    DisputeEvidence,
    #[strum(serialize = "dispute.settle")]
    DisputeSettle,
    #[strum(serialize = "guest.erase")]
    GuestErase,
    #[strum(serialize = "guest.export")]
    GuestExport,
    #[strum(serialize = "invoice.accountant")]
    InvoiceAccountant,
    #[strum(serialize = "invoice.cancel")]
    InvoiceCancel,
    #[strum(serialize = "invoice.correct")]
    InvoiceCorrect,
    #[strum(serialize = "invoice.issue")]
    InvoiceIssue,
    #[strum(serialize = "invoice.retry")]
    InvoiceRetry,
    #[strum(serialize = "job.retry")]
    JobRetry,
    #[strum(serialize = "job.retry_all")]
    JobRetryAll,
    #[strum(serialize = "message.retry")]
    MessageRetry,
    #[strum(serialize = "order.label")]
    OrderLabel,
    #[strum(serialize = "order.mend")]
    OrderMend,
    #[strum(serialize = "order.resume")]
    OrderResume,
    #[strum(serialize = "order.ship_while_refunded")]
    OrderShipWhileRefunded,
    #[strum(serialize = "product.create")]
    ProductCreate,
    #[strum(serialize = "product.delete")]
    ProductDelete,
    #[strum(serialize = "product.import")]
    ProductImport,
    #[strum(serialize = "product.stock")]
    ProductStock,
    #[strum(serialize = "product.update")]
    ProductUpdate,
    #[strum(serialize = "reconciliation.compare")]
    ReconciliationCompare,
    #[strum(serialize = "refund.retry")]
    RefundRetry,
    #[strum(serialize = "refund.settle")]
    RefundSettle,
    #[strum(serialize = "settings.company")]
    SettingsCompany,
    #[strum(serialize = "settings.invoices")]
    SettingsInvoices,
    #[strum(serialize = "settings.order_limits")]
    SettingsOrderLimits,
    #[strum(serialize = "settings.payment_methods")]
    SettingsPaymentMethods,
    #[strum(serialize = "settings.search")]
    SettingsSearch,
    #[strum(serialize = "settings.shipping")]
    SettingsShipping,
    #[strum(serialize = "settings.stock")]
    SettingsStock,
    #[strum(serialize = "settings.taxes")]
    SettingsTaxes,
    #[strum(serialize = "user.block")]
    UserBlock,
    #[strum(serialize = "user.role")]
    UserRole,
    #[strum(serialize = "user.unblock")]
    UserUnblock,
    #[strum(serialize = "webhook.replay")]
    WebhookReplay,
}

impl PartialSchema for Action {
    fn schema() -> RefOr<Schema> {
        schema_of("What was done.", Self::VARIANTS.iter().copied())
    }
}

impl ToSchema for Action {
    fn name() -> std::borrow::Cow<'static, str> {
        "AuditAction".into()
    }
}

/// Writes the row. `before` and `after` hold what changed and never a CPF or CNPJ,
/// a password or a token: the table only grows, so nothing can be taken out again.
pub async fn record(
    tx: &impl GenericClient,
    actor: Actor,
    action: Action,
    entity_id: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    const RECORD: &str = "INSERT INTO audit_log (actor, action, entity_id, before, after, cause) VALUES ($1, $2, $3, $4, $5, $6)";
    let (actor, cause, action): (_, _, &str) = (actor.to_string(), cause::current(), action.into());
    db::execute(tx, RECORD, &[&actor, &action, &entity_id, &before, &after, &cause]).await?;
    Ok(())
}
