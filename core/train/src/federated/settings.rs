//! Settings that must be the same at every member, because common state is computed from them.

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use super::layout::AdapterSpec;
use super::schedule::{LearningRate, PruneSchedule};
use super::server::ServerOptimizer;
use crate::valid::{fraction, positive};
use crate::{Result, TrainError, Valid, Validate};

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
    /// Fraction of coordinates that is pruned, by round.
    pub prune: PruneSchedule,
    /// Decay of the importance scores S.
    pub score_decay: f64,
    /// Each coordinate of a sent update is clipped to `clip_factor * learning rate * steps`: the
    /// distance that AdamW can move a weight in one round, times this factor.
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
            prune: PruneSchedule::default(),
            score_decay: 0.9,
            clip_factor: 1.0,
            server: ServerOptimizer::default(),
        }
    }
}

impl Valid<FederatedSettings> {
    /// Bound on the absolute value of every sent coordinate in the round after `applied` applied
    /// ones; the same bits on every machine.
    pub fn clip(&self, applied: u64) -> f32 {
        clip(self, self.learning_rate.at(applied))
    }

    /// The largest scale at which `round(scale * weight * x)` fits `bits` signed bits for every
    /// `|x| <= clip` and `weight <= largest_weight`, with one unit to spare for stochastic
    /// rounding.
    pub fn scale(&self, applied: u64, bits: u32, largest_weight: u64) -> f64 {
        let largest = ((1u64 << (bits.clamp(3, 32) - 1)) - 2) as f64;
        largest / (largest_weight.max(1) as f64 * f64::from(self.clip(applied)))
    }
}

fn clip(settings: &FederatedSettings, learning_rate: f64) -> f32 {
    (settings.clip_factor * learning_rate * settings.steps as f64) as f32
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
        for rate in [self.learning_rate.peak, self.learning_rate.last] {
            let bound = clip(self, rate);
            if !bound.is_normal() {
                let reason = format!("with a learning rate of {rate} it bounds updates by {bound}");
                return Err(TrainError::setting("clip_factor", reason));
            }
        }
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
