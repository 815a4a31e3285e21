//! Settings that must be the same at every member, because common state is computed from them.

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use super::layout::{AdapterSpec, Factor};
use super::rates::StepRates;
use super::schedule::{LearningRate, PruneSchedule};
use super::server::ServerOptimizer;
use crate::valid::{fraction, positive};
use crate::{Result, TrainError, Valid, Validate};

/// What a member's optimiser starts a round with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalOptimizer {
    /// Moments of zero: the first step of a round moves every value by about the learning rate.
    #[default]
    Fresh,
    /// The moments of the last round that trained the same factor and was applied. They stay at
    /// home.
    Kept,
}

/// Everything about learning that the members agree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FederatedSettings {
    /// The adapter to train.
    pub adapter: AdapterSpec,
    /// Which factors are trained and sent in which round.
    pub algorithm: Algorithm,
    /// Local optimiser steps in a round.
    pub steps: usize,
    /// Learning rate over the rounds; constant within a round.
    pub learning_rate: LearningRate,
    /// Learning rate of B as a multiple of that of A, as in LoRA+ (Hayou et al.,
    /// arXiv:2402.12354).
    pub rate_ratio: f64,
    /// mu in FedProx (Li et al., arXiv:1812.06127): mu * (w - g) is added to the local gradient of
    /// w, where g is the common value that the round starts from.
    pub proximal: f64,
    /// What a member's optimiser starts a round with.
    pub local_optimizer: LocalOptimizer,
    /// Fraction of coordinates that is pruned, by round.
    pub prune: PruneSchedule,
    /// Decay of the importance scores S.
    pub score_decay: f64,
    /// Each coordinate of a sent update is clipped to `clip_factor * learning rate * steps`, with
    /// the learning rate of its factor and the steps that move it: the distance that AdamW can move
    /// a weight in one round, times this factor.
    pub clip_factor: f64,
    /// How the opened mean is applied.
    pub server: ServerOptimizer,
}

impl Default for FederatedSettings {
    fn default() -> Self {
        Self {
            adapter: AdapterSpec::default(),
            algorithm: Algorithm::default(),
            steps: 10,
            learning_rate: LearningRate::default(),
            rate_ratio: 1.0,
            proximal: 0.0,
            local_optimizer: LocalOptimizer::default(),
            prune: PruneSchedule::default(),
            score_decay: 0.9,
            clip_factor: 1.0,
            server: ServerOptimizer::default(),
        }
    }
}

impl Valid<FederatedSettings> {
    /// Learning rate of a factor in the round after `applied` applied ones; the same bits on every
    /// machine.
    pub fn rate(&self, applied: u64, factor: Factor) -> f64 {
        self.learning_rate.at(applied) * self.multiple(factor)
    }

    /// The learning rates of one step of the round after `applied` applied ones.
    pub fn step_rates(&self, applied: u64, step: usize) -> StepRates {
        let moved = self.algorithm.factors_in_step(applied, step, self.steps);
        StepRates::by(|factor| match moved.contains(&factor) {
            true => self.rate(applied, factor),
            false => 0.0,
        })
    }

    /// Bound on the absolute value of every sent coordinate of `factor` in the round after
    /// `applied` applied ones; the same bits on every machine.
    pub fn clip(&self, applied: u64, factor: Factor) -> f32 {
        clip(self, self.learning_rate.at(applied), applied, factor)
    }

    /// What one unit of a sent value of `factor` is worth in the round after `applied` applied
    /// ones: 1 for the first trained factor. See [`RoundBounds`](super::RoundBounds).
    pub fn unit(&self, applied: u64, factor: Factor) -> f64 {
        let first = self.clip(applied, self.first_factor(applied));
        f64::from(self.clip(applied, factor)) / f64::from(first)
    }

    /// The largest scale at which `round(scale * weight * x)` fits `bits` signed bits for every
    /// sent value x, which is in the unit of its factor, and `weight <= largest_weight`, with one
    /// unit to spare for stochastic rounding.
    pub fn scale(&self, applied: u64, bits: u32, largest_weight: u64) -> f64 {
        let largest = ((1u64 << (bits.clamp(3, 32) - 1)) - 2) as f64;
        let clip = self.clip(applied, self.first_factor(applied));
        largest / (largest_weight.max(1) as f64 * f64::from(clip))
    }

    /// The first factor of the flat vector that the round after `applied` applied ones trains.
    pub fn first_factor(&self, applied: u64) -> Factor {
        self.algorithm.factors(applied)[0]
    }
}

impl FederatedSettings {
    /// The factor's learning rate in multiples of [`Self::learning_rate`].
    fn multiple(&self, factor: Factor) -> f64 {
        if factor == Factor::B { self.rate_ratio } else { 1.0 }
    }
}

fn clip(settings: &FederatedSettings, learning_rate: f64, applied: u64, factor: Factor) -> f32 {
    let rate = learning_rate * settings.multiple(factor);
    let steps = settings.algorithm.steps_of(applied, factor, settings.steps);
    (settings.clip_factor * rate * steps as f64) as f32
}

impl Validate for FederatedSettings {
    type Error = TrainError;

    fn validate(&self) -> Result<()> {
        self.adapter.validate()?;
        if self.steps == 0 {
            return Err(TrainError::setting("steps", "must be at least 1"));
        }
        positive("learning_rate.peak", self.learning_rate.peak)?;
        positive("learning_rate.last", self.learning_rate.last)?;
        positive("clip_factor", self.clip_factor)?;
        positive("rate_ratio", self.rate_ratio)?;
        if !(self.proximal.is_finite() && self.proximal >= 0.0) {
            return Err(TrainError::setting("proximal", "must not be negative"));
        }
        if self.algorithm == Algorithm::Halves && self.steps < 2 {
            let reason = "must be at least 2 with `halves`: each half of a round trains one factor";
            return Err(TrainError::setting("steps", reason));
        }
        if self.algorithm == Algorithm::FedSb && self.rate_ratio != 1.0 {
            let reason = "must be 1 with `fed-sb`, which trains neither A nor B";
            return Err(TrainError::setting("rate_ratio", reason));
        }
        self.check_bounds()?;
        fraction("prune.start_rate", self.prune.start_rate)?;
        fraction("prune.end_rate", self.prune.end_rate)?;
        fraction("prune.explore", self.prune.explore)?;
        fraction("score_decay", self.score_decay)?;
        if self.prune.end_rate < self.prune.start_rate {
            return Err(TrainError::setting("prune.end_rate", "must not be below start_rate"));
        }
        self.server.validate()
    }
}

impl FederatedSettings {
    /// The bound of every coordinate is a normal number in every round.
    fn check_bounds(&self) -> Result<()> {
        for rate in [self.learning_rate.peak, self.learning_rate.last] {
            // The first round may move the factors in another order than the others.
            let rounds = [0, 1].into_iter().flat_map(|applied| Factor::ALL.map(|f| (applied, f)));
            for (applied, factor) in rounds {
                let bound = clip(self, rate, applied, factor);
                if !bound.is_normal() {
                    let rate = rate * self.multiple(factor);
                    let reason =
                        format!("with a learning rate of {rate} it bounds updates by {bound}");
                    return Err(TrainError::setting("clip_factor", reason));
                }
            }
        }
        Ok(())
    }
}
