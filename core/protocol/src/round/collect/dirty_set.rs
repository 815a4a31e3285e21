//! Updates whose inputs have changed since the last scan. A committee member of n members waits for
//! n x n objects in a round; without this list each of their arrivals would mean a scan of all
//! updates.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::CommitmentDigest;
use crate::object::ObjectRef;
use crate::wire::CommitmentBody;

/// The updates, and which of them name which object.
#[derive(Debug, Clone, Default)]
pub(crate) struct DirtySet {
    named_by: BTreeMap<ObjectRef, BTreeSet<CommitmentDigest>>,
    updates: BTreeSet<CommitmentDigest>,
}

impl DirtySet {
    /// A commitment has become known.
    pub(crate) fn insert(&mut self, update: CommitmentDigest, body: &CommitmentBody) {
        for object in body.sealed_shares.iter().flatten().chain([&body.ciphertext]) {
            self.named_by.entry(*object).or_default().insert(update);
        }
        self.updates.insert(update);
    }

    /// An object has arrived. Whoever names the same object as another gains nothing: both are
    /// looked at.
    pub(crate) fn object_arrived(&mut self, object: &ObjectRef) {
        if let Some(updates) = self.named_by.get(object) {
            self.updates.extend(updates);
        }
    }

    /// Something else has changed for `update`, for instance that a failed fetch may be tried
    /// again.
    pub(crate) fn mark(&mut self, update: CommitmentDigest) {
        self.updates.insert(update);
    }

    /// Takes the list.
    pub(crate) fn take(&mut self) -> BTreeSet<CommitmentDigest> {
        core::mem::take(&mut self.updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommitmentDigest, Digest, LayoutDigest};

    fn object(byte: u8) -> ObjectRef {
        ObjectRef { root: Digest([byte; 32]), length: 10 }
    }

    fn body(bytes: [u8; 3]) -> CommitmentBody {
        let [ciphertext, first, second] = bytes.map(object);
        let layout = LayoutDigest([0; 32]);
        CommitmentBody {
            ciphertext,
            sealed_shares: vec![Some(first), Some(second)],
            shares: vec![],
            layout,
        }
    }

    #[test]
    fn an_arrival_marks_the_updates_that_name_the_object_and_no_other() {
        let [one, two] = [1, 2].map(|byte| CommitmentDigest([byte; 32]));
        let mut dirty = DirtySet::default();
        dirty.insert(one, &body([10, 11, 12]));
        dirty.insert(two, &body([20, 21, 11]));
        assert_eq!(dirty.take(), BTreeSet::from([one, two]));
        assert_eq!(dirty.take(), BTreeSet::new());
        dirty.object_arrived(&object(21));
        assert_eq!(dirty.take(), BTreeSet::from([two]));
        dirty.object_arrived(&object(11));
        assert_eq!(dirty.take(), BTreeSet::from([one, two]));
        dirty.object_arrived(&object(99));
        assert_eq!(dirty.take(), BTreeSet::new());
        dirty.mark(one);
        assert_eq!(dirty.take(), BTreeSet::from([one]));
    }
}
