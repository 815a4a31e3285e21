//! Which holder of an object is asked next, which one backs off, which one is given up.

use fedshield_protocol::ids::IdentityKey;
use tokio::time::Instant;

use crate::limits::{HOLDER_BACKOFF_BASE, HOLDER_BACKOFF_CAP, MAX_HOLDERS, MAX_REFUSALS};

/// Why a worker that pulled from a holder ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HolderFault {
    /// It refused the request: the object is not served, or cannot be read.
    Refused(String),
    /// It was not reachable, or the stream broke or stalled.
    Lost(String),
    /// It sent data that fails verification, or that is no valid answer.
    Invalid(String),
}

#[derive(Debug)]
struct Candidate {
    key: IdentityKey,
    busy: bool,
    given_up: bool,
    refusals: u32,
    failures: u32,
    ready_at: Instant,
    last: String,
}

/// The holders of one object, in the order in which they are preferred.
#[derive(Debug, Default)]
pub(crate) struct HolderSelector(Vec<Candidate>);

impl HolderSelector {
    /// Adds holders. One that was given up after refusals is tried again; one that sent invalid
    /// data is not.
    pub(crate) fn add(&mut self, keys: &[IdentityKey], now: Instant) {
        for key in keys {
            if let Some(known) = self.0.iter_mut().find(|holder| holder.key == *key) {
                if known.refusals >= MAX_REFUSALS {
                    known.given_up = false;
                }
                known.refusals = 0;
                known.ready_at = now;
            } else if self.0.len() < MAX_HOLDERS {
                self.0.push(Candidate {
                    key: *key,
                    busy: false,
                    given_up: false,
                    refusals: 0,
                    failures: 0,
                    ready_at: now,
                    last: "not asked yet".into(),
                });
            }
        }
    }

    /// The next holder to ask, marked busy until [`HolderSelector::report`].
    pub(crate) fn take_ready(&mut self, now: Instant) -> Option<IdentityKey> {
        let usable = self.0.iter_mut().filter(|h| !h.busy && !h.given_up && h.ready_at <= now);
        // The one with the fewest failures in a row; among equals the one that was added first.
        let holder = usable.min_by_key(|holder| holder.failures)?;
        holder.busy = true;
        Some(holder.key)
    }

    /// When the next idle holder has finished its backoff.
    pub(crate) fn next_ready_at(&self) -> Option<Instant> {
        self.0.iter().filter(|h| !h.busy && !h.given_up).map(|h| h.ready_at).min()
    }

    /// A worker is done with this holder; a fault starts its backoff or gives it up.
    pub(crate) fn report(
        &mut self,
        key: &IdentityKey,
        outcome: Result<(), HolderFault>,
        now: Instant,
    ) {
        let Some(holder) = self.0.iter_mut().find(|holder| holder.key == *key) else { return };
        holder.busy = false;
        match outcome {
            Ok(()) => {
                holder.refusals = 0;
                holder.failures = 0;
                holder.ready_at = now;
                return;
            }
            Err(HolderFault::Invalid(reason)) => {
                holder.given_up = true;
                holder.last = reason;
            }
            Err(HolderFault::Refused(reason)) => {
                holder.refusals += 1;
                holder.given_up = holder.refusals >= MAX_REFUSALS;
                holder.last = reason;
            }
            Err(HolderFault::Lost(reason)) => holder.last = reason,
        }
        let doublings = holder.failures.min(16);
        holder.failures = holder.failures.saturating_add(1);
        let pause = HOLDER_BACKOFF_BASE.saturating_mul(1 << doublings).min(HOLDER_BACKOFF_CAP);
        holder.ready_at = now + pause;
    }

    /// Whether no holder is left to ask.
    pub(crate) fn all_given_up(&self) -> bool {
        self.0.iter().all(|holder| holder.given_up)
    }

    /// The last fault of each holder, for error messages.
    pub(crate) fn summary(&self) -> String {
        let listed: Vec<String> =
            self.0.iter().take(4).map(|h| format!("{}: {}", h.key.short(), h.last)).collect();
        let rest = self.0.len().saturating_sub(listed.len());
        let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
        listed.join(", ") + &more
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ALICE: IdentityKey = IdentityKey([1; 32]);
    const BOB: IdentityKey = IdentityKey([2; 32]);

    #[test]
    fn a_holder_of_invalid_data_is_never_asked_again() {
        let now = Instant::now();
        let mut selector = HolderSelector::default();
        selector.add(&[ALICE, BOB], now);
        assert_eq!(selector.take_ready(now), Some(ALICE));
        selector.report(&ALICE, Err(HolderFault::Invalid("wrong chunk".into())), now);
        selector.add(&[ALICE], now);
        let later = now + Duration::from_secs(60);
        assert_eq!(selector.take_ready(later), Some(BOB));
        assert_eq!(selector.take_ready(later), None);
        assert!(!selector.all_given_up());
    }

    #[test]
    fn a_holder_given_up_for_refusals_is_asked_again_when_it_is_added_again() {
        let now = Instant::now();
        let mut selector = HolderSelector::default();
        selector.add(&[ALICE], now);
        let mut at = now;
        for _ in 0..MAX_REFUSALS {
            at += HOLDER_BACKOFF_CAP;
            assert_eq!(selector.take_ready(at), Some(ALICE));
            selector.report(&ALICE, Err(HolderFault::Refused("not served".into())), at);
        }
        assert!(selector.all_given_up());
        selector.add(&[ALICE], at);
        assert_eq!(selector.take_ready(at), Some(ALICE));
    }

    #[test]
    fn a_lost_holder_backs_off_exponentially_and_comes_after_the_others() {
        let start = Instant::now();
        let mut selector = HolderSelector::default();
        selector.add(&[ALICE], start);
        let mut at = start;
        for expected_ms in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            assert_eq!(selector.take_ready(at), Some(ALICE));
            selector.report(&ALICE, Err(HolderFault::Lost("gone".into())), at);
            let next = selector.next_ready_at().unwrap();
            assert_eq!(next - at, Duration::from_millis(expected_ms));
            assert_eq!(selector.take_ready(at), None);
            at = next;
        }
        selector.add(&[BOB], at);
        assert_eq!(selector.take_ready(at), Some(BOB));
    }
}
