//! Rate limits per client address (of IPv6 per /64), in process. A limit that is off costs nothing.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, ResponseError, web};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::app::App;
use crate::config::{Limit, RateLimits};
use crate::error::{Error, Result};
use crate::http::client_ip::{client_ip, counted};

/// One limiter per scope, so that a burst of logins does not use up registrations.
#[derive(Debug)]
pub struct Limiters {
    pub login: Limiter,
    pub register: Limiter,
    pub forgot_password: Limiter,
    pub global: Limiter,
}

impl Limiters {
    pub fn new(limits: &RateLimits) -> Self {
        Self {
            login: Limiter::new(limits.login),
            register: Limiter::new(limits.register),
            forgot_password: Limiter::new(limits.forgot_password),
            global: Limiter::new(limits.global),
        }
    }

    /// Forgets addresses that have their whole burst again: memory stays bounded by who was here lately.
    pub fn forget_the_idle(&self) {
        for limiter in [&self.login, &self.register, &self.forgot_password, &self.global] {
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

    /// Counts one request of this address, or says when to come back.
    pub fn check(&self, ip: IpAddr) -> Result<()> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&counted(ip)).map_err(|not_until| Error::TooMany {
            retry_after_s: not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1,
        })
    }
}

/// The address that a request counts under.
pub fn address(app: &App, req: &HttpRequest) -> IpAddr {
    client_ip(req.peer_addr().map(|a| a.ip()), req.headers(), &app.config.http.trusted_proxies)
}

/// The limit over everything under `/api` (and the tracking page) but webhooks: a provider that catches up after an outage is not a flood.
pub async fn global(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let path = req.path();
    let counted = (path.starts_with("/api/") && !path.starts_with("/api/webhooks/")) || path.starts_with("/tracking/");
    if counted
        && let Some(app) = req.app_data::<web::Data<App>>()
        && app.limiters.global.0.is_some()
        && let Err(error) =
            app.limiters.global.check(client_ip(req.peer_addr().map(|a| a.ip()), req.headers(), &app.config.http.trusted_proxies))
    {
        return Ok(req.into_response(error.error_response()));
    }
    Ok(next.call(req).await?.map_into_boxed_body())
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
