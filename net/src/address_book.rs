//! Where members may be found, and when to dial them again. Pure: the clock comes in.
//!
//! libp2p forgets an address after one failed dial; a federation must not. Addresses that the
//! daemon gave (manifest, invite, signed update) stay; learned ones go after repeated failure.
//! Every member that is not connected is dialled again, for ever, with growing waits.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::limits::{
    DIAL_COURTESY, MAX_ADDRESS_BYTES, MAX_ADDRESSES_PER_MEMBER, MAX_LEARNED_FAILURES,
};

/// A connection that held for this long was a good one.
const LASTING_CONNECTION: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Address {
    address: Multiaddr,
    /// Given by the daemon, not learned from the member's own word.
    given: bool,
    /// Failed dials in a row.
    failures: u32,
    /// Another node answered there the last time.
    taken: bool,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<Address>,
    connected_since: Option<Instant>,
    dialling: bool,
    /// Dials in a row that led to no lasting connection.
    failures: u32,
    dial_at: Instant,
}

/// The addresses of all members but ourselves.
#[derive(Debug)]
pub(crate) struct AddressBook {
    local: PeerId,
    base: Duration,
    cap: Duration,
    entries: BTreeMap<PeerId, Entry>,
}

impl AddressBook {
    pub(crate) fn new(local: PeerId, base: Duration, cap: Duration) -> Self {
        Self { local, base, cap, entries: BTreeMap::new() }
    }

    /// Replaces the members. What is known of those who stay is kept; their given addresses are
    /// replaced, and they are dialled at once if they are not connected.
    pub(crate) fn set_members(&mut self, members: Vec<(PeerId, Vec<Multiaddr>)>, now: Instant) {
        let mut old = std::mem::take(&mut self.entries);
        for (peer, addresses) in members {
            if peer == self.local {
                continue;
            }
            let mut entry = old.remove(&peer).unwrap_or_else(|| Entry {
                addresses: Vec::new(),
                connected_since: None,
                dialling: false,
                failures: 0,
                // Both ends learn of each other at the same moment; one of them goes first.
                dial_at: if self.local < peer { now } else { now + DIAL_COURTESY },
            });
            entry.addresses.retain(|known| !known.given);
            for address in addresses {
                entry.add(address, true);
            }
            entry.failures = 0;
            entry.dial_at = entry.dial_at.min(now + DIAL_COURTESY);
            self.entries.insert(peer, entry);
        }
    }

    /// A member told us where else it listens, over a connection from `seen_at`.
    pub(crate) fn learn(&mut self, peer: &PeerId, address: Multiaddr, seen_at: &Multiaddr) {
        // Loopback means another machine to everyone but a neighbour on this one.
        if is_loopback(&address) && !is_loopback(seen_at) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.add(address, false);
        }
    }

    pub(crate) fn connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.connected_since = Some(now);
        }
    }

    /// The last connection is gone; `jitter` is uniform in 0..1000. Only one that lasted ends the
    /// growing waits: a peer that accepts and hangs up is not worth a dial each second.
    pub(crate) fn disconnected(&mut self, peer: &PeerId, now: Instant, jitter: u32) {
        let Some(entry) = self.entries.get_mut(peer) else { return };
        let since = entry.connected_since.take().unwrap_or(now);
        if now.saturating_duration_since(since) >= LASTING_CONNECTION {
            entry.failures = 0;
        }
        entry.wait(self.base, self.cap, now, jitter);
    }

    /// An address answered.
    pub(crate) fn succeeded(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.with_address(peer, address, |known| {
            known.failures = 0;
            known.taken = false;
        });
    }

    /// An address did not answer.
    pub(crate) fn failed(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.with_address(peer, address, |known| known.failures = known.failures.saturating_add(1));
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.forget_useless();
        }
    }

    /// Another node answered at an address. All addresses are dialled at once and the first answer
    /// decides, so this one would keep the right ones from being heard.
    pub(crate) fn answered_by_another(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.with_address(peer, address, |known| known.taken = true);
        self.failed(peer, address);
    }

    /// A dial is over; `jitter` is uniform in 0..1000.
    pub(crate) fn dial_ended(&mut self, peer: &PeerId, now: Instant, jitter: u32) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.dialling = false;
            entry.wait(self.base, self.cap, now, jitter);
        }
    }

    /// The members to dial now, with all their addresses, the best first; marked as being dialled.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due = Vec::new();
        for (peer, entry) in &mut self.entries {
            if entry.waits() && entry.dial_at <= now {
                entry.dialling = true;
                due.push((*peer, entry.addresses_to_dial()));
            }
        }
        due
    }

    /// When the next member is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter(|entry| entry.waits()).map(|entry| entry.dial_at).min()
    }

    fn with_address(
        &mut self,
        peer: &PeerId,
        address: &Multiaddr,
        change: impl FnOnce(&mut Address),
    ) {
        let address = without_peer(address.clone());
        let known = self.entries.get_mut(peer).map(|entry| entry.addresses.iter_mut());
        if let Some(known) = known.and_then(|mut known| known.find(|k| k.address == address)) {
            change(known);
        }
    }
}

impl Entry {
    fn waits(&self) -> bool {
        self.connected_since.is_none() && !self.dialling && !self.addresses.is_empty()
    }

    fn wait(&mut self, base: Duration, cap: Duration, now: Instant, jitter: u32) {
        self.dial_at = now + backoff(base, cap, self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
    }

    /// The best first. Addresses where another node answered are dialled by themselves, every
    /// fourth time.
    fn addresses_to_dial(&mut self) -> Vec<Multiaddr> {
        self.addresses.sort_by_key(|known| known.failures);
        let mixed = self.addresses.iter().any(|known| known.taken)
            && self.addresses.iter().any(|known| !known.taken);
        let turn_of_taken = self.failures % 4 == 3;
        let chosen = self.addresses.iter().filter(|k| !mixed || k.taken == turn_of_taken);
        chosen.map(|known| known.address.clone()).collect()
    }

    fn forget_useless(&mut self) {
        self.addresses.retain(|known| known.given || known.failures < MAX_LEARNED_FAILURES);
    }

    fn add(&mut self, address: Multiaddr, given: bool) {
        let address = without_peer(address);
        if address.len() > MAX_ADDRESS_BYTES || !is_dialable(&address) {
            return;
        }
        if let Some(known) = self.addresses.iter_mut().find(|known| known.address == address) {
            known.given |= given;
        } else if self.addresses.len() < MAX_ADDRESSES_PER_MEMBER {
            self.addresses.push(Address { address, given, failures: 0, taken: false });
        }
    }
}

/// Half of the exponential wait, and a random share of the other half.
fn backoff(base: Duration, cap: Duration, failures: u32, jitter: u32) -> Duration {
    let full = base.saturating_mul(1u32 << failures.min(20)).min(cap);
    full / 2 + full / 2 * jitter.min(1000) / 1000
}

/// An address names a place; who must answer there is known from the book's key.
fn without_peer(address: Multiaddr) -> Multiaddr {
    address.into_iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect()
}

fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    let port = match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None, None) => port,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), None) => port,
        _ => return false,
    };
    host && port != 0
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(60);

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn book_with(addresses: &[&str]) -> (AddressBook, PeerId, Instant) {
        let (local, peer) = (PeerId::random(), PeerId::random());
        let now = Instant::now();
        let mut book = AddressBook::new(local, BASE, CAP);
        let addresses = addresses.iter().map(|text| address(text)).collect();
        book.set_members(vec![(peer, addresses), (local, vec![])], now);
        (book, peer, now + DIAL_COURTESY)
    }

    #[test]
    fn a_given_address_is_dialled_for_ever_with_growing_waits() {
        let (mut book, peer, mut now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
        let mut waits = Vec::new();
        for _ in 0..40 {
            let due = book.take_due(now);
            assert_eq!(due.len(), 1);
            assert_eq!(due[0].1, [address("/ip4/10.0.0.1/tcp/7000")]);
            assert!(book.take_due(now).is_empty(), "not dialled twice at once");
            book.failed(&peer, &due[0].1[0]);
            book.dial_ended(&peer, now, 1000);
            let next = book.next_due().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits[39], 60);
    }

    #[test]
    fn jitter_spreads_a_wait_over_its_upper_half() {
        assert_eq!(backoff(BASE, CAP, 3, 0), Duration::from_secs(4));
        assert_eq!(backoff(BASE, CAP, 3, 500), Duration::from_secs(6));
        assert_eq!(backoff(BASE, CAP, 3, 1000), Duration::from_secs(8));
    }

    #[test]
    fn a_member_that_left_is_dialled_again_soon() {
        let (mut book, peer, now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
        book.take_due(now);
        book.dial_ended(&peer, now, 1000);
        book.connected(&peer, now);
        assert_eq!(book.next_due(), None);
        let later = now + LASTING_CONNECTION;
        book.disconnected(&peer, later, 1000);
        assert_eq!(book.next_due(), Some(later + BASE));
    }

    #[test]
    fn a_member_that_hangs_up_at_once_is_dialled_less_and_less() {
        let (mut book, peer, mut now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
        let mut waits = Vec::new();
        for _ in 0..5 {
            assert_eq!(book.take_due(now).len(), 1);
            book.dial_ended(&peer, now, 1000);
            book.connected(&peer, now);
            book.disconnected(&peer, now, 1000);
            let next = book.next_due().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [2, 8, 32, 60, 60]);
    }

    #[test]
    fn an_address_with_another_node_does_not_hide_the_right_one() {
        let (mut book, peer, mut now) =
            book_with(&["/ip4/10.0.0.1/tcp/7000", "/ip4/10.0.0.2/tcp/7000"]);
        assert_eq!(book.take_due(now)[0].1.len(), 2);
        book.answered_by_another(&peer, &address("/ip4/10.0.0.1/tcp/7000"));
        let mut dialled = Vec::new();
        for _ in 0..4 {
            book.dial_ended(&peer, now, 0);
            now = book.next_due().unwrap();
            let addresses = book.take_due(now).remove(0).1;
            assert_eq!(addresses.len(), 1);
            dialled.push(addresses[0].to_string().contains("10.0.0.2"));
        }
        assert_eq!(dialled, [true, true, false, true]);
    }

    #[test]
    fn a_learned_address_is_forgotten_after_failures_and_a_given_one_is_not() {
        let given = "/ip4/10.0.0.1/tcp/7000";
        let (mut book, peer, now) = book_with(&[given]);
        let learned = address("/ip4/10.0.0.2/udp/7000/quic-v1");
        let seen_at = address("/ip4/10.0.0.2/tcp/50000");
        book.learn(&peer, learned.clone().with(Protocol::P2p(peer)), &seen_at);
        for _ in 0..MAX_LEARNED_FAILURES {
            book.failed(&peer, &address(given).with(Protocol::P2p(peer)));
        }
        assert_eq!(book.take_due(now)[0].1, [learned.clone(), address(given)]);
        for _ in 0..MAX_LEARNED_FAILURES {
            book.failed(&peer, &learned);
        }
        book.dial_ended(&peer, now, 0);
        assert_eq!(book.take_due(now + CAP)[0].1, [address(given)]);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_not_taken() {
        let (mut book, peer, now) = book_with(&[
            "/ip4/0.0.0.0/tcp/7000",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/10.0.0.1",
            "/memory/7",
            "/dns/example.org/tcp/7000/ws",
        ]);
        let far = address("/ip4/10.0.0.1/tcp/5");
        book.learn(&peer, address("/ip4/127.0.0.1/tcp/7000"), &far);
        assert!(book.take_due(now).is_empty());
        book.learn(&peer, address("/ip4/127.0.0.1/tcp/7000"), &address("/ip4/127.0.0.1/tcp/5"));
        for port in 1..100 {
            book.learn(&peer, address(&format!("/dns/example.org/tcp/{port}")), &far);
        }
        assert_eq!(book.take_due(now)[0].1.len(), MAX_ADDRESSES_PER_MEMBER);
    }
}
