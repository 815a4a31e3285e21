//! Events on their way to the daemon: each member's messages in a lane of its own, read in turn, so that one that floods
//! waits behind itself. Pure.
//!
//! Lanes are those of the members whose connections the messages came over, and inside these by who wrote them: what an
//! honest member passes on for one that floods does not stand before its own.

use std::collections::{BTreeMap, VecDeque};

use libp2p::PeerId;

use crate::event::NetEvent;
use crate::limits::{
    MAX_INBOX_BYTES, MAX_INBOX_EVENTS_PER_AUTHOR, MAX_INBOX_EVENTS_PER_PEER,
    MIN_INBOX_BYTES_PER_PEER,
};

/// Events that wait for a place in the channel to the daemon.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// What must not be lost, and comes first.
    certain: VecDeque<NetEvent>,
    /// By the peer that they came from; join requests of all outsiders share one lane.
    lanes: BTreeMap<Option<PeerId>, Lane>,
    last: Option<Option<PeerId>>,
}

#[derive(Debug, Default)]
struct Lane {
    by_author: BTreeMap<Option<PeerId>, VecDeque<(usize, NetEvent)>>,
    last: Option<Option<PeerId>>,
    count: usize,
    bytes: usize,
}

impl Inbox {
    /// Queues an event that must not be lost.
    pub(crate) fn tell(&mut self, event: NetEvent) {
        self.certain.push_back(event);
    }

    /// How many wait that must not be lost.
    pub(crate) fn certain(&self) -> usize {
        self.certain.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.certain.is_empty() && self.lanes.is_empty()
    }

    /// Queues an event of `length` bytes from `from`, written by `author`; false if there is no place for it. What all
    /// may hold together is shared evenly by `members`.
    pub(crate) fn offer(
        &mut self,
        from: Option<PeerId>,
        author: Option<PeerId>,
        length: usize,
        members: usize,
        event: NetEvent,
    ) -> bool {
        let most = (MAX_INBOX_BYTES / members.max(16)).max(MIN_INBOX_BYTES_PER_PEER);
        if let Some(lane) = self.lanes.get(&from) {
            let of_author = lane.by_author.get(&author).map_or(0, VecDeque::len);
            if of_author >= MAX_INBOX_EVENTS_PER_AUTHOR
                || lane.count >= MAX_INBOX_EVENTS_PER_PEER
                || lane.bytes + length > most
            {
                return false;
            }
        }
        let lane = self.lanes.entry(from).or_default();
        lane.by_author.entry(author).or_default().push_back((length, event));
        lane.count += 1;
        lane.bytes += length;
        true
    }

    /// The next event: what must not be lost, then one of each lane in turn.
    pub(crate) fn next(&mut self) -> Option<NetEvent> {
        if let Some(event) = self.certain.pop_front() {
            return Some(event);
        }
        let from = after(&self.lanes, self.last.as_ref())?;
        self.last = Some(from);
        let lane = self.lanes.get_mut(&from)?;
        let event = lane.next();
        if lane.count == 0 {
            self.lanes.remove(&from);
        }
        event
    }
}

impl Lane {
    fn next(&mut self) -> Option<NetEvent> {
        let author = after(&self.by_author, self.last.as_ref())?;
        self.last = Some(author);
        let queue = self.by_author.get_mut(&author)?;
        let (length, event) = queue.pop_front()?;
        if queue.is_empty() {
            self.by_author.remove(&author);
        }
        self.count -= 1;
        self.bytes -= length;
        Some(event)
    }
}

/// The key after `last`, from the beginning again behind the last one.
fn after<K: Ord + Copy, V>(map: &BTreeMap<K, V>, last: Option<&K>) -> Option<K> {
    use std::ops::Bound::{Excluded, Unbounded};
    let next = last.and_then(|last| map.range((Excluded(*last), Unbounded)).next());
    next.or_else(|| map.iter().next()).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;

    fn event(number: u8) -> NetEvent {
        NetEvent::Direct { from: IdentityKey([number; 32]), bytes: vec![number] }
    }

    fn number(event: &NetEvent) -> u8 {
        match event {
            NetEvent::Direct { bytes, .. } => bytes[0],
            _ => panic!("{event:?}"),
        }
    }

    fn peers() -> (Option<PeerId>, Option<PeerId>) {
        (Some(PeerId::random()), Some(PeerId::random()))
    }

    #[test]
    fn one_that_floods_waits_behind_itself() {
        let (mut inbox, (flooder, honest)) = (Inbox::default(), peers());
        let taken = (0..100_000).filter(|_| inbox.offer(flooder, flooder, 10, 4, event(1))).count();
        assert_eq!(taken, MAX_INBOX_EVENTS_PER_AUTHOR);
        for _ in 0..10 {
            assert!(inbox.offer(honest, honest, 10, 4, event(2)));
        }
        let first: Vec<u8> = (0..20).filter_map(|_| inbox.next()).map(|it| number(&it)).collect();
        assert_eq!(first.iter().filter(|it| **it == 2).count(), 10, "{first:?}");
        assert_eq!(std::iter::from_fn(|| inbox.next()).count(), taken - 10);
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_is_passed_on_for_another_does_not_stand_before_ones_own() {
        let (mut inbox, (flooder, honest)) = (Inbox::default(), peers());
        while inbox.offer(honest, flooder, 10, 4, event(1)) {}
        assert!(inbox.offer(honest, honest, 10, 4, event(2)));
        let first: Vec<u8> = (0..2).filter_map(|_| inbox.next()).map(|it| number(&it)).collect();
        assert!(first.contains(&2));
    }

    #[test]
    fn bytes_are_bounded_and_what_must_not_be_lost_comes_first() {
        let (mut inbox, (flooder, honest)) = (Inbox::default(), peers());
        let mut bytes = 0;
        for author in std::iter::repeat_with(PeerId::random).take(64) {
            while inbox.offer(flooder, Some(author), 16 << 10, 4, event(1)) {
                bytes += 16 << 10;
            }
        }
        assert!(bytes <= MAX_INBOX_BYTES / 16, "{bytes}");
        assert!(inbox.offer(honest, honest, 256 << 10, 4, event(2)));
        inbox.tell(event(3));
        assert_eq!(inbox.next().map(|it| number(&it)), Some(3));
    }
}
