//! Adapter and training of a manifest: what the first form has of them, and what the fourth adds.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::manifest::{Adapter, Algorithm, LocalOptimizer, Manifest, Real, Training};

/// What the fourth form adds to adapter and training.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Learner {
    rslora: bool,
    rate_ratio: Real,
    proximal: Real,
    local_optimizer: LocalOptimizer,
}

impl Learner {
    pub(super) const EARLIER: Self = Self {
        rslora: false,
        rate_ratio: Real::ONE,
        proximal: Real::ZERO,
        local_optimizer: LocalOptimizer::Fresh,
    };

    pub(super) fn of(manifest: &Manifest) -> Self {
        let training = &manifest.training;
        Self {
            rslora: manifest.adapter.rslora,
            rate_ratio: training.rate_ratio,
            proximal: training.proximal,
            local_optimizer: training.local_optimizer,
        }
    }
}

/// An adapter as the first form has it.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstAdapter {
    rank: u32,
    alpha: u32,
    target_modules: Vec<String>,
    first: Option<Digest>,
}

impl FirstAdapter {
    pub(super) fn of(adapter: Adapter) -> Self {
        let Adapter { rank, alpha, target_modules, first, rslora: _ } = adapter;
        Self { rank, alpha, target_modules, first }
    }

    pub(super) fn with(self, learner: &Learner) -> Adapter {
        let Self { rank, alpha, target_modules, first } = self;
        Adapter { rank, alpha, target_modules, first, rslora: learner.rslora }
    }
}

/// Training as the first form has it.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstTraining {
    algorithm: Algorithm,
    steps_per_round: u32,
    batch_size: u32,
    sequence_length: u32,
    learning_rate: Real,
    learning_rate_final: Real,
    max_gradient_norm: Real,
    template: String,
}

impl FirstTraining {
    pub(super) fn of(it: Training) -> Self {
        Self {
            algorithm: it.algorithm,
            steps_per_round: it.steps_per_round,
            batch_size: it.batch_size,
            sequence_length: it.sequence_length,
            learning_rate: it.learning_rate,
            learning_rate_final: it.learning_rate_final,
            max_gradient_norm: it.max_gradient_norm,
            template: it.template,
        }
    }

    pub(super) fn with(self, learner: &Learner) -> Training {
        Training {
            algorithm: self.algorithm,
            steps_per_round: self.steps_per_round,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            learning_rate: self.learning_rate,
            learning_rate_final: self.learning_rate_final,
            rate_ratio: learner.rate_ratio,
            proximal: learner.proximal,
            local_optimizer: learner.local_optimizer,
            max_gradient_norm: self.max_gradient_norm,
            template: self.template,
        }
    }
}
