//! One member's addresses, and when it is dialled next.

use std::time::Duration;

use libp2p::Multiaddr;
use tokio::time::Instant;

use super::address::{Address, AddressSource, check_dial, without_peer};
use crate::limits::{
    DIAL_TIE_BREAK, MAX_ADDRESSES_PER_MEMBER, MAX_IDENTIFY_FAILURES, MAX_OPERATOR_ADDRESSES,
    MAX_RECORD_ADDRESSES,
};
use crate::transport::quic_first;

/// A connection that lasted this long resets the backoff.
pub(super) const LASTING_CONNECTION: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) addresses: Vec<Address>,
    connected_since: Option<Instant>,
    dialling: bool,
    /// Dials in a row that led to no lasting connection.
    failures: u32,
    pub(super) dial_at: Instant,
}

impl Entry {
    /// A member without addresses, which is not dialled before `dial_at`.
    pub(super) const fn new(dial_at: Instant) -> Self {
        Self { addresses: Vec::new(), connected_since: None, dialling: false, failures: 0, dial_at }
    }

    /// Whether the next dial is due at `dial_at`.
    pub(super) const fn is_waiting(&self) -> bool {
        self.connected_since.is_none() && !self.dialling && !self.addresses.is_empty()
    }

    pub(super) const fn connected(&mut self, now: Instant) {
        self.connected_since = Some(now);
    }

    /// Only a connection that lasted resets the backoff: a peer that accepts and hangs up is not
    /// dialled every second.
    pub(super) fn disconnected(&mut self, now: Instant) {
        let since = self.connected_since.take().unwrap_or(now);
        if now.saturating_duration_since(since) >= LASTING_CONNECTION {
            self.failures = 0;
        }
    }

    pub(super) const fn dial_ended(&mut self) {
        self.dialling = false;
    }

    /// Schedules the next dial after the backoff; `jitter` is uniform in 0..1000.
    pub(super) fn back_off(&mut self, base: Duration, cap: Duration, now: Instant, jitter: u32) {
        self.dial_at = now + backoff(base, cap, self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
    }

    /// Resets the backoff, because something has changed that makes a dial worth trying.
    pub(super) fn dial_soon(&mut self, now: Instant) {
        self.failures = 0;
        self.dial_at = self.dial_at.min(now + DIAL_TIE_BREAK);
    }

    /// The addresses of the dial that begins now, QUIC before TCP, the best of each first.
    /// Addresses at which another node answered are dialled by themselves, every fourth time.
    pub(super) fn start_dial(&mut self) -> Vec<Multiaddr> {
        self.dialling = true;
        self.addresses.sort_by_key(Address::rank);
        let mixed = self.addresses.iter().any(|known| known.wrong_peer)
            && self.addresses.iter().any(|known| !known.wrong_peer);
        let wrong_ones = self.failures % 4 == 3;
        let chosen = self.addresses.iter().filter(|it| !mixed || it.wrong_peer == wrong_ones);
        quic_first(chosen.map(|known| known.address.clone()).collect())
    }

    /// Forgets addresses from identify that have failed too often.
    pub(super) fn drop_failing(&mut self) {
        self.addresses
            .retain(|known| !known.is_unconfirmed() || known.failures < MAX_IDENTIFY_FAILURES);
    }

    /// Makes `addresses` all that is known from `source`; true if [`Self::add`] is true for one of
    /// them.
    pub(super) fn replace(&mut self, source: AddressSource, addresses: Vec<Multiaddr>) -> bool {
        let addresses: Vec<Multiaddr> = addresses.into_iter().map(without_peer).collect();
        for known in &mut self.addresses {
            let stays = addresses.contains(&known.address);
            known.sources.retain(|from| *from != source || stays);
        }
        self.addresses.retain(|known| !known.sources.is_empty());
        let mut is_new = false;
        for address in addresses {
            is_new |= self.add(address, source);
        }
        is_new
    }

    /// Adds one address. True if it is new, or newly known from a source other than identify; false
    /// if it cannot be dialled or `source` is at its limit.
    pub(super) fn add(&mut self, address: Multiaddr, source: AddressSource) -> bool {
        let address = without_peer(address);
        if check_dial(&address).is_err() {
            return false;
        }
        let is_full = self.count(source) >= max_addresses(source);
        match self.addresses.iter_mut().find(|known| known.address == address) {
            Some(known) if known.is_from(source) => false,
            _ if is_full => false,
            Some(known) => {
                known.add_source(source);
                if source != AddressSource::Identify {
                    known.failures = 0;
                }
                source != AddressSource::Identify
            }
            None => {
                let mut known = Address::new(address);
                known.add_source(source);
                self.addresses.push(known);
                true
            }
        }
    }

    /// Number of addresses that count towards the limit of `source`.
    fn count(&self, source: AddressSource) -> usize {
        let counted = self.addresses.iter().filter(|known| match source {
            AddressSource::Identify => known.is_unconfirmed(),
            given => known.is_from(given),
        });
        counted.count()
    }
}

/// Each source has a limit of its own, so that none can displace the addresses of another.
const fn max_addresses(source: AddressSource) -> usize {
    match source {
        AddressSource::Operator => MAX_OPERATOR_ADDRESSES,
        AddressSource::Signed => MAX_RECORD_ADDRESSES,
        AddressSource::Manifest | AddressSource::Identify => MAX_ADDRESSES_PER_MEMBER,
    }
}

/// Exponential backoff with jitter over its upper half; `jitter` is in thousandths.
fn backoff(base: Duration, cap: Duration, failures: u32, jitter: u32) -> Duration {
    let full = base.saturating_mul(1u32 << failures.min(20)).min(cap);
    full / 2 + full / 2 * jitter.min(1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_a_wait_over_its_upper_half() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(backoff(base, cap, 3, 0), Duration::from_secs(4));
        assert_eq!(backoff(base, cap, 3, 500), Duration::from_secs(6));
        assert_eq!(backoff(base, cap, 3, 1000), Duration::from_secs(8));
    }
}
