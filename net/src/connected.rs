//! The set of connected members: written by the driver, read by anyone.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use fedshield_protocol::ids::IdentityKey;

/// The members with at least one open connection.
#[derive(Debug, Default)]
pub(crate) struct Connected(Mutex<BTreeSet<IdentityKey>>);

impl Connected {
    pub(crate) fn insert(&self, key: IdentityKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    pub(crate) fn remove(&self, key: &IdentityKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub(crate) fn contains(&self, key: &IdentityKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    pub(crate) fn list(&self) -> Vec<IdentityKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
