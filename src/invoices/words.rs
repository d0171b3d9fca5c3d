//! Words of invoices that answers show as the tables hold them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an invoice is for: a `sale`, or a `return`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoicePurpose)]
pub enum Purpose {
    Sale,
    Return,
}

/// Where invoices are sent: `homologacao` (a test, of no fiscal value) or `producao`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FiscalEnvironment)]
pub enum Environment {
    Homologacao,
    Producao,
}

/// How far a carta de correção is: `pending`, `accepted` or `refused`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionStatus {
    Pending,
    Accepted,
    Refused,
}
