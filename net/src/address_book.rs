//! The addresses of members, and when each member is dialled next. Pure: the clock is an argument.
//!
//! libp2p forgets an address after one failed dial; a federation must not. Addresses from the
//! manifest, from the operator and from a member's newest signed record are kept; those learned by
//! identify are dropped after repeated failures. Every member that is not connected is redialled
//! indefinitely, with exponential backoff.

mod address;
mod entry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::admission::ip_of;
use crate::limits::{DIAL_TIE_BREAK, MAX_OBSERVED_IPS};
use crate::transport::is_quic;

use address::{Address, is_loopback, without_peer};
pub use address::{AddressSource, check_dial};
use entry::Entry;

/// Maximum length in characters of the stored reason of a failed dial.
const MAX_REASON: usize = 300;

/// The addresses of all other members.
#[derive(Debug)]
pub(crate) struct AddressBook {
    local: PeerId,
    /// The first (`base`) and the longest (`cap`) backoff before a member is dialled again.
    base: Duration,
    cap: Duration,
    entries: BTreeMap<PeerId, Entry>,
    /// The operator's addresses, also of nodes that are not members yet.
    operator: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Source IPs of authenticated connections of members, the newest last; at most
    /// [`MAX_OBSERVED_IPS`] each.
    observed: BTreeMap<PeerId, VecDeque<IpAddr>>,
    hosts_changed: bool,
}

/// What is known of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAddress {
    /// The address, without the peer's id.
    pub address: Multiaddr,
    /// The sources that it is known from, the most trusted first; never empty.
    pub sources: Vec<AddressSource>,
    /// Failed dials in a row.
    pub failures: u32,
    /// The error of the last failed dial.
    pub last_error: Option<String>,
}

impl AddressBook {
    pub(crate) fn new(local: PeerId, base: Duration, cap: Duration) -> Self {
        let (entries, operator, observed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { local, base, cap, entries, operator, observed, hosts_changed: false }
    }

    /// Replaces the members. Entries of members that remain are kept; their addresses from the
    /// manifest are replaced, and they are dialled at once if they are not connected.
    pub(crate) fn set_members(&mut self, members: Vec<(PeerId, Vec<Multiaddr>)>, now: Instant) {
        let mut old = std::mem::take(&mut self.entries);
        for (peer, addresses) in members {
            if peer == self.local {
                continue;
            }
            // Both ends learn of each other at the same moment; the smaller id dials first.
            let first_dial = if self.local < peer { now } else { now + DIAL_TIE_BREAK };
            let mut entry = old.remove(&peer).unwrap_or_else(|| Entry::new(first_dial));
            entry.replace(AddressSource::Manifest, addresses);
            let given = self.operator.get(&peer).cloned().unwrap_or_default();
            entry.replace(AddressSource::Operator, given);
            entry.dial_soon(now);
            self.entries.insert(peer, entry);
        }
        self.observed.retain(|peer, _| self.entries.contains_key(peer));
        self.hosts_changed = true;
    }

    /// Notes the source IP of an authenticated connection of a member.
    pub(crate) fn observe(&mut self, peer: &PeerId, ip: IpAddr) {
        if !self.entries.contains_key(peer) {
            return;
        }
        let observed = self.observed.entry(*peer).or_default();
        if observed.contains(&ip) {
            return;
        }
        if observed.len() >= MAX_OBSERVED_IPS {
            observed.pop_front();
        }
        observed.push_back(ip);
        self.hosts_changed = true;
    }

    /// The IP addresses at which members are known, if they may have changed since the last call.
    /// Addresses that a member has only claimed by identify do not count.
    pub(crate) fn take_changed_hosts(&mut self) -> Option<Vec<IpAddr>> {
        if !std::mem::take(&mut self.hosts_changed) {
            return None;
        }
        let known = self.entries.values().flat_map(|entry| &entry.addresses);
        let confirmed = known.filter(|known| !known.is_unconfirmed());
        let ips = confirmed.filter_map(|known| ip_of(&known.address));
        Some(ips.chain(self.observed.values().flatten().copied()).collect())
    }

    /// Replaces the operator's addresses of all members. A member that got a new one is dialled at
    /// once.
    pub(crate) fn set_operator(&mut self, all: Vec<(PeerId, Vec<Multiaddr>)>, now: Instant) {
        self.operator = all.into_iter().collect();
        self.hosts_changed = true;
        for (peer, entry) in &mut self.entries {
            let given = self.operator.get(peer).cloned().unwrap_or_default();
            if entry.replace(AddressSource::Operator, given) {
                entry.dial_soon(now);
            }
        }
    }

    /// Replaces the addresses from a member's signed record. A loopback address is used only if the
    /// member runs on this machine: from anywhere else it would lead to another node.
    pub(crate) fn set_signed(
        &mut self,
        peer: &PeerId,
        addresses: &[Multiaddr],
        is_same_host: bool,
        now: Instant,
    ) {
        let usable = addresses.iter().filter(|address| is_same_host || !is_loopback(address));
        let usable: Vec<Multiaddr> = usable.cloned().collect();
        if let Some(entry) = self.entries.get_mut(peer)
            && entry.replace(AddressSource::Signed, usable)
        {
            entry.dial_soon(now);
            self.hosts_changed = true;
        }
    }

    /// Adds an address that a member has announced by identify over a connection from `remote`;
    /// a loopback address only if the connection itself is over loopback.
    pub(crate) fn add_identified(&mut self, peer: &PeerId, address: Multiaddr, remote: &Multiaddr) {
        if is_loopback(&address) && !is_loopback(remote) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.add(address, AddressSource::Identify);
        }
    }

    /// A member's addresses, each with its sources and the result of its last dials.
    pub(crate) fn known(&self, peer: &PeerId) -> Vec<KnownAddress> {
        let known = |known: &Address| KnownAddress {
            address: known.address.clone(),
            sources: known.sources.clone(),
            failures: known.failures,
            last_error: known.last_error.clone(),
        };
        self.addresses_of(peer).map(known).collect()
    }

    /// The QUIC addresses of a member, the best first.
    pub(crate) fn quic_of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let mut quic: Vec<_> = self.addresses_of(peer).filter(|it| is_quic(&it.address)).collect();
        quic.sort_by_key(|known| known.rank());
        quic.into_iter().map(|known| known.address.clone()).collect()
    }

    /// The number of other members.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// All other members.
    pub(crate) fn members(&self) -> impl Iterator<Item = PeerId> {
        self.entries.keys().copied()
    }

    pub(crate) fn connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.connected(now);
        }
    }

    /// The last connection with a member is closed; `jitter` is uniform in 0..1000.
    pub(crate) fn disconnected(&mut self, peer: &PeerId, now: Instant, jitter: u32) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.disconnected(now);
            entry.back_off(self.base, self.cap, now, jitter);
        }
    }

    /// A dial of this address succeeded.
    pub(crate) fn succeeded(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.with_address(peer, address, |known| {
            known.failures = 0;
            known.wrong_peer = false;
            known.last_error = None;
        });
    }

    /// A dial of this address failed; `reason` is shown to the operator.
    pub(crate) fn failed(&mut self, peer: &PeerId, address: &Multiaddr, reason: &str) {
        self.with_address(peer, address, |known| {
            known.failures = known.failures.saturating_add(1);
            known.last_error = Some(reason.chars().take(MAX_REASON).collect());
        });
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.drop_failing();
        }
    }

    /// Another node answered at this address. All addresses are dialled concurrently and the first
    /// answer decides, so it would keep the right ones from being used.
    pub(crate) fn answered_by_another(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.with_address(peer, address, |known| known.wrong_peer = true);
        self.failed(peer, address, "another node answers there");
    }

    /// A dial has ended; `jitter` is uniform in 0..1000.
    pub(crate) fn dial_ended(&mut self, peer: &PeerId, now: Instant, jitter: u32) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.dial_ended();
            entry.back_off(self.base, self.cap, now, jitter);
        }
    }

    /// The members to dial now, with their addresses in the order of preference; marked as being
    /// dialled.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let due = |entry: &Entry| entry.is_waiting() && entry.dial_at <= now;
        let due = self.entries.iter_mut().filter(|(_, entry)| due(entry));
        due.map(|(peer, entry)| (*peer, entry.start_dial())).collect()
    }

    /// When the next member is to be dialled.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| entry.is_waiting());
        waiting.map(|entry| entry.dial_at).min()
    }

    fn addresses_of(&self, peer: &PeerId) -> impl Iterator<Item = &Address> {
        self.entries.get(peer).into_iter().flat_map(|entry| &entry.addresses)
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
