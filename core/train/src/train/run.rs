//! Optimiser steps on one member's examples, with one optimiser and one order of the examples from
//! the first step to the last.

use std::ops::ControlFlow;
use std::time::Instant;

use super::progress::{OnProgress, Progress, RoundStats};
use super::steps::{LocalSteps, StepReport, local_steps};
use super::trainer::{RoundResult, Trainer};
use crate::data::{DataSet, Order, TokenizedExample};
use crate::federated::GlobalAdapter;
use crate::memory::LargeWork;
use crate::model::{Batch, StageSeconds, TokenSequence};
use crate::{Result, TrainError};

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
    /// Starts from `adapter`, for the factors of its next round. `steps` is the number of steps in
    /// all, for reports.
    ///
    /// # Errors
    /// An adapter for another base model, or no examples.
    pub(super) fn new(
        trainer: &'a Trainer,
        adapter: &GlobalAdapter,
        seed: [u8; 32],
        data: &'a DataSet,
        steps: usize,
    ) -> Result<Self> {
        trainer.check_layout(adapter.layout())?;
        if data.train.is_empty() {
            return Err(TrainError::setting("data", "no example to train on"));
        }
        let settings = &trainer.settings;
        let (optimizer, bound) = (settings.optimizer, settings.max_gradient_norm);
        Ok(Self {
            trainer,
            training: local_steps(&trainer.decoder, adapter, optimizer, bound),
            order: Order::new(data.train.len(), seed),
            train: &data.train,
            stats: RoundStats::new(steps),
            begin: Instant::now(),
            _work: LargeWork,
        })
    }

    /// Takes `count` further steps; `rate` gives the learning rate of a step, counted from 0.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, or a cancelled run; it cannot be continued then.
    pub(super) fn steps(
        &mut self,
        count: usize,
        rate: &dyn Fn(usize) -> f64,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        for step in self.stats.losses.len()..self.stats.losses.len() + count {
            let step_begin = Instant::now();
            let micro_batches = self.micro_batches()?;
            let StepReport { loss, gradient_norm, seconds } =
                self.training.step(&micro_batches, rate(step))?;
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

    /// The result of all steps.
    ///
    /// # Errors
    /// Those of [`Self::theta`].
    pub(super) fn finish(mut self) -> Result<RoundResult> {
        let theta = self.theta()?;
        self.stats.seconds = self.begin.elapsed().as_secs_f64();
        Ok(RoundResult { theta, stats: self.stats })
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
