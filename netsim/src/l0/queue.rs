//! The order of scheduled events: the earliest first, and among events of the same time the one
//! that was scheduled first.

use std::cmp::Ordering;

use super::world::SimEvent;

/// An entry of the event queue, a max-heap: the order is reversed so that the earliest is on top.
pub(super) struct Scheduled {
    pub(super) at: u64,
    /// Sequence number, in the order of scheduling.
    pub(super) number: u64,
    pub(super) event: SimEvent,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}
