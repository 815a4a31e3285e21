//! Steps on host vectors.

use super::{LocalSteps, StepReport};
use crate::federated::GlobalAdapter;
use crate::model::{Batch, Decoder, in_pool};
use crate::train::gradient::{StepGradient, adapter_gradient};
use crate::train::optimizer::{AdamW, AdamWSettings, clip_global_norm};
use crate::{Result, TrainError};

pub(super) struct OnHost<'a> {
    decoder: &'a Decoder,
    working: GlobalAdapter,
    theta: Vec<f32>,
    optimizer: AdamW,
    max_gradient_norm: f64,
    steps: usize,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(
        decoder: &'a Decoder,
        adapter: &GlobalAdapter,
        optimizer: AdamWSettings,
        max_gradient_norm: f64,
    ) -> Self {
        let theta = adapter.trained_values();
        let optimizer = AdamW::new(optimizer, theta.len());
        let working = adapter.clone();
        Self { decoder, working, theta, optimizer, max_gradient_norm, steps: 0 }
    }

    fn step_in_pool(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepReport> {
        let step = self.steps;
        self.steps += 1;
        let factors = self.working.trained_factors();
        let StepGradient { loss, mut gradient, seconds } =
            adapter_gradient(self.decoder, &self.working, factors, batches)?;
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { step, what: "loss" });
        }
        let gradient_norm = clip_global_norm(&mut gradient, self.max_gradient_norm);
        if !gradient_norm.is_finite() {
            return Err(TrainError::NotFinite { step, what: "gradient norm" });
        }
        self.optimizer.step(&mut self.theta, &gradient, learning_rate);
        self.working.set_trained(&self.theta)?;
        Ok(StepReport { loss, gradient_norm, seconds })
    }
}

impl LocalSteps for OnHost<'_> {
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepReport> {
        let decoder = self.decoder;
        in_pool(&decoder.device, || self.step_in_pool(batches, learning_rate))
    }

    fn theta(&self) -> Vec<f32> {
        self.theta.clone()
    }
}
