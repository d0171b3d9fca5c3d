//! Which of two words about one dispute is the later. Webhooks come in any order and more than once, so what is known only moves
//! forward by them. The provider's books may move it back, if they were read after the last move.

use jiff::Timestamp;

use super::store::Dispute;
use crate::sale::states::{DisputeStage, DisputeState};

/// Where a word about a dispute comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A webhook. It may be late.
    News,
    /// The provider's books, read after this moment of the database's clock.
    Books { asked_at: Timestamp },
}

/// What follows from a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It stands there now.
    Move,
    /// It stood there before.
    Same,
    /// The word is older than what is known, or says nothing certain about what has ended.
    Stay,
    /// It goes against what is known: the provider is asked.
    Ask,
}

/// What to do with a word. `None` is not known: any word is news.
pub(super) fn step(known: Option<&Dispute>, stage: DisputeStage, state: DisputeState, source: Source) -> Step {
    let Some(known) = known else { return Step::Move };
    if !known.state.is_open() && (state == DisputeState::Unclear || (known.is_settled_by_hand() && state.is_open())) {
        return Step::Stay; // only a verdict overrules an end, and what an administrator said
    }
    let (was, is) = (rank(known.stage, known.state), rank(stage, state));
    match source {
        _ if is == was => Step::Same,
        _ if is > was => Step::Move,
        Source::Books { asked_at } if known.moved_at < asked_at => Step::Move,
        Source::Books { .. } => Step::Stay,
        Source::News => Step::Ask,
    }
}

/// The order in which a dispute moves: an inquiry before the dispute that it may become, then the ends. Of the ends an appeal turns
/// `lost` into `won`.
fn rank(stage: DisputeStage, state: DisputeState) -> u8 {
    let contested = if stage == DisputeStage::Contested { 3 } else { 0 };
    match state {
        DisputeState::Open => contested,
        DisputeState::UnderReview => contested + 1,
        DisputeState::Unclear => contested + 2,
        DisputeState::Closed => 6,
        DisputeState::Lost => 7,
        DisputeState::Won => 8,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{DisputeId, PaymentId};

    fn known(stage: DisputeStage, state: DisputeState, closed_by: Option<&str>) -> Dispute {
        Dispute {
            id: DisputeId::new(),
            payment_id: PaymentId::new(),
            provider: "stripe".into(),
            reference: "dp_1".into(),
            stage,
            state,
            amount: None,
            reason: String::new(),
            due_by: None,
            evidence_ref: None,
            moved_at: Timestamp::UNIX_EPOCH,
            is_stuck: false,
            closed_by: closed_by.map(str::to_owned),
        }
    }

    /// Where a dispute stands after these words, of which none is asked about.
    fn after(words: &[(DisputeStage, DisputeState)]) -> (DisputeStage, DisputeState) {
        let (stage, state) = words[0];
        let mut at = known(stage, state, None);
        for (stage, state) in &words[1..] {
            if step(Some(&at), *stage, *state, Source::News) == Step::Move {
                (at.stage, at.state) = (*stage, *state);
            }
        }
        (at.stage, at.state)
    }

    const LIFE: [(DisputeStage, DisputeState); 6] = [
        (DisputeStage::Inquiry, DisputeState::Open),
        (DisputeStage::Inquiry, DisputeState::UnderReview),
        (DisputeStage::Contested, DisputeState::Open),
        (DisputeStage::Contested, DisputeState::UnderReview),
        (DisputeStage::Contested, DisputeState::Lost),
        (DisputeStage::Contested, DisputeState::Won),
    ];

    proptest! {
        /// The words of one dispute's life, in any order and with any repeats, leave it where the last of them has it.
        #[test]
        fn order_and_repeats_of_news_do_not_matter(
            lived in 1_usize..7, order in Just((0_usize..6).collect::<Vec<_>>()).prop_shuffle(), repeats in prop::collection::vec(0_usize..6, 0..10)
        ) {
            let words: Vec<_> = order.iter().chain(&repeats).filter(|at| **at < lived).map(|at| LIFE[*at]).collect();
            prop_assert_eq!(after(&words), LIFE[lived - 1]);
        }
    }

    #[test]
    fn books_that_were_read_later_may_move_it_back_and_news_only_make_us_ask() {
        let closed = known(DisputeStage::Inquiry, DisputeState::Closed, Some("provider:stripe"));
        let opened = (DisputeStage::Contested, DisputeState::Open);
        let books = |seconds| Source::Books { asked_at: closed.moved_at + SignedDuration::from_secs(seconds) };
        assert_eq!(step(Some(&closed), opened.0, opened.1, Source::News), Step::Ask);
        assert_eq!(step(Some(&closed), opened.0, opened.1, books(1)), Step::Move);
        assert_eq!(step(Some(&closed), opened.0, opened.1, books(-1)), Step::Stay, "they were read before it ended");
    }

    #[test]
    fn what_an_administrator_settled_is_only_overruled_by_a_verdict() {
        let by_hand = known(DisputeStage::Contested, DisputeState::Lost, Some("admin:x"));
        let books = Source::Books { asked_at: by_hand.moved_at + SignedDuration::from_secs(1) };
        for state in [DisputeState::Open, DisputeState::UnderReview, DisputeState::Unclear] {
            assert_eq!(step(Some(&by_hand), DisputeStage::Contested, state, books), Step::Stay, "{state}");
        }
        assert_eq!(step(Some(&by_hand), DisputeStage::Contested, DisputeState::Won, books), Step::Move);
        assert_eq!(step(Some(&by_hand), DisputeStage::Contested, DisputeState::Closed, books), Step::Move);
        let by_them = known(DisputeStage::Contested, DisputeState::Lost, Some("provider:stripe"));
        assert_eq!(step(Some(&by_them), DisputeStage::Contested, DisputeState::Unclear, books), Step::Stay);
    }
}
