//! Members' addresses: current connections, addresses to dial, and those that the operator added.

use fedshield_protocol::ids::IdentityKey;
use serde::{Deserialize, Serialize};

/// One connection with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// The remote address. If the member dialled, its port is ephemeral and cannot be dialled.
    pub address: String,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Its transport.
    #[serde(default)]
    pub transport: TransportKind,
    /// Whether its keys come from a post-quantum key exchange, so that recorded traffic stays
    /// unreadable to a later quantum computer.
    #[serde(default)]
    pub post_quantum: bool,
}

/// The best transport of a member's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberTransport {
    /// The best transport among its connections.
    pub transport: TransportKind,
    /// As in [`ConnectionView::post_quantum`].
    pub post_quantum: bool,
}

impl MemberTransport {
    /// Summary of a member's connections; `None` if it has none.
    #[must_use]
    pub fn of(connections: &[ConnectionView]) -> Option<Self> {
        let best = connections.iter().max_by_key(|connection| connection.post_quantum)?;
        Some(Self { transport: best.transport, post_quantum: best.post_quantum })
    }
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportKind {
    /// QUIC: TLS 1.3 with X25519MLKEM768.
    Quic,
    /// TCP: Noise with X25519.
    #[default]
    Tcp,
}

/// An address at which this node dials a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAddressView {
    /// A multiaddress.
    pub address: String,
    /// The sources of this address.
    pub origins: Vec<AddressOrigin>,
    /// Consecutive failed dials.
    pub failures: u32,
    /// Why the last of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// The source of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressOrigin {
    /// This node's operator: `peer add` or `[peers]` in the configuration. Never sent to others.
    Operator,
    /// Signed by the member, whoever delivered it.
    Signed,
    /// The manifest.
    Manifest,
    /// Sent by the member over a connection.
    Told,
}

/// `POST /v1/peer/add` and `/v1/peer/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRequest {
    /// A member's name, or its identity key in full.
    pub name: String,
    /// A multiaddress.
    pub address: String,
}

/// The addresses that the operator added for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddresses {
    /// The member's name.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
    /// All addresses added with `peer add` and not removed, the newest first.
    pub addresses: Vec<String>,
}
