//! What the tax authority wants to know: of a product, of a category, of the whole shop, and of each state; and what the law says on
//! a day. The catalog keeps it, the invoices are built of it.

pub mod cfop;
mod check_digits;
pub mod classifications;
pub mod codes;
pub mod data;
pub mod law;
pub mod ncm;
pub mod registration;
pub mod rules;
pub mod states;
mod table;

pub use data::TaxData;
pub use rules::TaxRules;
