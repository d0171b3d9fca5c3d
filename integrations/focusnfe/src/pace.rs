//! Their allowance of calls a minute, kept on our side: emission, polling and files share it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// So many calls may go out at once after a rest; they count against the minute like all others.
const BURST: u32 = 10;

#[derive(Debug)]
pub(crate) struct Pace {
    /// Between two calls of a steady stream.
    gap: Duration,
    /// When the next call would go out if none could be early.
    next: Mutex<Instant>,
}

impl Pace {
    /// At least one a minute.
    pub(crate) fn new(calls_per_minute: u32) -> Self {
        Self { gap: Duration::from_secs(60) / calls_per_minute.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits for this call's turn, no longer than `limit`. `Err`: how long it would have been; then no turn was taken.
    pub(crate) async fn turn(&self, limit: Duration) -> Result<(), Duration> {
        let go = {
            let mut next = self.lock();
            let now = Instant::now();
            let due = (*next).max(now);
            let go = due.checked_sub(self.gap * (BURST - 1)).unwrap_or(now).max(now);
            if go - now > limit {
                return Err(go - now);
            }
            *next = due + self.gap;
            go
        };
        sleep_until(go).await;
        Ok(())
    }

    /// They say that nothing is left for so long.
    pub(crate) fn spent_for(&self, wait: Duration) {
        let mut next = self.lock();
        *next = (*next).max(Instant::now() + wait + self.gap * (BURST - 1));
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner) // one word, never half written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn no_minute_sees_more_than_the_allowance_and_the_burst() {
        let (pace, began) = (Pace::new(90), Instant::now());
        let mut times = Vec::new();
        while began.elapsed() < Duration::from_secs(180) {
            pace.turn(LIMIT).await.expect("in time");
            times.push(Instant::now());
        }
        assert_eq!(times[9], began, "ten at once");
        for (i, from) in times.iter().enumerate() {
            let in_a_minute = times[i..].iter().take_while(|at| **at - *from < Duration::from_secs(60)).count();
            assert!(in_a_minute <= 100, "{in_a_minute} calls in a minute");
        }
        assert!(times.len() > 270, "{} calls in three minutes", times.len());
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_hears_how_long_and_takes_nobodys_turn() {
        let pace = Pace::new(60);
        pace.spent_for(Duration::from_secs(20));
        for _ in 0..3 {
            assert_eq!(pace.turn(Duration::from_secs(5)).await, Err(Duration::from_secs(20)));
        }
        let began = Instant::now();
        pace.turn(LIMIT).await.expect("in time");
        assert_eq!(began.elapsed(), Duration::from_secs(20));
    }
}
