//! Where members may be found, and when to dial them again. Pure: the clock comes in.
//!
//! libp2p forgets an address after one failed dial; a federation must not. Addresses from the
//! manifest, from the operator and from a member's newest signed record stay; those that are only
//! told go after repeated failure. Every member that is not connected is dialled again, for ever,
//! with growing waits.

mod address;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::admission::ip_of;
use crate::limits::{
    DIAL_COURTESY, MAX_ADDRESSES_PER_MEMBER, MAX_LEARNED_FAILURES, MAX_OPERATOR_ADDRESSES,
    MAX_PROVEN_PLACES, MAX_RECORD_ADDRESSES,
};
use crate::prefer::{is_quic, quic_first};

use address::{Address, is_loopback, without_peer};
pub use address::{AddressSource, check_dial};

/// A connection that held for this long was a good one.
const LASTING_CONNECTION: Duration = Duration::from_secs(10);

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
    /// What the operator said, also of those who are not members yet.
    operator: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// From where members have come, whose handshakes proved them; the newest last.
    proven: BTreeMap<PeerId, VecDeque<IpAddr>>,
    hosts_changed: bool,
}

/// What is known of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAddress {
    /// The address.
    pub address: Multiaddr,
    /// From where it is known; never empty.
    pub sources: Vec<AddressSource>,
    /// Failed dials in a row.
    pub failures: u32,
    /// Why the last of them failed.
    pub last_error: Option<String>,
}

impl AddressBook {
    pub(crate) fn new(local: PeerId, base: Duration, cap: Duration) -> Self {
        let (entries, operator, proven) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { local, base, cap, entries, operator, proven, hosts_changed: false }
    }

    /// Replaces the members. What is known of those who stay is kept; their addresses from the
    /// manifest are replaced, and they are dialled at once if they are not connected.
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
            entry.replace(AddressSource::Manifest, addresses);
            let said = self.operator.get(&peer).cloned().unwrap_or_default();
            entry.replace(AddressSource::Operator, said);
            entry.dial_soon(now);
            self.entries.insert(peer, entry);
        }
        self.proven.retain(|peer, _| self.entries.contains_key(peer));
        self.hosts_changed = true;
    }

    /// A member has come from `ip` and proven that it is itself.
    pub(crate) fn came_from(&mut self, peer: &PeerId, ip: IpAddr) {
        if !self.entries.contains_key(peer) {
            return;
        }
        let places = self.proven.entry(*peer).or_default();
        if places.contains(&ip) {
            return;
        }
        if places.len() >= MAX_PROVEN_PLACES {
            places.pop_front();
        }
        places.push_back(ip);
        self.hosts_changed = true;
    }

    /// The IP addresses at which members are known, if they may have changed since the last call. What a member merely
    /// tells of itself over a connection does not count.
    pub(crate) fn take_changed_hosts(&mut self) -> Option<Vec<IpAddr>> {
        if !std::mem::take(&mut self.hosts_changed) {
            return None;
        }
        let said = self.entries.values().flat_map(|entry| &entry.addresses);
        let said = said.filter(|known| !known.is_only_told());
        let said = said.filter_map(|known| ip_of(&known.address));
        Some(said.chain(self.proven.values().flatten().copied()).collect())
    }

    /// Replaces what the operator said of all members. Who got another address is dialled at once.
    pub(crate) fn set_operator(&mut self, all: Vec<(PeerId, Vec<Multiaddr>)>, now: Instant) {
        self.operator = all.into_iter().collect();
        self.hosts_changed = true;
        for (peer, entry) in &mut self.entries {
            let said = self.operator.get(peer).cloned().unwrap_or_default();
            if entry.replace(AddressSource::Operator, said) {
                entry.dial_soon(now);
            }
        }
    }

    /// Replaces what is known of a member under its own signature. Loopback means another machine
    /// to everyone but a neighbour on this one.
    pub(crate) fn set_signed(
        &mut self,
        peer: &PeerId,
        addresses: &[Multiaddr],
        is_neighbour: bool,
        now: Instant,
    ) {
        let usable = addresses.iter().filter(|address| is_neighbour || !is_loopback(address));
        let usable: Vec<Multiaddr> = usable.cloned().collect();
        if let Some(entry) = self.entries.get_mut(peer)
            && entry.replace(AddressSource::Signed, usable)
        {
            entry.dial_soon(now);
            self.hosts_changed = true;
        }
    }

    /// What is known of a member's addresses.
    pub(crate) fn known(&self, peer: &PeerId) -> Vec<KnownAddress> {
        let all = self.entries.get(peer).map(|entry| entry.addresses.iter());
        let known = |known: &Address| KnownAddress {
            address: known.address.clone(),
            sources: known.sources.clone(),
            failures: known.failures,
            last_error: known.last_error.clone(),
        };
        all.into_iter().flatten().map(known).collect()
    }

    /// Where a member may be reached over QUIC, what has failed least first.
    pub(crate) fn quic_of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let all = self.entries.get(peer).map(|entry| entry.addresses.iter());
        let mut quic: Vec<_> =
            all.into_iter().flatten().filter(|it| is_quic(&it.address)).collect();
        quic.sort_by_key(|known| known.rank());
        quic.into_iter().map(|known| known.address.clone()).collect()
    }

    /// How many members there are beside us.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// All members but ourselves.
    pub(crate) fn members(&self) -> impl Iterator<Item = PeerId> {
        self.entries.keys().copied()
    }

    /// A member told us where else it listens, over a connection from `seen_at`.
    pub(crate) fn learn(&mut self, peer: &PeerId, address: Multiaddr, seen_at: &Multiaddr) {
        // Loopback means another machine to everyone but a neighbour on this one.
        if is_loopback(&address) && !is_loopback(seen_at) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.add(address, AddressSource::Told);
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
            known.last_error = None;
        });
    }

    /// An address did not answer; `reason` is for people.
    pub(crate) fn failed(&mut self, peer: &PeerId, address: &Multiaddr, reason: &str) {
        self.with_address(peer, address, |known| {
            known.failures = known.failures.saturating_add(1);
            known.last_error = Some(reason.chars().take(MAX_REASON).collect());
        });
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.forget_useless();
        }
    }

    /// Another node answered at an address. All addresses are dialled at once and the first answer
    /// decides, so this one would keep the right ones from being heard.
    pub(crate) fn answered_by_another(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.with_address(peer, address, |known| known.taken = true);
        self.failed(peer, address, "another node answers there");
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

    /// QUIC before TCP, the best of each first. Addresses where another node answered are dialled by themselves, every
    /// fourth time.
    fn addresses_to_dial(&mut self) -> Vec<Multiaddr> {
        self.addresses.sort_by_key(Address::rank);
        let mixed = self.addresses.iter().any(|known| known.taken)
            && self.addresses.iter().any(|known| !known.taken);
        let turn_of_taken = self.failures % 4 == 3;
        let chosen = self.addresses.iter().filter(|k| !mixed || k.taken == turn_of_taken);
        quic_first(chosen.map(|known| known.address.clone()).collect())
    }

    fn forget_useless(&mut self) {
        self.addresses
            .retain(|known| !known.is_only_told() || known.failures < MAX_LEARNED_FAILURES);
    }

    /// It is worth a try now: no wait that has grown counts any more.
    fn dial_soon(&mut self, now: Instant) {
        self.failures = 0;
        self.dial_at = self.dial_at.min(now + DIAL_COURTESY);
    }

    /// Makes `addresses` all that is known from `source`; true if there is one among them that was not known from there.
    fn replace(&mut self, source: AddressSource, addresses: Vec<Multiaddr>) -> bool {
        let addresses: Vec<Multiaddr> = addresses.into_iter().map(without_peer).collect();
        for known in &mut self.addresses {
            let stays = addresses.contains(&known.address);
            known.sources.retain(|from| *from != source || stays);
        }
        self.addresses.retain(|known| !known.sources.is_empty());
        let mut is_news = false;
        for address in addresses {
            is_news |= self.add(address, source);
        }
        is_news
    }

    /// Whether it was not known from there and there was room.
    fn add(&mut self, address: Multiaddr, source: AddressSource) -> bool {
        let address = without_peer(address);
        if check_dial(&address).is_err() {
            return false;
        }
        // Each source has room of its own, so that none can keep another's word out.
        let from_there = self.addresses.iter().filter(|known| match source {
            AddressSource::Told => known.is_only_told(),
            given => known.is_from(given),
        });
        let full = from_there.count()
            >= match source {
                AddressSource::Operator => MAX_OPERATOR_ADDRESSES,
                AddressSource::Signed => MAX_RECORD_ADDRESSES,
                AddressSource::Manifest | AddressSource::Told => MAX_ADDRESSES_PER_MEMBER,
            };
        match self.addresses.iter_mut().find(|known| known.address == address) {
            Some(known) if known.is_from(source) => false,
            _ if full => false,
            Some(known) => {
                known.add_source(source);
                if source != AddressSource::Told {
                    known.failures = 0;
                }
                source != AddressSource::Told
            }
            None => {
                let mut known = Address::new(address);
                known.add_source(source);
                self.addresses.push(known);
                true
            }
        }
    }
}

/// The longest reason for a failed dial that is kept, in characters.
const MAX_REASON: usize = 300;

/// Half of the exponential wait, and a random share of the other half.
fn backoff(base: Duration, cap: Duration, failures: u32, jitter: u32) -> Duration {
    let full = base.saturating_mul(1u32 << failures.min(20)).min(cap);
    full / 2 + full / 2 * jitter.min(1000) / 1000
}

#[cfg(test)]
mod tests {
    use libp2p::multiaddr::Protocol;

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
            book.failed(&peer, &due[0].1[0], "refused");
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
            book.failed(&peer, &address(given).with(Protocol::P2p(peer)), "refused");
        }
        assert_eq!(book.take_due(now)[0].1, [learned.clone(), address(given)]);
        for _ in 0..MAX_LEARNED_FAILURES {
            book.failed(&peer, &learned, "refused");
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

    #[test]
    fn a_signed_record_replaces_the_one_before_and_is_dialled_soon() {
        let (mut book, peer, mut now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
        for _ in 0..10 {
            let due = book.take_due(now);
            book.failed(&peer, &due[0].1[0], "refused");
            book.dial_ended(&peer, now, 1000);
            now = book.next_due().unwrap();
        }
        book.take_due(now);
        book.dial_ended(&peer, now, 1000);
        let moved = |port: u16| address(&format!("/ip4/10.0.0.9/tcp/{port}"));
        book.set_signed(&peer, &[moved(1)], false, now);
        assert_eq!(book.next_due(), Some(now + DIAL_COURTESY), "not after the grown wait");
        book.set_signed(&peer, &[moved(2)], false, now);
        let due = book.take_due(now + DIAL_COURTESY);
        assert_eq!(due[0].1, [moved(2), address("/ip4/10.0.0.1/tcp/7000")]);
        // It stays however often it fails.
        for _ in 0..100 {
            book.failed(&peer, &moved(2), "refused");
        }
        let known = book.known(&peer);
        let signed = known.iter().find(|known| known.address == moved(2)).unwrap();
        assert_eq!(signed.sources, [AddressSource::Signed]);
        assert_eq!((signed.failures, signed.last_error.as_deref()), (100, Some("refused")));
    }

    #[test]
    fn a_record_does_not_make_this_machine_dial_itself() {
        let (mut book, peer, now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
        let local = [address("/ip4/127.0.0.1/tcp/22"), address("/dns4/localhost/tcp/22")];
        book.set_signed(&peer, &local, false, now);
        assert_eq!(book.take_due(now)[0].1, [address("/ip4/10.0.0.1/tcp/7000")]);
        book.dial_ended(&peer, now, 0);
        book.set_signed(&peer, &local, true, now);
        assert_eq!(book.take_due(now + CAP)[0].1.len(), 3, "a neighbour may");
    }

    #[test]
    fn a_member_is_known_where_others_vouch_for_it_and_where_it_last_came_from() {
        let (mut book, peer, now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(book.take_changed_hosts(), Some(vec![ip("10.0.0.1")]));
        assert_eq!(book.take_changed_hosts(), None);
        book.learn(&peer, address("/ip4/10.0.0.2/tcp/7000"), &address("/ip4/10.0.0.1/tcp/5"));
        book.set_signed(&peer, &[address("/ip4/10.0.0.3/tcp/7000")], false, now);
        for last in 1..=9 {
            book.came_from(&peer, IpAddr::from([192, 0, 2, last]));
        }
        book.came_from(&PeerId::random(), ip("192.0.2.77"));
        let known = book.take_changed_hosts().unwrap();
        for (host, is_known) in [
            ("10.0.0.1", true),
            ("10.0.0.3", true),
            ("192.0.2.9", true),
            ("192.0.2.8", true),
            ("10.0.0.2", false),
            ("192.0.2.7", false),
            ("192.0.2.77", false),
        ] {
            assert_eq!(known.contains(&ip(host)), is_known, "{host}");
        }
        book.set_members(vec![], now);
        assert_eq!(book.take_changed_hosts(), Some(vec![]));
    }

    #[test]
    fn no_source_takes_the_room_of_another() {
        let (mut book, peer, now) = book_with(&[]);
        let told_by = address("/ip4/10.0.0.1/tcp/5");
        for port in 1..1000 {
            book.learn(&peer, address(&format!("/ip4/10.0.0.1/tcp/{port}")), &told_by);
        }
        let many = |ip: u8| (1..100).map(move |p| address(&format!("/ip4/10.0.1.{ip}/tcp/{p}")));
        book.set_signed(&peer, &many(1).collect::<Vec<_>>(), false, now);
        book.set_operator(vec![(peer, many(2).collect())], now);
        let known = book.known(&peer);
        let count = |source| known.iter().filter(|k| k.sources.contains(&source)).count();
        assert_eq!(count(AddressSource::Told), MAX_ADDRESSES_PER_MEMBER);
        assert_eq!(count(AddressSource::Signed), MAX_RECORD_ADDRESSES);
        assert_eq!(count(AddressSource::Operator), MAX_OPERATOR_ADDRESSES);
        // What the operator said is dialled first, and goes when it is taken back.
        assert!(book.take_due(now + CAP)[0].1[0].to_string().starts_with("/ip4/10.0.1.2/"));
        book.set_operator(vec![], now);
        assert!(book.known(&peer).iter().all(|k| !k.sources.contains(&AddressSource::Operator)));
    }

    #[test]
    fn what_the_operator_says_of_a_later_member_counts_when_it_comes() {
        let (local, peer, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let mut book = AddressBook::new(local, BASE, CAP);
        book.set_operator(vec![(peer, vec![address("/ip4/10.0.0.1/tcp/7000")])], now);
        assert!(book.take_due(now).is_empty());
        book.set_members(vec![(peer, vec![])], now);
        assert_eq!(book.take_due(now + DIAL_COURTESY).len(), 1);
    }
}
