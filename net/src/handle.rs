//! What the daemon holds: calls into the network.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fedshield_protocol::ids::{Digest, IdentityKey};
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
use crate::outbox::OutboundQueue;
use crate::prefer::is_quic;
use crate::state::{NetState, StateBoard};
use crate::stats::{Counters, Label, NetStats};

/// A member and where it may be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddr {
    /// Its identity key.
    pub key: IdentityKey,
    /// Its addresses, from the manifest, an invite or the operator; may be empty for a member
    /// that dials us.
    pub addresses: Vec<Multiaddr>,
}

/// A member as the network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its identity key.
    pub key: IdentityKey,
    /// Its connections with us, the oldest first; empty if there is none.
    pub connections: Vec<Connection>,
    /// Where it is looked for.
    pub addresses: Vec<KnownAddress>,
    /// The number of its signed record: when it was signed, in milliseconds since 1970 by its clock.
    pub signed_at_ms: Option<u64>,
    /// Direct messages that wait for it.
    pub queue: OutboundQueue,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where the other end is. If it dialled us, its port is one that nobody can dial.
    pub address: Multiaddr,
    /// Whether we dialled.
    pub dialled: bool,
}

impl Connection {
    /// Whether it runs over QUIC, and its keys were agreed on by a post-quantum exchange therefore.
    #[must_use]
    pub fn is_quic(&self) -> bool {
        is_quic(&self.address)
    }
}

/// Calls into a running network; cheap to clone. The network ends with [`NetHandle::shutdown`] or
/// when the last handle is dropped.
#[derive(Clone)]
pub struct NetHandle {
    pub(crate) local_key: IdentityKey,
    pub(crate) state: StateBoard,
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
    /// Our own key.
    #[must_use]
    pub fn local_key(&self) -> IdentityKey {
        self.local_key
    }

    /// Where we listen at the moment, with real ports: one address for each that was asked for and
    /// is there, and for all interfaces (`0.0.0.0`, `::`) one for each that the machine has.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.state.read().listening
    }

    /// Where we listen, what is waited for and what is wrong, now and whenever it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<NetState> {
        self.state.watch()
    }

    /// Tells all members where to look for us, under our signature; at most
    /// [`MAX_RECORD_ADDRESSES`](crate::limits::MAX_RECORD_ADDRESSES). They keep it and hand it on.
    /// Without an address nothing is said.
    ///
    /// # Errors
    /// The network is shut down.
    pub async fn announce(&self, addresses: Vec<Multiaddr>) -> Result<(), NetClosed> {
        self.call(|reply| Command::Announce { addresses, reply }).await
    }

    /// Replaces all that this node's operator says of where members are. It is dialled before
    /// anything else, and not told to anyone. Who is not a member yet is remembered.
    ///
    /// # Errors
    /// The network is shut down.
    pub async fn set_operator_addresses(&self, members: Vec<MemberAddr>) -> Result<(), NetClosed> {
        self.call(|reply| Command::SetOperator { members, reply }).await
    }

    /// All members but ourselves: how they are connected, and where they are looked for.
    ///
    /// # Errors
    /// The network is shut down.
    pub async fn peers(&self) -> Result<Vec<PeerView>, NetClosed> {
        self.call(|reply| Command::Peers { reply }).await
    }

    /// The members that are connected, in the order of their keys.
    #[must_use]
    pub fn connected(&self) -> Vec<IdentityKey> {
        self.connected.list()
    }

    /// Bytes and refusals counted since the start.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        self.counters.read()
    }

    /// What is wrong with the network at the moment; changes are marked.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<NetHealth> {
        self.health.clone()
    }

    /// Replaces federation and members: whoever is not among them is disconnected, those who are
    /// are dialled until they are connected. Our own entry is skipped.
    ///
    /// # Errors
    /// [`MembersError`]; the old list stays.
    pub async fn set_members(
        &self,
        federation: Digest,
        members: Vec<MemberAddr>,
    ) -> Result<(), MembersError> {
        self.call(|reply| Command::SetMembers { federation, members, reply }).await?
    }

    /// Announces `bytes` to all members; said again, they travel again.
    ///
    /// # Errors
    /// [`GossipError`]; in particular when no one is there to hear it.
    pub async fn gossip(&self, bytes: Vec<u8>) -> Result<(), GossipError> {
        if bytes.len() > MAX_GOSSIP_BYTES {
            return Err(GossipError::TooLarge { length: bytes.len(), max: MAX_GOSSIP_BYTES });
        }
        self.call(|reply| Command::Gossip { bytes, reply }).await?
    }

    /// Sends `bytes` to one member and waits until its network has taken them, which says nothing
    /// about what its daemon makes of them. Spawn it if you do not want to wait.
    ///
    /// # Errors
    /// [`SendError`]; nothing is sent twice.
    pub async fn send(&self, to: IdentityKey, bytes: Vec<u8>) -> Result<(), SendError> {
        if bytes.len() > MAX_DIRECT_BYTES {
            return Err(SendError::TooLarge { length: bytes.len(), max: MAX_DIRECT_BYTES });
        }
        self.call(|reply| Command::Send { to, bytes, reply }).await?
    }

    /// Pulls an object into the store from whichever of `holders` has it. One
    /// [`NetEvent::ObjectReady`](crate::NetEvent::ObjectReady) or `ObjectFailed` follows, unless
    /// it is stopped. While it runs, a second call only adds holders. Bytes count under `label`.
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

    /// Stops a fetch; what came stays in the store. No event follows.
    pub fn stop_fetch(&self, object: &ObjectRef) {
        self.bulk.stop_fetch(object);
    }

    /// Gives an object of the store out to `audience` from now on; a second call replaces
    /// audience and label. Nothing else is ever given out.
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

    /// Gives an object out no longer.
    pub fn unserve(&self, object: &ObjectRef) {
        self.bulk.unserve(object);
    }

    /// Asks a node that need not be a member, over the join protocol: dials `addresses`, makes
    /// sure that `peer` answers, sends `bytes`, returns its reply. `timeout` is for all of it and
    /// at most [`JOIN_TIMEOUT`].
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

    /// Ends the network: closes all connections and listeners and returns when every task has
    /// ended. A second call returns at once.
    pub async fn shutdown(&self) {
        // An error means that it is down already.
        let _ = self.call(|reply| Command::Shutdown { reply }).await;
    }

    async fn call<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NetClosed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| NetClosed)?;
        answer.await.map_err(|_| NetClosed)
    }
}
