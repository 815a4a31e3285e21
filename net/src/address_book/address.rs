//! One address of a member: its sources, how its last dials ended, and whether it can be dialled at
//! all.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::limits::MAX_ADDRESS_BYTES;
use crate::scope::{AddressScope, scope_of};

/// The source of a member's address, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressSource {
    /// Given by this node's own operator. Never sent to others.
    Operator,
    /// From the member's signed peer record, whoever forwarded it.
    Signed,
    /// From the manifest.
    Manifest,
    /// Announced by the member over a connection, by the identify protocol. Dropped after repeated
    /// failures.
    Identify,
}

#[derive(Debug)]
pub(super) struct Address {
    pub(super) address: Multiaddr,
    /// Sorted, never empty.
    pub(super) sources: Vec<AddressSource>,
    /// Failed dials in a row.
    pub(super) failures: u32,
    /// The last answer at this address came from another node.
    pub(super) wrong_peer: bool,
    /// The error of the last failed dial.
    pub(super) last_error: Option<String>,
}

impl Address {
    pub(super) const fn new(address: Multiaddr) -> Self {
        Self { address, sources: Vec::new(), failures: 0, wrong_peer: false, last_error: None }
    }

    pub(super) fn is_from(&self, source: AddressSource) -> bool {
        self.sources.contains(&source)
    }

    /// Known from identify only, so that nothing but the member's own claim supports it.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.sources.iter().all(|source| *source == AddressSource::Identify)
    }

    pub(super) fn add_source(&mut self, source: AddressSource) {
        if !self.is_from(source) {
            self.sources.push(source);
            self.sources.sort();
        }
    }

    /// The order of dialling: fewest failures first, then the most trusted source.
    pub(super) fn rank(&self) -> (u32, Option<AddressSource>) {
        (self.failures, self.sources.first().copied())
    }
}

/// The address without a trailing `/p2p`: the book is keyed by the peer that must answer there.
pub(super) fn without_peer(address: Multiaddr) -> Multiaddr {
    address.into_iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// Checks that `address` can be dialled, as far as its form shows: an IP address or DNS name, TCP
/// or QUIC, a port, not link-local. It may end in `/p2p`.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub fn check_dial(address: &Multiaddr) -> Result<(), String> {
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(format!("it is longer than {MAX_ADDRESS_BYTES} bytes"));
    }
    let mut parts = address.iter().take_while(|part| !matches!(part, Protocol::P2p(_)));
    let nowhere = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified() || ip.is_multicast(),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => name.is_empty(),
        _ => return Err(format!("it begins with neither an IP address nor a name: {EXAMPLE}")),
    };
    if nowhere {
        return Err(format!("no single machine has that IP address: {EXAMPLE}"));
    }
    if scope_of(address) == AddressScope::Link {
        return Err("a link-local address is valid on one link only".into());
    }
    let port = match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None, None) => port,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), None) => port,
        _ => return Err(format!("neither /tcp/PORT nor /udp/PORT/quic-v1 follows: {EXAMPLE}")),
    };
    if port == 0 { Err("nobody answers on port 0".into()) } else { Ok(()) }
}

const EXAMPLE: &str =
    "write it like /ip4/192.0.2.7/tcp/7000 or /dns4/fed.bank.example/udp/7000/quic-v1";

pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    scope_of(address) == AddressScope::Host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_dialled_are_refused_with_a_reason() {
        for (address, expected) in [
            ("/ip4/0.0.0.0/tcp/7000", "no single machine"),
            ("/ip6/ff02::1/tcp/7000", "no single machine"),
            ("/ip4/10.0.0.1/tcp/0", "port 0"),
            ("/ip4/10.0.0.1", "/tcp/PORT"),
            ("/ip4/10.0.0.1/udp/7000", "/tcp/PORT"),
            ("/memory/7", "neither an IP"),
            ("/dns/example.org/tcp/7000/ws", "/tcp/PORT"),
            ("/ip4/169.254.169.254/tcp/80", "link-local"),
            ("/ip6/fe80::1/tcp/7000", "link-local"),
        ] {
            let reason = check_dial(&address.parse().unwrap()).unwrap_err();
            assert!(reason.contains(expected), "{address}: {reason}");
        }
        for fine in
            ["/ip4/127.0.0.1/tcp/1", "/dns4/localhost/tcp/1", "/ip6/2001:db8::1/udp/1/quic-v1"]
        {
            assert_eq!(check_dial(&fine.parse().unwrap()), Ok(()), "{fine}");
        }
        let long = format!("/dns4/{}/tcp/7", "a".repeat(MAX_ADDRESS_BYTES));
        assert!(check_dial(&long.parse().unwrap()).unwrap_err().contains("longer"));
    }
}
