//! One address of a member: where it is known from, how its last dials ended, and whether it leads anywhere at all.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::limits::MAX_ADDRESS_BYTES;
use crate::reach::{Reach, reach_of};

/// From where an address of a member is known, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressSource {
    /// Given by this node's own operator. Never told to others.
    Operator,
    /// Under the member's own signature, whoever handed it on.
    Signed,
    /// In the manifest.
    Manifest,
    /// Told by the member over a connection. Forgotten when it does not answer.
    Told,
}

#[derive(Debug)]
pub(super) struct Address {
    pub(super) address: Multiaddr,
    /// Sorted, never empty.
    pub(super) sources: Vec<AddressSource>,
    /// Failed dials in a row.
    pub(super) failures: u32,
    /// Another node answered there the last time.
    pub(super) taken: bool,
    /// Why the last dial failed.
    pub(super) last_error: Option<String>,
}

impl Address {
    pub(super) const fn new(address: Multiaddr) -> Self {
        Self { address, sources: Vec::new(), failures: 0, taken: false, last_error: None }
    }

    pub(super) fn is_from(&self, source: AddressSource) -> bool {
        self.sources.contains(&source)
    }

    /// Known from the member's word over a connection only.
    pub(super) fn is_only_told(&self) -> bool {
        self.sources.iter().all(|source| *source == AddressSource::Told)
    }

    pub(super) fn add_source(&mut self, source: AddressSource) {
        if !self.is_from(source) {
            self.sources.push(source);
            self.sources.sort();
        }
    }

    /// What is dialled first: what has failed least, then what is trusted most.
    pub(super) fn rank(&self) -> (u32, Option<AddressSource>) {
        (self.failures, self.sources.first().copied())
    }
}

/// An address names a place; who must answer there is known from the book's key.
pub(super) fn without_peer(address: Multiaddr) -> Multiaddr {
    address.into_iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// Whether `address` can be dialled from this or another machine, as far as it says itself: IP or DNS name, TCP or QUIC,
/// and nothing that means another place to everyone. Who is to answer there may be named at its end.
///
/// # Errors
/// What is wrong with it.
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
    if reach_of(address) == Reach::Link {
        return Err("a link-local address means another machine on each cable".into());
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
    reach_of(address) == Reach::Machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_told_apart() {
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
