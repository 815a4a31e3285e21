//! Decides which inbound connections may begin a handshake; shared by the transport, which asks,
//! and the driver, which knows the addresses of the members.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::Multiaddr;
use tokio::time::Instant;

use super::origin::{IpNetwork, Origin, host_of, ip_of};
use super::refusals::{Refusals, RefusedOrigin};
use super::slots::{SlotClass, SlotLimits, SlotTable, TakenSlot};
use crate::limits::{INBOUND_RATE, MAX_INBOUND_BUCKETS};
use crate::rate::TokenBuckets;
use crate::stats::Counters;

/// The transport of a connection. Each has slots of its own: the source address of a datagram can
/// be spoofed, so a flood of QUIC handshakes must not take slots from TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportKind {
    Tcp,
    Quic,
}

/// The admission control of one node; clones share its state.
#[derive(Clone)]
pub(crate) struct AdmissionControl(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    shared: Vec<IpNetwork>,
    counters: Arc<Counters>,
}

struct State {
    tcp: SlotTable,
    quic: SlotTable,
    rates: TokenBuckets<Origin>,
    known: HashSet<IpAddr>,
    refusals: Refusals,
}

impl AdmissionControl {
    /// `shared`: networks, besides this machine, behind which many origins share one address, such
    /// as reverse proxies.
    pub(crate) fn new(limits: SlotLimits, shared: Vec<IpNetwork>, counters: Arc<Counters>) -> Self {
        let state = State {
            tcp: SlotTable::new(limits),
            quic: SlotTable::new(limits),
            rates: TokenBuckets::new(INBOUND_RATE, MAX_INBOUND_BUCKETS),
            known: HashSet::new(),
            refusals: Refusals::default(),
        };
        Self(Arc::new(Inner { state: Mutex::new(state), shared, counters }))
    }

    /// A slot for the handshake of a connection from `remote`; none if its origin is over its rate
    /// limit.
    pub(crate) fn acquire(
        &self,
        kind: TransportKind,
        remote: &Multiaddr,
        now: Instant,
    ) -> Option<HandshakeSlot> {
        let origin = self.origin(remote);
        let mut state = self.lock();
        let class = match (origin, ip_of(remote)) {
            (Some(_), Some(ip)) if state.known.contains(&host_of(ip)) => SlotClass::Known,
            (Some(_), _) => SlotClass::Unknown,
            (None, _) => SlotClass::Shared,
        };
        if origin.is_some_and(|origin| !state.rates.take(origin, now)) {
            state.refusals.note(origin, now);
            drop(state);
            self.0.counters.refused_connection();
            return None;
        }
        let taken = state.slots(kind).acquire(class, origin);
        if let Some(origin) = taken.evicted {
            state.refusals.note(origin, now);
            self.0.counters.refused_connection();
        }
        drop(state);
        Some(HandshakeSlot { admission: self.clone(), kind, origin, taken })
    }

    /// The origin of `remote`; none for a relay, a shared network or this machine, where
    /// connections of different origins share one address.
    pub(crate) fn origin(&self, remote: &Multiaddr) -> Option<Origin> {
        let ip = ip_of(remote)?;
        let shared = ip == IpAddr::from([127, 0, 0, 1])
            || ip == IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
            || self.0.shared.iter().any(|network| network.contains(ip));
        (!shared).then(|| Origin::of(ip))
    }

    /// Replaces the IP addresses at which members are known; connections from there use slots of
    /// their own.
    pub(crate) fn set_known(&self, known: impl IntoIterator<Item = IpAddr>) {
        let known = known.into_iter().map(host_of).collect();
        self.lock().known = known;
    }

    /// Counts a connection from `origin` that was refused or closed.
    pub(crate) fn note_refusal(&self, origin: Option<Origin>) {
        self.lock().refusals.note(origin, Instant::now());
        self.0.counters.refused_connection();
    }

    /// When the last connection was refused.
    pub(crate) fn last_refusal(&self) -> Option<Instant> {
        self.lock().refusals.last()
    }

    /// The origins of at least `least` refused connections within a minute, the most first.
    pub(crate) fn refused(&self, least: u64, now: Instant) -> Vec<RefusedOrigin> {
        self.lock().refusals.most(least, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the tables are consistent between any two
        // statements.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn slots(&mut self, kind: TransportKind) -> &mut SlotTable {
        match kind {
            TransportKind::Tcp => &mut self.tcp,
            TransportKind::Quic => &mut self.quic,
        }
    }
}

/// A slot for one handshake; released when it is dropped.
pub(crate) struct HandshakeSlot {
    admission: AdmissionControl,
    kind: TransportKind,
    origin: Option<Origin>,
    taken: TakenSlot,
}

impl HandshakeSlot {
    pub(super) const fn kind(&self) -> TransportKind {
        self.kind
    }

    /// To be set when the first byte arrives.
    pub(super) fn first_byte_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.taken.first_byte)
    }

    pub(super) fn has_first_byte(&self) -> bool {
        self.taken.first_byte.load(Ordering::Relaxed)
    }

    /// Returns when the slot has been given to another connection.
    pub(super) async fn evicted(&self) {
        self.taken.evict.notified().await;
    }

    /// Counts the connection as refused: its handshake did not complete in time.
    pub(super) fn note_timeout(&self) {
        self.admission.note_refusal(self.origin);
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.admission.lock().slots(self.kind).release(self.taken.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SlotLimits = SlotLimits { known: 2, shared: 2, unknown: 2, per_origin: 2 };

    fn admission(shared: &[&str]) -> AdmissionControl {
        let shared = shared.iter().map(|text| text.parse().unwrap()).collect();
        AdmissionControl::new(LIMITS, shared, Arc::default())
    }

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_behind_a_proxy_or_a_relay_have_no_origin() {
        let admission = admission(&["10.1.0.0/16"]);
        let relay = format!("/ip4/10.2.0.1/tcp/1/p2p/{}/p2p-circuit", libp2p::PeerId::random());
        for shared in ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/10.1.2.3/tcp/1", &relay] {
            assert_eq!(admission.origin(&at(shared)), None, "{shared}");
        }
        for one in ["/ip4/127.0.0.2/tcp/1", "/ip4/10.2.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1"] {
            assert!(admission.origin(&at(one)).is_some(), "{one}");
        }
    }

    #[test]
    fn a_slot_is_released_when_it_is_dropped_and_a_flood_is_named() {
        let (admission, now) = (admission(&[]), Instant::now());
        let from = at("/ip4/192.0.2.1/tcp/1");
        let held: Vec<_> =
            (0..2).filter_map(|_| admission.acquire(TransportKind::Tcp, &from, now)).collect();
        assert_eq!(admission.last_refusal(), None);
        drop(held);
        let held: Vec<_> =
            (0..2).filter_map(|_| admission.acquire(TransportKind::Tcp, &from, now)).collect();
        assert_eq!((held.len(), admission.last_refusal()), (2, None));
        for _ in 0..1000 {
            drop(admission.acquire(TransportKind::Tcp, &from, now));
        }
        let named = admission.refused(16, now);
        assert_eq!(named[0].origin, "192.0.2.1");
        assert!(named[0].count > 700, "{named:?}");
    }

    #[test]
    fn spoofed_datagrams_take_no_slot_from_tcp() {
        let (admission, now) = (admission(&[]), Instant::now());
        admission.set_known(["192.0.2.1".parse().unwrap()]);
        let slot = admission.acquire(TransportKind::Tcp, &at("/ip4/192.0.2.1/tcp/1"), now).unwrap();
        let spoofed = at("/ip4/192.0.2.1/udp/1/quic-v1");
        let held: Vec<_> =
            (0..100).map(|_| admission.acquire(TransportKind::Quic, &spoofed, now)).collect();
        assert!(admission.lock().tcp.holds(slot.taken.id));
        drop(held);
    }
}
