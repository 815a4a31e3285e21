//! Members that are connected over TCP although they have QUIC addresses: dialled over QUIC with
//! exponential backoff, and their TCP connections closed once QUIC works.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::swarm::{ConnectionId, DialError};
use tokio::time::Instant;

use super::Driver;
use crate::limits::QUIC_UPGRADE_CAP;

/// When members on TCP are next dialled over QUIC.
pub(crate) struct QuicUpgrades {
    base: Duration,
    next_check: Instant,
    /// The next attempt, and the wait after it.
    due: HashMap<PeerId, (Instant, Duration)>,
    dials: HashMap<ConnectionId, PeerId>,
}

impl QuicUpgrades {
    /// The first attempt comes after `base`; the wait doubles with each, up to
    /// [`QUIC_UPGRADE_CAP`].
    pub(crate) fn new(base: Duration) -> Self {
        let next_check = Instant::now() + base;
        Self { base, next_check, due: HashMap::new(), dials: HashMap::new() }
    }

    pub(super) const fn next_check(&self) -> Instant {
        self.next_check
    }

    /// A dial has ended; true if it was one of ours.
    pub(super) fn ended(&mut self, dial: ConnectionId) -> bool {
        self.dials.remove(&dial).is_some()
    }
}

impl Driver {
    pub(super) fn on_quic_upgrade_timer(&mut self, now: Instant) {
        let upgrades = &mut self.parts.quic_upgrades;
        if now < upgrades.next_check {
            return;
        }
        upgrades.next_check = now + upgrades.base;
        self.close_superseded_tcp();
        let on_tcp: Vec<PeerId> = self
            .parts
            .book
            .members()
            .filter(|peer| self.connections.are_all_over_tcp(peer))
            .collect();
        self.parts.quic_upgrades.due.retain(|peer, _| on_tcp.contains(peer));
        for peer in on_tcp {
            let upgrades = &mut self.parts.quic_upgrades;
            let base = upgrades.base;
            let (at, wait) = *upgrades.due.entry(peer).or_insert((now, base));
            if now < at || upgrades.dials.values().any(|dialled| *dialled == peer) {
                continue;
            }
            let addresses = self.parts.book.quic_of(&peer);
            if addresses.is_empty() {
                continue;
            }
            let next = (wait * 2).min(QUIC_UPGRADE_CAP.max(base));
            upgrades.due.insert(peer, (now + wait, next));
            let (id, dialled) = self.dial(peer, addresses);
            self.parts.quic_upgrades.dials.insert(id, peer);
            if let Err(error) = dialled {
                self.on_quic_upgrade_failed(id, peer, &error);
            }
        }
    }

    pub(super) fn on_quic_upgrade_failed(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        error: &DialError,
    ) {
        if self.parts.quic_upgrades.ended(id) {
            tracing::debug!(%peer, %error, "a member is not reachable over QUIC; it stays on TCP");
            self.note_failed_addresses(&peer, error);
        }
    }

    /// Closes TCP connections beside a QUIC connection that this node has dialled and the member
    /// has answered over. Only in the intervals of this timer: what is in flight on a connection is
    /// lost when it is closed, so two nodes that have just dialled each other would lose their
    /// first messages.
    fn close_superseded_tcp(&mut self) {
        let on_quic: Vec<PeerId> = self
            .parts
            .book
            .members()
            .filter(|peer| self.connections.has_live_own_quic(peer))
            .collect();
        for peer in on_quic {
            for connection in self.connections.over_tcp(&peer) {
                tracing::info!(%peer, "connected over QUIC: the connection over TCP is closed");
                self.close(connection);
            }
        }
    }
}
