//! What a person should know about the network at the moment.

use fedshield_protocol::ids::IdentityKey;

use crate::admission::RefusedOrigin;

/// What is wrong with the network at the moment; all is well by [`Default`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetHealth {
    /// Another process uses our identity key. It has proven so with a signature under a number that we drew.
    pub second_copy: bool,
    /// Members whose identity key is used by two processes at once, in the order of their keys.
    pub doubled: Vec<IdentityKey>,
    /// Members are connected, and none of them takes announcements from us or gives us any.
    pub gossip_is_empty: bool,
    /// Connected members that say that they do not hear our announcements, though they were sent again.
    pub do_not_hear_us: Vec<IdentityKey>,
    /// Connected members whose announcements do not come, though they were asked for.
    pub not_heard: Vec<IdentityKey>,
    /// Connections are refused at the moment, or were a moment ago, because as many are open as may be.
    pub refuses_connections: bool,
    /// From where most of the connections came that were refused, or that got nowhere, within a minute; three at most.
    pub refused_origins: Vec<RefusedOrigin>,
    /// Members whose queue of direct messages has been overflowing for a while: they do not read, or their line is too slow.
    pub slow_readers: Vec<IdentityKey>,
    /// Most connections that may be open.
    pub max_connections: u32,
    /// The system gave no descriptor for a connection a moment ago.
    pub out_of_descriptors: bool,
}
