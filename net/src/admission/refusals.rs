//! Counts refused connections by origin, for the operator; bounded memory.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::origin::Origin;
use crate::limits::MAX_REFUSED_ORIGINS;

/// An origin without another refusal for this long is forgotten.
const REMEMBERED: Duration = Duration::from_secs(60);

/// An origin whose connections were refused, or closed during their handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOrigin {
    /// An IPv4 address, or an IPv6 network.
    pub origin: String,
    /// Number of refusals since the last gap of more than a minute between two of them.
    pub count: u64,
}

/// Refusals by origin; at most [`MAX_REFUSED_ORIGINS`], of which the one with the fewest is
/// replaced.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_origin: HashMap<Origin, (u64, Instant)>,
    last: Option<Instant>,
}

impl Refusals {
    /// Counts one refusal; `None` for a connection whose origin is not known.
    pub(super) fn note(&mut self, origin: Option<Origin>, now: Instant) {
        self.last = Some(now);
        let Some(origin) = origin else { return };
        if self.by_origin.len() >= MAX_REFUSED_ORIGINS && !self.by_origin.contains_key(&origin) {
            let least = self.by_origin.iter().min_by_key(|(_, count)| **count);
            if let Some(least) = least.map(|(origin, _)| *origin) {
                self.by_origin.remove(&least);
            }
        }
        let known = self.by_origin.entry(origin).or_insert((0, now));
        if now.saturating_duration_since(known.1) > REMEMBERED {
            known.0 = 0;
        }
        *known = (known.0.saturating_add(1), now);
    }

    /// The time of the last refusal.
    pub(super) const fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Up to three origins with at least `least` refusals that were refused within the last minute,
    /// the most first.
    pub(super) fn most(&self, least: u64, now: Instant) -> Vec<RefusedOrigin> {
        let lately = |at: Instant| now.saturating_duration_since(at) <= REMEMBERED;
        let all = self.by_origin.iter().filter(|(_, (count, at))| *count >= least && lately(*at));
        let mut all: Vec<_> = all.map(|(origin, (count, _))| (*count, *origin)).collect();
        all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let view =
            |(count, origin): (u64, Origin)| RefusedOrigin { origin: origin.to_string(), count };
        all.into_iter().take(3).map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_worst_are_named_and_the_table_stays_small() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let origin = |number: u32| Some(Origin::V4(Ipv4Addr::from(0x0a00_0000 + number)));
        for _ in 0..100 {
            refusals.note(origin(1), now);
        }
        for number in 2..10_000 {
            refusals.note(origin(number), now);
        }
        refusals.note(None, now);
        assert!(refusals.by_origin.len() <= MAX_REFUSED_ORIGINS);
        let worst = refusals.most(16, now);
        assert_eq!(worst, [RefusedOrigin { origin: "10.0.0.1".into(), count: 100 }]);
        let later = now + REMEMBERED + Duration::from_secs(1);
        assert!(refusals.most(1, later).is_empty());
        refusals.note(origin(1), later);
        assert_eq!(refusals.most(1, later)[0].count, 1);
    }
}
