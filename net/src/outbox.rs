//! Direct messages that wait to be sent: a queue for each member, so that one that does not read holds up itself alone.
//! Pure: what is to be sent comes out, who is to be answered comes out.
//!
//! When a queue is full, its oldest message goes. That is safe: a member says again what others turn out to lack, and what
//! is newest says most of where it stands. What is said again while it still waits takes no second place.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fedshield_protocol::ids::IdentityKey;
use tokio::time::Instant;

use crate::limits::{
    DIRECT_WINDOW, MAX_DIRECT_CALLERS, MAX_DIRECT_WAITING, MAX_DIRECT_WAITING_BYTES,
    MAX_DIRECT_WAITING_BYTES_OF_ALL,
};

/// What waits for one member, and what did not find a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboundQueue {
    /// Messages that wait.
    pub waiting: usize,
    /// Their length in bytes.
    pub waiting_bytes: usize,
    /// Messages under way whose receipts are not back.
    pub under_way: usize,
    /// Messages that went for newer ones, since the start.
    pub dropped: u64,
}

/// Queues of messages whose senders wait for an answer by `R`.
#[derive(Debug)]
pub(crate) struct Outbox<R> {
    queues: BTreeMap<IdentityKey, Queue<R>>,
    bytes: usize,
}

/// A message and those who want to hear what became of it.
pub(crate) struct Letter<R> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) callers: Vec<R>,
}

#[derive(Debug)]
struct Queue<R> {
    waiting: VecDeque<(Vec<u8>, Vec<R>)>,
    bytes: usize,
    under_way: usize,
    dropped: u64,
    /// Since when, and when last, messages have been dropped with no pause between.
    overflow: Option<(Instant, Instant)>,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, under_way: 0, dropped: 0, overflow: None }
    }
}

impl<R> Default for Outbox<R> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), bytes: 0 }
    }
}

/// Drops that are farther apart than this are not one overflow.
const PAUSE: Duration = Duration::from_secs(60);

impl<R> Outbox<R> {
    /// Puts a message last. Returns the callers whose message went for it.
    pub(crate) fn push(
        &mut self,
        to: IdentityKey,
        bytes: Vec<u8>,
        caller: R,
        now: Instant,
    ) -> Vec<(IdentityKey, R)> {
        let queue = self.queues.entry(to).or_default();
        if let Some((_, callers)) = queue.waiting.iter_mut().find(|(waiting, _)| *waiting == bytes)
        {
            if callers.len() >= MAX_DIRECT_CALLERS {
                return vec![(to, caller)];
            }
            callers.push(caller);
            return Vec::new();
        }
        queue.bytes += bytes.len();
        self.bytes += bytes.len();
        queue.waiting.push_back((bytes, vec![caller]));
        let mut gone = Vec::new();
        let mut longest = Some(to);
        while let Some(full) = longest.filter(|key| self.is_full(key)) {
            self.drop_oldest(&full, now, &mut gone);
        }
        while self.bytes > MAX_DIRECT_WAITING_BYTES_OF_ALL {
            longest = self.queues.iter().max_by_key(|(_, queue)| queue.bytes).map(|(key, _)| *key);
            match longest {
                Some(longest) => self.drop_oldest(&longest, now, &mut gone),
                None => break,
            }
        }
        gone
    }

    fn is_full(&self, key: &IdentityKey) -> bool {
        self.queues.get(key).is_some_and(|queue| {
            queue.waiting.len() > MAX_DIRECT_WAITING || queue.bytes > MAX_DIRECT_WAITING_BYTES
        })
    }

    fn drop_oldest(&mut self, key: &IdentityKey, now: Instant, gone: &mut Vec<(IdentityKey, R)>) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some((bytes, callers)) = queue.waiting.pop_front() else { return };
        queue.bytes -= bytes.len();
        self.bytes -= bytes.len();
        queue.dropped += 1;
        let since = match queue.overflow {
            Some((since, last)) if now.saturating_duration_since(last) <= PAUSE => since,
            _ => now,
        };
        queue.overflow = Some((since, now));
        gone.extend(callers.into_iter().map(|caller| (*key, caller)));
    }

    /// The next message for `to`, unless as many are under way as may be.
    pub(crate) fn next(&mut self, to: &IdentityKey) -> Option<Letter<R>> {
        let queue = self.queues.get_mut(to).filter(|queue| queue.under_way < DIRECT_WINDOW)?;
        let (bytes, callers) = queue.waiting.pop_front()?;
        queue.under_way += 1;
        queue.bytes -= bytes.len();
        self.bytes -= bytes.len();
        Some(Letter { bytes, callers })
    }

    /// A message to `to` is no longer under way.
    pub(crate) fn ended(&mut self, to: &IdentityKey) {
        if let Some(queue) = self.queues.get_mut(to) {
            queue.under_way = queue.under_way.saturating_sub(1);
        }
    }

    /// Nothing can be sent to `to` any more; returns the callers of what waited.
    pub(crate) fn close(&mut self, to: &IdentityKey) -> Vec<R> {
        let Some(queue) = self.queues.get_mut(to) else { return Vec::new() };
        self.bytes -= std::mem::take(&mut queue.bytes);
        std::mem::take(&mut queue.waiting).into_iter().flat_map(|(_, callers)| callers).collect()
    }

    /// Forgets who is no member and has nothing under way.
    pub(crate) fn retain(&mut self, members: &[IdentityKey]) -> Vec<(IdentityKey, R)> {
        let keys: Vec<IdentityKey> = self.queues.keys().copied().collect();
        let mut gone = Vec::new();
        for key in keys.into_iter().filter(|key| !members.contains(key)) {
            gone.extend(self.close(&key).into_iter().map(|caller| (key, caller)));
            self.queues.remove(&key);
        }
        gone
    }

    pub(crate) fn view(&self, key: &IdentityKey) -> OutboundQueue {
        self.queues.get(key).map_or_else(OutboundQueue::default, |queue| OutboundQueue {
            waiting: queue.waiting.len(),
            waiting_bytes: queue.bytes,
            under_way: queue.under_way,
            dropped: queue.dropped,
        })
    }

    /// The members whose queues have been overflowing for `long` and still did a moment ago.
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
    fn a_full_queue_loses_its_oldest_and_no_other_queue_anything() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        assert!(outbox.push(CAROL, message(0, 100), 0, now).is_empty());
        let mut gone = Vec::new();
        for number in 0..3000 {
            gone.extend(outbox.push(BOB, message(number, 4), number, now));
        }
        let lost = 3000 - MAX_DIRECT_WAITING as u32;
        assert_eq!(gone, (0..lost).map(|number| (BOB, number)).collect::<Vec<_>>());
        assert_eq!(outbox.view(&BOB).dropped, u64::from(lost));
        assert_eq!((outbox.view(&CAROL).waiting, outbox.view(&CAROL).dropped), (1, 0));
        assert_eq!(outbox.next(&BOB).unwrap().callers, [lost]);
    }

    #[test]
    fn bytes_are_bounded_for_one_and_for_all() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        for number in 0..400u32 {
            let key = IdentityKey([(number % 64) as u8; 32]);
            outbox.push(key, message(number, 256 << 10), number, now);
            outbox.push(BOB, message(1000 + number, 256 << 10), number, now);
            assert!(outbox.view(&BOB).waiting_bytes <= MAX_DIRECT_WAITING_BYTES);
            assert!(outbox.bytes <= MAX_DIRECT_WAITING_BYTES_OF_ALL);
        }
        let counted: usize = outbox.queues.values().map(|queue| queue.bytes).sum();
        assert_eq!(counted, outbox.bytes);
    }

    #[test]
    fn few_are_under_way_at_once_and_the_rest_follows() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        for number in 0..20 {
            outbox.push(BOB, message(number, 4), number, now);
        }
        let first: Vec<u32> =
            std::iter::from_fn(|| outbox.next(&BOB)).map(|it| it.callers[0]).collect();
        assert_eq!(first, (0..DIRECT_WINDOW as u32).collect::<Vec<_>>());
        outbox.ended(&BOB);
        assert_eq!(outbox.next(&BOB).unwrap().callers, [DIRECT_WINDOW as u32]);
        assert!(outbox.next(&BOB).is_none());
        assert_eq!(outbox.close(&BOB).len(), 20 - DIRECT_WINDOW - 1);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn what_is_said_again_while_it_waits_takes_no_second_place() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        for caller in 0..100 {
            let gone = outbox.push(BOB, message(7, 64), caller, now);
            assert_eq!(gone.is_empty(), (caller as usize) < MAX_DIRECT_CALLERS);
        }
        assert_eq!(outbox.view(&BOB).waiting, 1);
        assert_eq!(outbox.next(&BOB).unwrap().callers.len(), MAX_DIRECT_CALLERS);
        assert!(outbox.next(&BOB).is_none());
    }

    #[test]
    fn an_overflow_that_lasts_is_told_and_one_that_is_over_is_not() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        let long = Duration::from_secs(30);
        let mut now = start;
        for number in 0..2000 {
            now += Duration::from_millis(50);
            outbox.push(BOB, message(number, 4), number, now);
        }
        assert_eq!(outbox.overflowing(long, now), [BOB]);
        assert!(outbox.overflowing(long, now + PAUSE + long).is_empty());
        assert_eq!(outbox.retain(&[CAROL]).len(), MAX_DIRECT_WAITING);
        assert!(outbox.overflowing(long, now).is_empty() && outbox.bytes == 0);
    }
}
