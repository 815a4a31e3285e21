//! The allow-list: a wrapper that shows the members' protocols to members only.
//!
//! The handshake proves who a peer is. A member's connection gets the inner behaviour's handler;
//! anyone else's gets a handler without protocols, and the inner behaviour never hears of it. What
//! lies beside this wrapper in the swarm (the join protocol) is all that an outsider reaches.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, derive_prelude::Either, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::admission::{Door, Origin};
use crate::key::identity_key_of;
use crate::limits::{GUEST_GRACE, MAX_GUESTS_PER_ORIGIN};
use crate::stats::Counters;
use tokio::time::Instant;

/// Why a connection is refused after its handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the peer's key is not an ed25519 key")]
    Key,
    #[error("too many outsiders are connected")]
    TooManyGuests,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    peer: PeerId,
    member: bool,
    inbound: bool,
    /// From where it comes; none where many are behind one address.
    origin: Option<Origin>,
    since: Instant,
}

/// Shows the protocols of `B` to members only.
pub(crate) struct MembersOnly<B> {
    inner: B,
    members: HashSet<PeerId>,
    connections: HashMap<ConnectionId, Known>,
    closing: VecDeque<(PeerId, ConnectionId)>,
    max_guests: usize,
    counters: Arc<Counters>,
    door: Door,
    waker: Option<Waker>,
}

impl<B> MembersOnly<B> {
    /// Lets `max_guests` outsiders in at once.
    pub(crate) fn new(inner: B, max_guests: usize, counters: Arc<Counters>, door: Door) -> Self {
        Self {
            inner,
            members: HashSet::new(),
            connections: HashMap::new(),
            closing: VecDeque::new(),
            max_guests,
            counters,
            door,
            waker: None,
        }
    }

    pub(crate) fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    pub(crate) fn is_member(&self, peer: &PeerId) -> bool {
        self.members.contains(peer)
    }

    /// Whether this connection was opened as a member's.
    pub(crate) fn is_member_connection(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|known| known.member)
    }

    /// Replaces the allow-list. Connections made under another status are closed: those who left
    /// are out, those who came in connect anew with all protocols.
    pub(crate) fn set_members(&mut self, members: HashSet<PeerId>) {
        for (connection, known) in &self.connections {
            if known.member != members.contains(&known.peer) {
                self.closing.push_back((known.peer, *connection));
            }
        }
        self.members = members;
        self.wake();
    }

    /// Decides on a connection whose handshake is over: whether it is a member's.
    fn admit(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        inbound: bool,
    ) -> Result<bool, ConnectionDenied> {
        if identity_key_of(&peer).is_none() {
            self.counters.refused_connection();
            return Err(ConnectionDenied::new(Refused::Key));
        }
        let member = self.members.contains(&peer);
        let origin = self.door.origin(remote);
        if !member && inbound && !self.has_room_for_guest(origin) {
            self.door.note_refusal(origin);
            return Err(ConnectionDenied::new(Refused::TooManyGuests));
        }
        let since = Instant::now();
        self.connections.insert(connection, Known { peer, member, inbound, origin, since });
        Ok(member)
    }

    /// Whether one more outsider may come from `origin`. If all places are taken, the oldest of the origin that has the most
    /// goes for it, unless it has just come.
    fn has_room_for_guest(&mut self, origin: Option<Origin>) -> bool {
        let leaving: HashSet<ConnectionId> = self.closing.iter().map(|(_, id)| *id).collect();
        let guests = self
            .connections
            .iter()
            .filter(|(id, it)| !it.member && it.inbound && !leaving.contains(*id));
        let guests: Vec<(ConnectionId, Known)> = guests.map(|(id, it)| (*id, *it)).collect();
        let count = |origin: Option<Origin>| {
            // Those of which nothing is known are each for themselves.
            origin.map_or(1, |_| guests.iter().filter(|(_, it)| it.origin == origin).count())
        };
        if origin.is_some() && count(origin) >= MAX_GUESTS_PER_ORIGIN.min(self.max_guests) {
            return false;
        }
        if guests.len() < self.max_guests {
            return true;
        }
        let most = guests.iter().map(|(_, it)| count(it.origin)).max().unwrap_or(0);
        let of_most = guests.iter().filter(|(_, it)| count(it.origin) == most);
        let oldest = of_most.min_by_key(|(_, it)| it.since);
        match oldest.filter(|(_, it)| it.since.elapsed() >= GUEST_GRACE) {
            Some((id, guest)) => {
                self.closing.push_back((guest.peer, *id));
                self.wake();
                true
            }
            None => false,
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// From where a connection comes; none where many are behind one address.
    pub(crate) fn origin_of(&self, connection: ConnectionId) -> Option<Origin> {
        self.connections.get(&connection).and_then(|known| known.origin)
    }

    /// How many other connections of this peer the inner behaviour knows.
    fn others(&self, peer: PeerId, connection: ConnectionId) -> usize {
        let known = self.connections.iter().filter(|(id, _)| **id != connection);
        known.filter(|(_, known)| known.member && known.peer == peer).count()
    }

    fn any_member_connection(&self, peer: PeerId) -> Option<ConnectionId> {
        let mut known = self.connections.iter();
        known.find(|(_, known)| known.member && known.peer == peer).map(|(id, _)| *id)
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for MembersOnly<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.admit(connection, peer, remote, true)? {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let handler =
            self.inner.handle_established_inbound_connection(connection, peer, local, remote);
        self.forget_if_denied(connection, handler)
    }

    // Our own address book is the only source of addresses, so the inner one is not asked.

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.admit(connection, peer, address, false)? {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let handler = self
            .inner
            .handle_established_outbound_connection(connection, peer, address, role, port);
        self.forget_if_denied(connection, handler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let id = established.connection_id;
                if self.is_member_connection(id) {
                    let other_established = self.others(established.peer_id, id);
                    let seen = ConnectionEstablished { other_established, ..established };
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(seen));
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                let known = self.connections.remove(&closed.connection_id);
                if known.is_some_and(|known| known.member) {
                    let remaining_established = self.others(closed.peer_id, closed.connection_id);
                    let seen = ConnectionClosed { remaining_established, ..closed };
                    self.inner.on_swarm_event(FromSwarm::ConnectionClosed(seen));
                }
            }
            FromSwarm::AddressChange(change) => {
                if self.is_member_connection(change.connection_id) {
                    self.inner.on_swarm_event(event);
                }
            }
            FromSwarm::ListenFailure(failure) => {
                self.connections.remove(&failure.connection_id);
                self.inner.on_swarm_event(event);
            }
            FromSwarm::DialFailure(failure) => {
                self.connections.remove(&failure.connection_id);
                self.inner.on_swarm_event(event);
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
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            // The handler without protocols has nothing to say.
            Either::Right(never) => match never {},
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            let connection = CloseConnection::One(connection);
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
        }
        self.waker = Some(cx.waker().clone());
        while let Poll::Ready(command) = self.inner.poll(cx) {
            if let Some(command) = self.keep_to_members(command) {
                return Poll::Ready(command.map_in(Either::Left));
            }
        }
        Poll::Pending
    }
}

impl<B: NetworkBehaviour> MembersOnly<B> {
    fn forget_if_denied(
        &mut self,
        connection: ConnectionId,
        handler: Result<THandler<B>, ConnectionDenied>,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if handler.is_err() {
            self.connections.remove(&connection);
        }
        handler.map(Either::Left)
    }

    /// An inner event for "any" handler of a peer must not reach the one without protocols.
    fn keep_to_members(
        &self,
        command: ToSwarm<B::ToSwarm, THandlerInEvent<B>>,
    ) -> Option<ToSwarm<B::ToSwarm, THandlerInEvent<B>>> {
        match command {
            ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event } => {
                let handler = NotifyHandler::One(self.any_member_connection(peer_id)?);
                Some(ToSwarm::NotifyHandler { peer_id, handler, event })
            }
            ToSwarm::NotifyHandler { handler: NotifyHandler::One(connection), .. }
                if !self.is_member_connection(connection) =>
            {
                None
            }
            other => Some(other),
        }
    }
}
