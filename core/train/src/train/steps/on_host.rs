//! Steps on host vectors.

use std::ops::Range;

use rayon::prelude::*;

use super::{LocalSettings, LocalSteps, StepReport};
use crate::federated::{Factor, GlobalAdapter, StepRates};
use crate::model::{Batch, Decoder, in_pool};
use crate::train::gradient::{StepGradient, adapter_gradient};
use crate::train::optimizer::{AdamW, clip_global_norm};
use crate::train::optimizer_state::OptimizerState;
use crate::{Result, TrainError};

/// Values that one task of the proximal term works on.
const CHUNK: usize = 1 << 14;

pub(super) struct OnHost<'a> {
    decoder: &'a Decoder,
    working: GlobalAdapter,
    theta: Vec<f32>,
    /// The trained factors in their order, each with its range of `theta`.
    optimizers: Vec<(Factor, Range<usize>, AdamW)>,
    /// `theta` before the first step; empty without a proximal term.
    start: Vec<f32>,
    settings: LocalSettings,
    steps: usize,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(
        decoder: &'a Decoder,
        adapter: &GlobalAdapter,
        settings: &LocalSettings,
        state: &OptimizerState,
    ) -> Result<Self> {
        let theta = adapter.trained_values();
        let mut end = 0;
        let optimizers = adapter.trained_factors().iter().map(|factor| {
            let range = end..end + adapter.layout().len(*factor);
            end = range.end;
            let moments = state.start(*factor, range.len())?;
            Ok((*factor, range, AdamW::from_moments(settings.optimizer, moments)))
        });
        let optimizers = optimizers.collect::<Result<_>>()?;
        let start = if settings.proximal > 0.0 { theta.clone() } else { Vec::new() };
        let (working, settings) = (adapter.clone(), *settings);
        Ok(Self { decoder, working, theta, optimizers, start, settings, steps: 0 })
    }

    fn step_in_pool(&mut self, batches: &[Batch], rates: StepRates) -> Result<StepReport> {
        let step = self.steps;
        self.steps += 1;
        let trained = self.working.trained_factors().iter().copied();
        let moved: Vec<Factor> = trained.filter(|factor| rates.moves(*factor)).collect();
        let StepGradient { loss, mut gradient, seconds } =
            adapter_gradient(self.decoder, &self.working, &moved, batches)?;
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { step, what: "loss" });
        }
        self.add_proximal(&mut gradient, rates);
        let gradient_norm = clip_global_norm(&mut gradient, self.settings.max_gradient_norm);
        if !gradient_norm.is_finite() {
            return Err(TrainError::NotFinite { step, what: "gradient norm" });
        }
        let mut rest = gradient.as_slice();
        for (factor, range, optimizer) in &mut self.optimizers {
            if rates.moves(*factor) {
                let (own, tail) = rest.split_at(range.len());
                optimizer.step(&mut self.theta[range.clone()], own, rates.of(*factor));
                rest = tail;
            }
        }
        self.working.set_trained(&self.theta)?;
        Ok(StepReport { loss, gradient_norm, seconds })
    }

    /// Adds mu * (w - w at the start) to the gradient of the factors that are moved.
    fn add_proximal(&self, gradient: &mut [f32], rates: StepRates) {
        if self.start.is_empty() {
            return;
        }
        let (mu, mut rest) = (self.settings.proximal as f32, gradient);
        for (factor, range, _) in &self.optimizers {
            if rates.moves(*factor) {
                let (own, tail) = rest.split_at_mut(range.len());
                let (theta, start) = (&self.theta[range.clone()], &self.start[range.clone()]);
                let weights = theta.par_chunks(CHUNK).zip(start.par_chunks(CHUNK));
                own.par_chunks_mut(CHUNK).zip(weights).for_each(|(own, (theta, start))| {
                    let moved = theta.iter().zip(start).map(|(w, start)| w - start);
                    own.iter_mut().zip(moved).for_each(|(own, moved)| *own += mu * moved);
                });
                rest = tail;
            }
        }
    }
}

impl LocalSteps for OnHost<'_> {
    fn step(&mut self, batches: &[Batch], rates: StepRates) -> Result<StepReport> {
        let decoder = self.decoder;
        in_pool(&decoder.device, || self.step_in_pool(batches, rates))
    }

    fn theta(&self) -> Vec<f32> {
        self.theta.clone()
    }

    fn optimizer_state(&self) -> OptimizerState {
        let mut state = OptimizerState::default();
        for (factor, _, optimizer) in &self.optimizers {
            state.set(*factor, optimizer.moments().clone());
        }
        state
    }
}
