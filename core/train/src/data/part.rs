//! The parts of a member's data: to train on, to choose by, and to report on.

use serde::{Deserialize, Serialize};

use super::example::Example;

/// What an example is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Trained on.
    #[default]
    Train,
    /// Never trained on: learning rates, numbers of steps and the best adapter are chosen by it.
    HeldOut,
    /// Never trained on, and nothing is chosen by it.
    Test,
}

impl Part {
    /// The part of an example by its content alone, so that it stays there whatever else is in the
    /// file. `held_out` is taken from one end and `test` from the other: with or without a test
    /// part the same examples are held out.
    pub(super) fn of(digest: &[u8; 32], held_out: f64, test: f64) -> Self {
        let mut word = [0; 8];
        word.copy_from_slice(&digest[..8]);
        let place = (u64::from_le_bytes(word) >> 11) as f64 / (1u64 << 53) as f64;
        match (place < held_out, place >= 1.0 - test) {
            (true, _) => Self::HeldOut,
            (_, true) => Self::Test,
            _ => Self::Train,
        }
    }

    /// The lowest two bits of a line's digest.
    pub(super) const fn bits(self) -> u128 {
        match self {
            Self::Train => 0,
            Self::HeldOut => 1,
            Self::Test => 2,
        }
    }
}

/// Whether an example is held out where `fraction` of them is.
pub fn is_held_out(example: &Example, fraction: f64) -> bool {
    Part::of(&example.digest(), fraction, 0.0) == Part::HeldOut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_have_their_sizes_and_a_test_part_moves_nothing_else() {
        let digests = (0..10_000u32).map(|index| *blake3::hash(&index.to_le_bytes()).as_bytes());
        let mut counts = [0u32; 3];
        for digest in digests {
            let part = Part::of(&digest, 0.1, 0.2);
            counts[part.bits() as usize] += 1;
            let without = Part::of(&digest, 0.1, 0.0);
            assert_eq!(part == Part::HeldOut, without == Part::HeldOut);
            assert_ne!(without, Part::Test);
        }
        assert!(counts[1].abs_diff(1000) < 100 && counts[2].abs_diff(2000) < 130, "{counts:?}");
    }
}
