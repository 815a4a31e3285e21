//! The configuration of a node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use zeroize::Zeroizing;

use crate::admission::IpNetwork;
use crate::bulk::ObjectStore;
use crate::limits;
use crate::peer_records::AddressStore;

/// The argument of [`Net::start`](crate::Net::start).
pub struct NetConfig {
    /// The node's identity key: its PeerId derives from it, and its gossip is signed with it.
    pub identity: SecretKey,
    /// The addresses to listen on, such as `/ip4/0.0.0.0/tcp/7000` or
    /// `/ip4/0.0.0.0/udp/7000/quic-v1`. Port 0 takes any free port. May be empty: such a node only
    /// dials. Addresses that are not available yet are retried.
    pub listen: Vec<Multiaddr>,
    /// Storage for objects.
    pub store: Arc<dyn ObjectStore>,
    /// Storage for the signed records of members.
    pub addresses: Arc<dyn AddressStore>,
    /// Timeouts and budgets.
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

/// An ed25519 secret key, as the 32-byte seed of RFC 8032. Erased when dropped.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Takes ownership of the seed.
    #[must_use]
    pub fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    pub(crate) fn to_keypair(&self) -> Result<libp2p::identity::Keypair, crate::StartError> {
        // The library erases the copy if it accepts it.
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

/// Timeouts and budgets; the defaults are those of [`limits`].
#[derive(Debug, Clone)]
pub struct Tuning {
    /// A bulk stream without progress for this long is closed, and a fetch without an active holder
    /// for this long fails.
    pub stall_timeout: Duration,
    /// The first backoff before a member is dialled again; it doubles with each failure.
    pub redial_base: Duration,
    /// The longest backoff before a member is dialled again.
    pub redial_cap: Duration,
    /// Chunks (1 MiB) in memory between network and disk, for all fetches together; at least 1.
    pub fetch_budget_chunks: usize,
    /// Time between two hellos over one connection of a member.
    pub hello_interval: Duration,
    /// A connection that does not answer a hello for this long, while another one of the same
    /// member does, is closed.
    pub stale_timeout: Duration,
    /// File descriptors that connections may take; with fewer than [`limits::FULL_DESCRIPTORS`] the
    /// limits on connections are lower.
    pub max_descriptors: usize,
    /// Time until a member that is connected over TCP is dialled over QUIC; it doubles with each
    /// attempt.
    pub quic_upgrade_base: Duration,
    /// Networks behind which many origins share one address, such as the operator's reverse
    /// proxies. This machine is always one.
    pub shared_origins: Vec<IpNetwork>,
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
            quic_upgrade_base: limits::QUIC_UPGRADE_BASE,
            shared_origins: Vec::new(),
        }
    }
}
