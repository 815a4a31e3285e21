//! The machine's timers on the host's monotonic clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fedshield_protocol::event::TimerId;
use fedshield_protocol::ids::Time;

/// The host's monotonic clock, in milliseconds since [`Self::start`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that reads 0 now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The present time.
    pub(crate) fn now(&self) -> Time {
        Time(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The instant of `time`.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.0 + Duration::from_millis(time.0)
    }
}

/// Which timers run, and until when.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeMap<TimerId, Time>);

impl Timers {
    /// Sets or replaces a timer.
    pub(crate) fn set(&mut self, id: TimerId, at: Time) {
        self.0.insert(id, at);
    }

    /// Removes a timer.
    pub(crate) fn cancel(&mut self, id: TimerId) {
        self.0.remove(&id);
    }

    /// When the next timer expires.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.values().min().copied()
    }

    /// Removes and returns one timer that has expired by `now`, the earliest first.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<TimerId> {
        let (id, _) = self.0.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at)?;
        let id = *id;
        self.0.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_run_out_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(TimerId::Round, Time(30));
        timers.set(TimerId::View, Time(10));
        timers.set(TimerId::Commit, Time(20));
        timers.set(TimerId::View, Time(25));
        timers.cancel(TimerId::Commit);
        assert_eq!(timers.next(), Some(Time(25)));
        assert_eq!(timers.take_due(Time(24)), None);
        assert_eq!(timers.take_due(Time(40)), Some(TimerId::View));
        assert_eq!(timers.take_due(Time(40)), Some(TimerId::Round));
        assert_eq!(timers.take_due(Time(40)), None);
    }
}
