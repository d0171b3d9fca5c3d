//! The provider takes five calls a second from all of us; one process makes at most four.

use std::collections::VecDeque;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use vitrine_kit::pace::Turns;

const PER_SECOND: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

/// When the last calls went out. Four may go at once; the fifth waits until the first is a second old.
#[derive(Debug)]
pub struct Pace {
    sent: Mutex<VecDeque<Instant>>,
    /// The provider's quota is spent until then, as far as this process was told.
    spent_until: StdMutex<Option<Instant>>,
}

impl Pace {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { sent: Mutex::new(VecDeque::with_capacity(PER_SECOND)), spent_until: StdMutex::new(None) }
    }

    /// Waits for a turn, first come, first served.
    pub async fn turn(&self) {
        let mut sent = self.sent.lock().await; // held while waiting: that is the queue
        if sent.len() == PER_SECOND
            && let Some(oldest) = sent.front()
        {
            sleep_until(*oldest + SECOND).await; // whoever gives up here has taken nothing
            sent.pop_front();
        }
        sent.push_back(Instant::now());
    }

    /// Takes a turn if one is free and nobody waits for it.
    pub fn try_turn(&self) -> bool {
        let Ok(mut sent) = self.sent.try_lock() else { return false };
        if sent.len() == PER_SECOND {
            if sent.front().is_none_or(|oldest| oldest.elapsed() < SECOND) {
                return false;
            }
            sent.pop_front();
        }
        sent.push_back(Instant::now());
        true
    }

    /// The provider says that the quota is spent for so long.
    pub fn quota_is_spent(&self, for_s: u64) {
        let until = Instant::now() + Duration::from_secs(for_s);
        let mut spent = self.spent_until.lock().unwrap_or_else(PoisonError::into_inner);
        *spent = (*spent).max(Some(until));
    }

    /// Whether the quota is spent, or has been until so short a time ago that customers' mails may still wait for it.
    pub fn customers_need_the_quota(&self, catch_up: Duration) -> bool {
        let spent = *self.spent_until.lock().unwrap_or_else(PoisonError::into_inner);
        spent.is_some_and(|until| Instant::now() < until + catch_up)
    }
}

/// For a mail's quick repeats: they are calls like all others.
#[async_trait]
impl Turns for Pace {
    async fn turn(&self, limit: Duration) -> Result<(), Duration> {
        timeout(limit, Self::turn(self)).await.map_err(|_| SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_free_only_where_none_is_waited_for() {
        let pace = Pace::new();
        assert_eq!([(); 5].map(|()| pace.try_turn()), [true, true, true, true, false]);
        tokio::join!(pace.turn(), async { assert!(!pace.try_turn(), "somebody waits for the next one") });
        assert_eq!([(); 4].map(|()| pace.try_turn()), [true, true, true, false], "one went to whoever waited");
    }

    #[tokio::test]
    async fn no_second_has_more_than_four_turns() {
        let pace = Pace::new();
        let mut turns = Vec::new();
        for _ in 0..6 {
            let asked = Instant::now();
            pace.turn().await;
            turns.push((asked, Instant::now()));
        }
        for window in turns.windows(PER_SECOND + 1) {
            assert!(window[PER_SECOND].1 - window[0].0 >= SECOND, "{window:?}");
        }
    }
}
