//! The list in which every part of the daemon reports what an operator should know; see
//! [`Condition`].

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::control::api::{Condition, NodeStatus, Severity};

/// Cheap to clone; all clones write to the same [`NodeStatus`].
#[derive(Debug, Clone)]
pub struct Conditions(Arc<watch::Sender<NodeStatus>>);

impl Conditions {
    /// Conditions that are shown in `status`.
    #[must_use]
    pub const fn new(status: Arc<watch::Sender<NodeStatus>>) -> Self {
        Self(status)
    }

    /// Reports that `condition` holds, until it is set again or cleared. A condition that already
    /// holds keeps its start time; it is logged only when it begins or gets worse, so it may be set
    /// on every check.
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

    /// Reports that the condition of this name no longer holds.
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

    /// [`Self::set`] for `Some`, [`Self::clear`] for `None`: for a state that is checked
    /// repeatedly.
    pub fn show(&self, name: &str, condition: Option<Condition>) {
        match condition {
            Some(condition) => self.set(condition),
            None => self.clear(name),
        }
    }
}

/// Seconds since 1970 UTC by this machine's clock; 0 if the clock is set to an earlier time.
#[must_use]
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The time of day of a moment in seconds since 1970: `22:44:28 UTC`, independent of the time zone.
#[must_use]
pub fn clock(unix_s: u64) -> String {
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{hour:02}:{minute:02}:{second:02} UTC")
}

/// The same with the day: `2026-11-27 22:44:28 UTC`.
#[must_use]
pub fn date_and_clock(unix_s: u64) -> String {
    // Days since 0000-03-01 in eras of 400 years: Howard Hinnant, chrono-compatible low-level date
    // algorithms.
    let days = unix_s / 86_400 + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = days / 146_097 * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {}", clock(unix_s))
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;

    #[test]
    fn moments_have_a_day_and_a_time() {
        let shown =
            [0, 951_782_400, 1_735_689_599, 1_795_819_468, 4_107_542_399].map(date_and_clock);
        assert_eq!(
            shown,
            [
                "1970-01-01 00:00:00 UTC",
                "2000-02-29 00:00:00 UTC",
                "2024-12-31 23:59:59 UTC",
                "2026-11-27 22:44:28 UTC",
                "2100-02-28 23:59:59 UTC",
            ]
        );
    }

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
