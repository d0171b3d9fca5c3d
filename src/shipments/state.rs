//! The states of a label and the steps between them. Reports may come late, early or twice: a label only moves forward.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_melhorenvio::LabelStatus;

/// The state of a label: `shipments.status`. `pending` (not yet asked for), `carted` (in the provider's cart, not paid), `released`
/// (paid), `generated` (it can be printed), `posted`, `undelivered`, `delivered`, `cancelled` or `expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ShipmentStatus)]
pub enum State {
    /// The row is there; the provider may not know of it yet.
    Pending,
    /// In the provider's cart, not paid.
    Carted,
    /// Paid.
    Released,
    /// Generated: it can be printed.
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

    /// Reads a word of the table, which holds only these.
    pub fn read(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(Self::Pending)
    }

    /// Our state for a status of the provider's. `None`: that status changes nothing here.
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

    /// Neither given back nor expired: its volume needs no other label.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Expired)
    }

    /// The carrier has or had the parcel.
    pub fn has_left(self) -> bool {
        matches!(self, Self::Posted | Self::Undelivered | Self::Delivered)
    }

    /// Whether it may move to that state. It only moves forward: a parcel with the carrier is not cancelled, a label that was
    /// given back is not posted.
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
    fn a_word_is_read_as_the_state_that_writes_it() {
        for state in State::ALL {
            assert_eq!(State::read(state.as_str()), state);
        }
    }

    #[test]
    fn an_ended_label_does_not_move_and_one_with_the_carrier_is_not_given_back() {
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
        /// In whatever order reports come, a parcel that was delivered ends as delivered.
        #[test]
        fn delivered_beats_posted_in_any_order(order in Just(vec![2_usize, 3, 4, 5, 6]).prop_shuffle()) {
            let news = order.into_iter().map(|at| State::ALL[at]);
            let end = news.fold(State::Carted, |now, next| if now.may_become(next) { next } else { now });
            prop_assert_eq!(end, State::Delivered);
        }
    }
}
