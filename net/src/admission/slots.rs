//! The slots for unfinished handshakes of one transport, and which connection is evicted for
//! another. Pure: no IO.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::origin::Origin;

/// The class of a connection. Each class has slots of its own, which no other class can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotClass {
    /// From an address at which a member is known.
    Known,
    /// From an address that many origins share: a reverse proxy of the operator, a relay, this
    /// machine.
    Shared,
    /// From any other address.
    Unknown,
}

/// The number of slots in each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotLimits {
    pub(crate) known: usize,
    pub(crate) shared: usize,
    pub(crate) unknown: usize,
    /// Slots that one origin may hold in the classes `known` and `unknown`.
    pub(crate) per_origin: usize,
}

impl SlotLimits {
    #[cfg(test)]
    pub(crate) const fn total(&self) -> usize {
        self.known + self.shared + self.unknown
    }
}

#[derive(Debug)]
struct Slot {
    class: SlotClass,
    origin: Option<Origin>,
    first_byte: Arc<AtomicBool>,
    evict: Arc<Notify>,
}

/// All slots of one transport that are taken, by id: the smallest is the oldest.
#[derive(Debug)]
pub(super) struct SlotTable {
    limits: SlotLimits,
    taken: BTreeMap<u64, Slot>,
    next: u64,
}

/// A slot that was taken for a connection.
#[derive(Debug)]
pub(super) struct TakenSlot {
    pub(super) id: u64,
    /// To be set when its first byte arrives.
    pub(super) first_byte: Arc<AtomicBool>,
    /// Notified when the slot is given to another connection.
    pub(super) evict: Arc<Notify>,
    /// The origin of the connection that was evicted for it, if one was.
    pub(super) evicted: Option<Option<Origin>>,
}

impl SlotTable {
    pub(super) const fn new(limits: SlotLimits) -> Self {
        Self { limits, taken: BTreeMap::new(), next: 0 }
    }

    /// Takes a slot; if the class or the origin has none left, another connection is evicted for
    /// it.
    pub(super) fn acquire(&mut self, class: SlotClass, origin: Option<Origin>) -> TakenSlot {
        let (most, own_most) = match class {
            SlotClass::Known => (self.limits.known, self.limits.per_origin),
            SlotClass::Shared => (self.limits.shared, self.limits.shared),
            SlotClass::Unknown => (self.limits.unknown, self.limits.per_origin),
        };
        let of_class = self.taken.values().filter(|slot| slot.class == class).count();
        let victim = if self.count(class, origin) >= own_most {
            self.victim(class, |candidate| candidate == origin)
        } else if of_class >= most {
            let largest = self.largest(class);
            self.victim(class, |candidate| self.count(class, candidate) == largest)
        } else {
            None
        };
        let evicted = victim.and_then(|id| self.taken.remove(&id)).map(|slot| {
            slot.evict.notify_one();
            slot.origin
        });
        let (id, first_byte, evict) = (self.next, Arc::default(), Arc::new(Notify::new()));
        self.next += 1;
        let (flag, notify) = (Arc::clone(&first_byte), Arc::clone(&evict));
        self.taken.insert(id, Slot { class, origin, first_byte: flag, evict: notify });
        TakenSlot { id, first_byte, evict, evicted }
    }

    pub(super) fn release(&mut self, id: u64) {
        self.taken.remove(&id);
    }

    #[cfg(test)]
    pub(super) fn holds(&self, id: u64) -> bool {
        self.taken.contains_key(&id)
    }

    fn count(&self, class: SlotClass, origin: Option<Origin>) -> usize {
        self.taken.values().filter(|it| it.class == class && it.origin == origin).count()
    }

    /// The number of slots of the origin that holds the most in this class.
    fn largest(&self, class: SlotClass) -> usize {
        let of_class = self.taken.values().filter(|slot| slot.class == class);
        of_class.map(|slot| self.count(class, slot.origin)).max().unwrap_or(0)
    }

    /// Which connection is evicted, of those whose origin fits: the oldest that has sent nothing,
    /// else the oldest.
    fn victim(&self, class: SlotClass, fits: impl Fn(Option<Origin>) -> bool) -> Option<u64> {
        let fitting = self.taken.iter().filter(|(_, it)| it.class == class && fits(it.origin));
        fitting
            .min_by_key(|(id, it)| (it.first_byte.load(Ordering::Relaxed), **id))
            .map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMITS: SlotLimits = SlotLimits { known: 4, shared: 4, unknown: 8, per_origin: 3 };

    fn origin(number: u32) -> Option<Origin> {
        Some(Origin::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn an_origin_evicts_only_its_own_connections() {
        let mut slots = SlotTable::new(LIMITS);
        let honest = slots.acquire(SlotClass::Unknown, origin(1)).id;
        for _ in 0..1000 {
            let given = slots.acquire(SlotClass::Unknown, origin(2));
            assert!(given.evicted.is_none_or(|from| from == origin(2)));
        }
        assert!(slots.taken.contains_key(&honest));
        assert_eq!(slots.taken.len(), 4);
    }

    #[test]
    fn a_new_origin_takes_a_slot_from_the_one_that_holds_the_most() {
        let mut slots = SlotTable::new(LIMITS);
        for attacker in [1, 2, 3] {
            for _ in 0..3 {
                slots.acquire(SlotClass::Unknown, origin(attacker));
            }
        }
        let given = slots.acquire(SlotClass::Unknown, origin(9));
        assert!(given.evicted.is_some());
        for attacker in [1, 2, 3].repeat(100) {
            slots.acquire(SlotClass::Unknown, origin(attacker));
        }
        assert!(slots.taken.contains_key(&given.id), "its origin holds one slot only");
    }

    #[test]
    fn unknown_origins_take_no_slot_of_known_ones_and_the_slots_are_bounded() {
        let mut slots = SlotTable::new(LIMITS);
        let known = slots.acquire(SlotClass::Known, origin(7)).id;
        let shared = slots.acquire(SlotClass::Shared, None).id;
        for number in 0..10_000 {
            slots.acquire(SlotClass::Unknown, origin(number));
        }
        assert!(slots.taken.contains_key(&known) && slots.taken.contains_key(&shared));
        for number in 0..10_000 {
            slots.acquire(SlotClass::Known, origin(number));
            slots.acquire(SlotClass::Shared, None);
        }
        assert_eq!(slots.taken.len(), LIMITS.total());
        for id in 0..slots.next {
            slots.release(id);
        }
        assert!(slots.taken.is_empty());
    }

    #[test]
    fn a_connection_that_has_sent_something_outlasts_the_silent_ones() {
        let mut slots = SlotTable::new(LIMITS);
        let first = slots.acquire(SlotClass::Shared, None);
        first.first_byte.store(true, Ordering::Relaxed);
        for _ in 0..100 {
            slots.acquire(SlotClass::Shared, None);
        }
        assert!(slots.taken.contains_key(&first.id));
    }
}
