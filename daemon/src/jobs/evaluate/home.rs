//! The adapters that this member makes at home: one by itself from the beginning, and one that
//! trains on from the common adapter. Learning rate and number of steps are chosen by the loss on
//! the validation sample; the result is sealed, and made again only if its inputs have changed.

use std::ops::ControlFlow;

use fedshield_protocol::hash::Use;
use fedshield_protocol::ids::Round;
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{AloneSettings, TrainError, Valid};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::jobs::durable_state::name;
use crate::jobs::observer::{Stage, TrainingStep};
use crate::jobs::{Pipeline, PipelineError};
use crate::learning::{AloneTask, Examples};

/// Checkpoints of one training.
const CHECKPOINTS: usize = 8;
/// Checkpoints in a row without a better loss after which a training ends.
const PATIENCE: usize = 3;
/// A learning rate is tried for this part of the steps.
const TRIED_PART: usize = 4;
/// Rounds' worth of steps that a personal adapter trains on.
const PERSONAL_ROUNDS: u64 = 4;
/// Learning rates that are tried, as multiples of the first round's.
const ALONE_RATES: [f64; 3] = [1.0, 0.5, 2.0];
const PERSONAL_RATES: [f64; 2] = [0.5, 0.125];

/// As many rounds take as much training as the adapter made alone after `applied` rounds, its
/// learning rates tried.
pub(crate) fn rounds_of_training_alone(applied: u64) -> f64 {
    let tried = ALONE_RATES.len() as f64 / TRIED_PART as f64;
    (applied + PERSONAL_ROUNDS) as f64 * (1.0 + tried)
}

/// An adapter that was made here.
pub(super) struct Homemade {
    pub(super) adapter: GlobalAdapter,
    /// Optimiser steps that it took, beyond those in the adapter that it started from.
    pub(super) steps: u64,
    /// Learning rate of its first step.
    pub(super) learning_rate: f64,
}

/// As sealed on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Digest of everything that the result follows from.
    inputs: [u8; 32],
    /// Digest of the common adapter at that time.
    common: [u8; 32],
    steps: u64,
    learning_rate: f64,
    theta: Vec<f32>,
}

/// One search for the best adapter that can be made from a start.
pub(super) struct Search {
    purpose: &'static str,
    /// Its name among the secrets.
    name: &'static str,
    start: GlobalAdapter,
    steps: usize,
    rates: Vec<f64>,
    common: [u8; 32],
}

impl Search {
    /// By itself, with as many steps as the personal adapter has in all; `None` before the first
    /// round.
    pub(super) fn alone(
        pipeline: &Pipeline,
        common: &GlobalAdapter,
    ) -> Result<Option<Self>, PipelineError> {
        let start = pipeline.learning.first_adapter(&pipeline.terms)?.plain();
        let rounds = common.applied() + PERSONAL_ROUNDS;
        let search =
            Self::new(pipeline, common, "local-only", name::ALONE, start, rounds, &ALONE_RATES);
        Ok((common.applied() > 0).then_some(search))
    }

    /// From the common adapter; `None` before the first round.
    pub(super) fn personal(pipeline: &Pipeline, common: &GlobalAdapter) -> Option<Self> {
        let (start, rates) = (common.plain(), &PERSONAL_RATES);
        let name = name::PERSONAL;
        let search = Self::new(pipeline, common, "personal", name, start, PERSONAL_ROUNDS, rates);
        (common.applied() > 0).then_some(search)
    }

    fn new(
        pipeline: &Pipeline,
        common: &GlobalAdapter,
        purpose: &'static str,
        name: &'static str,
        start: GlobalAdapter,
        rounds: u64,
        multiples: &[f64],
    ) -> Self {
        let settings = &pipeline.terms.settings;
        let rates = multiples.iter().map(|multiple| multiple * settings.learning_rate.peak);
        // Each attempt starts a trainer command anew, which may load a large model.
        let count = if pipeline.learning.has_command() { 1 } else { multiples.len() };
        let steps = usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(settings.steps);
        let (rates, common) = (rates.take(count).collect(), common.digest());
        Self { purpose, name, start, steps, rates, common }
    }

    /// Steps that it takes at most.
    pub(super) fn planned(&self) -> usize {
        match self.rates.len() {
            1 => self.steps,
            rates => self.steps + rates * self.tried(),
        }
    }

    fn tried(&self) -> usize {
        self.steps.div_ceil(TRIED_PART)
    }

    fn inputs(&self, pipeline: &Pipeline, data: &Examples) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 adapter made at home");
        hasher.update(self.purpose.as_bytes());
        hasher.update(pipeline.terms.manifest_digest.as_bytes());
        hasher.update(&self.start.digest());
        hasher.update(&data.set.digest());
        hasher.update(pipeline.learning.rendering.template.name().as_bytes());
        hasher.update(&(self.steps as u64).to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The best adapter: kept from before, or trained now.
    ///
    /// # Errors
    /// Those of training; [`PipelineError::Cancelled`].
    pub(super) fn run(self, work: &Work<'_>) -> Result<Homemade, PipelineError> {
        let pipeline = work.pipeline;
        let inputs = self.inputs(pipeline, work.data);
        if let Some(kept) = pipeline.kept_homemade(self.name)?
            && kept.inputs == inputs
            && let Ok(adapter) = self.start.with_trained(&kept.theta)
        {
            work.skip(self.planned());
            let (steps, learning_rate) = (kept.steps, kept.learning_rate);
            return Ok(Homemade { adapter, steps, learning_rate });
        }
        let learning_rate = self.best_rate(work)?;
        let (mut best, mut best_loss, mut worse) = (None, f64::INFINITY, 0);
        let settings = self.settings(learning_rate, self.steps.div_ceil(CHECKPOINTS))?;
        let mut taken = 0;
        let trained = self.train(work, &settings, &mut |steps, adapter| {
            let loss = work.validation_loss(&adapter)?;
            taken = steps;
            // The first is taken in any case: there may be nothing to measure on but NaN.
            if best.is_none() || loss < best_loss {
                (best, best_loss, worse) = (Some((steps, adapter)), loss, 0);
            } else {
                worse += 1;
            }
            Ok(match worse < PATIENCE {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        });
        work.skip(self.steps - taken);
        let (steps, adapter) = match (trained, best) {
            (Ok(()) | Err(PipelineError::Train(TrainError::NotFinite { .. })), Some(best)) => best,
            (Err(error), _) => return Err(error),
            (Ok(()), None) => return Err(PipelineError::Cancelled),
        };
        let steps = steps as u64;
        let (theta, common) = (adapter.trained_values(), self.common);
        pipeline.keep(self.name, &Kept { inputs, common, steps, learning_rate, theta })?;
        Ok(Homemade { adapter, steps, learning_rate })
    }

    /// The learning rate that is best after a part of the steps.
    fn best_rate(&self, work: &Work<'_>) -> Result<f64, PipelineError> {
        let mut best = (f64::INFINITY, self.rates.first().copied().unwrap_or(1e-3));
        if self.rates.len() == 1 {
            return Ok(best.1);
        }
        for rate in &self.rates {
            let settings = self.settings(*rate, self.tried())?;
            let mut loss = f64::INFINITY;
            let tried = self.train(work, &settings, &mut |_, adapter| {
                loss = work.validation_loss(&adapter)?;
                Ok(ControlFlow::Break(()))
            });
            match tried {
                // A rate that is too large is not taken; it is no error of the data.
                Err(PipelineError::Train(TrainError::NotFinite { .. })) => {}
                other => other?,
            }
            if loss < best.0 {
                best = (loss, *rate);
            }
        }
        Ok(best.1)
    }

    fn settings(
        &self,
        learning_rate: f64,
        checkpoint: usize,
    ) -> Result<Valid<AloneSettings>, PipelineError> {
        Ok(Valid::new(AloneSettings { steps: self.steps, checkpoint, learning_rate })?)
    }

    fn train(
        &self,
        work: &Work<'_>,
        settings: &Valid<AloneSettings>,
        on_checkpoint: &mut dyn FnMut(
            usize,
            GlobalAdapter,
        ) -> Result<ControlFlow<()>, PipelineError>,
    ) -> Result<(), PipelineError> {
        let me = work.pipeline.terms.me.0.to_le_bytes();
        let seed = Use::LocalOnly.digest(&[self.purpose.as_bytes(), &me]).0;
        let task = AloneTask { purpose: self.purpose, start: &self.start, settings, seed };
        let on_step = |step: TrainingStep| work.step(step);
        let learning = &work.pipeline.learning;
        learning.train_alone(&task, work.data, work.cancel, &on_step, on_checkpoint)
    }
}

/// What a search works with, and its progress.
pub(super) struct Work<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) data: &'a Examples,
    pub(super) cancel: &'a CancellationToken,
    pub(super) round: Round,
    /// Steps of all searches.
    pub(super) planned: u64,
    pub(super) done: std::cell::Cell<u64>,
}

impl Work<'_> {
    fn step(&self, step: TrainingStep) {
        self.done.set(self.done.get() + 1);
        let step = TrainingStep { step: self.done.get(), steps: self.planned, ..step };
        self.pipeline.observer.step(self.round, Stage::Evaluate, step);
    }

    fn skip(&self, steps: usize) {
        self.done.set(self.done.get() + steps as u64);
    }

    fn validation_loss(&self, adapter: &GlobalAdapter) -> Result<f64, PipelineError> {
        if self.cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let trainer = self.pipeline.learning.trainer()?;
        Ok(trainer.evaluate(Some(adapter), &self.data.sample)?.loss)
    }
}

impl Pipeline {
    /// One that cannot be decoded was written by another version and is made again.
    fn kept_homemade(&self, name: &str) -> Result<Option<Kept>, PipelineError> {
        let bytes = self.secrets.get(name)?;
        Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
    }

    /// The adapter sealed as `name` that was made beside the common adapter `common`.
    pub(super) fn homemade(
        &self,
        name: &str,
        common: &GlobalAdapter,
        start: &GlobalAdapter,
    ) -> Result<Option<GlobalAdapter>, PipelineError> {
        let kept = self.kept_homemade(name)?.filter(|kept| kept.common == common.digest());
        kept.map(|kept| Ok(start.with_trained(&kept.theta)?)).transpose()
    }
}
