//! Connections: who is up, who is dialled again, who has stayed too long.

use std::collections::HashMap;
use std::error::Error;
use std::io;

use libp2p::core::ConnectedPoint;
use libp2p::core::transport::TransportError;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, ping};
use rand::RngExt;
use tokio::time::Instant;

use super::Driver;
use crate::admission::ip_of;
use crate::behaviour::BehaviourEvent;
use crate::descriptors::{is_exhausted, is_refused_for_room};
use crate::event::NetEvent;
use crate::handle::Connection;
use crate::key::identity_key_of;
use crate::limits::{GUEST_IDLE_TIMEOUT, MAX_ADDRESSES_PER_MEMBER, MAX_LOST_PINGS};
use crate::prefer::is_quic;
use crate::reach::{Reach, reach_of};

/// What is known of the open connections.
#[derive(Default)]
pub(super) struct Links {
    pub(super) members: HashMap<ConnectionId, MemberLink>,
    guests: HashMap<ConnectionId, Guest>,
    /// Dials of the address book under way.
    dials: HashMap<ConnectionId, PeerId>,
}

/// A connection of a member.
pub(super) struct MemberLink {
    pub(super) peer: PeerId,
    remote: Multiaddr,
    dialled: bool,
    since: Instant,
    lost_pings: u32,
    /// When the last hello over it was answered.
    pub(super) answered_at: Option<Instant>,
    /// The member has made another connection since, and this one has not answered yet: it may be dead.
    pub(super) is_suspect: bool,
}

struct Guest {
    peer: PeerId,
    leave_at: Instant,
}

impl Links {
    pub(super) fn next_guest_deadline(&self) -> Option<Instant> {
        self.guests.values().map(|guest| guest.leave_at).min()
    }

    /// Whether a member is connected, and by TCP only.
    pub(super) fn are_all_over_tcp(&self, peer: &PeerId) -> bool {
        let mut links = self.members.values().filter(|link| link.peer == *peer).peekable();
        links.peek().is_some() && links.all(|link| !is_quic(&link.remote))
    }

    pub(super) fn over_tcp(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let links = self.members.iter().filter(|(_, it)| it.peer == *peer && !is_quic(&it.remote));
        links.map(|(id, _)| *id).collect()
    }

    /// Whether there is a connection over QUIC that we have dialled and a hello was answered over.
    pub(super) fn has_live_own_quic(&self, peer: &PeerId) -> bool {
        let mut links = self.members.values().filter(|link| link.peer == *peer);
        links.any(|link| link.dialled && is_quic(&link.remote) && link.answered_at.is_some())
    }

    fn count(&self, peer: &PeerId) -> usize {
        self.members.values().filter(|link| link.peer == *peer).count()
    }
}

impl Driver {
    pub(super) fn on_connection_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                concurrent_dial_errors,
                ..
            } => {
                let failed = concurrent_dial_errors.unwrap_or_default();
                for (address, error) in &failed {
                    self.book.failed(&peer_id, address, &reason_of(error));
                }
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "inbound connection failed");
                self.note_refusal(&error);
            }
            SwarmEvent::ListenerError { error, .. } if is_exhausted(&error) => {
                // The transport tries again in a moment, so this would be said ten times a second.
                tracing::debug!(%error, "no descriptor for a connection");
                self.watch.exhausted();
            }
            _ => {}
        }
    }

    fn on_established(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        let remote = endpoint.get_remote_address().clone();
        let ours = self.links.dials.remove(&id).is_some();
        if self.moves.ended(id) {
            self.book.succeeded(&peer, &remote);
        }
        if ours {
            self.book.succeeded(&peer, &remote);
            self.book.dial_ended(&peer, now, jitter());
        }
        if self.swarm.behaviour().members.is_member_connection(id) {
            let first = self.links.count(&peer) == 0;
            let (lost_pings, answered_at, is_suspect) = (0, None, false);
            let (dialled, since) = (endpoint.is_dialer(), now);
            let link =
                MemberLink { peer, remote, dialled, since, lost_pings, answered_at, is_suspect };
            if let Some(ip) = ip_of(endpoint.get_remote_address()) {
                self.book.came_from(&peer, ip);
            }
            self.links.suspect(&peer);
            self.links.members.insert(id, link);
            self.ask_all_of(peer);
            if first {
                self.book.connected(&peer, now);
                if let Some(key) = identity_key_of(&peer) {
                    self.connected.insert(key);
                    self.tell(NetEvent::PeerUp(key));
                }
            }
            self.ask_addresses(&peer);
        } else {
            // A member that we dialled and that left the federation meanwhile has no business here.
            let leave_at = if ours { now } else { now + GUEST_IDLE_TIMEOUT };
            self.links.guests.insert(id, Guest { peer, leave_at });
        }
        self.on_join_peer_connected(peer, id);
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId) {
        self.links.guests.remove(&id);
        let was_member = self.links.members.remove(&id).is_some();
        if was_member {
            self.tell_restart(&peer, id);
            self.presence_closed(&peer, id);
        }
        if was_member && self.links.count(&peer) == 0 {
            self.book.disconnected(&peer, Instant::now(), jitter());
            if let Some(key) = identity_key_of(&peer) {
                self.connected.remove(&key);
                self.return_letters(key);
                self.tell(NetEvent::PeerDown(key));
            }
        }
    }

    fn note_refusal(&mut self, error: &ListenError) {
        if let ListenError::Denied { cause } = error
            && is_refused_for_room(cause)
        {
            self.counters.refused_connection();
            self.watch.refused();
        } else if is_exhausted(error) {
            self.watch.exhausted();
        }
    }

    pub(super) fn dial_member(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        // A port of its own for each dial: two nodes that dial each other from their listening
        // ports at the same moment would make one broken connection instead of two good ones.
        let options = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            .allocate_new_port()
            .build();
        let id = options.connection_id();
        self.links.dials.insert(id, peer);
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(id, Some(peer), &error);
        }
    }

    fn on_dial_failed(&mut self, id: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        let Some(peer) = peer else { return };
        self.on_join_dial_failed(id, peer, error);
        self.on_move_failed(id, peer, error);
        if self.links.dials.remove(&id).is_none() {
            return;
        }
        tracing::debug!(%peer, %error, "dial failed");
        if is_exhausted(error) {
            self.watch.exhausted();
        }
        self.note_failed_dials(&peer, error);
        self.book.dial_ended(&peer, Instant::now(), jitter());
    }

    pub(super) fn note_failed_dials(&mut self, peer: &PeerId, error: &DialError) {
        match error {
            DialError::Transport(failed) => {
                for (address, error) in failed {
                    self.book.failed(peer, address, &reason_of(error));
                }
            }
            DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } => {
                self.book.answered_by_another(peer, address);
            }
            _ => {}
        }
    }

    /// An outsider asked for something: it may stay a little longer.
    pub(super) fn guest_asked(&mut self, peer: &PeerId) {
        let leave_at = Instant::now() + GUEST_IDLE_TIMEOUT;
        for guest in self.links.guests.values_mut().filter(|guest| guest.peer == *peer) {
            guest.leave_at = leave_at;
        }
    }

    pub(super) fn close_idle_guests(&mut self, now: Instant) {
        let mut leaving = Vec::new();
        for (id, guest) in &mut self.links.guests {
            if guest.leave_at <= now {
                if self.joins.is_busy_with(&guest.peer) {
                    guest.leave_at = now + GUEST_IDLE_TIMEOUT;
                } else {
                    leaving.push(*id);
                }
            }
        }
        for id in leaving {
            self.links.guests.remove(&id);
            self.close(id);
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let (id, peer, info) = match event {
            identify::Event::Received { connection_id, peer_id, info } => {
                (connection_id, peer_id, info)
            }
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "identify failed");
                return;
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => return,
        };
        let Some(link) = self.links.members.get(&id) else { return };
        for address in info.listen_addrs.into_iter().take(MAX_ADDRESSES_PER_MEMBER) {
            self.book.learn(&peer, address, &link.remote);
        }
    }

    /// The connections with a member, the oldest first.
    pub(super) fn connections_with(&self, peer: &PeerId) -> Vec<Connection> {
        let links = self.links.members.values().filter(|link| link.peer == *peer);
        let mut links: Vec<&MemberLink> = links.collect();
        links.sort_by_key(|link| link.since);
        let view = |link: &MemberLink| {
            let ends = |part: &Protocol| !matches!(part, Protocol::P2p(_));
            let address = link.remote.iter().take_while(ends).collect();
            Connection { address, dialled: link.dialled }
        };
        links.into_iter().map(view).collect()
    }

    /// Whether the other end is on this machine.
    pub(super) fn is_neighbour(&self, id: ConnectionId) -> bool {
        self.links.members.get(&id).is_some_and(|link| reach_of(&link.remote) == Reach::Machine)
    }

    /// A peer that went away without a word is found out here.
    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let Some(link) = self.links.members.get_mut(&event.connection) else { return };
        match &event.result {
            Ok(_) | Err(ping::Failure::Unsupported) => link.lost_pings = 0,
            Err(_) => link.lost_pings += 1,
        }
        if link.lost_pings >= MAX_LOST_PINGS {
            tracing::debug!(peer = %event.peer, "connection is dead");
            self.close(event.connection);
        }
    }
}

/// Why a dial failed, without the wrappers of the transports around it.
fn reason_of(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "its transport is not supported".into(),
        TransportError::Other(error) => {
            let mut innermost: &(dyn Error + 'static) = error;
            let mut text = error.to_string();
            while let Some(source) = innermost.source() {
                innermost = source;
                text = innermost.to_string();
            }
            text
        }
    }
}

/// Uniform in 0..1000.
fn jitter() -> u32 {
    rand::rng().random_range(0..1000)
}
