//! Training of one member by itself: plain LoRA of both factors, with one optimiser from the first
//! step to the last, as somebody would who has no federation. Nothing of it is pruned or sent.

use std::ops::ControlFlow;

use super::optimizer_state::OptimizerState;
use super::progress::OnProgress;
use super::run::{Run, RunStart};
use super::trainer::Trainer;
use crate::data::DataSet;
use crate::federated::{Algorithm, GlobalAdapter, LearningRate, StepRates};
use crate::valid::positive;
use crate::{Result, TrainError, Valid, Validate};

/// How a member trains by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AloneSettings {
    /// Optimiser steps.
    pub steps: usize,
    /// Steps between checkpoints; the last one is after the last step.
    pub checkpoint: usize,
    /// Learning rate of the first step; it falls to a tenth along a cosine.
    pub learning_rate: f64,
}

impl Validate for AloneSettings {
    type Error = TrainError;

    fn validate(&self) -> Result<()> {
        for (name, value) in [("steps", self.steps), ("checkpoint", self.checkpoint)] {
            if value == 0 {
                return Err(TrainError::setting(name, "must be at least 1"));
            }
        }
        positive("learning_rate", self.learning_rate)
    }
}

/// Receives an adapter and the number of steps that it has been trained for; `Break` ends the
/// training early.
pub type OnCheckpoint<'a> = &'a mut dyn FnMut(usize, GlobalAdapter) -> Result<ControlFlow<()>>;

impl AloneSettings {
    /// The learning rate of a step, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let (peak, rounds) = (self.learning_rate, self.steps as u64);
        LearningRate { peak, last: peak / 10.0, rounds }.at(step as u64)
    }
}

impl Trainer {
    /// Trains both factors of `start`, which must be [`GlobalAdapter::plain`].
    ///
    /// # Errors
    /// Those of [`Self::train_round`], and those of `on_checkpoint`.
    pub fn train_alone(
        &self,
        start: &GlobalAdapter,
        settings: &Valid<AloneSettings>,
        seed: [u8; 32],
        data: &DataSet,
        progress: OnProgress<'_>,
        on_checkpoint: OnCheckpoint<'_>,
    ) -> Result<()> {
        if start.algorithm() != Algorithm::FedIt {
            let reason = "an adapter whose factors are not all trained cannot be trained alone";
            return Err(TrainError::Adapter(reason.to_owned()));
        }
        let state = &OptimizerState::default();
        let begin = RunStart { adapter: start, proximal: 0.0, state, seed, steps: settings.steps };
        let mut run = Run::new(self, &begin, data)?;
        let mut done = 0;
        while done < settings.steps {
            let count = settings.checkpoint.min(settings.steps - done);
            run.steps(count, &|step| StepRates::all(settings.rate(step)), progress)?;
            done += count;
            if on_checkpoint(done, start.with_trained(&run.theta()?)?)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
