//! What the network tells the daemon.

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::object::ObjectRef;
use tokio::sync::oneshot;

use crate::error::FetchError;

/// What the network tells the daemon.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetEvent {
    /// A member's announcement, whoever passed it on.
    Gossip {
        /// The member that passed it on to us.
        from: IdentityKey,
        /// The member whose key signed the envelope. What the bytes claim is the daemon's to check.
        author: IdentityKey,
        /// At most [`MAX_GOSSIP_BYTES`](crate::limits::MAX_GOSSIP_BYTES).
        bytes: Vec<u8>,
    },
    /// A member's message to us alone.
    Direct {
        /// The member, proven by the connection.
        from: IdentityKey,
        /// At most [`MAX_DIRECT_BYTES`](crate::limits::MAX_DIRECT_BYTES).
        bytes: Vec<u8>,
    },
    /// A fetched object is complete, verified and in the store.
    ObjectReady(ObjectRef),
    /// A fetch was given up.
    ObjectFailed {
        /// The object.
        object: ObjectRef,
        /// Why.
        reason: FetchError,
    },
    /// A member is connected.
    PeerUp(IdentityKey),
    /// A member's last connection is gone. It is dialled again until it is back.
    PeerDown(IdentityKey),
    /// Someone, member or not, asks over the join protocol.
    JoinRequest {
        /// Who asks, proven by the connection.
        from: IdentityKey,
        /// At most [`MAX_JOIN_REQUEST_BYTES`](crate::limits::MAX_JOIN_REQUEST_BYTES).
        bytes: Vec<u8>,
        /// Where the answer goes.
        reply: JoinReply,
    },
}

/// Where the answer to one join request goes. Dropping it declines the request.
#[derive(Debug)]
pub struct JoinReply(pub(crate) oneshot::Sender<Vec<u8>>);

impl JoinReply {
    /// Answers with at most [`MAX_JOIN_REPLY_BYTES`](crate::limits::MAX_JOIN_REPLY_BYTES); a longer
    /// answer is sent as a refusal. If the asker is gone, nothing happens.
    pub fn answer(self, bytes: Vec<u8>) {
        // The receiver is gone only when the asker or the network is.
        let _ = self.0.send(bytes);
    }
}
