//! Contested payments: the payer's bank asks, holds the money or takes it, and the operator has days to answer.
//!
//! | file | what |
//! |---|---|
//! | `record` | what a provider says of a dispute, in any order and any number of times |
//! | `rank` | which of two words about one dispute is the later |
//! | `money` | what lost disputes took, in the ledger |
//! | `returned` | money that a bank took back by itself, from a provider's list of refunds |
//! | `settle` | an administrator ends one that the provider leaves unclear, or does not show any more |
//! | `watch` | disputes are read at the provider: after a hint, and every six hours |
//! | `alert` | what the operator is told |
//! | `http` | the list, settling, evidence |
//! | `store` | the row |

mod alert;
pub mod http;
mod money;
mod rank;
pub mod record;
mod returned;
mod settle;
mod store;
pub mod watch;

pub use self::money::follow_after_capture;
pub(in crate::payments) use self::returned::take_return;
