//! The daemon's handle: calls into the network.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fedshield_protocol::ids::{FederationId, IdentityKey};
use fedshield_protocol::object::ObjectRef;
use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot, watch};

use crate::address_book::KnownAddress;
use crate::bulk::{Audience, Bulk};
use crate::command::{Command, JoinCall, Reply};
use crate::connected::Connected;
use crate::error::{GossipError, JoinError, MembersError, NetClosed, ObjectCallError, SendError};
use crate::health::NetHealth;
use crate::limits::{JOIN_TIMEOUT, MAX_DIRECT_BYTES, MAX_GOSSIP_BYTES, MAX_JOIN_REQUEST_BYTES};
use crate::outbound_queue::OutboundQueue;
use crate::state::{NetState, StatePublisher};
use crate::stats::{Counters, Label, NetStats};
use crate::transport::is_quic;

/// A member and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddr {
    /// Its identity key.
    pub key: IdentityKey,
    /// From the manifest, an invite or the operator; may be empty for a member that dials us.
    pub addresses: Vec<Multiaddr>,
}

/// The network's view of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its identity key.
    pub key: IdentityKey,
    /// Its open connections with this node, the oldest first.
    pub connections: Vec<Connection>,
    /// Its addresses, and how dials of them ended.
    pub addresses: Vec<KnownAddress>,
    /// The sequence number of its signed record: milliseconds since 1970 by its clock when it was
    /// signed.
    pub signed_at_ms: Option<u64>,
    /// The queue of direct messages to it.
    pub queue: OutboundQueue,
}

/// One open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The remote address. Of an inbound connection it has an ephemeral port, which cannot be
    /// dialled.
    pub address: Multiaddr,
    /// Whether this node dialled.
    pub dialled: bool,
}

impl Connection {
    /// Whether it runs over QUIC, so that its key exchange was post-quantum.
    #[must_use]
    pub fn is_quic(&self) -> bool {
        is_quic(&self.address)
    }
}

/// A handle to a running network; cheap to clone. The network ends with [`NetHandle::shutdown`] or
/// when the last handle is dropped.
#[derive(Clone)]
pub struct NetHandle {
    pub(crate) local_key: IdentityKey,
    pub(crate) state: StatePublisher,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) bulk: Arc<Bulk>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) health: watch::Receiver<NetHealth>,
}

impl fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetHandle")
            .field("local_key", &self.local_key)
            .field("state", &self.state.read())
            .finish_non_exhaustive()
    }
}

impl NetHandle {
    /// The identity key of this node.
    #[must_use]
    pub fn local_key(&self) -> IdentityKey {
        self.local_key
    }

    /// The addresses that this node listens on, with their actual ports; for `0.0.0.0` and `::` one
    /// for each interface.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.state.read().listening
    }

    /// The operator-visible state, now and whenever it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<NetState> {
        self.state.watch()
    }

    /// Signs a peer record with these addresses of this node, at most
    /// [`MAX_RECORD_ADDRESSES`](crate::limits::MAX_RECORD_ADDRESSES), and sends it to all members,
    /// which store and forward it. An empty list sends nothing.
    ///
    /// # Errors
    /// The network is shut down.
    pub async fn announce(&self, addresses: Vec<Multiaddr>) -> Result<(), NetClosed> {
        self.call(|reply| Command::Announce { addresses, reply }).await
    }

    /// Replaces the operator's addresses of members. They are dialled first and not sent to anyone.
    /// Those of nodes that are not members yet are kept.
    ///
    /// # Errors
    /// The network is shut down.
    pub async fn set_operator_addresses(&self, members: Vec<MemberAddr>) -> Result<(), NetClosed> {
        self.call(|reply| Command::SetOperator { members, reply }).await
    }

    /// All other members: their connections, their addresses and their queues.
    ///
    /// # Errors
    /// The network is shut down.
    pub async fn peers(&self) -> Result<Vec<PeerView>, NetClosed> {
        self.call(|reply| Command::Peers { reply }).await
    }

    /// The connected members, in the order of their keys.
    #[must_use]
    pub fn connected(&self) -> Vec<IdentityKey> {
        self.connected.list()
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        self.counters.read()
    }

    /// The current problems of the network, now and whenever they change.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<NetHealth> {
        self.health.clone()
    }

    /// Replaces federation and members: connections of others are closed, and members are dialled
    /// until they are connected. An entry for this node is skipped.
    ///
    /// # Errors
    /// [`MembersError`]; the old list stays in force.
    pub async fn set_members(
        &self,
        federation: FederationId,
        members: Vec<MemberAddr>,
    ) -> Result<(), MembersError> {
        self.call(|reply| Command::SetMembers { federation, members, reply }).await?
    }

    /// Publishes `bytes` to all members. The same bytes can be published again.
    ///
    /// # Errors
    /// [`GossipError`]; in particular if no other member is subscribed.
    pub async fn gossip(&self, bytes: Vec<u8>) -> Result<(), GossipError> {
        if bytes.len() > MAX_GOSSIP_BYTES {
            return Err(GossipError::TooLarge { length: bytes.len(), max: MAX_GOSSIP_BYTES });
        }
        self.call(|reply| Command::Gossip { bytes, reply }).await?
    }

    /// Sends `bytes` to one member and waits for the receipt of its network, which does not mean
    /// that its daemon has read them.
    ///
    /// # Errors
    /// [`SendError`]; nothing is retransmitted.
    pub async fn send(&self, to: IdentityKey, bytes: Vec<u8>) -> Result<(), SendError> {
        if bytes.len() > MAX_DIRECT_BYTES {
            return Err(SendError::TooLarge { length: bytes.len(), max: MAX_DIRECT_BYTES });
        }
        self.call(|reply| Command::Send { to, bytes, reply }).await?
    }

    /// Fetches an object into the store from those of `holders` that have it. One
    /// [`NetEvent::ObjectReady`](crate::NetEvent::ObjectReady) or `ObjectFailed` follows, unless it
    /// is stopped. While it runs, a second call only adds holders. Its bytes are counted under
    /// `label`.
    ///
    /// # Errors
    /// [`ObjectCallError`].
    pub fn fetch(
        &self,
        object: ObjectRef,
        holders: Vec<IdentityKey>,
        label: Label,
    ) -> Result<(), ObjectCallError> {
        let holders = holders.into_iter().filter(|key| *key != self.local_key).collect();
        self.bulk.fetch(object, holders, label)
    }

    /// Stops a fetch; the chunks that were written stay in the store. No event follows.
    pub fn stop_fetch(&self, object: &ObjectRef) {
        self.bulk.stop_fetch(object);
    }

    /// Serves an object of the store to `audience`; a second call replaces audience and label.
    /// Nothing else is served.
    ///
    /// # Errors
    /// [`ObjectCallError`].
    pub fn serve(
        &self,
        object: ObjectRef,
        audience: Audience,
        label: Label,
    ) -> Result<(), ObjectCallError> {
        self.bulk.serve(object, audience, label)
    }

    /// Stops serving an object.
    pub fn stop_serving(&self, object: &ObjectRef) {
        self.bulk.stop_serving(object);
    }

    /// Sends a request over the join protocol, for which neither side needs to be a member: dials
    /// `addresses`, authenticates `peer`, sends `bytes` and returns the reply. `timeout` covers all
    /// of it and is at most [`JOIN_TIMEOUT`].
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join_request(
        &self,
        addresses: Vec<Multiaddr>,
        peer: IdentityKey,
        bytes: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, JoinError> {
        let max = MAX_JOIN_REQUEST_BYTES;
        if bytes.len() > max {
            return Err(JoinError::TooLarge { length: bytes.len(), max });
        }
        let waited = timeout.min(JOIN_TIMEOUT);
        let call = JoinCall { addresses, peer, bytes };
        let asked = self.call(|reply| Command::Join { call, reply });
        match tokio::time::timeout(waited, asked).await {
            Ok(answer) => answer?,
            Err(_) => Err(JoinError::Timeout { waited }),
        }
    }

    /// Shuts the network down: closes all connections and listeners and returns when every task has
    /// ended. A second call returns at once.
    pub async fn shutdown(&self) {
        // An error means that it is shut down already.
        let _ = self.call(|reply| Command::Shutdown { reply }).await;
    }

    async fn call<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NetClosed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| NetClosed)?;
        answer.await.map_err(|_| NetClosed)
    }
}
