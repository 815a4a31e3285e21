//! Which updates have changed since they were last looked at. A committee member of n members waits for n x n objects in
//! a round; without this list each of their arrivals would mean a look at all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Digest;
use crate::object::ObjectRef;
use crate::wire::CommitmentBody;

/// The list, and which update names which object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stirred {
    named_by: BTreeMap<ObjectRef, BTreeSet<Digest>>,
    updates: BTreeSet<Digest>,
}

impl Stirred {
    /// A commitment has become known.
    pub(crate) fn know(&mut self, update: Digest, body: &CommitmentBody) {
        for object in body.boxes.iter().flatten().chain([&body.ciphertext]) {
            self.named_by.entry(*object).or_default().insert(update);
        }
        self.updates.insert(update);
    }

    /// An object has arrived. Whoever names the same object as another gains nothing: both are looked at.
    pub(crate) fn arrived(&mut self, object: &ObjectRef) {
        if let Some(updates) = self.named_by.get(object) {
            self.updates.extend(updates);
        }
    }

    /// Something else has changed for `update`, for instance that a failed fetch may be tried again.
    pub(crate) fn stir(&mut self, update: Digest) {
        self.updates.insert(update);
    }

    /// Takes the list.
    pub(crate) fn take(&mut self) -> BTreeSet<Digest> {
        core::mem::take(&mut self.updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(byte: u8) -> ObjectRef {
        ObjectRef { root: Digest([byte; 32]), length: 10 }
    }

    fn body(bytes: [u8; 3]) -> CommitmentBody {
        let [ciphertext, first, second] = bytes.map(object);
        let layout = Digest([0; 32]);
        CommitmentBody {
            ciphertext,
            boxes: vec![Some(first), Some(second)],
            shares: vec![],
            layout,
        }
    }

    #[test]
    fn an_arrival_stirs_the_updates_that_name_the_object_and_no_other() {
        let [one, two] = [1, 2].map(|byte| Digest([byte; 32]));
        let mut stirred = Stirred::default();
        stirred.know(one, &body([10, 11, 12]));
        stirred.know(two, &body([20, 21, 11]));
        assert_eq!(stirred.take(), BTreeSet::from([one, two]));
        assert_eq!(stirred.take(), BTreeSet::new());
        stirred.arrived(&object(21));
        assert_eq!(stirred.take(), BTreeSet::from([two]));
        stirred.arrived(&object(11));
        assert_eq!(stirred.take(), BTreeSet::from([one, two]));
        stirred.arrived(&object(99));
        assert_eq!(stirred.take(), BTreeSet::new());
        stirred.stir(one);
        assert_eq!(stirred.take(), BTreeSet::from([one]));
    }
}
