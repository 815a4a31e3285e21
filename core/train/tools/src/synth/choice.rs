//! Seeded random choices that also count how much they chose.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), implemented here so that the
//! shipped text never changes with the version of a random number library. Every choice adds its
//! surprise, `-ln p`, to a counter. The sum over a text is an upper bound of its entropy, so the
//! pretraining report can state how far a model is from a loss that no model can beat.

/// A deterministic stream of choices.
#[derive(Clone, Debug)]
pub struct Choice {
    state: u64,
    nats: f64,
}

impl Choice {
    /// A stream that depends on `seed` only.
    pub fn new(seed: u64) -> Self {
        Choice { state: seed, nats: 0.0 }
    }

    /// A stream for one purpose: the same seed with another label gives an independent stream.
    pub fn labelled(seed: u64, label: &str) -> Self {
        // FNV-1a, only to turn a label into a number.
        let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Choice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash)
    }

    /// The surprise of every choice so far, in nats.
    pub fn nats(&self) -> f64 {
        self.nats
    }

    /// The next 64 random bits; counts nothing.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number below `count`; 0 when `count` is 0 or 1. The bias of the multiply-shift is
    /// below 2^-32.
    pub fn below(&mut self, count: usize) -> usize {
        if count <= 1 {
            return 0;
        }
        self.nats += (count as f64).ln();
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// A uniform number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high + 1 - low)
    }

    /// One entry of a table.
    ///
    /// # Panics
    /// If the table is empty, which no table of this module is.
    pub fn pick<'a, T>(&mut self, table: &'a [T]) -> &'a T {
        &table[self.below(table.len())]
    }

    /// Two different entries of a table, in random order.
    ///
    /// # Panics
    /// If the table has fewer than two entries.
    pub fn pick_two<'a, T>(&mut self, table: &'a [T]) -> (&'a T, &'a T) {
        let first = self.below(table.len());
        let step = 1 + self.below(table.len() - 1);
        (&table[first], &table[(first + step) % table.len()])
    }

    /// The first draw that `draw` accepts; the surprise of the others is not counted.
    pub fn until<T>(&mut self, mut draw: impl FnMut(&mut Self) -> Option<T>) -> T {
        let before = self.nats;
        loop {
            if let Some(found) = draw(self) {
                return found;
            }
            self.nats = before;
        }
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        let hit = self.bits() % 100 < percent;
        let p = percent as f64 / 100.0;
        self.nats -= if hit { p.ln() } else { (1.0 - p).ln() };
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_pinned() {
        // The first output of SplitMix64 with seed 0, as published with the algorithm.
        assert_eq!(Choice::new(0).bits(), 0xe220_a839_7b1d_cdaf);
        assert_ne!(Choice::labelled(1, "a").bits(), Choice::labelled(1, "b").bits());
    }

    #[test]
    fn surprise_is_the_entropy_of_uniform_choices() {
        let mut choice = Choice::new(3);
        for _ in 0..100 {
            assert!(choice.below(8) < 8);
        }
        assert!((choice.nats() - 100.0 * 8f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn draws_that_are_rejected_count_nothing() {
        let mut choice = Choice::new(3);
        let digit = choice.until(|choice| Some(choice.below(8)).filter(|digit| *digit == 5));
        assert_eq!(digit, 5);
        assert!((choice.nats() - 8f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn two_picks_differ() {
        let mut choice = Choice::new(5);
        for _ in 0..200 {
            let (a, b) = choice.pick_two(&[1, 2, 3]);
            assert_ne!(a, b);
        }
    }
}
