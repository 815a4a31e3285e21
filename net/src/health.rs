//! Problems of the network that an operator should know of.

use fedshield_protocol::ids::IdentityKey;

use crate::admission::RefusedOrigin;

/// The current problems of the network; [`Default`] is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetHealth {
    /// Another process uses our identity key, as proven by a signature over a challenge of ours.
    pub has_duplicate: bool,
    /// Members whose identity key is used by two processes at once, in the order of their keys.
    pub duplicated: Vec<IdentityKey>,
    /// Members are connected, and none of them is in our gossip mesh.
    pub is_mesh_empty: bool,
    /// Connected members that report that they do not receive our announcements.
    pub not_receiving: Vec<IdentityKey>,
    /// Connected members whose announcements we do not receive.
    pub not_received: Vec<IdentityKey>,
    /// Connections were refused within the last four rounds of hellos, because a limit was reached.
    pub refuses_connections: bool,
    /// The origins of most refused connections within a minute; at most three.
    pub refused_origins: Vec<RefusedOrigin>,
    /// Members whose queue of direct messages has been overflowing for two rounds of hellos: they
    /// do not read, or their line is too slow.
    pub slow_readers: Vec<IdentityKey>,
    /// The limit on open connections.
    pub max_connections: u32,
    /// The system had no file descriptor for a connection within the last four rounds of hellos.
    pub out_of_descriptors: bool,
}
