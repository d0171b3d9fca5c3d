//! Whose request it is, for rate limits: the peer, or what a proxy that we trust says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    let hops = forwarded.split(',').rev().map(|hop| hop.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()));
    for hop in hops {
        match hop {
            Ok(ip) if is_ours(&ip) => {}
            Ok(ip) => return ip,
            Err(_) => return peer,
        }
    }
    peer
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
    fn the_addresses_of_one_subscriber_count_as_one_and_others_do_not() {
        let of = |text: &str| counted(text.parse().expect("ip")).to_string();
        assert_eq!(of("2001:db8:1:2:aaaa:bbbb:cccc:dddd"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!((of("203.0.113.9"), of("::ffff:203.0.113.9")), ("203.0.113.9".into(), "203.0.113.9".into()));
    }
}
