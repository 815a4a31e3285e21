//! Asks over one connection and no other, and says what came of it.

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

use super::copies::SharedCopies;
use super::upgrade::{Answering, Asking, Said};
use super::wire::Hello;
use crate::key::identity_key_of;

/// What came of it.
#[derive(Debug)]
pub(crate) struct PresenceEvent {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The other side asked.
    Asked(Hello),
    /// The other side answered what we asked at this time.
    Answered(Hello, Instant),
    /// The other side answered that it does not know this protocol: an older version, and alive.
    Unknown,
    /// No answer in time to what we asked then, or the connection is broken.
    Silent(Instant),
}

/// Says hello when told to.
pub(crate) struct Presence {
    copies: SharedCopies,
    patience: Duration,
    /// Questions under way, one for each connection at most.
    asked: HashMap<ConnectionId, Instant>,
    out: VecDeque<ToSwarm<PresenceEvent, Asking>>,
}

impl Presence {
    /// An answer that takes longer than `patience` does not count.
    pub(crate) fn new(copies: SharedCopies, patience: Duration) -> Self {
        Self { copies, patience, asked: HashMap::new(), out: VecDeque::new() }
    }

    /// Asks over this connection, unless a question is under way there.
    pub(crate) fn ask(&mut self, peer: PeerId, connection: ConnectionId, now: Instant) {
        let Some(key) = identity_key_of(&peer) else { return };
        if self.asked.contains_key(&connection) {
            return;
        }
        self.asked.insert(connection, now);
        let event = Asking(self.copies.lock().hello_to(&key, now));
        let handler = NotifyHandler::One(connection);
        self.out.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event });
    }

    fn handler(&self, peer: &PeerId) -> Result<THandler<Self>, ConnectionDenied> {
        // Never without: the gate lets nobody with another kind of key in.
        let peer = identity_key_of(peer).ok_or_else(|| ConnectionDenied::new(NoKey))?;
        let answering = Answering { peer, copies: self.copies.clone() };
        let config = OneShotHandlerConfig {
            outbound_substream_timeout: self.patience,
            // One question at a time is our own rule. The library counts failed ones for ever.
            max_dial_negotiated: u32::MAX,
        };
        let listen = SubstreamProtocol::new(answering, ()).with_timeout(self.patience);
        Ok(OneShotHandler::new(listen, config))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the peer's key is not an ed25519 key")]
struct NoKey;

impl NetworkBehaviour for Presence {
    type ConnectionHandler = OneShotHandler<Answering, Asking, Said>;
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
            self.asked.remove(&closed.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let mut asked = || self.asked.remove(&connection);
        let outcome = match event {
            Ok(Said::Asked(hello)) => Some(Outcome::Asked(hello)),
            Ok(Said::Answered(hello)) => asked().map(|at| Outcome::Answered(hello, at)),
            Err(StreamUpgradeError::NegotiationFailed) => asked().map(|_| Outcome::Unknown),
            Err(_) => asked().map(Outcome::Silent),
        };
        if let Some(outcome) = outcome {
            let event = PresenceEvent { peer, connection, outcome };
            self.out.push_back(ToSwarm::GenerateEvent(event));
        }
    }

    // Asked by the task that polls this next, so nobody needs to be woken.
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.out.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}
