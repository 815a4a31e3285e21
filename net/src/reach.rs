//! How far an address reaches, so that what others are told of is of use to them.

use std::net::{Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// From where an address can be dialled, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// From this machine only: loopback, or no address of a host at all.
    Machine,
    /// From the same cable, and only with the name of an interface beside it: link-local.
    Link,
    /// From the same private network.
    Site,
    /// From anywhere, as far as the address itself says; a firewall may say otherwise.
    World,
}

/// How far `address` reaches.
#[must_use]
pub fn reach_of(address: &Multiaddr) -> Reach {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => of_ip4(ip),
        Some(Protocol::Ip6(ip)) => ip.to_ipv4_mapped().map_or_else(|| of_ip6(ip), of_ip4),
        Some(
            Protocol::Dns(name)
            | Protocol::Dns4(name)
            | Protocol::Dns6(name)
            | Protocol::Dnsaddr(name),
        ) if name != "localhost" => Reach::World,
        _ => Reach::Machine,
    }
}

fn of_ip4(ip: Ipv4Addr) -> Reach {
    // 100.64.0.0/10: behind a provider's translation (RFC 6598).
    let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    if ip.is_loopback() || ip.is_unspecified() {
        Reach::Machine
    } else if ip.is_link_local() {
        Reach::Link
    } else if ip.is_private() || shared {
        Reach::Site
    } else {
        Reach::World
    }
}

fn of_ip6(ip: Ipv6Addr) -> Reach {
    if ip.is_loopback() || ip.is_unspecified() {
        Reach::Machine
    } else if ip.is_unicast_link_local() {
        Reach::Link
    } else if ip.is_unique_local() {
        Reach::Site
    } else {
        Reach::World
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_reach_as_far_as_they_say() {
        for (address, reach) in [
            ("/ip4/127.0.0.1/tcp/7000", Reach::Machine),
            ("/ip4/0.0.0.0/tcp/7000", Reach::Machine),
            ("/ip6/::1/udp/7000/quic-v1", Reach::Machine),
            ("/ip6/::ffff:127.0.0.1/tcp/7000", Reach::Machine),
            ("/dns4/localhost/tcp/7000", Reach::Machine),
            ("/ip4/169.254.7.7/tcp/7000", Reach::Link),
            ("/ip6/fe80::fc:ff:fe00:1/tcp/7000", Reach::Link),
            ("/ip4/10.1.2.3/tcp/7000", Reach::Site),
            ("/ip4/192.168.1.7/udp/7000/quic-v1", Reach::Site),
            ("/ip4/100.100.1.7/tcp/7000", Reach::Site),
            ("/ip6/fd00::2/tcp/7000", Reach::Site),
            ("/ip4/198.51.100.7/tcp/7000", Reach::World),
            ("/ip4/100.128.1.7/tcp/7000", Reach::World),
            ("/ip6/2001:db8::7/tcp/7000", Reach::World),
            ("/dns4/bank.example/tcp/7000", Reach::World),
        ] {
            assert_eq!(reach_of(&address.parse().unwrap()), reach, "{address}");
        }
    }
}
