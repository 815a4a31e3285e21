//! Training that nobody else takes part in: both factors, on this member's examples, at its own
//! learning rate. For comparison, and for the personal adapter.

use std::ops::ControlFlow;

use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{AloneRun, AloneSettings, Progress, TrainError, Valid};
use tokio_util::sync::CancellationToken;

use super::command::{CommandTrainer, Run};
use super::{Examples, Learning};
use crate::jobs::{PipelineError, TrainingStep};

/// One run of training alone.
#[derive(Clone, Copy)]
pub(crate) struct AloneTask<'a> {
    /// The purpose in the request of a trainer command: `local-only` or `personal`.
    pub(crate) purpose: &'static str,
    /// The adapter to start from, in its plain form.
    pub(crate) start: &'a GlobalAdapter,
    /// Seed of the order of the examples.
    pub(crate) seed: [u8; 32],
    pub(crate) examples: &'a Examples,
}

/// A run that is taken on step by step.
pub(crate) struct LocalRun<'a> {
    learning: &'a Learning,
    task: AloneTask<'a>,
    settings: Valid<AloneSettings>,
    trainer: Steps<'a>,
}

/// The built-in trainer, or a command, which starts afresh at every checkpoint.
enum Steps<'a> {
    Builtin(Box<AloneRun<'a>>),
    Command { command: &'a CommandTrainer, adapter: Box<GlobalAdapter>, done: usize },
}

impl Learning {
    /// Whether a trainer command trains, which starts afresh at every checkpoint.
    pub(crate) fn has_command(&self) -> bool {
        self.command.is_some()
    }

    /// Begins to train `task.start` alone.
    ///
    /// # Errors
    /// Those of the trainer.
    pub(crate) fn start_alone<'a>(
        &'a self,
        task: AloneTask<'a>,
        settings: Valid<AloneSettings>,
    ) -> Result<LocalRun<'a>, PipelineError> {
        let trainer = match &self.command {
            Some(command) => {
                Steps::Command { command, adapter: Box::new(task.start.clone()), done: 0 }
            }
            None => {
                let data = &task.examples.set;
                let run = self.trainer()?.start_alone(task.start, &settings, task.seed, data)?;
                Steps::Builtin(Box::new(run))
            }
        };
        Ok(LocalRun { learning: self, task, settings, trainer })
    }
}

impl LocalRun<'_> {
    /// Takes `steps` further steps: the adapter after them, or `None` if the training has diverged.
    ///
    /// # Errors
    /// Those of training; [`PipelineError::Cancelled`].
    pub(crate) fn advance(
        &mut self,
        steps: usize,
        cancel: &CancellationToken,
        on_step: &dyn Fn(TrainingStep),
    ) -> Result<Option<GlobalAdapter>, PipelineError> {
        let (command, adapter, done) = match &mut self.trainer {
            Steps::Builtin(run) => {
                let mut progress = |step: &Progress| {
                    on_step(TrainingStep::from(step));
                    match cancel.is_cancelled() {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                };
                return match run.advance(steps, &mut progress) {
                    Ok(adapter) => Ok(Some(adapter)),
                    Err(TrainError::NotFinite { .. }) => Ok(None),
                    Err(TrainError::Cancelled { .. }) => Err(PipelineError::Cancelled),
                    Err(error) => Err(error.into()),
                };
            }
            Steps::Command { command, adapter, done } => (*command, adapter, done),
        };
        let settings = &self.settings;
        let steps = steps.min(settings.steps - *done);
        let run = Run {
            purpose: self.task.purpose,
            examples: &self.task.examples.set.train,
            global: adapter,
            model: &self.learning.config,
            steps,
            learning_rate: settings.rate(*done),
            seed: seed_of_part(self.task.seed, *done),
        };
        let of_all = |step: TrainingStep| {
            let (step_done, steps) = (*done as u64 + step.step, settings.steps as u64);
            on_step(TrainingStep { step: step_done, steps, ..step });
        };
        let theta = command.train(&run, cancel, &of_all)?.theta;
        **adapter = adapter.with_trained(&theta)?;
        *done += steps;
        Ok(Some((**adapter).clone()))
    }
}

/// A program started anew must not see the same order of examples again.
fn seed_of_part(mut seed: [u8; 32], done: usize) -> [u8; 32] {
    for (byte, part) in seed.iter_mut().zip((done as u64).to_le_bytes()) {
        *byte ^= part;
    }
    seed
}
