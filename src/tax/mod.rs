//! What the tax authority wants to know: of a product, of a category, of the whole shop, and of each state. The catalog keeps it,
//! the invoices are built of it.

pub mod data;
pub mod states;

pub use data::{TaxData, TaxRules};
