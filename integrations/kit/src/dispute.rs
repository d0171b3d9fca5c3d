//! Disputes, in the same words for cards and PIX: the payer's bank takes the money back, or asks before it does.

use jiff::Timestamp;
use uuid::Uuid;

use crate::refund::{Nature, RefundStatus, TheirRefund};
use crate::{Money, ProviderError};

/// A dispute as a provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's name for it, which never changes.
    pub reference: String,
    pub payment: Contested,
    /// The disputed amount. `None`: the provider does not say.
    pub amount: Option<Money>,
    /// In capitals, as in ISO 4217. `None`: they do not say.
    pub currency: Option<String>,
    pub stage: Stage,
    pub state: State,
    /// Their word for the state, for the operator.
    pub status: String,
    /// `fraudulent`, `Golpe`, …; may be empty.
    pub reason: String,
    pub opened_at: Option<Timestamp>,
    /// Until when evidence is taken. `None`: they do not say, or take none.
    pub due_by: Option<Timestamp>,
    /// Where evidence goes, if it can be sent.
    pub evidence_ref: Option<String>,
}

/// How a dispute names its payment. Each id is also a column of the payment's row; the first one that is given is the most
/// reliable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contested {
    /// Ours, where the provider says which charge of ours it was.
    pub payment_id: Option<Uuid>,
    /// Theirs: the PaymentIntent.
    pub provider_ref: Option<String>,
    /// Of the PIX (`E…`), or the charge of a card (`ch_…`).
    pub end_to_end_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The bank asks, and has taken nothing. It may be answered by a refund.
    Inquiry,
    /// The money is taken or held: a refund on top of it would pay twice.
    Contested,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits for the shop's answer.
    Open,
    /// It waits for the bank's.
    UnderReview,
    /// The money is the shop's.
    Won,
    /// The money is the buyer's. An appeal may still win it back.
    Lost,
    /// It ended without a decision, and nothing was taken by it.
    Closed,
    /// Their word for it ([`Dispute::status`]) does not tell where the money is: somebody must look.
    Unclear,
}

impl State {
    /// It has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::UnderReview)
    }
}

/// A piece of evidence for the shop: a file at an address that the provider can fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Ours: a repeat is known by it.
    pub id: Uuid,
    pub url: String,
    pub description: String,
}

impl Dispute {
    /// The error of a provider that cannot be sent any.
    pub fn takes_no_evidence(provider: &'static str) -> ProviderError {
        let message = "evidence cannot be sent to this provider".to_owned();
        ProviderError::Rejected { provider, code: "no_evidence".to_owned(), message }
    }

    /// The dispute of a return that the bank made itself (MED). The Pix API does not show it before that. If we do not know its
    /// nature, the dispute is unclear: somebody must look before more is refunded. `None`: the shop made the return, or the
    /// provider does not say who did.
    pub fn of_return(theirs: &TheirRefund, end_to_end_id: Option<&str>) -> Option<Self> {
        let (word, is_known) = match &theirs.nature {
            Nature::Med(med) => (med.as_str(), true),
            Nature::Other(word) => (word.as_str(), false),
            Nature::Original | Nature::Withdrawal | Nature::Unsaid => return None,
        };
        let state = match theirs.status {
            RefundStatus::Failed(_) => State::Closed,
            _ if !is_known => State::Unclear,
            RefundStatus::Processing => State::UnderReview,
            RefundStatus::Done => State::Lost,
            RefundStatus::Unclear => State::Unclear,
        };
        let said = theirs.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        Some(Self {
            reference: theirs.reference.clone(),
            payment: Contested { end_to_end_id: end_to_end_id.map(str::to_owned), ..Contested::default() },
            amount: Some(theirs.amount),
            currency: Some("BRL".to_owned()),
            stage: Stage::Contested,
            state,
            status: word.to_owned(),
            reason: format!("{word}{said}"),
            opened_at: None,
            due_by: None,
            evidence_ref: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refund::{Med, Nature, Retry};

    fn returned(nature: Nature, status: RefundStatus) -> TheirRefund {
        let (amount, said) = (Money::from_cents(500), Some("Golpe".to_owned()));
        TheirRefund { refund_id: None, reference: "D1".into(), status, amount, nature, said }
    }

    #[test]
    fn what_the_bank_took_back_is_a_lost_dispute() {
        let lost = Dispute::of_return(&returned(Nature::Med(Med::Fraud), RefundStatus::Done), Some("E1")).expect("a dispute");
        assert_eq!((lost.stage, lost.state, lost.amount), (Stage::Contested, State::Lost, Some(Money::from_cents(500))));
        assert_eq!((lost.reference.as_str(), lost.reason.as_str()), ("D1", "MED_FRAUDE: Golpe"));
        assert_eq!(lost.payment.end_to_end_id.as_deref(), Some("E1"));
        for (status, state) in [
            (RefundStatus::Processing, State::UnderReview),
            (RefundStatus::Failed(Retry::Unsaid), State::Closed),
            (RefundStatus::Unclear, State::Unclear),
        ] {
            let seen = Dispute::of_return(&returned(Nature::Med(Med::Operational), status), None).map(|dispute| dispute.state);
            assert_eq!(seen, Some(state));
        }
    }

    #[test]
    fn what_the_shop_gave_back_is_none_and_neither_is_what_has_no_word() {
        for nature in [Nature::Original, Nature::Withdrawal, Nature::Unsaid] {
            assert_eq!(Dispute::of_return(&returned(nature, RefundStatus::Done), None), None);
        }
    }

    #[test]
    fn a_return_of_unknown_nature_waits_for_a_person() {
        for (status, state) in [
            (RefundStatus::Done, State::Unclear),
            (RefundStatus::Processing, State::Unclear),
            (RefundStatus::Failed(Retry::Unsaid), State::Closed),
        ] {
            let seen = Dispute::of_return(&returned(Nature::Other("MED_NOVO".into()), status), None).expect("a dispute");
            assert_eq!((seen.state, seen.status.as_str(), seen.reason.as_str()), (state, "MED_NOVO", "MED_NOVO: Golpe"));
        }
    }
}
