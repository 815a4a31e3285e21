//! What is to happen, the earliest first; of two at the same time the one that was scheduled first.

use std::cmp::Ordering;

use super::world::SimEvent;

/// An entry of the event queue, which is a heap with its greatest entry on top.
pub(super) struct Scheduled {
    pub(super) at: u64,
    /// Counts what has been scheduled.
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
