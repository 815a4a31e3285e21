//! The names under which our protocols are negotiated. A change of bytes is a new number.

use libp2p::StreamProtocol;

/// Messages to one member.
pub(crate) const DIRECT: StreamProtocol = StreamProtocol::new("/fedshield/direct/1");
/// Requests of joiners; the only one that outsiders reach.
pub(crate) const JOIN: StreamProtocol = StreamProtocol::new("/fedshield/join/1");
/// Signed address records of members.
pub(crate) const ADDRESSES: StreamProtocol = StreamProtocol::new("/fedshield/addresses/1");
/// Objects by chunks.
pub(crate) const BULK: StreamProtocol = StreamProtocol::new("/fedshield/bulk/1");
/// Hellos over every connection of a member.
pub(crate) const PRESENCE: StreamProtocol = StreamProtocol::new("/fedshield/presence/1");
/// Prefix of gossipsub's protocol name.
pub(crate) const GOSSIP_PREFIX: &str = "/fedshield/gossip";
/// What identify compares.
pub(crate) const IDENTIFY: &str = "/fedshield/id/1";
