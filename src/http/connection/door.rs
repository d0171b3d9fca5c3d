//! How many connections there may be: in all, and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::client_ip::counted;
use crate::config::HttpConfig;

/// Refusals are logged so often at most.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Open files that are not clients' connections: logs, calls to providers, what the runtime has. The database's come on top.
const OTHER_FILES: usize = 128;

/// Counts the connections of a listener.
#[derive(Debug)]
pub struct Door {
    most: usize,
    most_per_address: usize,
    trusted: Vec<IpNet>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    said_at: Option<Instant>,
    unsaid: u64,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Seat {
    door: Arc<Door>,
    /// `None`: not counted by its address.
    address: Option<IpAddr>,
}

impl Door {
    pub fn new(config: &HttpConfig, db_connections: usize) -> Self {
        let wanted = config.connections.most.unwrap_or(usize::MAX);
        let most = match open_files().map(|files| files.saturating_sub(db_connections + OTHER_FILES).max(1)) {
            Some(possible) if possible < wanted => {
                tracing::warn!(
                    connections = possible,
                    "this process may open too few files for HTTP_MAX_CONNECTIONS: raise ulimit -n"
                );
                possible
            }
            _ => wanted,
        };
        Self {
            most,
            most_per_address: config.connections.most_per_address.unwrap_or(usize::MAX),
            trusted: config.trusted_proxies.clone(),
            open: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub fn unlimited() -> Self {
        Self { most: usize::MAX, most_per_address: usize::MAX, trusted: Vec::new(), open: Mutex::default() }
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// Lets a connection in, or says in the log why not. Those of our own proxies count in all, and not by their address.
    pub fn enter(self: &Arc<Self>, peer: Option<IpAddr>) -> Option<Seat> {
        let is_ours = |ip: &IpAddr| self.trusted.iter().any(|net| net.contains(&ip.to_canonical()));
        let address = peer.filter(|ip| !is_ours(ip)).map(counted);
        let mut open = self.open();
        let theirs = address.map_or(0, |address| open.by_address.get(&address).copied().unwrap_or_default());
        let limit = match () {
            () if open.all >= self.most => Some("HTTP_MAX_CONNECTIONS"),
            () if theirs >= self.most_per_address => Some("HTTP_MAX_CONNECTIONS_PER_ADDRESS"),
            () => None,
        };
        if let Some(limit) = limit {
            open.refuse(limit);
            return None;
        }
        open.all += 1;
        if let Some(address) = address {
            open.by_address.insert(address, theirs + 1);
        }
        metrics::gauge!("vitrine_http_connections").increment(1.0);
        Some(Seat { door: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner) // a panic cannot leave the counters inconsistent
    }
}

impl Open {
    fn refuse(&mut self, limit: &'static str) {
        metrics::counter!("vitrine_http_connections_refused_total", "limit" => limit).increment(1);
        self.unsaid += 1;
        if self.said_at.is_some_and(|at| at.elapsed() < SAY_EVERY) {
            return;
        }
        let refused = std::mem::take(&mut self.unsaid);
        self.said_at = Some(Instant::now());
        tracing::warn!(limit, refused, "connections were refused; a reverse proxy belongs into TRUSTED_PROXIES");
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.door.open();
        open.all -= 1;
        if let Some(address) = self.address
            && let Some(theirs) = open.by_address.get_mut(&address)
        {
            *theirs -= 1;
            if *theirs == 0 {
                open.by_address.remove(&address);
            }
        }
        metrics::gauge!("vitrine_http_connections").decrement(1.0);
    }
}

/// How many files this process may have open. `None`: not known on this system.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(most: usize, most_per_address: usize) -> Arc<Door> {
        let trusted = vec!["10.0.0.0/8".parse().expect("net")];
        Arc::new(Door { most, most_per_address, trusted, open: Mutex::default() })
    }

    fn enter(door: &Arc<Door>, ip: &str) -> Option<Seat> {
        door.enter(Some(ip.parse().expect("ip")))
    }

    #[test]
    fn an_address_has_so_many_connections_and_another_is_not_concerned() {
        let door = door(100, 2);
        let first = enter(&door, "203.0.113.9").expect("free");
        let _second = enter(&door, "::ffff:203.0.113.9").expect("free");
        assert!(enter(&door, "203.0.113.9").is_none());
        assert!(enter(&door, "203.0.113.10").is_some());
        drop(first);
        assert!(enter(&door, "203.0.113.9").is_some(), "a place that was given back is free");
    }

    #[test]
    fn a_subscribers_ipv6_network_is_one_address_also_here() {
        let door = door(100, 1);
        let _one = enter(&door, "2001:db8::1").expect("free");
        assert!(enter(&door, "2001:db8::2").is_none());
        assert!(enter(&door, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn a_trusted_proxy_has_as_many_as_there_are_in_all() {
        let door = door(3, 1);
        let seats: Vec<_> = (0..3).map(|_| enter(&door, "10.1.2.3")).collect();
        assert!(seats.iter().all(Option::is_some));
        assert!(enter(&door, "10.1.2.3").is_none() && enter(&door, "203.0.113.9").is_none());
        drop(seats);
        assert!(door.open().by_address.is_empty() && door.open().all == 0);
    }
}
