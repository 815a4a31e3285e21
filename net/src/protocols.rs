//! The names under which our protocols are negotiated. A change of the encoding gets a new version
//! number.

use libp2p::StreamProtocol;

/// Direct messages to one member.
pub(crate) const DIRECT: StreamProtocol = StreamProtocol::new("/fedshield/direct/1");
/// Requests of joiners; the only protocol for non-members.
pub(crate) const JOIN: StreamProtocol = StreamProtocol::new("/fedshield/join/1");
/// Signed peer records.
pub(crate) const RECORDS: StreamProtocol = StreamProtocol::new("/fedshield/addresses/1");
/// Bulk transfer of objects in chunks.
pub(crate) const BULK: StreamProtocol = StreamProtocol::new("/fedshield/bulk/1");
/// Presence: hellos over every connection of a member.
pub(crate) const PRESENCE: StreamProtocol = StreamProtocol::new("/fedshield/presence/1");
/// Prefix of gossipsub's protocol name.
pub(crate) const GOSSIP_PREFIX: &str = "/fedshield/gossip";
/// The protocol version that identify compares.
pub(crate) const IDENTIFY: &str = "/fedshield/id/1";
