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
    /// Begins to train both factors of `start`, which must be [`GlobalAdapter::plain`].
    ///
    /// # Errors
    /// An adapter of another form or for another base model, or no examples.
    pub fn start_alone<'a>(
        &'a self,
        start: &GlobalAdapter,
        settings: &Valid<AloneSettings>,
        seed: [u8; 32],
        data: &'a DataSet,
    ) -> Result<AloneRun<'a>> {
        if start.algorithm() != Algorithm::FedIt {
            let reason = "an adapter whose factors are not all trained cannot be trained alone";
            return Err(TrainError::Adapter(reason.to_owned()));
        }
        let state = &OptimizerState::default();
        let begin = RunStart { adapter: start, proximal: 0.0, state, seed, steps: settings.steps };
        let run = Run::new(self, &begin, data)?;
        Ok(AloneRun { run, start: start.clone(), settings: **settings, done: 0 })
    }

    /// Trains both factors of `start`, which must be [`GlobalAdapter::plain`].
    ///
    /// # Errors
    /// Those of [`Self::start_alone`] and [`AloneRun::advance`], and those of `on_checkpoint`.
    pub fn train_alone(
        &self,
        start: &GlobalAdapter,
        settings: &Valid<AloneSettings>,
        seed: [u8; 32],
        data: &DataSet,
        progress: OnProgress<'_>,
        on_checkpoint: OnCheckpoint<'_>,
    ) -> Result<()> {
        let mut run = self.start_alone(start, settings, seed, data)?;
        while run.done < settings.steps {
            let adapter = run.advance(settings.checkpoint, progress)?;
            if on_checkpoint(run.done, adapter)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A training that can be taken on step by step.
pub struct AloneRun<'a> {
    run: Run<'a>,
    start: GlobalAdapter,
    settings: AloneSettings,
    done: usize,
}

impl AloneRun<'_> {
    /// Takes `steps` further steps, or those that are left: the adapter after them.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, or a cancelled run; it cannot be continued then.
    pub fn advance(&mut self, steps: usize, progress: OnProgress<'_>) -> Result<GlobalAdapter> {
        let settings = self.settings;
        let count = steps.min(settings.steps - self.done);
        self.run.steps(count, &|step| StepRates::all(settings.rate(step)), progress)?;
        self.done += count;
        self.start.with_trained(&self.run.theta()?)
    }
}
