//! Outbound direct messages: a queue for each member, so that a member that does not read blocks
//! only its own. Pure: what to send and which callers to answer are return values.
//!
//! A full queue drops its oldest message. That is safe: members retransmit what others turn out to
//! lack, and the newest message describes the sender's state best. A message that is already queued
//! is not queued twice.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use tokio::time::Instant;

use crate::limits::{
    DIRECT_WINDOW, MAX_DIRECT_CALLERS, MAX_DIRECT_QUEUED, MAX_DIRECT_QUEUED_BYTES,
    MAX_DIRECT_QUEUED_BYTES_TOTAL,
};

/// The queue of direct messages to one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboundQueue {
    /// Number of queued messages.
    pub queued: usize,
    /// Their length in bytes.
    pub queued_bytes: usize,
    /// Number of messages sent whose receipts have not arrived.
    pub in_flight: usize,
    /// Number of messages dropped for newer ones, since the start.
    pub dropped: u64,
}

/// The queues to all members; the outcome of each message goes to its callers, each an `R`.
#[derive(Debug)]
pub(crate) struct OutboundQueues<R> {
    queues: BTreeMap<IdentityKey, Queue<R>>,
    bytes: usize,
}

/// A message and the callers that wait for its outcome.
pub(crate) struct QueuedMessage<R> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) callers: Vec<R>,
}

#[derive(Debug)]
struct Queue<R> {
    queued: VecDeque<(Vec<u8>, Vec<R>)>,
    bytes: usize,
    in_flight: usize,
    dropped: u64,
    /// The first and the last drop of the current overflow: no two drops in it are farther apart
    /// than [`PAUSE`].
    overflow: Option<(Instant, Instant)>,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self { queued: VecDeque::new(), bytes: 0, in_flight: 0, dropped: 0, overflow: None }
    }
}

impl<R> Default for OutboundQueues<R> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), bytes: 0 }
    }
}

/// Drops that are farther apart than this belong to different overflows.
const PAUSE: Duration = Duration::from_secs(60);

impl<R> OutboundQueues<R> {
    /// Queues a message. Returns the callers whose messages were dropped for it.
    pub(crate) fn push(
        &mut self,
        to: IdentityKey,
        bytes: Vec<u8>,
        caller: R,
        now: Instant,
    ) -> Vec<(IdentityKey, R)> {
        let queue = self.queues.entry(to).or_default();
        if let Some((_, callers)) = queue.queued.iter_mut().find(|(queued, _)| *queued == bytes) {
            if callers.len() >= MAX_DIRECT_CALLERS {
                return vec![(to, caller)];
            }
            callers.push(caller);
            return Vec::new();
        }
        queue.bytes += bytes.len();
        self.bytes += bytes.len();
        queue.queued.push_back((bytes, vec![caller]));
        let mut dropped = Vec::new();
        let mut longest = Some(to);
        while let Some(full) = longest.filter(|key| self.is_full(key)) {
            self.drop_oldest(&full, now, &mut dropped);
        }
        while self.bytes > MAX_DIRECT_QUEUED_BYTES_TOTAL {
            longest = self.queues.iter().max_by_key(|(_, queue)| queue.bytes).map(|(key, _)| *key);
            match longest {
                Some(longest) => self.drop_oldest(&longest, now, &mut dropped),
                None => break,
            }
        }
        dropped
    }

    fn is_full(&self, key: &IdentityKey) -> bool {
        self.queues.get(key).is_some_and(|queue| {
            queue.queued.len() > MAX_DIRECT_QUEUED || queue.bytes > MAX_DIRECT_QUEUED_BYTES
        })
    }

    fn drop_oldest(
        &mut self,
        key: &IdentityKey,
        now: Instant,
        dropped: &mut Vec<(IdentityKey, R)>,
    ) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some((bytes, callers)) = queue.queued.pop_front() else { return };
        queue.bytes -= bytes.len();
        self.bytes -= bytes.len();
        queue.dropped += 1;
        let since = match queue.overflow {
            Some((since, last)) if now.saturating_duration_since(last) <= PAUSE => since,
            _ => now,
        };
        queue.overflow = Some((since, now));
        dropped.extend(callers.into_iter().map(|caller| (*key, caller)));
    }

    /// The next message to `to`, if its window has room.
    pub(crate) fn next(&mut self, to: &IdentityKey) -> Option<QueuedMessage<R>> {
        let queue = self.queues.get_mut(to).filter(|queue| queue.in_flight < DIRECT_WINDOW)?;
        let (bytes, callers) = queue.queued.pop_front()?;
        queue.in_flight += 1;
        queue.bytes -= bytes.len();
        self.bytes -= bytes.len();
        Some(QueuedMessage { bytes, callers })
    }

    /// A message to `to` is no longer in flight.
    pub(crate) fn ended(&mut self, to: &IdentityKey) {
        if let Some(queue) = self.queues.get_mut(to) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
        }
    }

    /// Drops all queued messages to `to`, which is disconnected; returns their callers.
    pub(crate) fn close(&mut self, to: &IdentityKey) -> Vec<R> {
        let Some(queue) = self.queues.get_mut(to) else { return Vec::new() };
        self.bytes -= std::mem::take(&mut queue.bytes);
        std::mem::take(&mut queue.queued).into_iter().flat_map(|(_, callers)| callers).collect()
    }

    /// Drops the queues to those that are not members; returns their callers.
    pub(crate) fn retain(&mut self, members: &[IdentityKey]) -> Vec<(IdentityKey, R)> {
        let keys: Vec<IdentityKey> = self.queues.keys().copied().collect();
        let mut dropped = Vec::new();
        for key in keys.into_iter().filter(|key| !members.contains(key)) {
            dropped.extend(self.close(&key).into_iter().map(|caller| (key, caller)));
            self.queues.remove(&key);
        }
        dropped
    }

    pub(crate) fn view(&self, key: &IdentityKey) -> OutboundQueue {
        self.queues.get(key).map_or_else(OutboundQueue::default, |queue| OutboundQueue {
            queued: queue.queued.len(),
            queued_bytes: queue.bytes,
            in_flight: queue.in_flight,
            dropped: queue.dropped,
        })
    }

    /// The members whose queues have been overflowing for at least `long`.
    pub(crate) fn overflowing(&self, long: Duration, now: Instant) -> Vec<IdentityKey> {
        let lasts = |(since, last): (Instant, Instant)| {
            last.saturating_duration_since(since) >= long
                && now.saturating_duration_since(last) <= PAUSE
        };
        let queues = self.queues.iter().filter(|(_, queue)| queue.overflow.is_some_and(lasts));
        queues.map(|(key, _)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: IdentityKey = IdentityKey([1; 32]);
    const CAROL: IdentityKey = IdentityKey([2; 32]);

    fn message(number: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length.max(4)];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    #[test]
    fn a_full_queue_drops_its_oldest_message_and_no_other_queue_any() {
        let (mut queues, now) = (OutboundQueues::default(), Instant::now());
        assert!(queues.push(CAROL, message(0, 100), 0, now).is_empty());
        let mut dropped = Vec::new();
        for number in 0..3000 {
            dropped.extend(queues.push(BOB, message(number, 4), number, now));
        }
        let lost = 3000 - MAX_DIRECT_QUEUED as u32;
        assert_eq!(dropped, (0..lost).map(|number| (BOB, number)).collect::<Vec<_>>());
        assert_eq!(queues.view(&BOB).dropped, u64::from(lost));
        assert_eq!((queues.view(&CAROL).queued, queues.view(&CAROL).dropped), (1, 0));
        assert_eq!(queues.next(&BOB).unwrap().callers, [lost]);
    }

    #[test]
    fn bytes_are_bounded_for_one_and_for_all() {
        let (mut queues, now) = (OutboundQueues::default(), Instant::now());
        for number in 0..400u32 {
            let key = IdentityKey([(number % 64) as u8; 32]);
            queues.push(key, message(number, 256 << 10), number, now);
            queues.push(BOB, message(1000 + number, 256 << 10), number, now);
            assert!(queues.view(&BOB).queued_bytes <= MAX_DIRECT_QUEUED_BYTES);
            assert!(queues.bytes <= MAX_DIRECT_QUEUED_BYTES_TOTAL);
        }
        let counted: usize = queues.queues.values().map(|queue| queue.bytes).sum();
        assert_eq!(counted, queues.bytes);
    }

    #[test]
    fn the_window_bounds_what_is_in_flight() {
        let (mut queues, now) = (OutboundQueues::default(), Instant::now());
        for number in 0..20 {
            queues.push(BOB, message(number, 4), number, now);
        }
        let first: Vec<u32> =
            std::iter::from_fn(|| queues.next(&BOB)).map(|it| it.callers[0]).collect();
        assert_eq!(first, (0..DIRECT_WINDOW as u32).collect::<Vec<_>>());
        queues.ended(&BOB);
        assert_eq!(queues.next(&BOB).unwrap().callers, [DIRECT_WINDOW as u32]);
        assert!(queues.next(&BOB).is_none());
        assert_eq!(queues.close(&BOB).len(), 20 - DIRECT_WINDOW - 1);
        assert_eq!(queues.bytes, 0);
    }

    #[test]
    fn a_message_that_is_already_queued_is_not_queued_twice() {
        let (mut queues, now) = (OutboundQueues::default(), Instant::now());
        for caller in 0..100 {
            let dropped = queues.push(BOB, message(7, 64), caller, now);
            assert_eq!(dropped.is_empty(), (caller as usize) < MAX_DIRECT_CALLERS);
        }
        assert_eq!(queues.view(&BOB).queued, 1);
        assert_eq!(queues.next(&BOB).unwrap().callers.len(), MAX_DIRECT_CALLERS);
        assert!(queues.next(&BOB).is_none());
    }

    #[test]
    fn an_overflow_is_reported_while_it_lasts() {
        let (mut queues, start) = (OutboundQueues::default(), Instant::now());
        let long = Duration::from_secs(30);
        let mut now = start;
        for number in 0..2000 {
            now += Duration::from_millis(50);
            queues.push(BOB, message(number, 4), number, now);
        }
        assert_eq!(queues.overflowing(long, now), [BOB]);
        assert!(queues.overflowing(long, now + PAUSE + long).is_empty());
        assert_eq!(queues.retain(&[CAROL]).len(), MAX_DIRECT_QUEUED);
        assert!(queues.overflowing(long, now).is_empty() && queues.bytes == 0);
    }
}
