//! Rate limits per client address (of IPv6 per /64), in process. A limit that is off costs nothing.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::client_ip::counted;
use crate::config::{Limit, RateLimits};
use crate::error::{Error, Result};

/// One limiter per scope, so that a burst of logins does not use up registrations.
#[derive(Debug)]
pub struct Limiters {
    pub login: Limiter,
    pub register: Limiter,
    pub forgot_password: Limiter,
    pub global: Limiter,
    pub freight: Limiter,
    pub cep: Limiter,
}

impl Limiters {
    pub fn new(limits: &RateLimits) -> Self {
        Self {
            login: Limiter::new(limits.login),
            register: Limiter::new(limits.register),
            forgot_password: Limiter::new(limits.forgot_password),
            global: Limiter::new(limits.global),
            freight: Limiter::new(limits.freight),
            cep: Limiter::new(limits.cep),
        }
    }

    /// Forgets addresses that have their whole burst again: memory stays bounded by who was here lately.
    pub fn forget_the_idle(&self) {
        for limiter in [&self.login, &self.register, &self.forgot_password, &self.global, &self.freight, &self.cep] {
            if let Some(keyed) = &limiter.0 {
                keyed.retain_recent();
                keyed.shrink_to_fit();
            }
        }
    }
}

#[derive(Debug)]
pub struct Limiter(Option<DefaultKeyedRateLimiter<IpAddr>>);

impl Limiter {
    fn new(limit: Option<Limit>) -> Self {
        Self(limit.and_then(|limit| {
            let quota = Quota::with_period(limit.per / limit.burst)?.allow_burst(limit.burst.try_into().ok()?);
            Some(RateLimiter::keyed(quota))
        }))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Counts one request of this address, or says when to come back.
    pub fn check(&self, ip: IpAddr) -> Result<()> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&counted(ip)).map_err(|not_until| Error::TooMany {
            retry_after_s: not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1,
        })
    }
}

/// So many events that name nothing of ours are kept per provider and hour, by one process.
const STRANGERS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// How many events that name nothing of ours came lately, by provider. Where a provider signs with one key for all its customers,
/// any of them can send some.
#[derive(Debug)]
pub struct Strangers(DefaultKeyedRateLimiter<&'static str>);

impl Strangers {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(RateLimiter::keyed(Quota::per_hour(STRANGERS)))
    }

    /// Counts one. `false`: there were too many, and it is not kept.
    pub fn may_keep(&self, provider: &'static str) -> bool {
        self.0.check_key(&provider).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_changes_addresses_within_a_subscribers_network_is_still_counted() {
        let limiter = Limiter::new(Some(Limit { burst: 3, per: Duration::from_secs(3600) }));
        let at = |text: String| limiter.check(text.parse().expect("ip"));
        for host in 1..=3 {
            at(format!("2001:db8::{host}")).expect("within the limit");
        }
        assert!(matches!(at("2001:db8::ffff".into()), Err(Error::TooMany { .. })));
        at("2001:db8:0:1::1".into()).expect("another network is not concerned");
        for host in 1..=3 {
            at(format!("203.0.113.{host}")).expect("each IPv4 address counts for itself");
        }
        at("203.0.113.4".into()).expect("each IPv4 address counts for itself");
    }
}
