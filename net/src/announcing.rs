//! Subscriptions that are announced again over every new connection of a peer, and whenever one of several is gone.
//!
//! Gossipsub announces them once for each peer: when the first connection is made. A peer that was started anew while we
//! still hold its old connection makes a second one, and would never learn that we listen, so it would tell us nothing.
//! And of several connections gossipsub's queue feeds whichever asks first: what it gave to a dead one is lost. Gossipsub
//! has no call for saying it again; but all that it does for a new connection is to announce (`behaviour.rs` of 0.50,
//! `on_connection_established`, without peer scores), so each is shown to it as the first.

use std::collections::HashMap;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::ConnectionEstablished;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use crate::gossip::Gossip;

/// Gossipsub that says again what it listens to.
pub(crate) struct Announcing {
    inner: Gossip,
    connections: HashMap<ConnectionId, (PeerId, ConnectedPoint)>,
}

impl Announcing {
    pub(crate) fn new(inner: Gossip) -> Self {
        Self { inner, connections: HashMap::new() }
    }

    pub(crate) fn inner(&mut self) -> &mut Gossip {
        &mut self.inner
    }

    /// Says to `peer` again what we listen to, if it is connected.
    pub(crate) fn announce(&mut self, peer: &PeerId) {
        let known = self.connections.iter().find(|(_, (of, _))| of == peer);
        if let Some((id, (_, endpoint))) = known {
            self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: *peer,
                connection_id: *id,
                endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
        }
    }
}

impl NetworkBehaviour for Announcing {
    type ConnectionHandler = THandler<Gossip>;
    type ToSwarm = <Gossip as NetworkBehaviour>::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let (id, peer) = (established.connection_id, established.peer_id);
                self.connections.insert(id, (peer, established.endpoint.clone()));
                let as_first = ConnectionEstablished { other_established: 0, ..established };
                self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(as_first));
            }
            FromSwarm::ConnectionClosed(closed) => {
                let peer = closed.peer_id;
                self.connections.remove(&closed.connection_id);
                self.inner.on_swarm_event(FromSwarm::ConnectionClosed(closed));
                self.announce(&peer);
            }
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
