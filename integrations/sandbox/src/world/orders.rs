//! What a tester may ask for everywhere, and why it is not done.

use std::time::Duration;

use crate::books::ChargeStatus;

/// How a webhook travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendWebhook {
    #[default]
    Once,
    /// The same event two times, at the same moment.
    Twice,
    /// Never; the shop has to ask.
    Lost,
    /// Not before this has passed.
    Late(Duration),
}

/// Why the sandbox does not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    AlreadyPaid,
    /// Expired or cancelled; `force` pays it all the same.
    NotPayable(ChargeStatus),
    RefundExceedsPayment,
    /// The shop's account holds too little for the refund.
    NoBalance,
    Invalid(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => write!(f, "there is no such thing in the books"),
            Self::AlreadyPaid => write!(f, "the charge is already paid"),
            Self::NotPayable(status) => write!(f, "the charge is {}; force pays it all the same", status.name()),
            Self::RefundExceedsPayment => write!(f, "the refunds would exceed the payment"),
            Self::NoBalance => write!(f, "the account holds too little for the refund"),
            Self::Invalid(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for Refused {}
