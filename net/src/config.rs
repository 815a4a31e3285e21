//! What the network needs to start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use zeroize::Zeroizing;

use crate::addresses::AddressStore;
use crate::admission::Network;
use crate::bulk::ObjectStore;
use crate::limits;

/// What [`Net::start`](crate::Net::start) needs.
pub struct NetConfig {
    /// The node's identity: its PeerId, and the key that its gossip is signed with.
    pub identity: SecretKey,
    /// Where to listen: `/ip4/0.0.0.0/tcp/7000`, `/ip4/0.0.0.0/udp/7000/quic-v1`. Port 0 takes any
    /// free port. May be empty: such a node only dials. What is not there yet is waited for.
    pub listen: Vec<Multiaddr>,
    /// Where objects are kept.
    pub store: Arc<dyn ObjectStore>,
    /// Where the signed addresses of members are kept.
    pub addresses: Arc<dyn AddressStore>,
    /// Waits and budgets that a test or a slow line may want to change.
    pub tuning: Tuning,
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("identity", &self.identity)
            .field("listen", &self.listen)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

/// The secret half of an ed25519 key, as the 32-byte seed of RFC 8032. Erased when dropped.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Takes the seed over.
    #[must_use]
    pub fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    pub(crate) fn to_keypair(&self) -> Result<libp2p::identity::Keypair, crate::StartError> {
        // The library erases the copy that it is given.
        let mut seed = *self.0;
        let pair = libp2p::identity::Keypair::ed25519_from_bytes(&mut seed);
        zeroize::Zeroize::zeroize(&mut seed);
        pair.map_err(|_| crate::StartError::Identity)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Waits and budgets; the defaults are those of [`limits`].
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Without progress for this long, a bulk stream is given up, and a fetch without any working
    /// holder fails.
    pub stall_timeout: Duration,
    /// The first wait before dialling a member again; it doubles with each failure.
    pub redial_base: Duration,
    /// The longest wait before dialling a member again.
    pub redial_cap: Duration,
    /// Chunks (1 MiB) in memory between network and disk, for all fetches together; at least 1.
    pub fetch_budget_chunks: usize,
    /// Between two hellos over one connection of a member.
    pub hello_interval: Duration,
    /// A connection that does not answer a hello for this long, while another one of the same member does, is closed.
    pub stale_timeout: Duration,
    /// Descriptors that connections may take; with fewer than [`limits::FULL_DESCRIPTORS`] fewer connections are let in.
    pub max_descriptors: usize,
    /// Until a member that is connected over TCP is tried over QUIC; doubled after each try.
    pub move_base: Duration,
    /// Where connections of many come from that are not one origin: the operator's own reverse proxies. This machine is one.
    pub shared_origins: Vec<Network>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            stall_timeout: limits::STALL_TIMEOUT,
            redial_base: limits::REDIAL_BASE,
            redial_cap: limits::REDIAL_CAP,
            fetch_budget_chunks: limits::FETCH_BUDGET_CHUNKS,
            hello_interval: limits::HELLO_INTERVAL,
            stale_timeout: limits::STALE_TIMEOUT,
            max_descriptors: limits::FULL_DESCRIPTORS,
            move_base: limits::MOVE_BASE,
            shared_origins: Vec::new(),
        }
    }
}
