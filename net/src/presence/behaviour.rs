//! Sends a hello over one given connection and reports the outcome.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, OneShotHandler,
    OneShotHandlerConfig, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::instances::SharedInstances;
use super::upgrade::{HelloExchange, InboundHello, OutboundHello};
use super::wire::Hello;
use crate::key::identity_key_of;

/// A hello that was received, answered or not answered.
#[derive(Debug)]
pub(crate) struct PresenceEvent {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The other side sent a hello, which was answered.
    Received(Hello),
    /// The other side answered the hello that was sent at this time.
    Answered(Hello, Instant),
    /// The other side does not support this protocol: it is an older version, and alive.
    Unsupported,
    /// The hello that was sent at this time was not answered in time, or the stream broke.
    TimedOut(Instant),
}

/// The presence protocol on all connections.
pub(crate) struct Presence {
    instances: SharedInstances,
    timeout: Duration,
    /// When the hello in flight was sent; at most one for each connection.
    in_flight: HashMap<ConnectionId, Instant>,
    out: VecDeque<ToSwarm<PresenceEvent, OutboundHello>>,
}

impl Presence {
    /// `timeout`: for the answer to a hello.
    pub(crate) fn new(instances: SharedInstances, timeout: Duration) -> Self {
        Self { instances, timeout, in_flight: HashMap::new(), out: VecDeque::new() }
    }

    /// Sends a hello over this connection, unless one is in flight there.
    pub(crate) fn send_hello(&mut self, peer: PeerId, connection: ConnectionId, now: Instant) {
        let Some(key) = identity_key_of(&peer) else { return };
        if self.in_flight.contains_key(&connection) {
            return;
        }
        self.in_flight.insert(connection, now);
        let event = OutboundHello(self.instances.lock().hello_to(&key, now));
        let handler = NotifyHandler::One(connection);
        self.out.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event });
    }

    fn handler(&self, peer: &PeerId) -> Result<THandler<Self>, ConnectionDenied> {
        // Always an ed25519 key: other connections are refused before.
        let peer = identity_key_of(peer).ok_or_else(|| ConnectionDenied::new(NoKey))?;
        let inbound = InboundHello { peer, instances: self.instances.clone() };
        let config = OneShotHandlerConfig {
            outbound_substream_timeout: self.timeout,
            // The limit of one in flight is kept above; the library never forgets failed ones.
            max_dial_negotiated: u32::MAX,
        };
        let listen = SubstreamProtocol::new(inbound, ()).with_timeout(self.timeout);
        Ok(OneShotHandler::new(listen, config))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the peer's key is not an ed25519 key")]
struct NoKey;

impl NetworkBehaviour for Presence {
    type ConnectionHandler = OneShotHandler<InboundHello, OutboundHello, HelloExchange>;
    type ToSwarm = PresenceEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(&peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.in_flight.remove(&closed.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let mut sent_at = || self.in_flight.remove(&connection);
        let outcome = match event {
            Ok(HelloExchange::Received(hello)) => Some(Outcome::Received(hello)),
            Ok(HelloExchange::Answered(hello)) => sent_at().map(|at| Outcome::Answered(hello, at)),
            Err(StreamUpgradeError::NegotiationFailed) => sent_at().map(|_| Outcome::Unsupported),
            Err(_) => sent_at().map(Outcome::TimedOut),
        };
        if let Some(outcome) = outcome {
            let event = PresenceEvent { peer, connection, outcome };
            self.out.push_back(ToSwarm::GenerateEvent(event));
        }
    }

    // Hellos are queued by the task that polls this next, so no waker is needed.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.out.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}
