//! Token bucket rate limits.

use std::collections::HashMap;
use std::hash::Hash;

use tokio::time::Instant;

use crate::limits::Rate;

/// One bucket; it counts in thousandths of a token, so that no float is needed.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    rate: Rate,
    millitokens: u64,
    refilled: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, millitokens: u64::from(rate.burst) * 1000, refilled: now }
    }

    /// Takes one token; false if there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let Some(left) = self.millitokens.checked_sub(1000) else { return false };
        self.millitokens = left;
        true
    }

    fn refill(&mut self, now: Instant) {
        let elapsed_ms = now.saturating_duration_since(self.refilled).as_millis();
        let gained = u64::try_from(elapsed_ms)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.rate.per_second));
        if gained > 0 {
            let full = u64::from(self.rate.burst) * 1000;
            self.millitokens = self.millitokens.saturating_add(gained).min(full);
            self.refilled = now;
        }
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.millitokens >= u64::from(self.rate.burst) * 1000
    }
}

/// One bucket for each key; at most `max` of them.
#[derive(Debug)]
pub(crate) struct TokenBuckets<K> {
    rate: Rate,
    max: usize,
    by_key: HashMap<K, TokenBucket>,
}

impl<K: Hash + Eq + Clone> TokenBuckets<K> {
    pub(crate) fn new(rate: Rate, max: usize) -> Self {
        Self { rate, max, by_key: HashMap::new() }
    }

    /// Takes one token of `key`; false if there is none. If the table is full, the key with the
    /// fullest bucket is evicted for a new one, so that many busy keys cannot lock a new one out.
    pub(crate) fn take(&mut self, key: K, now: Instant) -> bool {
        if !self.by_key.contains_key(&key) && self.by_key.len() >= self.max {
            // A full bucket holds no more information than a new one.
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
            if self.by_key.len() >= self.max {
                let least = self.by_key.iter().max_by_key(|(_, bucket)| bucket.millitokens);
                if let Some(least) = least.map(|(key, _)| key.clone()) {
                    self.by_key.remove(&least);
                }
            }
        }
        self.by_key.entry(key).or_insert_with(|| TokenBucket::new(self.rate, now)).take(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(RATE, start);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        assert!(!bucket.take(start + Duration::from_millis(499)));
        assert!(bucket.take(start + Duration::from_millis(500)));
        let later = start + Duration::from_secs(100);
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 3);
    }

    #[test]
    fn the_table_of_buckets_stays_within_its_bound() {
        let start = Instant::now();
        let mut buckets = TokenBuckets::new(RATE, 2);
        assert!(buckets.take("a", start));
        assert!(buckets.take("b", start));
        assert!(buckets.take("a", start) && buckets.take("a", start) && !buckets.take("a", start));
        assert!(buckets.take("c", start), "a new key evicts the one with the fullest bucket");
        assert!(!buckets.take("a", start), "a busy key is kept");
        assert_eq!(buckets.by_key.len(), 2);
        let later = start + Duration::from_secs(10);
        assert!(buckets.take("d", later), "full buckets are dropped");
        assert_eq!(buckets.by_key.len(), 1);
    }
}
