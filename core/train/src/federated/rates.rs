//! Learning rates by factor.

use super::layout::Factor;

/// The learning rate of each factor in one optimiser step; 0 for a factor that the step does not
/// move: no gradient of it is computed, and its optimiser state stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRates([f64; 3]);

impl StepRates {
    /// One rate for all factors.
    pub const fn all(rate: f64) -> Self {
        Self([rate; 3])
    }

    /// The rate that `rate` gives each factor.
    pub fn by(rate: impl FnMut(Factor) -> f64) -> Self {
        Self(Factor::ALL.map(rate))
    }

    /// The rate of a factor.
    pub const fn of(self, factor: Factor) -> f64 {
        self.0[factor as usize]
    }

    /// Whether the step moves `factor`.
    pub fn moves(self, factor: Factor) -> bool {
        self.of(factor) != 0.0
    }
}
