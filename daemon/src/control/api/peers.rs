//! Where members are: how they are connected, where they are looked for, what the operator says.

use fedshield_protocol::ids::IdentityKey;
use serde::{Deserialize, Serialize};

/// One connection with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// Where its other end is. If the member dialled, its port is one that nobody can dial.
    pub address: String,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Over what it runs.
    #[serde(default)]
    pub transport: TransportKind,
    /// Whether its keys were agreed on by a post-quantum exchange, so that nobody who records it reads it later.
    #[serde(default)]
    pub post_quantum: bool,
}

/// Over what a member is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberTransport {
    /// Of its connections the best.
    pub transport: TransportKind,
    /// As in [`ConnectionView::post_quantum`].
    pub post_quantum: bool,
}

impl MemberTransport {
    /// What a member's connections add up to; `None` if it has none.
    #[must_use]
    pub fn of(connections: &[ConnectionView]) -> Option<Self> {
        let best = connections.iter().max_by_key(|connection| connection.post_quantum)?;
        Some(Self { transport: best.transport, post_quantum: best.post_quantum })
    }
}

/// What a connection runs over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportKind {
    /// QUIC: TLS 1.3 with X25519MLKEM768.
    Quic,
    /// TCP: Noise with X25519.
    #[default]
    Tcp,
}

/// An address at which a member is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAddressView {
    /// A multiaddress.
    pub address: String,
    /// From where it is known.
    pub origins: Vec<AddressOrigin>,
    /// Failed dials in a row.
    pub failures: u32,
    /// Why the last of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// From where an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressOrigin {
    /// This node's operator: `peer add` or `[peers]` in the configuration. Never told to others.
    Operator,
    /// Under the member's own signature, whoever handed it on.
    Signed,
    /// The manifest.
    Manifest,
    /// Told by the member over a connection.
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

/// What was added for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddresses {
    /// The member's name.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
    /// All that was added with `peer add` and not taken back, the newest first.
    pub addresses: Vec<String>,
}
