//! Which objects are served, and to whom: only what the daemon has declared.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::object::ObjectRef;

use crate::error::ObjectCallError;
use crate::limits::MAX_SERVED;
use crate::stats::Label;

/// Who may fetch an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every member.
    Everyone,
    /// These members only.
    Members(Vec<IdentityKey>),
}

#[derive(Debug)]
struct Served {
    object: ObjectRef,
    /// `None` is every member.
    audience: Option<HashSet<IdentityKey>>,
    label: Label,
}

/// The objects declared as served.
#[derive(Debug, Default)]
pub(crate) struct ServedObjects(Mutex<HashMap<Digest, Served>>);

impl ServedObjects {
    /// Serves `object`; a second call replaces audience and label.
    ///
    /// # Errors
    /// The object is too large, or [`MAX_SERVED`] is reached.
    pub(crate) fn serve(
        &self,
        object: ObjectRef,
        audience: Audience,
        label: Label,
    ) -> Result<(), ObjectCallError> {
        object.check_size().map_err(|_| ObjectCallError::TooLarge { length: object.length })?;
        let mut served = self.lock();
        if served.len() >= MAX_SERVED && !served.contains_key(&object.root) {
            return Err(ObjectCallError::TooMany { max: MAX_SERVED });
        }
        let audience = match audience {
            Audience::Everyone => None,
            Audience::Members(keys) => Some(keys.into_iter().collect()),
        };
        served.insert(object.root, Served { object, audience, label });
        Ok(())
    }

    /// Stops serving `object`.
    pub(crate) fn stop_serving(&self, object: &ObjectRef) {
        self.lock().remove(&object.root);
    }

    /// The label to count under, if `requester` may fetch `object`.
    pub(crate) fn label_for(&self, object: &ObjectRef, requester: &IdentityKey) -> Option<Label> {
        let served = self.lock();
        let entry = served.get(&object.root).filter(|entry| entry.object == *object)?;
        let allowed = entry.audience.as_ref().is_none_or(|keys| keys.contains(requester));
        allowed.then_some(entry.label)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Served>> {
        // No code panics while it holds the lock, and every map operation leaves it consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_audience_gets_an_object() {
        let served = ServedObjects::default();
        let object = ObjectRef::of(b"sealed shares");
        let (alice, bob) = (IdentityKey([1; 32]), IdentityKey([2; 32]));
        let label = Label::new(3).unwrap();
        assert_eq!(served.label_for(&object, &alice), None);
        served.serve(object, Audience::Members(vec![alice]), label).unwrap();
        assert_eq!(served.label_for(&object, &alice), Some(label));
        assert_eq!(served.label_for(&object, &bob), None);
        let longer = ObjectRef { length: object.length + 1, ..object };
        assert_eq!(served.label_for(&longer, &alice), None);
        served.serve(object, Audience::Everyone, label).unwrap();
        assert_eq!(served.label_for(&object, &bob), Some(label));
        served.stop_serving(&object);
        assert_eq!(served.label_for(&object, &bob), None);
    }
}
