//! A provider's access token: asked for once for all calls, and renewed before it expires.

use std::ops::Deref;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ProviderError;

/// A longer lifetime is taken for a mistake.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The present token.
#[derive(Debug)]
pub struct Tokens<T> {
    /// Locked while a token is asked for, so that all other calls wait for that one answer.
    kept: Mutex<Kept<T>>,
}

/// The shared token.
#[derive(Debug, Clone)]
pub struct Token<T> {
    given: T,
    got_at: Instant,
    renew_at: Instant,
}

#[derive(Debug)]
struct Kept<T> {
    token: Option<Token<T>>,
    failure: Option<(Instant, ProviderError)>,
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self { kept: Mutex::new(Kept { token: None, failure: None }) }
    }
}

impl<T> Token<T> {
    pub fn got_at(&self) -> Instant {
        self.got_at
    }
}

impl<T> Deref for Token<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.given
    }
}

impl<T: Clone> Tokens<T> {
    /// The present token, or a new one from `ask`, which returns it with its lifetime. It is used for nine tenths of that.
    /// Errors: those of `ask`; the call that needs the token was then not sent.
    pub async fn get(&self, ask: impl Future<Output = Result<(T, Duration), ProviderError>>) -> Result<Token<T>, ProviderError> {
        let came = Instant::now();
        let mut kept = self.kept.lock().await;
        if let Some(token) = &kept.token
            && (Instant::now() < token.renew_at || token.got_at >= came)
        {
            return Ok(token.clone());
        }
        // Calls that waited during a failed try get its error. Otherwise each of them would ask in turn.
        if let Some((at, error)) = &kept.failure
            && *at >= came
        {
            return Err(error.clone());
        }
        let asked_at = Instant::now();
        match ask.await {
            Ok((given, life)) => {
                let renew_at = asked_at + life.min(LONGEST_LIFE) * 9 / 10;
                Ok(kept.token.insert(Token { given, got_at: Instant::now(), renew_at }).clone())
            }
            Err(error) => {
                kept.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The provider no longer accepts this token. A newer one is kept.
    pub async fn forget(&self, refused: &Token<T>) {
        let mut kept = self.kept.lock().await;
        kept.token.take_if(|token| token.got_at == refused.got_at);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    /// How long the office takes.
    const HOLD_UP: Duration = Duration::from_millis(10);

    /// Counts how often it is asked.
    #[derive(Default)]
    struct Office(AtomicU64);

    impl Office {
        async fn give(&self, life: Duration) -> Result<(u64, Duration), ProviderError> {
            tokio::time::sleep(HOLD_UP).await;
            Ok((self.0.fetch_add(1, Ordering::Relaxed) + 1, life))
        }

        async fn refuse(&self) -> Result<(u64, Duration), ProviderError> {
            tokio::time::sleep(HOLD_UP).await;
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(ProviderError::Unavailable { provider: "office", reason: "closed".into(), retry_after_s: None })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_for_nine_tenths_of_its_life_and_never_longer_than_a_day() {
        for (life, holds) in [(HOUR, 3240), (Duration::ZERO, 0), (HOUR * 1000, 77_760)] {
            let (tokens, office) = (Tokens::default(), Office::default());
            let asked_at = Instant::now();
            let first = *tokens.get(office.give(life)).await.expect("a token");
            if holds > 0 {
                tokio::time::sleep_until(asked_at + Duration::from_millis(holds * 1000 - 1)).await;
                assert_eq!(*tokens.get(office.give(life)).await.expect("a token"), first);
            }
            tokio::time::sleep_until(asked_at + Duration::from_secs(holds).max(HOLD_UP * 2)).await;
            assert_eq!(*tokens.get(office.give(life)).await.expect("a token"), first + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_shares_the_answer_and_the_failure() {
        let (tokens, office) = (Tokens::default(), Office::default());
        let (one, other) = tokio::join!(tokens.get(office.refuse()), tokens.get(office.refuse()));
        assert_eq!((one.is_err(), other.is_err(), office.0.load(Ordering::Relaxed)), (true, true, 1));
        tokio::time::advance(HOLD_UP).await;
        let (one, other) = tokio::join!(tokens.get(office.give(Duration::ZERO)), tokens.get(office.give(Duration::ZERO)));
        assert_eq!((*one.expect("a token"), *other.expect("a token")), (2, 2), "even one that lives no time");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_came_since_is_not_forgotten() {
        let (tokens, office) = (Tokens::default(), Office::default());
        let first = tokens.get(office.give(HOUR)).await.expect("a token");
        tokens.forget(&first).await;
        let second = tokens.get(office.give(HOUR)).await.expect("a token");
        tokens.forget(&first).await;
        assert_eq!(*tokens.get(office.give(HOUR)).await.expect("a token"), *second);
    }
}
