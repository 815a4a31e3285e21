//! The commands of a handle to the driver.

use fedshield_protocol::ids::{FederationId, IdentityKey};
use libp2p::Multiaddr;
use tokio::sync::oneshot;

use crate::error::{GossipError, JoinError, MembersError, SendError};
use crate::handle::{MemberAddr, PeerView};

pub(crate) type Reply<T> = oneshot::Sender<T>;

pub(crate) enum Command {
    SetMembers {
        federation: FederationId,
        members: Vec<MemberAddr>,
        reply: Reply<Result<(), MembersError>>,
    },
    Gossip {
        bytes: Vec<u8>,
        reply: Reply<Result<(), GossipError>>,
    },
    Send {
        to: IdentityKey,
        bytes: Vec<u8>,
        reply: Reply<Result<(), SendError>>,
    },
    Join {
        call: JoinCall,
        reply: Reply<Result<Vec<u8>, JoinError>>,
    },
    /// Replaces the addresses that are signed and sent to members.
    Announce {
        addresses: Vec<Multiaddr>,
        reply: Reply<()>,
    },
    /// Replaces the operator's addresses of all members.
    SetOperator {
        members: Vec<MemberAddr>,
        reply: Reply<()>,
    },
    Peers {
        reply: Reply<Vec<PeerView>>,
    },
    Shutdown {
        reply: Reply<()>,
    },
}

pub(crate) struct JoinCall {
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) peer: IdentityKey,
    pub(crate) bytes: Vec<u8>,
}
