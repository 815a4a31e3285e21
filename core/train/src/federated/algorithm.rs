//! Which factors are trained and sent in which round.

use serde::{Deserialize, Serialize};

use super::layout::Factor;

/// A federated LoRA algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// B in even applied rounds, A in odd ones. The factor that is not trained is the same at all
    /// members, so the average of the updates is exactly the average of the products.
    #[default]
    RoLora,
    /// B only; A stays as expanded from the public seed. Exact.
    Ffa,
    /// Both factors at once, as in the FedShield-LLM paper. Inexact: the average of A times the
    /// average of B is not the average of BA. Kept for comparison.
    FedIt,
    /// The matrix R between two fixed factors, B R A: rank x rank values instead of rank x width.
    /// Exact.
    #[serde(rename = "fed-sb")]
    FedSb,
    /// A in the first half of a round's steps, B in the second, both sent. Inexact like `FedIt`.
    Halves,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 5] = [Self::RoLora, Self::Ffa, Self::FedIt, Self::FedSb, Self::Halves];

    /// The factors trained after `applied` rounds, in their order in the flat vector.
    pub fn factors(self, applied: u64) -> &'static [Factor] {
        match self {
            Self::RoLora if applied.is_multiple_of(2) => &[Factor::B],
            Self::RoLora => &[Factor::A],
            Self::Ffa => &[Factor::B],
            Self::FedIt | Self::Halves => &[Factor::A, Factor::B],
            Self::FedSb => &[Factor::R],
        }
    }

    /// The factors moved in `step`, counted from 0, of the `steps` of the round after `applied`
    /// applied ones.
    ///
    /// `Halves` moves A first, except in the first round: B is zero then, so A has no gradient.
    pub fn factors_in_step(self, applied: u64, step: usize, steps: usize) -> &'static [Factor] {
        if self != Self::Halves {
            return self.factors(applied);
        }
        let is_first_half = step < steps / 2;
        match is_first_half == (applied > 0) {
            true => &[Factor::A],
            false => &[Factor::B],
        }
    }

    /// Number of steps that move `factor` among the `steps` of the round after `applied` applied
    /// ones; all of them for a factor that the round does not train.
    pub fn steps_of(self, applied: u64, factor: Factor, steps: usize) -> usize {
        if self != Self::Halves {
            return steps;
        }
        match (factor == Factor::A) == (applied > 0) {
            true => steps / 2,
            false => steps - steps / 2,
        }
    }

    /// Whether the factors of the round after `applied` applied ones have never been sent before.
    /// Such a round sends every coordinate, because no coordinate has an importance score yet.
    pub fn is_first(self, applied: u64) -> bool {
        match self {
            Self::RoLora => applied < 2,
            Self::Ffa | Self::FedIt | Self::FedSb | Self::Halves => applied < 1,
        }
    }

    /// Number of applied rounds that have trained `factor` among the first `applied` ones.
    pub fn applied_to(self, applied: u64, factor: Factor) -> u64 {
        match (self, factor) {
            (Self::RoLora, Factor::B) => applied.div_ceil(2),
            (Self::RoLora, Factor::A) => applied / 2,
            _ if self.factors(applied).contains(&factor) => applied,
            _ => 0,
        }
    }

    pub(crate) fn tag(self) -> u8 {
        match self {
            Self::RoLora => 0,
            Self::Ffa => 1,
            Self::FedIt => 2,
            Self::FedSb => 3,
            Self::Halves => 4,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.tag() == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applied_counts_the_rounds_that_trained_a_factor() {
        for algorithm in Algorithm::ALL {
            for factor in Factor::ALL {
                for t in 0..9 {
                    let counted = (0..t).filter(|r| algorithm.factors(*r).contains(&factor));
                    assert_eq!(algorithm.applied_to(t, factor), counted.count() as u64);
                }
            }
        }
    }

    #[test]
    fn halves_move_each_factor_in_one_run_of_steps_and_b_first_where_it_is_zero() {
        let moved = |applied, steps| {
            let of = |step| Algorithm::Halves.factors_in_step(applied, step, steps)[0];
            (0..steps).map(of).collect::<Vec<_>>()
        };
        let (a, b) = (Factor::A, Factor::B);
        assert_eq!(moved(0, 5), [b, b, a, a, a]);
        assert_eq!(moved(1, 5), [a, a, b, b, b]);
        assert_eq!(moved(7, 4), [a, a, b, b]);
        for (applied, steps) in [(0, 5), (1, 5), (7, 4), (0, 2)] {
            for factor in [a, b] {
                let count = moved(applied, steps).iter().filter(|moved| **moved == factor).count();
                assert_eq!(Algorithm::Halves.steps_of(applied, factor, steps), count);
            }
        }
        assert_eq!(Algorithm::RoLora.factors_in_step(1, 0, 5), [a]);
    }

    #[test]
    fn rolora_starts_with_b_because_b_is_zero() {
        assert_eq!(Algorithm::RoLora.factors(0), &[Factor::B]);
        assert_eq!(Algorithm::RoLora.factors(1), &[Factor::A]);
    }
}
