//! The places for unfinished handshakes of one transport. Pure: who comes in, who goes out for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::origin::Origin;

/// What kind of place a connection takes. Each kind has places of its own, which no other can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// From an address at which a member is known.
    Known,
    /// From where many come that are not one origin: the operator's own proxy, a relay, this machine.
    Shared,
    Stranger,
}

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceLimits {
    pub(crate) known: usize,
    pub(crate) shared: usize,
    pub(crate) strangers: usize,
    /// Places that one origin may hold, known or not.
    pub(crate) per_origin: usize,
}

impl PlaceLimits {
    #[cfg(test)]
    pub(crate) const fn total(&self) -> usize {
        self.known + self.shared + self.strangers
    }
}

#[derive(Debug)]
struct Place {
    class: Class,
    origin: Option<Origin>,
    spoke: Arc<AtomicBool>,
    leave: Arc<Notify>,
}

/// All places of one transport, the oldest first.
#[derive(Debug)]
pub(super) struct Places {
    limits: PlaceLimits,
    taken: BTreeMap<u64, Place>,
    next: u64,
}

/// A place that was given.
pub(super) struct Given {
    pub(super) id: u64,
    /// To be set with the first byte that comes.
    pub(super) spoke: Arc<AtomicBool>,
    /// Told when another needs the place.
    pub(super) leave: Arc<Notify>,
    /// From where the connection was that had to go for it.
    pub(super) pushed_out: Option<Option<Origin>>,
}

impl Places {
    pub(super) const fn new(limits: PlaceLimits) -> Self {
        Self { limits, taken: BTreeMap::new(), next: 0 }
    }

    /// Gives a place away; somebody goes for it if all are taken.
    pub(super) fn enter(&mut self, class: Class, origin: Option<Origin>) -> Given {
        let (most, own_most) = match class {
            Class::Known => (self.limits.known, self.limits.per_origin),
            Class::Shared => (self.limits.shared, self.limits.shared),
            Class::Stranger => (self.limits.strangers, self.limits.per_origin),
        };
        let of_class = self.taken.values().filter(|place| place.class == class).count();
        let victim = if self.count(class, origin) >= own_most {
            self.victim(class, |candidate| candidate == origin)
        } else if of_class >= most {
            let largest = self.largest(class);
            self.victim(class, |candidate| self.count(class, candidate) == largest)
        } else {
            None
        };
        let pushed_out = victim.and_then(|id| self.taken.remove(&id)).map(|place| {
            place.leave.notify_one();
            place.origin
        });
        let (id, spoke, leave) = (self.next, Arc::default(), Arc::new(Notify::new()));
        self.next += 1;
        let place = Place { class, origin, spoke: Arc::clone(&spoke), leave: Arc::clone(&leave) };
        self.taken.insert(id, place);
        Given { id, spoke, leave, pushed_out }
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.taken.remove(&id);
    }

    #[cfg(test)]
    pub(super) fn holds(&self, id: u64) -> bool {
        self.taken.contains_key(&id)
    }

    fn count(&self, class: Class, origin: Option<Origin>) -> usize {
        self.taken.values().filter(|it| it.class == class && it.origin == origin).count()
    }

    /// The most places that one origin holds.
    fn largest(&self, class: Class) -> usize {
        let of_class = self.taken.values().filter(|place| place.class == class);
        of_class.map(|place| self.count(class, place.origin)).max().unwrap_or(0)
    }

    /// Who goes: of those whose origin fits one that has said nothing, else the oldest.
    fn victim(&self, class: Class, fits: impl Fn(Option<Origin>) -> bool) -> Option<u64> {
        let fitting = self.taken.iter().filter(|(_, it)| it.class == class && fits(it.origin));
        fitting.min_by_key(|(id, it)| (it.spoke.load(Ordering::Relaxed), **id)).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMITS: PlaceLimits = PlaceLimits { known: 4, shared: 4, strangers: 8, per_origin: 3 };

    fn origin(number: u32) -> Option<Origin> {
        Some(Origin::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn one_origin_pushes_out_only_itself() {
        let mut places = Places::new(LIMITS);
        let honest = places.enter(Class::Stranger, origin(1)).id;
        for _ in 0..1000 {
            let given = places.enter(Class::Stranger, origin(2));
            assert!(given.pushed_out.is_none_or(|from| from == origin(2)));
        }
        assert!(places.taken.contains_key(&honest));
        assert_eq!(places.taken.len(), 4);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_whoever_holds_the_most() {
        let mut places = Places::new(LIMITS);
        for attacker in [1, 2, 3] {
            for _ in 0..3 {
                places.enter(Class::Stranger, origin(attacker));
            }
        }
        let given = places.enter(Class::Stranger, origin(9));
        assert!(given.pushed_out.is_some());
        for attacker in [1, 2, 3].repeat(100) {
            places.enter(Class::Stranger, origin(attacker));
        }
        assert!(places.taken.contains_key(&given.id), "its origin holds one place only");
    }

    #[test]
    fn strangers_take_no_place_of_known_ones_and_places_never_exceed_their_number() {
        let mut places = Places::new(LIMITS);
        let known = places.enter(Class::Known, origin(7)).id;
        let shared = places.enter(Class::Shared, None).id;
        for number in 0..10_000 {
            places.enter(Class::Stranger, origin(number));
        }
        assert!(places.taken.contains_key(&known) && places.taken.contains_key(&shared));
        for number in 0..10_000 {
            places.enter(Class::Known, origin(number));
            places.enter(Class::Shared, None);
        }
        assert_eq!(places.taken.len(), LIMITS.total());
        for id in 0..places.next {
            places.leave(id);
        }
        assert!(places.taken.is_empty());
    }

    #[test]
    fn who_has_said_something_outlasts_the_silent() {
        let mut places = Places::new(LIMITS);
        let first = places.enter(Class::Shared, None);
        first.spoke.store(true, Ordering::Relaxed);
        for _ in 0..100 {
            places.enter(Class::Shared, None);
        }
        assert!(places.taken.contains_key(&first.id));
    }
}
