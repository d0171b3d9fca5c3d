//! How far a label is, and from where to where it may go. News come late, early and twice: they only ever move it on.

use vitrine_melhorenvio::LabelStatus;

/// The word in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Wanted; the provider may not know of it yet.
    Pending,
    /// In the provider's cart, not paid.
    Carted,
    /// Paid.
    Released,
    /// Made: it can be printed.
    Generated,
    Posted,
    Undelivered,
    Delivered,
    Cancelled,
    Expired,
}

impl State {
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Carted,
        Self::Released,
        Self::Generated,
        Self::Posted,
        Self::Undelivered,
        Self::Delivered,
        Self::Cancelled,
        Self::Expired,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Carted => "carted",
            Self::Released => "released",
            Self::Generated => "generated",
            Self::Posted => "posted",
            Self::Undelivered => "undelivered",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Only our own words stand in the table.
    pub fn read(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(Self::Pending)
    }

    /// Where a label of the provider's stands. `None`: a state that moves nothing.
    pub fn of(status: LabelStatus) -> Option<Self> {
        Some(match status {
            LabelStatus::Pending => Self::Carted,
            LabelStatus::Released => Self::Released,
            LabelStatus::Generated => Self::Generated,
            LabelStatus::Posted => Self::Posted,
            LabelStatus::Undelivered => Self::Undelivered,
            LabelStatus::Delivered => Self::Delivered,
            LabelStatus::Canceled => Self::Cancelled,
            LabelStatus::Expired => Self::Expired,
            LabelStatus::Suspended | LabelStatus::Other => return None,
        })
    }

    /// The label is paid, and its money is not back.
    pub fn is_bought(self) -> bool {
        !matches!(self, Self::Pending | Self::Carted | Self::Cancelled | Self::Expired)
    }

    /// Neither given back nor too old: it stands for its volume.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Expired)
    }

    /// The carrier has it, or had it.
    pub fn has_left(self) -> bool {
        matches!(self, Self::Posted | Self::Undelivered | Self::Delivered)
    }

    /// On, and never back: what is with the carrier is not cancelled, what was given back is not posted.
    pub fn may_become(self, next: Self) -> bool {
        match next {
            Self::Cancelled | Self::Expired => self.is_live() && !self.has_left(),
            _ => self.is_live() && next.rank() > self.rank(),
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Carted => 1,
            Self::Released => 2,
            Self::Generated => 3,
            Self::Posted => 4,
            Self::Undelivered => 5,
            Self::Delivered => 6,
            Self::Cancelled | Self::Expired => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_word_reads_back() {
        for state in State::ALL {
            assert_eq!(State::read(state.as_str()), state);
        }
    }

    #[test]
    fn what_has_ended_stays_so_and_what_left_is_not_given_back() {
        for next in State::ALL {
            for ended in [State::Delivered, State::Cancelled, State::Expired] {
                assert!(!ended.may_become(next), "{ended:?} → {next:?}");
            }
        }
        for gone in [State::Posted, State::Undelivered] {
            assert!(!gone.may_become(State::Cancelled) && !gone.may_become(State::Expired));
        }
        assert!(State::Undelivered.may_become(State::Delivered) && !State::Undelivered.may_become(State::Posted));
    }

    proptest! {
        /// Whatever order news come in, a parcel that was delivered ends delivered.
        #[test]
        fn delivered_beats_posted_in_any_order(order in Just(vec![2_usize, 3, 4, 5, 6]).prop_shuffle()) {
            let news = order.into_iter().map(|at| State::ALL[at]);
            let end = news.fold(State::Carted, |now, next| if now.may_become(next) { next } else { now });
            prop_assert_eq!(end, State::Delivered);
        }
    }
}
