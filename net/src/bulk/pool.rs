//! The holders of one object: whom to ask next, whom to leave in peace, whom to give up.

use fedshield_protocol::ids::IdentityKey;
use tokio::time::Instant;

use crate::limits::{HOLDER_BACKOFF_BASE, HOLDER_BACKOFF_CAP, MAX_HOLDERS, MAX_REFUSALS};

/// What went wrong with one holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It said no.
    Refused(String),
    /// It was not reachable, or the stream broke.
    Lost(String),
    /// Its bytes were not the object's.
    Lied(String),
}

#[derive(Debug)]
struct Holder {
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
pub(crate) struct HolderPool(Vec<Holder>);

impl HolderPool {
    /// Adds holders; one that is known gets another chance, unless it lied.
    pub(crate) fn add(&mut self, keys: &[IdentityKey], now: Instant) {
        for key in keys {
            if let Some(known) = self.0.iter_mut().find(|holder| holder.key == *key) {
                if known.refusals >= MAX_REFUSALS {
                    known.given_up = false;
                }
                known.refusals = 0;
                known.ready_at = now;
            } else if self.0.len() < MAX_HOLDERS {
                self.0.push(Holder {
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

    /// The next holder to ask, marked busy until [`HolderPool::report`].
    pub(crate) fn take_ready(&mut self, now: Instant) -> Option<IdentityKey> {
        let usable = self.0.iter_mut().filter(|h| !h.busy && !h.given_up && h.ready_at <= now);
        // The one with the fewest failures; among equals the first named.
        let holder = usable.min_by_key(|holder| holder.failures)?;
        holder.busy = true;
        Some(holder.key)
    }

    /// When the next holder becomes ready, if one waits.
    pub(crate) fn next_ready_at(&self) -> Option<Instant> {
        self.0.iter().filter(|h| !h.busy && !h.given_up).map(|h| h.ready_at).min()
    }

    /// A holder is done for now.
    pub(crate) fn report(&mut self, key: &IdentityKey, outcome: Result<(), Trouble>, now: Instant) {
        let Some(holder) = self.0.iter_mut().find(|holder| holder.key == *key) else { return };
        holder.busy = false;
        match outcome {
            Ok(()) => {
                holder.refusals = 0;
                holder.failures = 0;
                holder.ready_at = now;
                return;
            }
            Err(Trouble::Lied(reason)) => {
                holder.given_up = true;
                holder.last = reason;
            }
            Err(Trouble::Refused(reason)) => {
                holder.refusals += 1;
                holder.given_up = holder.refusals >= MAX_REFUSALS;
                holder.last = reason;
            }
            Err(Trouble::Lost(reason)) => holder.last = reason,
        }
        let doublings = holder.failures.min(16);
        holder.failures = holder.failures.saturating_add(1);
        let pause = HOLDER_BACKOFF_BASE.saturating_mul(1 << doublings).min(HOLDER_BACKOFF_CAP);
        holder.ready_at = now + pause;
    }

    /// Nobody is left to ask.
    pub(crate) fn all_given_up(&self) -> bool {
        self.0.iter().all(|holder| holder.given_up)
    }

    /// What each holder did last, for people.
    pub(crate) fn summary(&self) -> String {
        let told: Vec<String> =
            self.0.iter().take(4).map(|h| format!("{}: {}", h.key.short(), h.last)).collect();
        let rest = self.0.len().saturating_sub(told.len());
        let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
        told.join(", ") + &more
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ALICE: IdentityKey = IdentityKey([1; 32]);
    const BOB: IdentityKey = IdentityKey([2; 32]);

    #[test]
    fn a_liar_is_never_asked_again() {
        let now = Instant::now();
        let mut pool = HolderPool::default();
        pool.add(&[ALICE, BOB], now);
        assert_eq!(pool.take_ready(now), Some(ALICE));
        pool.report(&ALICE, Err(Trouble::Lied("wrong chunk".into())), now);
        pool.add(&[ALICE], now);
        let later = now + Duration::from_secs(60);
        assert_eq!(pool.take_ready(later), Some(BOB));
        assert_eq!(pool.take_ready(later), None);
        assert!(!pool.all_given_up());
    }

    #[test]
    fn a_refusal_is_taken_back_when_the_holder_is_named_again() {
        let now = Instant::now();
        let mut pool = HolderPool::default();
        pool.add(&[ALICE], now);
        let mut at = now;
        for _ in 0..MAX_REFUSALS {
            at += HOLDER_BACKOFF_CAP;
            assert_eq!(pool.take_ready(at), Some(ALICE));
            pool.report(&ALICE, Err(Trouble::Refused("not served".into())), at);
        }
        assert!(pool.all_given_up());
        pool.add(&[ALICE], at);
        assert_eq!(pool.take_ready(at), Some(ALICE));
    }

    #[test]
    fn a_lost_holder_waits_longer_each_time_and_comes_after_the_others() {
        let start = Instant::now();
        let mut pool = HolderPool::default();
        pool.add(&[ALICE], start);
        let mut at = start;
        for expected_ms in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            assert_eq!(pool.take_ready(at), Some(ALICE));
            pool.report(&ALICE, Err(Trouble::Lost("gone".into())), at);
            let next = pool.next_ready_at().unwrap();
            assert_eq!(next - at, Duration::from_millis(expected_ms));
            assert_eq!(pool.take_ready(at), None);
            at = next;
        }
        pool.add(&[BOB], at);
        assert_eq!(pool.take_ready(at), Some(BOB));
    }
}
