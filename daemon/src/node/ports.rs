//! Adapts the network to the founding's [`JoinPort`].

use std::time::Duration;

use fedshield_net::{JoinError, Multiaddr, NetHandle};
use fedshield_protocol::ids::IdentityKey;

use super::peers::Peers;
use crate::founding::{JoinAnswer, JoinPort, JoinPortError};

/// The time limit of one request to the owner.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The join protocol of the network.
pub(super) struct NetJoinPort {
    pub(super) net: NetHandle,
    /// With the operator's addresses, an owner that has moved since the invite can still be
    /// reached.
    pub(super) peers: Peers,
}

impl JoinPort for NetJoinPort {
    fn request(&self, to: IdentityKey, addresses: Vec<String>, bytes: Vec<u8>) -> JoinAnswer {
        let net = self.net.clone();
        let mut known = self.peers.of(&to);
        Box::pin(async move {
            known.extend(addresses.iter().filter_map(|address| address.parse::<Multiaddr>().ok()));
            let addresses = known;
            if addresses.is_empty() {
                return Err(JoinPortError::Unreachable("the invite has no usable address".into()));
            }
            net.join_request(addresses, to, bytes, JOIN_TIMEOUT).await.map_err(reason)
        })
    }
}

/// Causes stay distinct, because operators handle them differently.
fn reason(error: JoinError) -> JoinPortError {
    let text = error.to_string();
    match error {
        JoinError::Timeout { .. } => JoinPortError::Timeout(text),
        JoinError::Busy => JoinPortError::Busy,
        JoinError::BusyHere => JoinPortError::BusyHere,
        JoinError::Declined => JoinPortError::Declined,
        JoinError::WrongPeer { address } => JoinPortError::WrongNode(address.to_string()),
        JoinError::Lost { .. } => JoinPortError::Lost(text),
        JoinError::Unreachable { .. } => JoinPortError::Unreachable(text),
        JoinError::TooLarge { .. } | JoinError::Key { .. } | JoinError::Closed(_) => {
            JoinPortError::Local(text)
        }
    }
}
