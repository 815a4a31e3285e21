//! Training that nobody else takes part in: both factors, on this member's examples, at its own
//! learning rate. For comparison, and for the personal adapter.

use std::ops::ControlFlow;

use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{AloneSettings, Progress, TrainError, Valid};
use tokio_util::sync::CancellationToken;

use super::command::{CommandTrainer, Run};
use super::{Examples, Learning};
use crate::jobs::{PipelineError, TrainingStep};

/// One run of training alone.
pub(crate) struct AloneTask<'a> {
    /// The purpose in the request of a trainer command: `local-only` or `personal`.
    pub(crate) purpose: &'static str,
    /// The adapter to start from, in its plain form.
    pub(crate) start: &'a GlobalAdapter,
    pub(crate) settings: &'a Valid<AloneSettings>,
    /// Seed of the order of the examples.
    pub(crate) seed: [u8; 32],
}

/// Receives the adapter after a number of steps.
pub(crate) type OnCheckpoint<'a> =
    &'a mut dyn FnMut(usize, GlobalAdapter) -> Result<ControlFlow<()>, PipelineError>;

impl Learning {
    /// Whether a trainer command trains, which starts afresh at every checkpoint.
    pub(crate) fn has_command(&self) -> bool {
        self.command.is_some()
    }

    /// Trains `task.start` alone.
    ///
    /// # Errors
    /// Those of training, and those of `on_checkpoint`.
    pub(crate) fn train_alone(
        &self,
        task: &AloneTask<'_>,
        examples: &Examples,
        cancel: &CancellationToken,
        on_step: &dyn Fn(TrainingStep),
        on_checkpoint: OnCheckpoint<'_>,
    ) -> Result<(), PipelineError> {
        if let Some(command) = &self.command {
            return self.command_alone(command, task, examples, cancel, on_step, on_checkpoint);
        }
        let mut progress = |step: &Progress| {
            on_step(TrainingStep::from(step));
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut failed = None;
        let mut checkpoint = |step: usize, adapter: GlobalAdapter| {
            Ok(on_checkpoint(step, adapter).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            }))
        };
        let AloneTask { start, settings, seed, .. } = *task;
        let data = &examples.set;
        let trainer = self.trainer()?;
        match trainer.train_alone(start, settings, seed, data, &mut progress, &mut checkpoint) {
            Err(TrainError::Cancelled { .. }) => Err(PipelineError::Cancelled),
            Err(error) => Err(error.into()),
            Ok(()) => failed.map_or(Ok(()), Err),
        }
    }

    fn command_alone(
        &self,
        command: &CommandTrainer,
        task: &AloneTask<'_>,
        examples: &Examples,
        cancel: &CancellationToken,
        on_step: &dyn Fn(TrainingStep),
        on_checkpoint: OnCheckpoint<'_>,
    ) -> Result<(), PipelineError> {
        let settings = task.settings;
        let (mut adapter, mut done) = (task.start.clone(), 0);
        while done < settings.steps {
            let steps = settings.checkpoint.min(settings.steps - done);
            let run = Run {
                purpose: task.purpose,
                examples: &examples.set.train,
                global: &adapter,
                model: &self.config,
                steps,
                learning_rate: settings.rate(done),
                seed: seed_of_part(task.seed, done),
            };
            let of_all = |step: TrainingStep| {
                let (step_done, steps) = (done as u64 + step.step, settings.steps as u64);
                on_step(TrainingStep { step: step_done, steps, ..step });
            };
            let theta = command.train(&run, cancel, &of_all)?.theta;
            adapter = adapter.with_trained(&theta)?;
            done += steps;
            if on_checkpoint(done, adapter.clone())?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A program started anew must not see the same order of examples again.
fn seed_of_part(mut seed: [u8; 32], done: usize) -> [u8; 32] {
    for (byte, part) in seed.iter_mut().zip((done as u64).to_le_bytes()) {
        *byte ^= part;
    }
    seed
}
