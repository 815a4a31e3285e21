//! The origin of a connection: the network that rate limits and slots are accounted to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// An IPv4 address or an IPv6 /56, the prefix that a provider assigns to one customer: further
/// addresses inside a prefix cost nothing, further prefixes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

const V6_PREFIX: u8 = 56;

impl Origin {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::V6((u128::from(ip) & mask(V6_PREFIX, 128)).into()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => write!(f, "{ip}"),
            Self::V6(ip) => write!(f, "{ip}/{V6_PREFIX}"),
        }
    }
}

/// The IP address in a multiaddress; none behind a relay, where it is the address of the relay.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    if address.iter().any(|part| matches!(part, Protocol::P2pCircuit)) {
        return None;
    }
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    })
}

/// An IPv4 address, or the /64 prefix of an IPv6 address: privacy extensions (RFC 8981) change the
/// other 64 bits.
pub(super) fn host_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & mask(64, 128)).into()),
    }
}

/// An IP network in CIDR notation: `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    ip: IpAddr,
    prefix: u8,
}

/// The text is not an IP network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a network like 10.0.0.0/8")]
pub struct IpNetworkError;

impl IpNetwork {
    /// Whether `ip` is inside this network; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = mask(self.prefix, 32);
                u128::from(u32::from(own)) & mask == u128::from(u32::from(ip)) & mask
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = mask(self.prefix, 128);
                u128::from(own) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

impl FromStr for IpNetwork {
    type Err = IpNetworkError;

    fn from_str(text: &str) -> Result<Self, IpNetworkError> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse().map_err(|_| IpNetworkError)?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| IpNetworkError)?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest { Err(IpNetworkError) } else { Ok(Self { ip, prefix }) }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// A mask of `bits` bits of which the upper `prefix` are set.
const fn mask(prefix: u8, bits: u8) -> u128 {
    match (prefix, bits - prefix) {
        (0, _) => 0,
        (_, free) => (u128::MAX >> (128 - bits)) & (u128::MAX << free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_and_ports_are_not() {
        let of = |text: &str| ip_of(&text.parse().unwrap()).map(Origin::of);
        assert_eq!(of("/ip4/10.0.0.1/tcp/1"), of("/ip4/10.0.0.1/udp/2/quic-v1"));
        assert_ne!(of("/ip4/10.0.0.1/tcp/1"), of("/ip4/10.0.0.2/tcp/1"));
        assert_eq!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8:0:ff::2/tcp/1"));
        assert_ne!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8:0:100::1/tcp/1"));
        assert_eq!(of("/ip6/::ffff:10.0.0.1/tcp/1"), of("/ip4/10.0.0.1/tcp/1"));
        assert_eq!(of("/dns4/bank.example/tcp/1"), None);
        let relay = format!("/ip4/10.0.0.1/tcp/1/p2p/{}/p2p-circuit", libp2p::PeerId::random());
        assert_eq!(of(&relay), None);
        let shown = of("/ip6/2001:db8:0:1ff::1/tcp/1").unwrap().to_string();
        assert_eq!(shown, "2001:db8:0:100::/56");
    }

    #[test]
    fn a_network_contains_what_begins_like_it() {
        let inside = |network: &str, ip: &str| {
            network.parse::<IpNetwork>().unwrap().contains(ip.parse().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.255.1.2") && !inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("10.0.0.7", "10.0.0.7") && !inside("10.0.0.7", "10.0.0.6"));
        assert!(inside("0.0.0.0/0", "192.0.2.1") && !inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!inside("2001:db8::/32", "2001:db9::1") && inside("::/0", "::1"));
        assert!(inside("10.0.0.7", "::ffff:10.0.0.7"));
        for wrong in ["10.0.0.0/33", "::/129", "bank.example", "10.0.0.0/", "10.0.0.0/-1", ""] {
            assert_eq!(wrong.parse::<IpNetwork>(), Err(IpNetworkError), "{wrong}");
        }
    }

    #[test]
    fn a_host_is_known_whatever_it_calls_its_lower_half() {
        let host = |text: &str| host_of(text.parse().unwrap());
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:1"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
        assert_eq!(host("::ffff:10.0.0.1"), host("10.0.0.1"));
    }
}
