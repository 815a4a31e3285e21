//! Which addresses can be listened on at all: errors that no retry solves are found here, before
//! anything is bound.

use std::net::{IpAddr, SocketAddr};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// The transport and the socket address of a multiaddress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) udp: bool,
    pub(crate) address: SocketAddr,
}

impl Socket {
    /// Whether listening on `self` includes `other`. Port 0 is another port each time.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let (own, its) = (self.address, other.address);
        self.udp == other.udp
            && own.port() == its.port()
            && own.port() != 0
            && (own.ip() == its.ip() || own.ip().is_unspecified() && own.is_ipv4() == its.is_ipv4())
    }
}

/// Checks that a node can listen on `address`, as far as its form shows.
///
/// # Errors
/// What is wrong with it and what to write instead.
pub fn check_listen(address: &Multiaddr) -> Result<(), String> {
    socket_of(address, None).map(drop)
}

/// The socket of `address`, which may end in the id of `local`.
///
/// # Errors
/// As for [`check_listen`].
pub(crate) fn socket_of(address: &Multiaddr, local: Option<PeerId>) -> Result<Socket, String> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => {
            return Err(
                "a node listens on IP addresses, not on names: write /ip4/... or /ip6/..., \
                        and announce the name with `external_addresses`"
                    .into(),
            );
        }
        Some(Protocol::Ip6zone(_)) => return Err(LINK_LOCAL.into()),
        _ => return Err(format!("it begins with neither /ip4 nor /ip6: {EXAMPLE}")),
    };
    let (udp, port) = match parts.next() {
        Some(Protocol::Tcp(port)) => (false, port),
        Some(Protocol::Udp(port)) => (true, port),
        _ => return Err(format!("neither /tcp nor /udp follows its IP address: {EXAMPLE}")),
    };
    let mut rest = parts.next();
    if udp {
        if !matches!(rest, Some(Protocol::QuicV1)) {
            return Err(format!(
                "over UDP only QUIC is supported, so /quic-v1 must follow: {EXAMPLE}"
            ));
        }
        rest = parts.next();
    }
    match (rest, parts.next()) {
        (None, _) => {}
        (Some(Protocol::P2p(peer)), None) if local.is_none_or(|local| local == peer) => {}
        (Some(Protocol::P2p(_)), None) => {
            return Err("the /p2p part at its end names another node".into());
        }
        (Some(other), _) => {
            return Err(format!("`{other}` is not supported after its port: {EXAMPLE}"));
        }
    }
    match ip {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            Err("an IPv4 address in an IPv6 one is not listened on: write it as /ip4/...".into())
        }
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Err(LINK_LOCAL.into()),
        ip if ip.is_multicast() || ip == IpAddr::from([255; 4]) => {
            Err("a multicast or broadcast address belongs to no machine".into())
        }
        ip => Ok(Socket { udp, address: SocketAddr::new(ip, port) }),
    }
}

const EXAMPLE: &str = "write it like /ip4/0.0.0.0/tcp/7000 or /ip4/0.0.0.0/udp/7000/quic-v1";
const LINK_LOCAL: &str = "a link-local IPv6 address is valid on one interface only and cannot be \
                          listened on: use another address of this machine, or /ip6/::";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_listened_on_are_refused_with_a_hint() {
        let own = PeerId::random();
        for (address, expected) in [
            ("/dns4/bank.example/tcp/7000", "external_addresses"),
            ("/memory/7", "/ip4/0.0.0.0/tcp/7000"),
            ("/ip4/10.0.0.7", "/tcp"),
            ("/ip4/10.0.0.7/udp/7000", "/quic-v1"),
            ("/ip4/10.0.0.7/udp/7000/quic", "/quic-v1"),
            ("/ip4/10.0.0.7/tcp/7000/ws", "ws"),
            ("/ip6/::ffff:10.0.0.7/tcp/7000", "/ip4"),
            ("/ip6/fe80::7/tcp/7000", "link-local"),
            ("/ip6zone/eth0/ip6/fe80::7/tcp/7000", "link-local"),
            ("/ip4/224.0.0.1/udp/7000/quic-v1", "multicast"),
            ("/ip4/255.255.255.255/tcp/7000", "broadcast"),
        ] {
            let reason = check_listen(&address.parse().unwrap()).unwrap_err();
            assert!(reason.contains(expected), "{address}: {reason}");
        }
        let mine: Multiaddr = format!("/ip4/10.0.0.7/tcp/7000/p2p/{own}").parse().unwrap();
        assert!(socket_of(&mine, Some(own)).is_ok());
        assert!(socket_of(&mine, Some(PeerId::random())).unwrap_err().contains("another node"));
    }

    #[test]
    fn the_unspecified_address_covers_each_of_its_family() {
        let of = |text: &str| socket_of(&text.parse().unwrap(), None).unwrap();
        let all = of("/ip4/0.0.0.0/tcp/7000");
        assert!(all.covers(&of("/ip4/10.0.0.7/tcp/7000")) && all.covers(&all));
        assert!(!of("/ip4/10.0.0.7/tcp/7000").covers(&all));
        for other in
            ["/ip6/::/tcp/7000", "/ip4/10.0.0.7/udp/7000/quic-v1", "/ip4/10.0.0.7/tcp/7001"]
        {
            assert!(!all.covers(&of(other)), "{other}");
        }
        let any = of("/ip4/0.0.0.0/tcp/0");
        assert!(!any.covers(&any));
    }
}
