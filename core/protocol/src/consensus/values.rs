//! The values of one decision: votes name them by digest, proposals bring their content.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::ValueDigest;
use crate::wire::Value;

/// The values of one decision whose content is known here.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    by_digest: BTreeMap<ValueDigest, Value>,
    /// Those that came with a valid justification.
    justified: BTreeSet<ValueDigest>,
}

impl Values {
    /// The value that decides nothing, which everyone knows.
    pub(super) fn new(nothing: Value) -> Self {
        Self { by_digest: BTreeMap::from([(nothing.id(), nothing)]), justified: BTreeSet::new() }
    }

    pub(crate) fn get(&self, id: &ValueDigest) -> Option<&Value> {
        self.by_digest.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ValueDigest, &Value)> {
        self.by_digest.iter()
    }

    /// Notes a value, and returns its digest.
    pub(crate) fn insert(&mut self, value: Value) -> ValueDigest {
        let id = value.id();
        self.by_digest.entry(id).or_insert(value);
        id
    }

    /// A value has come with what makes it valid for everyone.
    pub(crate) fn justify(&mut self, id: ValueDigest) {
        self.justified.insert(id);
    }

    pub(crate) const fn justified(&self) -> &BTreeSet<ValueDigest> {
        &self.justified
    }

    pub(crate) fn known(&self) -> BTreeSet<ValueDigest> {
        self.by_digest.keys().copied().collect()
    }

    /// Drops all values but these.
    pub(super) fn retain(&mut self, named: &BTreeSet<ValueDigest>) {
        self.by_digest.retain(|id, _| named.contains(id));
        self.justified.retain(|id| named.contains(id));
    }
}
