//! Which objects are here, on their way, or served.

use std::collections::{BTreeMap, BTreeSet};

use super::Cx;
use crate::effect::{Effect, Purpose};
use crate::ids::MemberIndex;
use crate::object::ObjectRef;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Wanted,
    Here,
    Failed,
}

/// The objects of one machine.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    places: BTreeMap<ObjectRef, Place>,
    /// Of these nothing is known but that somebody calls them evidence.
    claimed: BTreeSet<ObjectRef>,
    served: BTreeMap<ObjectRef, Purpose>,
    /// Served until the next round ends, for members that are late in this one.
    lingering: BTreeSet<ObjectRef>,
    adapters: Vec<ObjectRef>,
}

impl Objects {
    pub(crate) fn arrived(&mut self, object: &ObjectRef) {
        if let Some(place) = self.places.get_mut(object) {
            *place = Place::Here;
        }
    }

    pub(crate) fn failed(&mut self, object: &ObjectRef) {
        if let Some(place) = self.places.get_mut(object).filter(|p| **p == Place::Wanted) {
            *place = Place::Failed;
        }
    }

    /// A status tick: what failed is asked for again.
    pub(crate) fn forget_failed(&mut self) {
        self.places.retain(|_, place| *place != Place::Failed);
    }

    /// Whether it is here; `None` if nobody has asked for it.
    pub(crate) fn is_here(&self, object: &ObjectRef) -> Option<bool> {
        self.places.get(object).map(|place| *place == Place::Here)
    }

    /// Whether it is something else than what others call evidence, or may be.
    pub(crate) fn is_other(&self, object: &ObjectRef) -> bool {
        self.places.contains_key(object) && !self.claimed.contains(object)
    }

    /// The host made it.
    pub(crate) fn made(&mut self, object: ObjectRef) {
        self.claimed.remove(&object);
        self.places.insert(object, Place::Here);
    }
}

impl Cx {
    /// Whether `object` is here; if not, it is fetched from `holders`, who are asked for once for
    /// each object.
    pub(crate) fn request(
        &mut self,
        object: ObjectRef,
        purpose: Purpose,
        holders: impl FnOnce(&Self) -> Vec<MemberIndex>,
    ) -> bool {
        if let Some(here) = self.is_requested(&object, purpose) {
            return here;
        }
        let holders = holders(self);
        self.fetch(object, purpose, holders);
        false
    }

    /// Whether `object` is here; `None` if it must be fetched first.
    pub(crate) fn is_requested(&mut self, object: &ObjectRef, purpose: Purpose) -> Option<bool> {
        if purpose != Purpose::Evidence
            && self.objects.claimed.remove(object)
            && self.objects.is_here(object) == Some(false)
        {
            // It is asked of those who called it evidence: whoever needs it for something else
            // knows better who has it.
            self.objects.places.remove(object);
            self.push(Effect::StopFetch(*object));
        }
        self.objects.is_here(object)
    }

    /// Fetches `object` from any of `holders`, best first.
    pub(crate) fn fetch(
        &mut self,
        object: ObjectRef,
        purpose: Purpose,
        mut holders: Vec<MemberIndex>,
    ) {
        if purpose == Purpose::Evidence {
            self.objects.claimed.insert(object);
        }
        let me = self.config.me;
        holders.retain(|m| *m != me);
        self.objects.places.insert(object, Place::Wanted);
        self.push(Effect::Fetch { object, holders, purpose });
    }

    /// An object that is on its way is not needed any more.
    pub(crate) fn no_longer_wanted(&mut self, object: &ObjectRef) {
        if self.objects.places.get(object) == Some(&Place::Wanted) {
            self.objects.places.remove(object);
            self.push(Effect::StopFetch(*object));
        }
    }

    /// Gives an object to all members, or to some.
    pub(crate) fn serve(
        &mut self,
        object: ObjectRef,
        audience: Option<Vec<MemberIndex>>,
        purpose: Purpose,
    ) {
        if self.objects.served.insert(object, purpose).is_none() {
            self.objects.lingering.remove(&object);
            self.push(Effect::Serve { object, audience, purpose });
        }
    }

    /// Gives the global adapter; the one before stays served for members that are one round late.
    pub(crate) fn serve_adapter(&mut self, adapter: ObjectRef) {
        self.objects.made(adapter);
        self.objects.adapters.retain(|a| *a != adapter);
        self.objects.adapters.push(adapter);
        if self.objects.adapters.len() > 2 {
            let oldest = self.objects.adapters.remove(0);
            self.stop_serving(oldest);
        }
        self.serve(adapter, None, Purpose::Adapter);
    }

    /// The host may have lost it: it is asked for again.
    pub(crate) fn may_be_removed(&mut self, object: &ObjectRef) {
        if !self.objects.served.contains_key(object) {
            self.objects.places.remove(object);
        }
    }

    fn stop_serving(&mut self, object: ObjectRef) {
        self.objects.places.remove(&object);
        if self.objects.served.remove(&object).is_some() {
            self.push(Effect::Unserve(object));
        }
    }

    /// The round has ended: nothing more is fetched for it; what opening its sum takes stays for
    /// one more round.
    pub(crate) fn end_round_objects(&mut self) {
        let wanted: Vec<ObjectRef> = self
            .objects
            .places
            .iter()
            .filter(|(_, place)| **place == Place::Wanted)
            .map(|(object, _)| *object)
            .collect();
        for object in wanted {
            self.objects.places.remove(&object);
            self.push(Effect::StopFetch(object));
        }
        for object in core::mem::take(&mut self.objects.lingering) {
            self.stop_serving(object);
        }
        let served: Vec<_> = self.objects.served.iter().map(|(o, p)| (*o, *p)).collect();
        for (object, purpose) in served {
            match purpose {
                Purpose::Ciphertext | Purpose::Share => self.stop_serving(object),
                Purpose::Aggregate | Purpose::Partial | Purpose::Key => {
                    self.objects.lingering.insert(object);
                }
                Purpose::Adapter | Purpose::Evidence => {}
            }
        }
        let objects = &mut self.objects;
        objects.claimed.clear();
        objects.places.retain(|object, _| objects.served.contains_key(object));
    }
}
