//! Connections: opened, dialled again with backoff, closed when they are dead or idle.

mod table;

use std::error::Error;
use std::io;

use libp2p::core::ConnectedPoint;
use libp2p::core::transport::TransportError;
use libp2p::swarm::{ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, ping};
use rand::RngExt;
use tokio::time::Instant;

use super::Driver;
use crate::admission::ip_of;
use crate::behaviour::BehaviourEvent;
use crate::connection_budget::{is_exhausted, is_over_limit};
use crate::event::NetEvent;
use crate::key::identity_key_of;
use crate::limits::{MAX_ADDRESSES_PER_MEMBER, MAX_LOST_PINGS, NON_MEMBER_IDLE_TIMEOUT};

pub(super) use table::Connections;

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
                    self.parts.book.failed(&peer_id, address, &reason_of(error));
                }
                self.on_established(peer_id, connection_id, endpoint);
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
                // The transport retries every 100 ms, so a warning would repeat ten times a second.
                tracing::debug!(%error, "no file descriptor for a connection");
                self.parts.presence.note_exhausted();
            }
            _ => {}
        }
    }

    fn on_established(&mut self, peer: PeerId, id: ConnectionId, endpoint: ConnectedPoint) {
        let now = Instant::now();
        let remote = endpoint.get_remote_address().clone();
        let dialled_by_book = self.connections.dials.remove(&id).is_some();
        if self.parts.quic_upgrades.ended(id) || dialled_by_book {
            self.parts.book.succeeded(&peer, &remote);
        }
        if dialled_by_book {
            self.parts.book.dial_ended(&peer, now, jitter());
        }
        if self.parts.swarm.behaviour().members.is_member_connection(id) {
            if let Some(ip) = ip_of(&remote) {
                self.parts.book.observe(&peer, ip);
            }
            let is_first = self.connections.add_member(id, peer, endpoint, now);
            self.send_hello_over_all(peer);
            if is_first {
                self.parts.book.connected(&peer, now);
                if let Some(key) = identity_key_of(&peer) {
                    self.parts.connected.insert(key);
                    self.push_event(NetEvent::PeerUp(key));
                }
            } else {
                self.announce_subscriptions(&peer);
            }
            self.request_records(&peer);
        } else {
            // A member that was dialled and has left the federation meanwhile is disconnected at
            // once.
            let idle_at = if dialled_by_book { now } else { now + NON_MEMBER_IDLE_TIMEOUT };
            self.connections.add_non_member(id, peer, idle_at);
        }
        self.on_join_peer_connected(peer, id);
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId) {
        if !self.connections.remove(id) {
            return;
        }
        self.report_restart(&peer, id);
        self.on_presence_closed(&peer, id);
        if self.connections.count(&peer) > 0 {
            return self.announce_subscriptions(&peer);
        }
        self.parts.book.disconnected(&peer, Instant::now(), jitter());
        if let Some(key) = identity_key_of(&peer) {
            self.parts.connected.remove(&key);
            self.fail_queued_messages(key);
            self.push_event(NetEvent::PeerDown(key));
        }
    }

    fn note_refusal(&mut self, error: &ListenError) {
        if let ListenError::Denied { cause } = error
            && is_over_limit(cause)
        {
            self.parts.counters.refused_connection();
            self.parts.presence.note_refused();
        } else if is_exhausted(error) {
            self.parts.presence.note_exhausted();
        }
    }

    pub(super) fn dial_member(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let (id, dialled) = self.dial(peer, addresses);
        self.connections.dials.insert(id, peer);
        if let Err(error) = dialled {
            self.on_dial_failed(id, Some(peer), &error);
        }
    }

    fn on_dial_failed(&mut self, id: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        let Some(peer) = peer else { return };
        self.on_join_dial_failed(id, peer, error);
        self.on_quic_upgrade_failed(id, peer, error);
        if self.connections.dials.remove(&id).is_none() {
            return;
        }
        tracing::debug!(%peer, %error, "dial failed");
        if is_exhausted(error) {
            self.parts.presence.note_exhausted();
        }
        self.note_failed_addresses(&peer, error);
        self.parts.book.dial_ended(&peer, Instant::now(), jitter());
    }

    pub(super) fn note_failed_addresses(&mut self, peer: &PeerId, error: &DialError) {
        match error {
            DialError::Transport(failed) => {
                for (address, error) in failed {
                    self.parts.book.failed(peer, address, &reason_of(error));
                }
            }
            DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } => {
                self.parts.book.answered_by_another(peer, address);
            }
            _ => {}
        }
    }

    /// Closes the connections of non-members that have made no request for
    /// [`NON_MEMBER_IDLE_TIMEOUT`].
    pub(super) fn close_idle_non_members(&mut self, now: Instant) {
        let joins = &self.joins;
        for id in self.connections.take_idle(now, |peer| joins.is_busy_with(peer)) {
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
        let Some(connection) = self.connections.member(id) else { return };
        for address in info.listen_addrs.into_iter().take(MAX_ADDRESSES_PER_MEMBER) {
            self.parts.book.add_identified(&peer, address, connection.remote());
        }
    }

    /// A peer that vanished without closing its connection is detected here.
    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let is_alive = matches!(&event.result, Ok(_) | Err(ping::Failure::Unsupported));
        if self.connections.note_ping(event.connection, is_alive) >= MAX_LOST_PINGS {
            tracing::debug!(peer = %event.peer, "connection is dead");
            self.close(event.connection);
        }
    }
}

/// The innermost error of a failed dial, without the wrappers of the transports around it.
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
