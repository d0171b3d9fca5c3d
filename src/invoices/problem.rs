//! What stands between an order and its invoice, by the name of the field that has to be mended.

use serde::Serialize;
use utoipa::ToSchema;

/// Something that an invoice lacks, said in Portuguese: it is for whoever runs the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InvoiceProblem)]
pub struct Problem {
    /// What lacks it: `company.cnpj`, `items[0].ncm`, `buyer.address.city`.
    #[schema(example = "items[0].ncm")]
    pub field: String,
    /// What is wrong.
    #[schema(example = "O NCM deve ter 8 dígitos")]
    pub message: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// In one text, as it stands in the invoice's `message`.
pub fn in_words(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect::<Vec<_>>().join("; ")
}
