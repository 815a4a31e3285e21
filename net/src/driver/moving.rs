//! Members that are connected over TCP although they have QUIC addresses: tried over QUIC now and then, and moved over.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::Driver;
use crate::limits::MOVE_CAP;

/// When members are tried over QUIC.
pub(super) struct Moves {
    base: Duration,
    next_look: Instant,
    /// The next try, and the wait that led to it.
    due: HashMap<PeerId, (Instant, Duration)>,
    dials: HashMap<ConnectionId, PeerId>,
}

impl Moves {
    pub(super) fn new(base: Duration) -> Self {
        let next_look = Instant::now() + base;
        Self { base, next_look, due: HashMap::new(), dials: HashMap::new() }
    }

    pub(super) const fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Whether this dial was a try.
    pub(super) fn ended(&mut self, dial: ConnectionId) -> bool {
        self.dials.remove(&dial).is_some()
    }
}

impl Driver {
    pub(super) fn on_moves_timer(&mut self, now: Instant) {
        if now < self.moves.next_look {
            return;
        }
        self.moves.next_look = now + self.moves.base;
        self.leave_tcp();
        let waiting: Vec<PeerId> =
            self.book.members().filter(|peer| self.links.are_all_over_tcp(peer)).collect();
        self.moves.due.retain(|peer, _| waiting.contains(peer));
        for peer in waiting {
            let base = self.moves.base;
            let (at, wait) = *self.moves.due.entry(peer).or_insert((now, base));
            if now < at || self.moves.dials.values().any(|dialled| *dialled == peer) {
                continue;
            }
            let addresses = self.book.quic_of(&peer);
            if addresses.is_empty() {
                continue;
            }
            let next = (wait * 2).min(MOVE_CAP.max(base));
            self.moves.due.insert(peer, (now + wait, next));
            self.try_over_quic(peer, addresses);
        }
    }

    fn try_over_quic(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            .allocate_new_port()
            .build();
        let id = options.connection_id();
        self.moves.dials.insert(id, peer);
        if let Err(error) = self.swarm.dial(options) {
            self.on_move_failed(id, peer, &error);
        }
    }

    pub(super) fn on_move_failed(&mut self, id: ConnectionId, peer: PeerId, error: &DialError) {
        if self.moves.ended(id) {
            tracing::debug!(%peer, %error, "a member is not reached over QUIC; it stays on TCP");
            self.note_failed_dials(&peer, error);
        }
    }

    /// Closes what runs over TCP beside a connection over QUIC that this side has dialled and the other has answered over.
    /// Only now and then: what is under way over a connection that is closed is lost, and two that have just dialled each
    /// other would lose their first words.
    fn leave_tcp(&mut self) {
        let peers: Vec<PeerId> =
            self.book.members().filter(|peer| self.links.has_live_own_quic(peer)).collect();
        for peer in peers {
            for connection in self.links.over_tcp(&peer) {
                tracing::info!(%peer, "connected over QUIC: the connection over TCP is closed");
                self.close(connection);
            }
        }
    }
}
