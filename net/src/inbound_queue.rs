//! Events on their way to the daemon, by fair queueing: a queue for each peer, served in turn, so
//! that a peer that floods delays only its own messages. Pure.
//!
//! A queue belongs to the member over whose connection a message came, and is divided by the
//! message's sender: what an honest member forwards for one that floods does not delay its own.

use std::collections::{BTreeMap, VecDeque};

use libp2p::PeerId;

use crate::event::NetEvent;
use crate::limits::{
    MAX_INBOX_BYTES, MAX_INBOX_EVENTS_PER_PEER, MAX_INBOX_EVENTS_PER_SENDER,
    MIN_INBOX_BYTES_PER_PEER,
};

/// Whose message an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A member: `forwarder` sent it over its connection, `sender` signed it.
    Member { forwarder: PeerId, sender: PeerId },
    /// Any node that is not a member; all of them share one queue.
    NonMember,
}

impl Source {
    /// The keys of its queue (the forwarder) and of the part of that queue (the sender).
    const fn keys(self) -> (Option<PeerId>, Option<PeerId>) {
        match self {
            Self::Member { forwarder, sender } => (Some(forwarder), Some(sender)),
            Self::NonMember => (None, None),
        }
    }
}

/// Events that wait for capacity in the channel to the daemon.
#[derive(Debug, Default)]
pub(crate) struct InboundQueue {
    /// Events that must not be lost; they are delivered first.
    reliable: VecDeque<NetEvent>,
    /// By the peer that sent them; `None` for non-members.
    by_peer: BTreeMap<Option<PeerId>, PeerQueue>,
    last: Option<Option<PeerId>>,
}

#[derive(Debug, Default)]
struct PeerQueue {
    by_sender: BTreeMap<Option<PeerId>, VecDeque<(usize, NetEvent)>>,
    last: Option<Option<PeerId>>,
    count: usize,
    bytes: usize,
}

impl InboundQueue {
    /// Queues an event that must not be lost.
    pub(crate) fn push(&mut self, event: NetEvent) {
        self.reliable.push_back(event);
    }

    /// The number of queued events that must not be lost.
    pub(crate) fn reliable(&self) -> usize {
        self.reliable.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reliable.is_empty() && self.by_peer.is_empty()
    }

    /// Queues an event of `length` bytes; false if it exceeds a limit. Each peer may have
    /// queued [`MAX_INBOX_BYTES`] divided by the number of `members`, or by 16 if they are fewer.
    pub(crate) fn offer(
        &mut self,
        source: Source,
        length: usize,
        members: usize,
        event: NetEvent,
    ) -> bool {
        let (peer, sender) = source.keys();
        let max_bytes = (MAX_INBOX_BYTES / members.max(16)).max(MIN_INBOX_BYTES_PER_PEER);
        if let Some(queue) = self.by_peer.get(&peer) {
            let of_sender = queue.by_sender.get(&sender).map_or(0, VecDeque::len);
            if of_sender >= MAX_INBOX_EVENTS_PER_SENDER
                || queue.count >= MAX_INBOX_EVENTS_PER_PEER
                || queue.bytes + length > max_bytes
            {
                return false;
            }
        }
        let queue = self.by_peer.entry(peer).or_default();
        queue.by_sender.entry(sender).or_default().push_back((length, event));
        queue.count += 1;
        queue.bytes += length;
        true
    }

    /// The next event: those that must not be lost first, then one of each peer in turn.
    pub(crate) fn next(&mut self) -> Option<NetEvent> {
        if let Some(event) = self.reliable.pop_front() {
            return Some(event);
        }
        let peer = after(&self.by_peer, self.last.as_ref())?;
        self.last = Some(peer);
        let queue = self.by_peer.get_mut(&peer)?;
        let event = queue.next();
        if queue.count == 0 {
            self.by_peer.remove(&peer);
        }
        event
    }
}

impl PeerQueue {
    fn next(&mut self) -> Option<NetEvent> {
        let sender = after(&self.by_sender, self.last.as_ref())?;
        self.last = Some(sender);
        let queue = self.by_sender.get_mut(&sender)?;
        let (length, event) = queue.pop_front()?;
        if queue.is_empty() {
            self.by_sender.remove(&sender);
        }
        self.count -= 1;
        self.bytes -= length;
        Some(event)
    }
}

/// The first key after `last`, or the first of all if there is none: round robin.
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

    fn peers() -> (PeerId, PeerId) {
        (PeerId::random(), PeerId::random())
    }

    fn of(forwarder: PeerId, sender: PeerId) -> Source {
        Source::Member { forwarder, sender }
    }

    #[test]
    fn a_peer_that_floods_delays_only_itself() {
        let (mut queue, (flooder, honest)) = (InboundQueue::default(), peers());
        let taken =
            (0..100_000).filter(|_| queue.offer(of(flooder, flooder), 10, 4, event(1))).count();
        assert_eq!(taken, MAX_INBOX_EVENTS_PER_SENDER);
        for _ in 0..10 {
            assert!(queue.offer(of(honest, honest), 10, 4, event(2)));
        }
        let first: Vec<u8> = (0..20).filter_map(|_| queue.next()).map(|it| number(&it)).collect();
        assert_eq!(first.iter().filter(|it| **it == 2).count(), 10, "{first:?}");
        assert_eq!(std::iter::from_fn(|| queue.next()).count(), taken - 10);
        assert!(queue.is_empty());
    }

    #[test]
    fn forwarded_messages_do_not_delay_the_forwarders_own() {
        let (mut queue, (flooder, honest)) = (InboundQueue::default(), peers());
        while queue.offer(of(honest, flooder), 10, 4, event(1)) {}
        assert!(queue.offer(of(honest, honest), 10, 4, event(2)));
        let first: Vec<u8> = (0..2).filter_map(|_| queue.next()).map(|it| number(&it)).collect();
        assert!(first.contains(&2));
    }

    #[test]
    fn bytes_are_bounded_and_reliable_events_come_first() {
        let (mut queue, (flooder, honest)) = (InboundQueue::default(), peers());
        let mut bytes = 0;
        for sender in std::iter::repeat_with(PeerId::random).take(64) {
            while queue.offer(of(flooder, sender), 16 << 10, 4, event(1)) {
                bytes += 16 << 10;
            }
        }
        assert!(bytes <= MAX_INBOX_BYTES / 16, "{bytes}");
        assert!(queue.offer(of(honest, honest), 256 << 10, 4, event(2)));
        queue.push(event(3));
        assert_eq!(queue.next().map(|it| number(&it)), Some(3));
    }
}
