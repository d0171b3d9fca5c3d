//! Whose request it is, for rate limits: the peer, or what a proxy that we trust says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// The right-most address of `X-Forwarded-For` that is not one of our proxies. Anything left of it may be invented.
pub fn client_ip(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ip| ip.to_canonical());
    let is_ours = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_ours(&peer) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    for hop in forwarded.split(',').rev().map(hop_ip) {
        match hop {
            Some(ip) if is_ours(&ip) => {}
            Some(ip) => return ip,
            None => return peer,
        }
    }
    peer
}

/// The address of a hop. Some proxies write its port too (`203.0.113.9:4711`), and IPv6 in brackets.
fn hop_ip(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"');
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(IpAddr::to_canonical(&ip))
}

/// What an address counts under. Of IPv6 a subscriber has a whole /64 at least, 2^64 addresses: they count as one.
pub fn counted(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn ip(peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(forwarded).expect("header"));
        let trusted = ["10.0.0.0/8".parse().expect("net")];
        client_ip(Some(peer.parse().expect("ip")), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_the_address_it_is_counted_under() {
        assert_eq!(ip("203.0.113.9", "1.1.1.1"), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "1.1.1.1, 203.0.113.9"), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.1.1.1"), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "garbage"), "10.0.0.1");
    }

    #[test]
    fn a_proxy_that_writes_ports_does_not_put_all_clients_into_one() {
        for (forwarded, client) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("1.1.1.1:1, 203.0.113.9:4711, 10.1.1.1:80", "203.0.113.9"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("\"[::ffff:203.0.113.9]:443\"", "203.0.113.9"),
        ] {
            assert_eq!(ip("10.0.0.1", forwarded), client, "{forwarded}");
        }
        assert_eq!(ip("10.0.0.1", "203.0.113.9:port"), "10.0.0.1");
    }

    #[test]
    fn the_addresses_of_one_subscriber_count_as_one_and_others_do_not() {
        let of = |text: &str| counted(text.parse().expect("ip")).to_string();
        assert_eq!(of("2001:db8:1:2:aaaa:bbbb:cccc:dddd"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!((of("203.0.113.9"), of("::ffff:203.0.113.9")), ("203.0.113.9".into(), "203.0.113.9".into()));
    }
}
