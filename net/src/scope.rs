//! The scope of an address (RFC 4007): from where it can be dialled.

use std::net::{Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// From where an address can be dialled, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressScope {
    /// From this machine only: loopback, or no host address at all.
    Host,
    /// From the same link, and only with the name of an interface: link-local.
    Link,
    /// From the same private network (RFC 1918, RFC 6598, RFC 4193).
    Site,
    /// From anywhere, unless a firewall forbids it.
    Global,
}

/// The scope of `address`; a DNS name other than `localhost` counts as global.
#[must_use]
pub fn scope_of(address: &Multiaddr) -> AddressScope {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => of_ip4(ip),
        Some(Protocol::Ip6(ip)) => ip.to_ipv4_mapped().map_or_else(|| of_ip6(ip), of_ip4),
        Some(
            Protocol::Dns(name)
            | Protocol::Dns4(name)
            | Protocol::Dns6(name)
            | Protocol::Dnsaddr(name),
        ) if name != "localhost" => AddressScope::Global,
        _ => AddressScope::Host,
    }
}

fn of_ip4(ip: Ipv4Addr) -> AddressScope {
    // 100.64.0.0/10: carrier-grade NAT (RFC 6598).
    let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    if ip.is_loopback() || ip.is_unspecified() {
        AddressScope::Host
    } else if ip.is_link_local() {
        AddressScope::Link
    } else if ip.is_private() || shared {
        AddressScope::Site
    } else {
        AddressScope::Global
    }
}

fn of_ip6(ip: Ipv6Addr) -> AddressScope {
    if ip.is_loopback() || ip.is_unspecified() {
        AddressScope::Host
    } else if ip.is_unicast_link_local() {
        AddressScope::Link
    } else if ip.is_unique_local() {
        AddressScope::Site
    } else {
        AddressScope::Global
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_of_each_kind_of_address() {
        for (address, scope) in [
            ("/ip4/127.0.0.1/tcp/7000", AddressScope::Host),
            ("/ip4/0.0.0.0/tcp/7000", AddressScope::Host),
            ("/ip6/::1/udp/7000/quic-v1", AddressScope::Host),
            ("/ip6/::ffff:127.0.0.1/tcp/7000", AddressScope::Host),
            ("/dns4/localhost/tcp/7000", AddressScope::Host),
            ("/ip4/169.254.7.7/tcp/7000", AddressScope::Link),
            ("/ip6/fe80::fc:ff:fe00:1/tcp/7000", AddressScope::Link),
            ("/ip4/10.1.2.3/tcp/7000", AddressScope::Site),
            ("/ip4/192.168.1.7/udp/7000/quic-v1", AddressScope::Site),
            ("/ip4/100.100.1.7/tcp/7000", AddressScope::Site),
            ("/ip6/fd00::2/tcp/7000", AddressScope::Site),
            ("/ip4/198.51.100.7/tcp/7000", AddressScope::Global),
            ("/ip4/100.128.1.7/tcp/7000", AddressScope::Global),
            ("/ip6/2001:db8::7/tcp/7000", AddressScope::Global),
            ("/dns4/bank.example/tcp/7000", AddressScope::Global),
        ] {
            assert_eq!(scope_of(&address.parse().unwrap()), scope, "{address}");
        }
    }
}
