//! The table of open connections and of dials under way.

use std::collections::HashMap;

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::handle::Connection;
use crate::limits::NON_MEMBER_IDLE_TIMEOUT;
use crate::scope::{AddressScope, scope_of};
use crate::transport::is_quic;

/// The open connections, and the dials under way.
#[derive(Default)]
pub(in crate::driver) struct Connections {
    members: HashMap<ConnectionId, MemberConnection>,
    non_members: HashMap<ConnectionId, NonMember>,
    /// Dials of the address book under way.
    pub(super) dials: HashMap<ConnectionId, PeerId>,
}

/// A connection of a member.
pub(in crate::driver) struct MemberConnection {
    peer: PeerId,
    pub(in crate::driver) endpoint: ConnectedPoint,
    since: Instant,
    /// Pings in a row without an answer.
    lost_pings: u32,
    /// When the last hello over it was answered.
    answered_at: Option<Instant>,
    /// The member has made another connection since, and no hello over this one has been answered
    /// yet: it may be dead.
    is_suspect: bool,
}

struct NonMember {
    peer: PeerId,
    /// When it is closed, unless it makes a request before.
    idle_at: Instant,
}

impl MemberConnection {
    pub(super) fn remote(&self) -> &Multiaddr {
        self.endpoint.get_remote_address()
    }

    fn is_quic(&self) -> bool {
        is_quic(self.remote())
    }
}

impl Connections {
    /// Adds a connection of a member; true if it is the only one. The others become suspects.
    pub(super) fn add_member(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        endpoint: ConnectedPoint,
        since: Instant,
    ) -> bool {
        let mut is_first = true;
        for other in self.members.values_mut().filter(|it| it.peer == peer) {
            other.is_suspect = true;
            is_first = false;
        }
        let (lost_pings, answered_at, is_suspect) = (0, None, false);
        let connection =
            MemberConnection { peer, endpoint, since, lost_pings, answered_at, is_suspect };
        self.members.insert(id, connection);
        is_first
    }

    pub(super) fn add_non_member(&mut self, id: ConnectionId, peer: PeerId, idle_at: Instant) {
        self.non_members.insert(id, NonMember { peer, idle_at });
    }

    /// Removes a connection; true if it was a member's.
    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        self.non_members.remove(&id);
        self.members.remove(&id).is_some()
    }

    pub(super) fn member(&self, id: ConnectionId) -> Option<&MemberConnection> {
        self.members.get(&id)
    }

    pub(in crate::driver) fn is_member(&self, id: ConnectionId) -> bool {
        self.members.contains_key(&id)
    }

    /// The connections of all members.
    pub(in crate::driver) fn all_members(&self) -> Vec<(PeerId, ConnectionId)> {
        self.members.iter().map(|(id, it)| (it.peer, *id)).collect()
    }

    fn of_member(&self, peer: PeerId) -> impl Iterator<Item = (&ConnectionId, &MemberConnection)> {
        self.members.iter().filter(move |(_, it)| it.peer == peer)
    }

    /// The connections of one member.
    pub(in crate::driver) fn of(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.of_member(*peer).map(|(id, _)| *id).collect()
    }

    /// Any connection of a member.
    pub(in crate::driver) fn any_of(
        &self,
        peer: &PeerId,
    ) -> Option<(ConnectionId, &MemberConnection)> {
        self.of_member(*peer).next().map(|(id, it)| (*id, it))
    }

    pub(super) fn count(&self, peer: &PeerId) -> usize {
        self.of_member(*peer).count()
    }

    /// When the next non-member becomes idle.
    pub(in crate::driver) fn next_idle_deadline(&self) -> Option<Instant> {
        self.non_members.values().map(|it| it.idle_at).min()
    }

    /// A non-member has made or received a request: its connections may stay open longer.
    pub(in crate::driver) fn note_request(&mut self, peer: &PeerId, now: Instant) {
        for connection in self.non_members.values_mut().filter(|it| it.peer == *peer) {
            connection.idle_at = now + NON_MEMBER_IDLE_TIMEOUT;
        }
    }

    /// Removes and returns the connections of non-members that are idle; those with `is_busy` peers
    /// stay.
    pub(super) fn take_idle(
        &mut self,
        now: Instant,
        is_busy: impl Fn(&PeerId) -> bool,
    ) -> Vec<ConnectionId> {
        for connection in self.non_members.values_mut() {
            if connection.idle_at <= now && is_busy(&connection.peer) {
                connection.idle_at = now + NON_MEMBER_IDLE_TIMEOUT;
            }
        }
        self.non_members.extract_if(|_, it| it.idle_at <= now).map(|(id, _)| id).collect()
    }

    /// Notes the outcome of a ping and returns how many in a row were lost.
    pub(super) fn note_ping(&mut self, id: ConnectionId, is_alive: bool) -> u32 {
        let Some(connection) = self.members.get_mut(&id) else { return 0 };
        connection.lost_pings = if is_alive { 0 } else { connection.lost_pings + 1 };
        connection.lost_pings
    }

    /// A hello over this connection was answered.
    pub(in crate::driver) fn note_answer(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.members.get_mut(&id) {
            connection.answered_at = Some(now);
            connection.is_suspect = false;
        }
    }

    pub(in crate::driver) fn is_suspect(&self, id: ConnectionId) -> bool {
        self.members.get(&id).is_some_and(|it| it.is_suspect)
    }

    /// Whether a hello over another connection of this member was answered since then.
    pub(in crate::driver) fn other_answered_since(
        &self,
        peer: &PeerId,
        but: ConnectionId,
        since: Instant,
    ) -> bool {
        let mut others = self.of_member(*peer).filter(|(id, _)| **id != but);
        others.any(|(_, it)| it.answered_at.is_some_and(|at| at >= since))
    }

    /// Whether a member is connected, and by TCP only.
    pub(in crate::driver) fn are_all_over_tcp(&self, peer: &PeerId) -> bool {
        let mut all = self.of_member(*peer).peekable();
        all.peek().is_some() && all.all(|(_, it)| !it.is_quic())
    }

    pub(in crate::driver) fn over_tcp(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.of_member(*peer).filter(|(_, it)| !it.is_quic()).map(|(id, _)| *id).collect()
    }

    /// Whether there is a QUIC connection that this node has dialled and over which a hello was
    /// answered.
    pub(in crate::driver) fn has_live_own_quic(&self, peer: &PeerId) -> bool {
        let is_live = |it: &MemberConnection| {
            it.endpoint.is_dialer() && it.is_quic() && it.answered_at.is_some()
        };
        self.of_member(*peer).any(|(_, it)| is_live(it))
    }

    /// Whether the other end is on this machine.
    pub(in crate::driver) fn is_same_host(&self, id: ConnectionId) -> bool {
        self.member(id).is_some_and(|it| scope_of(it.remote()) == AddressScope::Host)
    }

    /// The connections of a member for the daemon, the oldest first.
    pub(in crate::driver) fn view(&self, peer: &PeerId) -> Vec<Connection> {
        let mut all: Vec<_> = self.of_member(*peer).map(|(_, it)| it).collect();
        all.sort_by_key(|it| it.since);
        let view = |it: &MemberConnection| {
            let before_peer = |part: &Protocol<'_>| !matches!(part, Protocol::P2p(_));
            let address = it.remote().iter().take_while(before_peer).collect();
            Connection { address, dialled: it.endpoint.is_dialer() }
        };
        all.into_iter().map(view).collect()
    }
}
