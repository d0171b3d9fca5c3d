//! What the shop wants of its invoices: `/api/admin/settings/invoices`.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// How invoices and sales go together. Only where a provider of invoices is configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"unready_products": "refuse"}))]
pub struct InvoiceSettings {
    /// What the checkout does with a product that could not be invoiced, as `GET /api/admin/invoices/readiness` names them.
    #[garde(skip)]
    #[serde(default)]
    pub unready_products: UnreadyProducts,
}

/// What the checkout does with a product that could not be invoiced: `sell`, the invoice waits for the missing data and the
/// parcel for the invoice, and the operator is alerted; `refuse`, the order is refused with 409 `product-not-ready`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnreadyProducts {
    /// Sells it, and alerts the operator: the invoice waits for the missing data, and the parcel for the invoice.
    #[default]
    Sell,
    /// Refuses the order: 409 `product-not-ready`.
    Refuse,
}

impl InvoiceSettings {
    /// The defaults where nothing is set.
    pub fn read(value: Value) -> Self {
        serde_json::from_value(value).unwrap_or_default()
    }
}
