//! The money that a shop counts in.

use serde::Serialize;
use utoipa::ToSchema;

/// A currency, by ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Currency {
    /// The Brazilian real. Its amounts are integers of centavos.
    #[serde(rename = "BRL")]
    Brl,
}
