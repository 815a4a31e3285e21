//! Optimiser steps on one member's examples, with one optimiser and one order of the examples from
//! the first step to the last.

use std::ops::ControlFlow;
use std::time::Instant;

use super::optimizer_state::OptimizerState;
use super::progress::{OnProgress, Progress, RoundStats};
use super::steps::{LocalSettings, LocalSteps, StepReport, local_steps};
use super::trainer::{RoundResult, Trainer};
use crate::data::{DataSet, Order, TokenizedExample};
use crate::federated::{GlobalAdapter, StepRates};
use crate::memory::LargeWork;
use crate::model::{Batch, StageSeconds, TokenSequence};
use crate::{Result, TrainError};

/// What a run starts from.
pub(super) struct RunStart<'a> {
    /// The adapter; the factors of its next round are trained.
    pub(super) adapter: &'a GlobalAdapter,
    /// See [`LocalSettings::proximal`].
    pub(super) proximal: f64,
    /// The optimiser's state.
    pub(super) state: &'a OptimizerState,
    /// Seed of the order of the examples.
    pub(super) seed: [u8; 32],
    /// Number of steps in all, for reports.
    pub(super) steps: usize,
}

pub(super) struct Run<'a> {
    trainer: &'a Trainer,
    training: Box<dyn LocalSteps + 'a>,
    order: Order,
    train: &'a [TokenizedExample],
    stats: RoundStats,
    begin: Instant,
    _work: LargeWork,
}

impl<'a> Run<'a> {
    /// # Errors
    /// An adapter or an optimiser's state for another base model, or no examples.
    pub(super) fn new(
        trainer: &'a Trainer,
        start: &RunStart<'_>,
        data: &'a DataSet,
    ) -> Result<Self> {
        let RunStart { adapter, proximal, state, seed, steps } = *start;
        trainer.check_layout(adapter.layout())?;
        if data.train.is_empty() {
            return Err(TrainError::setting("data", "no example to train on"));
        }
        let settings = &trainer.settings;
        let (optimizer, max_gradient_norm) = (settings.optimizer, settings.max_gradient_norm);
        let local = LocalSettings { optimizer, max_gradient_norm, proximal };
        Ok(Self {
            trainer,
            training: local_steps(&trainer.decoder, adapter, &local, state)?,
            order: Order::new(data.train.len(), seed),
            train: &data.train,
            stats: RoundStats::new(steps),
            begin: Instant::now(),
            _work: LargeWork,
        })
    }

    /// Takes `count` further steps; `rates` gives the learning rates of a step, counted from 0.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, or a cancelled run; it cannot be continued then.
    pub(super) fn steps(
        &mut self,
        count: usize,
        rates: &dyn Fn(usize) -> StepRates,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        for step in self.stats.losses.len()..self.stats.losses.len() + count {
            let step_begin = Instant::now();
            let micro_batches = self.micro_batches()?;
            let StepReport { loss, gradient_norm, seconds } =
                self.training.step(&micro_batches, rates(step))?;
            let tokens: usize = micro_batches.iter().map(Batch::token_count).sum();
            self.stats.stages += seconds;
            self.stats.losses.push(loss);
            self.stats.tokens += tokens;
            self.stats.labelled_tokens +=
                micro_batches.iter().map(Batch::label_count).sum::<usize>();
            let report = Progress {
                step: step + 1,
                steps: self.stats.steps,
                loss,
                gradient_norm,
                tokens_per_second: tokens as f64 / step_begin.elapsed().as_secs_f64().max(1e-9),
            };
            if let ControlFlow::Break(()) = progress(&report) {
                return Err(TrainError::Cancelled { step: step + 1 });
            }
        }
        Ok(())
    }

    /// The trained factors after the steps so far.
    ///
    /// # Errors
    /// A value that is not finite.
    pub(super) fn theta(&self) -> Result<Vec<f32>> {
        let theta = self.training.theta();
        match theta.iter().all(|value| value.is_finite()) {
            true => Ok(theta),
            false => Err(TrainError::NotFinite { step: self.stats.losses.len(), what: "update" }),
        }
    }

    /// The result of all steps; with `keeps_state`, the optimiser's state too.
    ///
    /// # Errors
    /// Those of [`Self::theta`].
    pub(super) fn finish(mut self, keeps_state: bool) -> Result<RoundResult> {
        let theta = self.theta()?;
        let optimizer = match keeps_state {
            true => self.training.optimizer_state(),
            false => OptimizerState::default(),
        };
        self.stats.seconds = self.begin.elapsed().as_secs_f64();
        Ok(RoundResult { theta, optimizer, stats: self.stats })
    }

    fn micro_batches(&mut self) -> Result<Vec<Batch>> {
        let settings = &self.trainer.settings;
        (0..settings.accumulation)
            .map(|_| {
                let picked = self.order.take(settings.batch_size);
                let sequences: Vec<TokenSequence> = picked
                    .iter()
                    .map(|index| self.train[*index].sequence())
                    .collect::<Result<_>>()?;
                let sequences: Vec<&TokenSequence> = sequences.iter().collect();
                match settings.packing {
                    true => Batch::packed(&sequences),
                    false => Batch::new(&sequences),
                }
            })
            .collect()
    }
}

impl RoundStats {
    fn new(steps: usize) -> Self {
        Self {
            steps,
            losses: Vec::new(),
            tokens: 0,
            labelled_tokens: 0,
            seconds: 0.0,
            stages: StageSeconds::default(),
        }
    }
}
