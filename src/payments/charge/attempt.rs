//! A charge that a provider is about to be asked for.

use jiff::SignedDuration;
use vitrine_kit::pix::NewCharge;

use crate::payments::store::Payment;

/// When a job checks a new charge for the first time.
pub const FIRST_CHECK: SignedDuration = SignedDuration::from_secs(60);

/// A charge to be asked for, under a row that is committed.
#[derive(Debug)]
pub struct Attempt {
    pub payment: Payment,
    pub charge: NewCharge,
}

/// What the provider shows of an order.
pub fn description(number: &str) -> String {
    format!("Pedido {number}")
}
