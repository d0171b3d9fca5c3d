//! Protection against guessing: after too many misses no more guesses are taken for a while, right or wrong. Coupon codes are counted by
//! address, passwords by account (see `auth/attempts.rs`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;

use crate::error::{Error, Result};

/// Misses with coupon codes that one address may have per window.
const COUPON_MISSES: usize = 5;
const COUPON_WINDOW: Duration = Duration::from_secs(60);
/// Most keys that are remembered; it bounds memory.
const KEYS: u64 = 100_000;

/// Misses per key, in this process. Right guesses do not count. A window begins with a key's first guess.
#[derive(Debug, Clone)]
pub struct Guesses<K: Hash + Eq + Send + Sync + 'static> {
    tries: Cache<K, Arc<Mutex<Tries>>>,
    misses: usize,
    window: Duration,
}

/// Of one key.
#[derive(Debug, Default)]
struct Tries {
    misses: usize,
    /// Guesses that are being looked up, and by how many requests: many people behind one address may use the same code at once.
    open: HashMap<String, usize>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Guesses<K> {
    pub fn new(misses: usize, window: Duration) -> Self {
        Self { tries: Cache::builder().max_capacity(KEYS).time_to_live(window).build(), misses, window }
    }

    /// For coupon codes.
    pub fn of_coupons() -> Self {
        Self::new(COUPON_MISSES, COUPON_WINDOW)
    }

    /// Counts a guess before it is looked up, so that many at once are not each the first. Take a right one back with
    /// [`Guess::was_right`].
    pub async fn begin(&self, key: K, code: &str) -> Result<Guess> {
        let tries = self.tries.get_with(key, async { Arc::default() }).await;
        {
            let mut now = locked(&tries);
            let others = now.open.keys().filter(|open| *open != code).count();
            if now.misses + others >= self.misses {
                return Err(Error::TooMany { retry_after_s: self.window.as_secs() });
            }
            *now.open.entry(code.to_owned()).or_default() += 1;
        }
        Ok(Guess { tries, code: code.to_owned(), is_right: false })
    }
}

fn locked(tries: &Mutex<Tries>) -> MutexGuard<'_, Tries> {
    tries.lock().unwrap_or_else(PoisonError::into_inner) // counters are whole at any moment
}

/// A guess that counts as a miss until it is told to be right.
#[derive(Debug)]
pub struct Guess {
    tries: Arc<Mutex<Tries>>,
    code: String,
    is_right: bool,
}

impl Guess {
    pub fn was_right(mut self) {
        self.is_right = true;
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut now = locked(&self.tries);
        now.misses += usize::from(!self.is_right);
        if let Some(requests) = now.open.get_mut(&self.code) {
            *requests -= 1;
            if *requests == 0 {
                now.open.remove(&self.code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::client_ip::counted;

    #[actix_web::test]
    async fn five_misses_silence_an_address_and_right_codes_cost_nothing() {
        let guesses = Guesses::of_coupons();
        let (a, b) = (IpAddr::from([203, 0, 113, 1]), IpAddr::from([203, 0, 113, 2]));
        for _ in 0..20 {
            guesses.begin(a, "RIGHT").await.expect("free").was_right();
        }
        for _ in 0..5 {
            guesses.begin(a, "WRONG").await.expect("a miss that is still free");
        }
        assert!(matches!(guesses.begin(a, "RIGHT").await, Err(Error::TooMany { retry_after_s: 60 })));
        assert!(matches!(guesses.begin(a, "WRONG").await, Err(Error::TooMany { .. })));
        guesses.begin(b, "WRONG").await.expect("another address is not concerned");
        for host in 1..=5 {
            guesses
                .begin(counted(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host])), "WRONG")
                .await
                .expect("a miss that is still free");
        }
        let another = counted(IpAddr::from([0x2001, 0xdb8, 0, 0, 1, 2, 3, 4]));
        assert!(matches!(guesses.begin(another, "WRONG").await, Err(Error::TooMany { .. })), "one subscriber, one network");
    }

    #[actix_web::test]
    async fn many_may_use_one_code_at_once_and_nobody_can_try_many_at_once() {
        let guesses = Guesses::of_coupons();
        let office = IpAddr::from([203, 0, 113, 1]);
        let mut open = Vec::new();
        for _ in 0..50 {
            open.push(guesses.begin(office, "RIGHT").await.expect("the same code"));
        }
        open.into_iter().for_each(Guess::was_right);
        let mut tried = Vec::new();
        for n in 0..5 {
            tried.push(guesses.begin(office, &format!("CODE{n}")).await.expect("not yet known to be wrong"));
        }
        assert!(matches!(guesses.begin(office, "CODE5").await, Err(Error::TooMany { .. })));
        tried.into_iter().for_each(Guess::was_right);
        guesses.begin(office, "CODE5").await.expect("all of them were right");
    }
}
