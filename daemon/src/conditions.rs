//! The board on which every part of the daemon says what a person should know; see [`Condition`].

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::control::api::{Condition, NodeStatus, Severity};

/// Cheap to clone; all clones write to the same [`NodeStatus`].
#[derive(Debug, Clone)]
pub struct Conditions(Arc<watch::Sender<NodeStatus>>);

impl Conditions {
    /// The board that shows in `status`.
    #[must_use]
    pub const fn new(status: Arc<watch::Sender<NodeStatus>>) -> Self {
        Self(status)
    }

    /// Says that `condition` holds, until it is set anew or cleared. One that holds already keeps the time of its
    /// beginning; it is logged only when it begins or when it gets worse, so it may be set as often as it is looked at.
    pub fn set(&self, mut condition: Condition) {
        let mut is_new = false;
        self.0.send_if_modified(|status| {
            match status.conditions.iter_mut().find(|old| old.name == condition.name) {
                Some(old) => {
                    condition.since_unix_s = old.since_unix_s;
                    is_new = condition.severity > old.severity;
                    let changed = *old != condition;
                    old.clone_from(&condition);
                    changed
                }
                None => {
                    condition.since_unix_s = unix_s();
                    is_new = true;
                    status.conditions.push(condition.clone());
                    true
                }
            }
        });
        if is_new {
            let (name, hint) = (&condition.name, condition.hint.as_deref().unwrap_or_default());
            match condition.severity {
                Severity::Notice => tracing::info!(name, hint, "{}", condition.message),
                Severity::Warning | Severity::Blocking => {
                    tracing::warn!(name, hint, "{}", condition.message);
                }
            }
        }
    }

    /// Says that the condition of this name no longer holds.
    pub fn clear(&self, name: &str) {
        let ended = self.0.send_if_modified(|status| {
            let before = status.conditions.len();
            status.conditions.retain(|condition| condition.name != name);
            status.conditions.len() != before
        });
        if ended {
            tracing::info!(name, "no longer the case");
        }
    }

    /// [`Self::set`] for `Some`, [`Self::clear`] for `None`: for a state that is looked at again and again.
    pub fn show(&self, name: &str, condition: Option<Condition>) {
        match condition {
            Some(condition) => self.set(condition),
            None => self.clear(name),
        }
    }
}

/// Seconds since 1970 UTC by this machine's clock; 0 before that.
#[must_use]
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;

    #[test]
    fn a_condition_keeps_its_beginning_until_it_is_cleared() {
        let (sender, receiver) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let board = Conditions::new(Arc::new(sender));
        board.set(Condition::new("disk-full", Severity::Warning, "5 MiB left"));
        let begun = receiver.borrow().conditions[0].since_unix_s;
        assert!(begun > 0);
        board.set(Condition::new("disk-full", Severity::Blocking, "full").with_hint("make room"));
        let shown = receiver.borrow().conditions.clone();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].since_unix_s, shown[0].message.as_str()), (begun, "full"));
        board.show("disk-full", None);
        assert!(receiver.borrow().conditions.is_empty());
    }
}
