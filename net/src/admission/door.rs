//! The one place where places are given, shared by the transports that ask and the driver that knows the members.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::Multiaddr;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::origin::{Network, Origin, host_of, ip_of};
use super::places::{Class, PlaceLimits, Places};
use super::refusals::{Refusals, RefusedOrigin};
use crate::limits::{INBOUND_RATE, MAX_INBOUND_BUCKETS};
use crate::rate::Buckets;
use crate::stats::Counters;

/// Which transport a connection comes over. A sender of datagrams can name any address as its own, so what QUIC is made to
/// hold must not cost TCP anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Quic,
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    shared: Vec<Network>,
    counters: Arc<Counters>,
}

struct State {
    tcp: Places,
    quic: Places,
    rates: Buckets<Origin>,
    known: HashSet<IpAddr>,
    refusals: Refusals,
}

impl Door {
    /// `shared`: where many come from that are not one origin, beside this machine.
    pub(crate) fn new(limits: PlaceLimits, shared: Vec<Network>, counters: Arc<Counters>) -> Self {
        let state = State {
            tcp: Places::new(limits),
            quic: Places::new(limits),
            rates: Buckets::new(INBOUND_RATE, MAX_INBOUND_BUCKETS),
            known: HashSet::new(),
            refusals: Refusals::default(),
        };
        Self(Arc::new(Inner { state: Mutex::new(state), shared, counters }))
    }

    /// A place for a connection from `remote`; none if its origin comes too often.
    pub(super) fn enter(&self, over: Over, remote: &Multiaddr, now: Instant) -> Option<Place> {
        let origin = self.origin(remote);
        let mut state = self.lock();
        let class = match (origin, ip_of(remote)) {
            (Some(_), Some(ip)) if state.known.contains(&host_of(ip)) => Class::Known,
            (Some(_), _) => Class::Stranger,
            (None, _) => Class::Shared,
        };
        if origin.is_some_and(|origin| !state.rates.take(origin, now)) {
            state.refusals.note(origin, now);
            drop(state);
            self.0.counters.refused_connection();
            return None;
        }
        let given = state.places(over).enter(class, origin);
        if let Some(origin) = given.pushed_out {
            state.refusals.note(origin, now);
            self.0.counters.refused_connection();
        }
        drop(state);
        let door = self.clone();
        Some(Place { door, over, origin, id: given.id, spoke: given.spoke, leave: given.leave })
    }

    /// The origin that `remote` belongs to; none for what comes through a relay, a proxy of the operator's, or from this
    /// machine, where each connection may be somebody else's.
    pub(crate) fn origin(&self, remote: &Multiaddr) -> Option<Origin> {
        let ip = ip_of(remote)?;
        let shared = ip == IpAddr::from([127, 0, 0, 1])
            || ip == IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
            || self.0.shared.iter().any(|network| network.contains(ip));
        (!shared).then(|| Origin::of(ip))
    }

    /// Replaces the addresses at which members are known.
    pub(crate) fn set_known(&self, known: impl IntoIterator<Item = IpAddr>) {
        let known = known.into_iter().map(host_of).collect();
        self.lock().known = known;
    }

    /// A connection from `origin` was closed for want of room after its handshake.
    pub(crate) fn note_refusal(&self, origin: Option<Origin>) {
        self.lock().refusals.note(origin, Instant::now());
        self.0.counters.refused_connection();
    }

    /// When the last connection was refused.
    pub(crate) fn last_refusal(&self) -> Option<Instant> {
        self.lock().refusals.last()
    }

    /// From where at least `least` were refused within a minute, the most first.
    pub(crate) fn refused(&self, least: u64, now: Instant) -> Vec<RefusedOrigin> {
        self.lock().refusals.most(least, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the tables are whole at every step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn places(&mut self, over: Over) -> &mut Places {
        match over {
            Over::Tcp => &mut self.tcp,
            Over::Quic => &mut self.quic,
        }
    }
}

/// A place while a handshake lasts; free again when this is dropped.
pub(super) struct Place {
    door: Door,
    over: Over,
    origin: Option<Origin>,
    id: u64,
    spoke: Arc<AtomicBool>,
    leave: Arc<Notify>,
}

impl Place {
    pub(super) fn spoken_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.spoke)
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    /// Returns when another needs this place.
    pub(super) async fn pushed_out(&self) {
        self.leave.notified().await;
    }

    /// It was closed because it got nowhere in time.
    pub(super) fn ran_out(&self) {
        self.door.note_refusal(self.origin);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.lock().places(self.over).leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PlaceLimits = PlaceLimits { known: 2, shared: 2, strangers: 2, per_origin: 2 };

    fn door(shared: &[&str]) -> Door {
        let shared = shared.iter().map(|text| text.parse().unwrap()).collect();
        Door::new(LIMITS, shared, Arc::default())
    }

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_comes_through_a_proxy_or_a_relay_is_not_one_origin() {
        let door = door(&["10.1.0.0/16"]);
        let relay = format!("/ip4/10.2.0.1/tcp/1/p2p/{}/p2p-circuit", libp2p::PeerId::random());
        for shared in ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/10.1.2.3/tcp/1", &relay] {
            assert_eq!(door.origin(&at(shared)), None, "{shared}");
        }
        for one in ["/ip4/127.0.0.2/tcp/1", "/ip4/10.2.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1"] {
            assert!(door.origin(&at(one)).is_some(), "{one}");
        }
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped_and_a_flood_is_named() {
        let (door, now) = (door(&[]), Instant::now());
        let from = at("/ip4/192.0.2.1/tcp/1");
        let held: Vec<_> = (0..2).filter_map(|_| door.enter(Over::Tcp, &from, now)).collect();
        assert_eq!(door.last_refusal(), None);
        drop(held);
        let held: Vec<_> = (0..2).filter_map(|_| door.enter(Over::Tcp, &from, now)).collect();
        assert_eq!((held.len(), door.last_refusal()), (2, None));
        for _ in 0..1000 {
            drop(door.enter(Over::Tcp, &from, now));
        }
        let named = door.refused(16, now);
        assert_eq!(named[0].origin, "192.0.2.1");
        assert!(named[0].count > 700, "{named:?}");
    }

    #[test]
    fn datagrams_in_anothers_name_cost_its_tcp_nothing() {
        let (door, now) = (door(&[]), Instant::now());
        door.set_known(["192.0.2.1".parse().unwrap()]);
        let place = door.enter(Over::Tcp, &at("/ip4/192.0.2.1/tcp/1"), now).unwrap();
        let spoofed = at("/ip4/192.0.2.1/udp/1/quic-v1");
        let held: Vec<_> = (0..100).map(|_| door.enter(Over::Quic, &spoofed, now)).collect();
        assert!(door.lock().tcp.holds(place.id));
        drop(held);
    }
}
