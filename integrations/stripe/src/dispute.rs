//! Stripe's disputes, in the words of the kit.

use serde::Deserialize;
use serde_json::Value;
use vitrine_kit::Money;
use vitrine_kit::dispute::{Contested, Dispute, Stage, State};

use crate::wire::{self, Linked, Listed, WithId, lenient};

#[derive(Deserialize)]
pub(crate) struct Theirs {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    amount: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    currency: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    payment_intent: Option<Linked<WithId>>,
    #[serde(default, deserialize_with = "lenient")]
    charge: Option<Linked<WithId>>,
    #[serde(default, deserialize_with = "lenient")]
    evidence_details: Option<Evidence>,
    #[serde(default, deserialize_with = "lenient")]
    balance_transactions: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    created: Option<i64>,
}

#[derive(Deserialize)]
struct Evidence {
    due_by: Option<i64>,
}

impl Listed for Theirs {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Theirs {
    /// A word of theirs for an inquiry begins with `warning`: the bank asks, and no money has moved.
    fn stands(&self) -> (Stage, State) {
        match self.status.as_deref().unwrap_or_default() {
            "needs_response" => (Stage::Contested, State::Open),
            "under_review" => (Stage::Contested, State::UnderReview),
            "won" => (Stage::Contested, State::Won),
            "lost" => (Stage::Contested, State::Lost),
            "warning_needs_response" => (Stage::Inquiry, State::Open),
            "warning_under_review" => (Stage::Inquiry, State::UnderReview),
            // The latter is of API versions long gone: the charge was given back before there was a chargeback.
            "warning_closed" | "charge_refunded" => (Stage::Inquiry, State::Closed),
            // Settled before there was a chargeback, sometimes by giving the money back.
            "prevented" if self.moved_nothing() => (Stage::Inquiry, State::Closed),
            other if other.starts_with("warning") => (Stage::Inquiry, State::Unclear),
            _ => (Stage::Contested, State::Unclear),
        }
    }

    /// Stripe says that the dispute did not change the balance.
    fn moved_nothing(&self) -> bool {
        self.balance_transactions.as_ref().is_some_and(Vec::is_empty)
    }
}

impl From<Theirs> for Dispute {
    fn from(theirs: Theirs) -> Self {
        let (stage, state) = theirs.stands();
        // 0 where the bank takes no answer.
        let due_by = theirs.evidence_details.and_then(|details| details.due_by).filter(|second| *second > 0);
        Self {
            payment: Contested {
                payment_id: None,
                provider_ref: wire::linked(theirs.payment_intent.as_ref()),
                end_to_end_id: wire::linked(theirs.charge.as_ref()),
            },
            amount: theirs.amount.map(Money::from_cents),
            currency: theirs.currency.map(|currency| currency.to_ascii_uppercase()),
            stage,
            state,
            status: theirs.status.unwrap_or_default(),
            reason: theirs.reason.unwrap_or_default(),
            opened_at: wire::time(theirs.created),
            due_by: wire::time(due_by),
            evidence_ref: Some(theirs.id.clone()),
            reference: theirs.id,
        }
    }
}
