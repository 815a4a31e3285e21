//! How many connections fit into the descriptors that the network may use, and errors that say that there are none left.

use std::error::Error;
use std::io;
use std::num::NonZeroU8;

use libp2p::connection_limits::{ConnectionLimits, Exceeded};
use libp2p::swarm::ConnectionDenied;

use crate::admission::PlaceLimits;
use crate::limits::{
    FULL_DESCRIPTORS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_PEER, MAX_GUESTS, MAX_PENDING_OF_A_KIND,
    MAX_PENDING_OUTBOUND, MAX_PENDING_PER_ORIGIN, MAX_SOCKETS_PER_DIAL,
};

/// The fewest connections that a node is of any use with.
const FEWEST_CONNECTIONS: u32 = 8;
/// With few descriptors a dial opens this many at once; the other addresses follow when these have failed.
const FEW_SOCKETS_PER_DIAL: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Open ones.
    pub(crate) connections: u32,
    /// Open ones with outsiders.
    pub(crate) guests: usize,
    /// Inbound ones whose handshake is not over, over TCP; over QUIC there are as many, without a descriptor.
    pub(crate) places: PlaceLimits,
    /// Dials under way.
    pending_out: u32,
    /// Addresses that one dial tries at once.
    pub(crate) sockets_per_dial: NonZeroU8,
}

impl Room {
    /// What `descriptors` are enough for, if every connection takes one (QUIC takes none).
    pub(crate) fn of(descriptors: usize) -> Self {
        if descriptors >= FULL_DESCRIPTORS {
            return Self {
                connections: MAX_CONNECTIONS,
                guests: MAX_GUESTS,
                places: places(MAX_PENDING_OF_A_KIND),
                pending_out: MAX_PENDING_OUTBOUND,
                sockets_per_dial: MAX_SOCKETS_PER_DIAL,
            };
        }
        let all = u32::try_from(descriptors).unwrap_or(u32::MAX);
        let connections = (all / 2).clamp(FEWEST_CONNECTIONS, MAX_CONNECTIONS);
        Self {
            connections,
            // Members come first.
            guests: MAX_GUESTS.min(connections as usize / 4),
            // Three kinds of places.
            places: places((descriptors / 24).clamp(1, MAX_PENDING_OF_A_KIND)),
            pending_out: (all / 8).clamp(2, MAX_PENDING_OUTBOUND),
            sockets_per_dial: FEW_SOCKETS_PER_DIAL,
        }
    }

    pub(crate) fn limits(&self) -> ConnectionLimits {
        ConnectionLimits::default()
            .with_max_pending_outgoing(Some(self.pending_out))
            .with_max_established(Some(self.connections))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
    }
}

const fn places(of_a_kind: usize) -> PlaceLimits {
    let per_origin =
        if of_a_kind < MAX_PENDING_PER_ORIGIN { of_a_kind } else { MAX_PENDING_PER_ORIGIN };
    PlaceLimits { known: of_a_kind, shared: of_a_kind, strangers: of_a_kind, per_origin }
}

/// Whether a connection was refused because as many are open, or being opened, as may be.
pub(crate) fn is_refused_for_room(cause: &ConnectionDenied) -> bool {
    cause.downcast_ref::<Exceeded>().is_some()
}

/// Whether somewhere in this error the system says that it has no descriptor left, for us or for anybody.
pub(crate) fn is_exhausted(error: &(dyn Error + 'static)) -> bool {
    /// As `errno.h` has them on every system that we run on.
    const NO_DESCRIPTOR: [i32; 2] = [23, 24];
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.raw_os_error().is_some_and(|code| NO_DESCRIPTOR.contains(&code)) {
                return true;
            }
            // What such an error wraps is not its source, but stands in its place.
            if let Some(inner) = error.get_ref() {
                next = Some(inner);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_PENDING_INBOUND;

    #[test]
    fn connections_and_dials_never_take_more_than_they_may() {
        for descriptors in 40..=FULL_DESCRIPTORS + 1 {
            let room = Room::of(descriptors);
            let dials = room.pending_out as usize * usize::from(room.sockets_per_dial.get());
            let most = room.connections as usize + room.places.total() + dials;
            assert!(most <= descriptors, "{most} of {descriptors}");
            assert!(room.guests < room.connections as usize);
        }
        assert_eq!(Room::of(usize::MAX).connections, MAX_CONNECTIONS);
        assert_eq!(Room::of(usize::MAX).places.total(), MAX_PENDING_INBOUND);
    }

    #[test]
    fn an_empty_table_of_descriptors_is_seen_through_any_wrapping() {
        let raw = || io::Error::from_raw_os_error(24);
        assert!(is_exhausted(&raw()));
        assert!(is_exhausted(&io::Error::other(raw())));
        assert!(is_exhausted(&io::Error::other(io::Error::other(raw()))));
        assert!(!is_exhausted(&io::Error::other("no")));
        assert!(!is_exhausted(&io::Error::from_raw_os_error(111)));
    }
}
