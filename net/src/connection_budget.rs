//! How many connections fit into the file descriptors that the network may use, and which errors
//! mean that none is left.

use std::error::Error;
use std::io;
use std::num::NonZeroU8;

use libp2p::connection_limits::{ConnectionLimits, Exceeded};
use libp2p::swarm::ConnectionDenied;

use crate::admission::SlotLimits;
use crate::limits::{
    FULL_DESCRIPTORS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_PEER, MAX_NON_MEMBERS,
    MAX_PENDING_OUTBOUND, MAX_PENDING_PER_CLASS, MAX_PENDING_PER_ORIGIN, MAX_SOCKETS_PER_DIAL,
};

/// The smallest number of connections that a node can work with.
const FEWEST_CONNECTIONS: u32 = 8;
/// With few descriptors a dial opens this many sockets at once; the other addresses follow when
/// these have failed.
const FEW_SOCKETS_PER_DIAL: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);

/// Limits on the numbers of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionBudget {
    /// Open connections.
    pub(crate) connections: u32,
    /// Open connections of non-members.
    pub(crate) non_members: usize,
    /// Slots for inbound handshakes over TCP; over QUIC there are as many, which take no
    /// descriptor.
    pub(crate) slots: SlotLimits,
    /// Concurrent dials.
    pending_out: u32,
    /// Addresses that one dial tries concurrently.
    pub(crate) sockets_per_dial: NonZeroU8,
}

impl ConnectionBudget {
    /// The limits for this many `descriptors`, if every connection takes one (QUIC takes none).
    pub(crate) fn of(descriptors: usize) -> Self {
        if descriptors >= FULL_DESCRIPTORS {
            return Self {
                connections: MAX_CONNECTIONS,
                non_members: MAX_NON_MEMBERS,
                slots: slots(MAX_PENDING_PER_CLASS),
                pending_out: MAX_PENDING_OUTBOUND,
                sockets_per_dial: MAX_SOCKETS_PER_DIAL,
            };
        }
        let all = u32::try_from(descriptors).unwrap_or(u32::MAX);
        let connections = (all / 2).clamp(FEWEST_CONNECTIONS, MAX_CONNECTIONS);
        Self {
            connections,
            // Most are reserved for members.
            non_members: MAX_NON_MEMBERS.min(connections as usize / 4),
            // Three classes of slots.
            slots: slots((descriptors / 24).clamp(1, MAX_PENDING_PER_CLASS)),
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

const fn slots(per_class: usize) -> SlotLimits {
    let per_origin =
        if per_class < MAX_PENDING_PER_ORIGIN { per_class } else { MAX_PENDING_PER_ORIGIN };
    SlotLimits { known: per_class, shared: per_class, unknown: per_class, per_origin }
}

/// Whether a connection was refused because of these limits.
pub(crate) fn is_over_limit(cause: &ConnectionDenied) -> bool {
    cause.downcast_ref::<Exceeded>().is_some()
}

/// Whether the cause of this error is that the process or the system has no file descriptor left.
pub(crate) fn is_exhausted(error: &(dyn Error + 'static)) -> bool {
    /// `ENFILE` and `EMFILE`, the same on every supported system.
    const NO_DESCRIPTOR: [i32; 2] = [23, 24];
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.raw_os_error().is_some_and(|code| NO_DESCRIPTOR.contains(&code)) {
                return true;
            }
            // An `io::Error` that wraps another one does not return it as its source.
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
    fn connections_and_dials_stay_within_the_descriptors() {
        for descriptors in 40..=FULL_DESCRIPTORS + 1 {
            let budget = ConnectionBudget::of(descriptors);
            let dials = budget.pending_out as usize * usize::from(budget.sockets_per_dial.get());
            let most = budget.connections as usize + budget.slots.total() + dials;
            assert!(most <= descriptors, "{most} of {descriptors}");
            assert!(budget.non_members < budget.connections as usize);
        }
        assert_eq!(ConnectionBudget::of(usize::MAX).connections, MAX_CONNECTIONS);
        assert_eq!(ConnectionBudget::of(usize::MAX).slots.total(), MAX_PENDING_INBOUND);
    }

    #[test]
    fn exhausted_descriptors_are_recognised_through_any_wrapping() {
        let raw = || io::Error::from_raw_os_error(24);
        assert!(is_exhausted(&raw()));
        assert!(is_exhausted(&io::Error::other(raw())));
        assert!(is_exhausted(&io::Error::other(io::Error::other(raw()))));
        assert!(!is_exhausted(&io::Error::other("no")));
        assert!(!is_exhausted(&io::Error::from_raw_os_error(111)));
    }
}
