//! The floor below payments, invoices, shipments and orders: what all of them must agree on about one sale.
//!
//! | file | what |
//! |---|---|
//! | `states` | the states of an order, its money, a payment and a refund, as enums |
//! | `sums` | what the ledger says of one payment, and the states that follow from it |
//! | `outcome` | what an event of a provider did, as an enum |
//! | `transitions` | the one table of steps between them |
//! | `table` | that table as SQL and as Markdown |
//! | `locks` | the one order of locks, and each lock spelled once |
//! | `history` | the rows that tell every change of an order |
//! | `life` | the steps: paid, revived, ended, shipped, delivered, returned |
//! | `stock`, `coupon_use` | what an order holds, given back and taken again |
//! | `goods`, `returned` | goods that come back, and what follows from the sums of all that came back |
//! | `off` | whether the sale is off, and the jobs that follow a change of that |
//! | `named` | which order an address names: by id or by number |
//! | `viewer` | as whom somebody looks at an order |
//! | `seen` | the order of an address with its viewer, known before a body is judged |
//! | `address` | where it goes |

pub mod address;
mod coupon_use;
pub mod goods;
pub mod history;
pub mod life;
pub mod locks;
pub mod named;
pub mod off;
pub mod outcome;
pub mod returned;
pub mod seen;
pub mod states;
pub mod stock;
pub mod sums;
pub mod table;
pub mod transitions;
pub mod viewer;
