//! The events of the network for the daemon.

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::object::ObjectRef;
use tokio::sync::oneshot;

use crate::error::FetchError;

/// An event of the network.
#[derive(Debug)]
pub enum NetEvent {
    /// An announcement by a member, received directly or forwarded.
    Gossip {
        /// The member that forwarded it to us.
        from: IdentityKey,
        /// The member whose key signed the envelope. The bytes themselves are not checked.
        sender: IdentityKey,
        /// At most [`MAX_GOSSIP_BYTES`](crate::limits::MAX_GOSSIP_BYTES).
        bytes: Vec<u8>,
    },
    /// A direct message of a member.
    Direct {
        /// The member, authenticated by the connection.
        from: IdentityKey,
        /// At most [`MAX_DIRECT_BYTES`](crate::limits::MAX_DIRECT_BYTES).
        bytes: Vec<u8>,
    },
    /// A fetched object is complete, verified and stored.
    ObjectReady(ObjectRef),
    /// A fetch has failed.
    ObjectFailed {
        /// The object.
        object: ObjectRef,
        /// Why it failed.
        reason: FetchError,
    },
    /// The first connection with a member was established.
    PeerUp(IdentityKey),
    /// The last connection with a member was closed. It is dialled again with backoff.
    PeerDown(IdentityKey),
    /// A request over the join protocol, from a member or not.
    JoinRequest {
        /// The requester, authenticated by the connection.
        from: IdentityKey,
        /// At most [`MAX_JOIN_REQUEST_BYTES`](crate::limits::MAX_JOIN_REQUEST_BYTES).
        bytes: Vec<u8>,
        /// To be answered or dropped.
        reply: JoinReply,
    },
}

/// Answers one join request. Dropping it declines the request.
#[derive(Debug)]
pub struct JoinReply(pub(crate) oneshot::Sender<Vec<u8>>);

impl JoinReply {
    /// Answers with at most [`MAX_JOIN_REPLY_BYTES`](crate::limits::MAX_JOIN_REPLY_BYTES); a longer
    /// answer declines the request. If the requester is disconnected, nothing happens.
    pub fn answer(self, bytes: Vec<u8>) {
        // An error means that the request has timed out or the network is shut down.
        let _ = self.0.send(bytes);
    }
}
