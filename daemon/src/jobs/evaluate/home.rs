//! The adapters that this member makes at home: one by itself from the beginning, and one that
//! trains on from the common adapter. Learning rate and number of steps are chosen by the loss on
//! the validation sample; the result is sealed, and made again only if its inputs have changed.

use fedshield_protocol::hash::Use;
use fedshield_protocol::ids::Round;
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::{AloneSettings, Search, Stepwise, TrainError, Valid};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::jobs::durable_state::name;
use crate::jobs::observer::{Stage, TrainingStep};
use crate::jobs::{Pipeline, PipelineError};
use crate::learning::{AloneTask, Examples, LocalRun};

/// Checkpoints of a training by a trainer command, which is started anew at each, and of a personal
/// adapter, which takes few steps.
const FEW_CHECKPOINTS: usize = 8;
/// Checkpoints in a row without a better loss after which the training of a personal adapter ends:
/// what it gains from step to step is small.
const PERSONAL_PATIENCE: usize = 3;
/// Rounds' worth of steps that a personal adapter trains on.
const PERSONAL_ROUNDS: u64 = 4;
/// Learning rates that are tried, as multiples of the first round's: of the geometric mean, where
/// its factors have different ones.
const ALONE_RATES: [f64; 3] = [1.0, 0.5, 2.0];
const PERSONAL_RATES: [f64; 2] = [0.5, 0.125];

/// As many rounds take at most as much training as the adapter made alone after `applied` rounds,
/// its learning rates tried.
pub(crate) fn rounds_of_training_alone(applied: u64) -> f64 {
    (applied + PERSONAL_ROUNDS) as f64 * ALONE_RATES.len() as f64
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
pub(super) struct HomeSearch {
    purpose: &'static str,
    /// Its name among the secrets.
    name: &'static str,
    start: GlobalAdapter,
    search: Search,
    common: [u8; 32],
}

impl HomeSearch {
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
        let mut made = Self::new(pipeline, common, "personal", name, start, PERSONAL_ROUNDS, rates);
        let (checkpoints, patience) = (FEW_CHECKPOINTS, PERSONAL_PATIENCE);
        made.search = Search { checkpoints, patience, least_gain: 0.0, ..made.search };
        (common.applied() > 0).then_some(made)
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
        // Both factors have one learning rate here.
        let common_rate = settings.learning_rate.peak * settings.rate_ratio.sqrt();
        let rates = multiples.iter().map(|multiple| multiple * common_rate);
        let steps = usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(settings.steps);
        let rates: Vec<f64> = rates.collect();
        let mut search = Search::of_steps(steps, &rates);
        if pipeline.learning.has_command() {
            // Each attempt starts the program anew, which may load a large model.
            search.rates.truncate(1);
            search.checkpoints = FEW_CHECKPOINTS;
        }
        let common = common.digest();
        Self { purpose, name, start, search, common }
    }

    /// Steps that it takes at most.
    pub(super) fn planned(&self) -> usize {
        self.search.planned()
    }

    fn inputs(&self, pipeline: &Pipeline, data: &Examples) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 adapter made at home");
        hasher.update(self.purpose.as_bytes());
        hasher.update(pipeline.terms.manifest_digest.as_bytes());
        hasher.update(&self.start.digest());
        hasher.update(&data.set.digest());
        hasher.update(pipeline.learning.rendering.template.name().as_bytes());
        let Search { steps, checkpoints, patience, rates, least_gain } = &self.search;
        for count in [steps, checkpoints, patience] {
            hasher.update(&(*count as u64).to_le_bytes());
        }
        for number in rates.iter().chain([least_gain]) {
            hasher.update(&number.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// The best adapter: kept from before, or trained now.
    ///
    /// # Errors
    /// Those of training; [`PipelineError::Cancelled`].
    pub(super) fn run(self, work: &Work<'_>) -> Result<Homemade, PipelineError> {
        let pipeline = work.pipeline;
        let inputs = self.inputs(pipeline, work.data);
        let begun = work.done.get();
        let ended = || work.done.set(begun + self.planned() as u64);
        if let Some(kept) = pipeline.kept_homemade(self.name)?
            && kept.inputs == inputs
            && let Ok(adapter) = self.start.with_trained(&kept.theta)
        {
            ended();
            let (steps, learning_rate) = (kept.steps, kept.learning_rate);
            return Ok(Homemade { adapter, steps, learning_rate });
        }
        let found = self.search.run(
            |rate| self.begin(work, rate),
            |adapter: &GlobalAdapter| work.validation_loss(adapter),
        )?;
        ended();
        let found = found.ok_or(TrainError::NotFinite { step: 1, what: "loss or update" })?;
        let (steps, learning_rate) = (found.steps as u64, found.rate);
        let (theta, common) = (found.adapter.trained_values(), self.common);
        pipeline.keep(self.name, &Kept { inputs, common, steps, learning_rate, theta })?;
        Ok(Homemade { adapter: found.adapter, steps, learning_rate })
    }

    fn begin<'a>(&'a self, work: &'a Work<'a>, rate: f64) -> Result<AtHome<'a>, PipelineError> {
        let steps = self.search.steps;
        let settings = Valid::new(AloneSettings { steps, checkpoint: steps, learning_rate: rate })?;
        let me = work.pipeline.terms.me.0.to_le_bytes();
        let seed = Use::LocalOnly.digest(&[self.purpose.as_bytes(), &me]).0;
        let task =
            AloneTask { purpose: self.purpose, start: &self.start, seed, examples: work.data };
        Ok(AtHome { run: work.pipeline.learning.start_alone(task, settings)?, work })
    }
}

/// A training whose steps are shown to the operator.
struct AtHome<'a> {
    run: LocalRun<'a>,
    work: &'a Work<'a>,
}

impl Stepwise for AtHome<'_> {
    type Adapter = GlobalAdapter;
    type Error = PipelineError;

    fn advance(&mut self, steps: usize) -> Result<Option<GlobalAdapter>, PipelineError> {
        let on_step = |step: TrainingStep| self.work.step(step);
        self.run.advance(steps, self.work.cancel, &on_step)
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
