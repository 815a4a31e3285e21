//! Errors, one enum for each call.

use std::io;
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::Multiaddr;

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The identity seed is not usable.
    #[error("the identity key is not a valid ed25519 seed")]
    Identity,
    /// The address cannot be listened on, and no retry changes that.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The configured address.
        address: Multiaddr,
        /// What is wrong with it.
        reason: String,
    },
    /// A transport or protocol could not be configured.
    #[error("cannot set up the network: {0}")]
    Setup(String),
}

/// The network was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network is shut down")]
pub struct NetClosed;

/// Why a list of members was refused; the old one stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// More than [`MAX_MEMBERS`](crate::limits::MAX_MEMBERS).
    #[error("{count} members are more than the limit of {max}")]
    TooMany {
        /// Number of members given.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A key is not a valid ed25519 public key.
    #[error("the key of member {key} is not a valid ed25519 key")]
    Key {
        /// The key.
        key: IdentityKey,
    },
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why an announcement was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// Over [`MAX_GOSSIP_BYTES`](crate::limits::MAX_GOSSIP_BYTES); larger data are objects.
    #[error("an announcement of {length} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// There is no list of members yet.
    #[error("no federation is set, so there is no topic to publish on")]
    NoFederation,
    /// No connected member is subscribed.
    #[error("no other member is subscribed at the moment")]
    NoPeers,
    /// The queues to all members are full.
    #[error("the queues to all members are full")]
    Busy,
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why a direct message has no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Over [`MAX_DIRECT_BYTES`](crate::limits::MAX_DIRECT_BYTES); larger data are objects.
    #[error("a message of {length} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// There is no connection with that member.
    #[error("member {to} is not connected")]
    NotConnected {
        /// The member.
        to: IdentityKey,
    },
    /// It was dropped from a full queue, or the receiver is over its limits.
    #[error("member {to} accepts no more messages at the moment")]
    Busy {
        /// The member.
        to: IdentityKey,
    },
    /// The connection broke or the receipt timed out. The message may have been delivered.
    #[error("no receipt from member {to}: {reason}")]
    Lost {
        /// The member.
        to: IdentityKey,
        /// What happened.
        reason: String,
    },
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why a join request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Over [`MAX_JOIN_REQUEST_BYTES`](crate::limits::MAX_JOIN_REQUEST_BYTES).
    #[error("a join request of {length} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The expected key is not a valid ed25519 key, or is our own.
    #[error("{key} is not the key of another node")]
    Key {
        /// The key.
        key: IdentityKey,
    },
    /// None of the addresses could be reached.
    #[error("none of the addresses could be reached: {reason}")]
    Unreachable {
        /// The errors of the addresses.
        reason: String,
    },
    /// A node with another key answered there.
    #[error("another node than the one that the invite names answers at {address}")]
    WrongPeer {
        /// The address.
        address: Multiaddr,
    },
    /// The other side is over its limits.
    #[error("the other side accepts no more join requests at the moment")]
    Busy,
    /// This node has too many requests in flight.
    #[error("too many join requests of this node are in flight")]
    BusyHere,
    /// The other side declined the request.
    #[error("the request was declined")]
    Declined,
    /// No answer in time.
    #[error("no answer within {waited:?}")]
    Timeout {
        /// The timeout.
        waited: Duration,
    },
    /// The connection broke before the answer came.
    #[error("the connection broke before the answer came: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why a fetch or a served object was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectCallError {
    /// The object is over the size limit.
    #[error("an object of {length} bytes is over the limit")]
    TooLarge {
        /// Its length in bytes.
        length: u64,
    },
    /// The limit on fetches, or on served objects, is reached.
    #[error("the limit of {max} objects is reached")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// No holder but this node was named.
    #[error("no holder was named")]
    NoHolder,
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why an object could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No progress from any holder for the stall timeout. The chunks so far are kept; another fetch
    /// continues.
    #[error("stalled: {reason}")]
    Stalled {
        /// The last fault of each holder.
        reason: String,
    },
    /// Every holder was given up: it refused, or it sent invalid data.
    #[error("no holder left: {reason}")]
    NoHolderLeft {
        /// The last fault of each holder.
        reason: String,
    },
    /// The daemon's store failed.
    #[error("cannot store the object: {reason}")]
    Store {
        /// The error of the store.
        reason: String,
        /// Whether there is no space left, so that another fetch fails until space is freed.
        disk_full: bool,
    },
}

impl FetchError {
    pub(crate) fn store(error: &io::Error) -> Self {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        Self::Store { reason: error.to_string(), disk_full: full.contains(&error.kind()) }
    }
}
