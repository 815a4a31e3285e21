//! The allow-list: a behaviour that offers the protocols of another one to members only.
//!
//! The handshake authenticates a peer. A member's connection gets the inner behaviour's handler;
//! any other connection gets a handler without protocols, and the inner behaviour is never told of
//! it. What is beside this behaviour in the swarm (the join protocol) is all that a non-member
//! reaches.

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

use crate::admission::{AdmissionControl, Origin};
use crate::key::identity_key_of;
use crate::limits::{MAX_NON_MEMBERS_PER_ORIGIN, NON_MEMBER_GRACE};
use crate::stats::Counters;
use tokio::time::Instant;

/// Why a connection is refused after its handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionRefused {
    #[error("the peer's key is not an ed25519 key")]
    Key,
    #[error("too many non-members are connected")]
    TooManyNonMembers,
}

#[derive(Debug, Clone, Copy)]
struct OpenConnection {
    peer: PeerId,
    member: bool,
    inbound: bool,
    /// None where many origins share one address.
    origin: Option<Origin>,
    since: Instant,
}

/// Offers the protocols of `B` to members only.
pub(crate) struct MembersOnly<B> {
    inner: B,
    members: HashSet<PeerId>,
    connections: HashMap<ConnectionId, OpenConnection>,
    closing: VecDeque<(PeerId, ConnectionId)>,
    max_non_members: usize,
    counters: Arc<Counters>,
    admission: AdmissionControl,
    waker: Option<Waker>,
}

impl<B> MembersOnly<B> {
    /// Accepts at most `max_non_members` connections of non-members at once.
    pub(crate) fn new(
        inner: B,
        max_non_members: usize,
        counters: Arc<Counters>,
        admission: AdmissionControl,
    ) -> Self {
        Self {
            inner,
            members: HashSet::new(),
            connections: HashMap::new(),
            closing: VecDeque::new(),
            max_non_members,
            counters,
            admission,
            waker: None,
        }
    }

    pub(crate) fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    pub(crate) fn is_member(&self, peer: &PeerId) -> bool {
        self.members.contains(peer)
    }

    /// Whether this connection was a member's when it was opened.
    pub(crate) fn is_member_connection(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|known| known.member)
    }

    /// Replaces the allow-list and closes the connections of peers whose status has changed: a peer
    /// that left is cut off, a peer that joined connects again with all protocols.
    pub(crate) fn set_members(&mut self, members: HashSet<PeerId>) {
        for (connection, known) in &self.connections {
            if known.member != members.contains(&known.peer) {
                self.closing.push_back((known.peer, *connection));
            }
        }
        self.members = members;
        self.wake();
    }

    /// Accepts or refuses a connection after its handshake; true if it is a member's.
    fn admit(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        inbound: bool,
    ) -> Result<bool, ConnectionDenied> {
        if identity_key_of(&peer).is_none() {
            self.counters.refused_connection();
            return Err(ConnectionDenied::new(ConnectionRefused::Key));
        }
        let member = self.members.contains(&peer);
        let origin = self.admission.origin(remote);
        if !member && inbound && !self.has_room_for_non_member(origin) {
            self.admission.note_refusal(origin);
            return Err(ConnectionDenied::new(ConnectionRefused::TooManyNonMembers));
        }
        let since = Instant::now();
        self.connections
            .insert(connection, OpenConnection { peer, member, inbound, origin, since });
        Ok(member)
    }

    /// Whether one more non-member from `origin` may connect: not if the origin is at its own
    /// limit. If the limit on all non-members is reached, the oldest connection of the origin that
    /// has the most is closed for it, unless it is younger than [`NON_MEMBER_GRACE`].
    fn has_room_for_non_member(&mut self, origin: Option<Origin>) -> bool {
        let closing: HashSet<ConnectionId> = self.closing.iter().map(|(_, id)| *id).collect();
        let non_members = self
            .connections
            .iter()
            .filter(|(id, it)| !it.member && it.inbound && !closing.contains(*id));
        let non_members: Vec<(ConnectionId, OpenConnection)> =
            non_members.map(|(id, it)| (*id, *it)).collect();
        let count = |origin: Option<Origin>| {
            // Each connection without a known origin counts as an origin of its own.
            origin.map_or(1, |_| non_members.iter().filter(|(_, it)| it.origin == origin).count())
        };
        if origin.is_some() && count(origin) >= MAX_NON_MEMBERS_PER_ORIGIN.min(self.max_non_members)
        {
            return false;
        }
        if non_members.len() < self.max_non_members {
            return true;
        }
        let most = non_members.iter().map(|(_, it)| count(it.origin)).max().unwrap_or(0);
        let of_most = non_members.iter().filter(|(_, it)| count(it.origin) == most);
        let oldest = of_most.min_by_key(|(_, it)| it.since);
        match oldest.filter(|(_, it)| it.since.elapsed() >= NON_MEMBER_GRACE) {
            Some((id, oldest)) => {
                self.closing.push_back((oldest.peer, *id));
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

    /// The origin of a connection; none where many origins share one address.
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

    // `handle_pending_outbound_connection` is not forwarded: our own address book is the only
    // source of addresses.

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
            // The handler without protocols emits no events.
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
