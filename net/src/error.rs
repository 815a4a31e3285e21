//! What can go wrong, one enum for each call.

use std::io;
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use libp2p::Multiaddr;

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The identity seed is not usable.
    #[error("the identity key is not a valid ed25519 seed")]
    Identity,
    /// The address cannot be listened on, and waiting does not change that.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address that was asked for.
        address: Multiaddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The encrypted transport or a protocol could not be set up.
    #[error("cannot set up the network: {0}")]
    Setup(String),
}

/// The network task is gone: it was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network is shut down")]
pub struct NetClosed;

/// Why a member list was refused; the old one stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// More than [`MAX_MEMBERS`](crate::limits::MAX_MEMBERS).
    #[error("{count} members are more than the limit of {max}")]
    TooMany {
        /// How many were given.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A key is not a point on the curve.
    #[error("the key of member {key} is not a valid ed25519 key")]
    Key {
        /// The key.
        key: IdentityKey,
    },
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why an announcement did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GossipError {
    /// Over [`MAX_GOSSIP_BYTES`](crate::limits::MAX_GOSSIP_BYTES): use objects.
    #[error("an announcement of {length} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// No member list yet.
    #[error("no federation is set, so there is no one to tell")]
    NoFederation,
    /// No member is connected that listens.
    #[error("no other member is connected at the moment")]
    NoPeers,
    /// The queues to all members are full.
    #[error("the queues to all members are full")]
    Busy,
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why a direct message was not delivered, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Over [`MAX_DIRECT_BYTES`](crate::limits::MAX_DIRECT_BYTES): use objects.
    #[error("a message of {length} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Not connected to that member.
    #[error("member {to} is not connected")]
    NotConnected {
        /// The member.
        to: IdentityKey,
    },
    /// Too many messages are under way, or the other side is too busy to take one.
    #[error("member {to} does not take more messages at the moment")]
    Busy {
        /// The member.
        to: IdentityKey,
    },
    /// The connection broke or the receipt did not come. It may have arrived.
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
#[non_exhaustive]
pub enum JoinError {
    /// Over [`MAX_JOIN_REQUEST_BYTES`](crate::limits::MAX_JOIN_REQUEST_BYTES).
    #[error("a join request of {length} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The expected key is not a point on the curve, or is our own.
    #[error("{key} is not the key of another node")]
    Key {
        /// The key.
        key: IdentityKey,
    },
    /// None of the addresses could be reached.
    #[error("none of the addresses could be reached: {reason}")]
    Unreachable {
        /// What was tried.
        reason: String,
    },
    /// Someone else answered there.
    #[error("{address} is answered by another node than the invite names")]
    WrongPeer {
        /// The address.
        address: Multiaddr,
    },
    /// The other side has too many requests, or we have.
    #[error("too many join requests at the moment; try again later")]
    Busy,
    /// The other side did not want to answer.
    #[error("the request was declined")]
    Declined,
    /// No answer in time.
    #[error("no answer within {waited:?}")]
    Timeout {
        /// How long we waited.
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

/// Why a call about objects was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectCallError {
    /// The object is over the size limit.
    #[error("an object of {length} bytes is over the limit")]
    TooLarge {
        /// Its length in bytes.
        length: u64,
    },
    /// Too many objects are fetched, or served.
    #[error("the limit of {max} objects is reached")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// No usable holder was named.
    #[error("no holder was named")]
    NoHolder,
    /// The network is shut down.
    #[error(transparent)]
    Closed(#[from] NetClosed),
}

/// Why an object could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No byte from any holder for the stall timeout. What came is kept; fetch again to go on.
    #[error("stalled: {reason}")]
    Stalled {
        /// What the holders did last.
        reason: String,
    },
    /// Every holder was given up: it refused, or its bytes were not the object's.
    #[error("no holder left: {reason}")]
    NoHolderLeft {
        /// What the holders did last.
        reason: String,
    },
    /// The daemon's store failed.
    #[error("cannot store the object: {reason}")]
    Store {
        /// What the system said.
        reason: String,
        /// There is no space left: fetching again is of no use before somebody has made room.
        disk_full: bool,
    },
}

impl FetchError {
    pub(crate) fn store(error: &io::Error) -> Self {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        Self::Store { reason: error.to_string(), disk_full: full.contains(&error.kind()) }
    }
}
