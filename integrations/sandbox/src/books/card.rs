//! What only a card payment has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a payment stands that is neither paid nor cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardStage {
    /// Waits for a card, the first or another one.
    #[default]
    Waiting,
    /// The holder must confirm at the bank (3-D Secure).
    Action,
    /// The bank has not decided.
    Processing,
}

/// Why a card was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    pub code: String,
    pub decline_code: Option<String>,
    pub message: String,
}

impl Decline {
    /// From what the tester calls it: Stripe's error code, or the bank's reason behind `card_declined`.
    pub(crate) fn of(name: &str) -> Self {
        let own = ["expired_card", "incorrect_cvc", "incorrect_number", "processing_error", "authentication_required"];
        let (code, decline_code) = match name {
            "" | "card_declined" => ("card_declined", Some("generic_decline")),
            "payment_intent_authentication_failure" => (name, None),
            name if own.contains(&name) => (name, Some(name).filter(|name| *name == "authentication_required")),
            bank => ("card_declined", Some(bank)),
        };
        let message = match decline_code {
            Some("insufficient_funds") => "Your card has insufficient funds.",
            _ => "Your card was declined.",
        };
        Self { code: code.to_owned(), decline_code: decline_code.map(str::to_owned), message: message.to_owned() }
    }
}

/// What only a card payment has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub currency: String,
    pub stage: CardStage,
    /// The last attempt, whatever became of it.
    pub charge_id: Option<String>,
    pub decline: Option<Decline>,
    pub cancellation_reason: Option<String>,
    pub metadata: BTreeMap<String, String>,
}
