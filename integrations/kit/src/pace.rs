//! A provider's allowance of calls, kept on our side: all calls of a client share it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Whoever gives out turns to call a provider.
#[async_trait]
pub trait Turns: Send + Sync + std::fmt::Debug {
    /// Waits for a turn, no longer than `limit`. `Err`: how long it would have been; then no turn was taken.
    async fn turn(&self, limit: Duration) -> Result<(), Duration>;
}

#[async_trait]
impl Turns for Pace {
    async fn turn(&self, limit: Duration) -> Result<(), Duration> {
        Self::turn(self, limit).await
    }
}

/// An even stream of calls, of which some may be early after a rest.
#[derive(Debug)]
pub struct Pace {
    /// Between two calls of a steady stream.
    gap: Duration,
    /// So many calls may go out at once after a rest; they count against the allowance like all others.
    burst: u32,
    /// When the next call would go out if none could be early.
    next: Mutex<Instant>,
    /// Those who wait for a spare turn, one behind the other.
    queue: sync::Mutex<()>,
}

impl Pace {
    /// At most `calls` in any span of `per`: a steady stream of what is left of them without the `burst`.
    pub fn new(calls: u32, per: Duration, burst: u32) -> Self {
        let burst = burst.clamp(1, calls.saturating_sub(1).max(1));
        let steady = calls.saturating_sub(burst).max(1);
        Self { gap: per / steady, burst, next: Mutex::new(Instant::now()), queue: sync::Mutex::new(()) }
    }

    /// Waits for this call's turn, no longer than `limit`. `Err`: how long it would have been; then no turn was taken.
    pub async fn turn(&self, limit: Duration) -> Result<(), Duration> {
        let go = {
            let mut next = self.lock();
            let now = Instant::now();
            let due = (*next).max(now);
            let go = due.checked_sub(self.early()).unwrap_or(now).max(now);
            if go - now > limit {
                return Err(go - now);
            }
            *next = due + self.gap;
            go
        };
        sleep_until(go).await;
        Ok(())
    }

    /// The same for what nobody waits for: it goes when no [`turn`](Self::turn) is ahead of its time, and never delays one by more
    /// than its own gap.
    pub async fn spare_turn(&self, limit: Duration) -> Result<(), Duration> {
        let until = Instant::now() + limit;
        let Ok(_first) = timeout_at(until, self.queue.lock()).await else { return Err(limit) };
        while let Some(free_at) = self.take_if_free() {
            if free_at > until {
                return Err(free_at.saturating_duration_since(Instant::now()));
            }
            sleep_until(free_at).await;
        }
        Ok(())
    }

    /// `None`: taken. Else when it may be free.
    fn take_if_free(&self) -> Option<Instant> {
        let mut next = self.lock();
        let now = Instant::now();
        if *next > now {
            return Some(*next);
        }
        *next = now + self.gap;
        None
    }

    /// They say that nothing is left for so long.
    pub fn spent_for(&self, wait: Duration) {
        let mut next = self.lock();
        *next = (*next).max(Instant::now() + wait + self.early());
    }

    fn early(&self) -> Duration {
        self.gap * (self.burst - 1)
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner) // one word, never half written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    /// The most calls in any span of that length.
    fn most_within(times: &[Instant], span: Duration) -> usize {
        let within = |(i, from): (usize, &Instant)| times[i..].iter().take_while(|at| **at - *from < span).count();
        times.iter().enumerate().map(within).max().unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn no_span_sees_more_than_the_allowance() {
        for (calls, per, burst) in [(100, MINUTE, 10), (10, SECOND, 4), (2, SECOND, 1), (1, SECOND, 9)] {
            let (pace, began) = (Pace::new(calls, per, burst), Instant::now());
            let mut times = Vec::new();
            while began.elapsed() < per * 3 {
                pace.turn(LIMIT).await.expect("in time");
                times.push(Instant::now());
            }
            let early = times.iter().filter(|at| **at == began).count();
            assert_eq!(early, burst.min((calls - 1).max(1)) as usize, "at once");
            let most = most_within(&times, per);
            assert!(most <= calls as usize, "{most} calls of {calls}");
            assert!(times.len() as u32 > calls.saturating_sub(burst) * 3, "{} calls", times.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_hears_how_long_and_takes_nobodys_turn() {
        let pace = Pace::new(70, MINUTE, 10);
        pace.spent_for(Duration::from_secs(20));
        for _ in 0..3 {
            assert_eq!(pace.turn(Duration::from_secs(5)).await, Err(Duration::from_secs(20)));
        }
        let began = Instant::now();
        pace.turn(LIMIT).await.expect("in time");
        assert_eq!(began.elapsed(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_spare_turns_is_passed_by_who_does_not() {
        let (pace, began) = (Pace::new(10, SECOND, 4), Instant::now());
        let now = async {
            let mut times = Vec::new();
            for n in 0..8 {
                sleep_until(began + Duration::from_millis(500 * n)).await;
                let asked = Instant::now();
                pace.turn(LIMIT).await.expect("in time");
                assert_eq!(asked.elapsed(), Duration::ZERO, "call {n} waits for nobody");
                times.push(asked);
            }
            times
        };
        let (one, other, now) = tokio::join!(spare(&pace, 12), spare(&pace, 20), now);
        let mut all = [one, other, now].concat();
        all.sort();
        assert_eq!(all.len(), 40);
        assert!(most_within(&all, SECOND) <= 10, "{}", most_within(&all, SECOND));
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}: the stream is used", began.elapsed());
    }

    /// When so many spare turns came, one after the other.
    async fn spare(pace: &Pace, count: usize) -> Vec<Instant> {
        let mut times = Vec::new();
        for _ in 0..count {
            pace.spare_turn(LIMIT).await.expect("in time");
            times.push(Instant::now());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_spare_turn_that_does_not_come_in_time_is_not_taken() {
        let pace = Pace::new(10, SECOND, 4);
        pace.spent_for(Duration::from_secs(20));
        let (one, other) = tokio::join!(pace.spare_turn(SECOND), pace.spare_turn(SECOND));
        assert!(one.is_err() && other.is_err());
        assert_eq!(pace.turn(Duration::from_secs(21)).await, Ok(()));
    }
}
