//! Codes cannot be found by trying: an address that misses too often is refused unheard, right code or not.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::future::Cache;

use crate::error::{Error, Result};
use crate::http::client_ip::counted;

/// Misses that one address may have per window.
const MISSES: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once; an attacker with more than these has other worries for us.
const ADDRESSES: u64 = 100_000;

/// Who missed how often, in this process. Right codes cost nothing.
#[derive(Debug, Clone)]
pub struct Guesses(Cache<IpAddr, Arc<AtomicU32>>);

impl Guesses {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(ADDRESSES).time_to_live(WINDOW).build())
    }

    /// Counts a guess before it is looked up, so that many at once are not each the first. Take a right one back with
    /// [`Guess::was_right`].
    pub async fn begin(&self, ip: IpAddr) -> Result<Guess> {
        let misses = self.0.get_with(counted(ip), async { Arc::default() }).await;
        if misses.fetch_add(1, Ordering::Relaxed) >= MISSES {
            misses.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::TooMany { retry_after_s: WINDOW.as_secs() });
        }
        Ok(Guess(misses))
    }
}

/// A guess that counts as a miss until it is told to be right.
#[derive(Debug)]
pub struct Guess(Arc<AtomicU32>);

impl Guess {
    pub fn was_right(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn five_misses_silence_an_address_and_right_codes_cost_nothing() {
        let guesses = Guesses::new();
        let (a, b) = (IpAddr::from([203, 0, 113, 1]), IpAddr::from([203, 0, 113, 2]));
        for _ in 0..20 {
            guesses.begin(a).await.expect("free").was_right();
        }
        for _ in 0..5 {
            guesses.begin(a).await.expect("a miss that is still free");
        }
        assert!(matches!(guesses.begin(a).await, Err(Error::TooMany { retry_after_s: 60 })));
        assert!(matches!(guesses.begin(a).await, Err(Error::TooMany { .. })));
        guesses.begin(b).await.expect("another address is not concerned");
        for host in 1..=5 {
            guesses.begin(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host])).await.expect("a miss that is still free");
        }
        let another = IpAddr::from([0x2001, 0xdb8, 0, 0, 1, 2, 3, 4]);
        assert!(matches!(guesses.begin(another).await, Err(Error::TooMany { .. })), "one subscriber, one network");
    }
}
