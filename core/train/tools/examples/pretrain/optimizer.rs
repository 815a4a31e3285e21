//! AdamW over every weight, with the norm of the whole gradient clipped.

use std::collections::BTreeMap;

use fedshield_train::{AdamW, AdamWSettings, clip_global_norm};
use fedshield_train_tools::BaseWeights;

const SETTINGS: AdamWSettings =
    AdamWSettings { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.05 };
/// Bound on the Euclidean norm of the whole gradient.
const CLIP: f64 = 1.0;

/// One optimiser for each tensor.
#[derive(Default)]
pub(crate) struct Optimizer {
    tensors: BTreeMap<String, AdamW>,
}

impl Optimizer {
    /// One step; vectors (norms and biases) do not decay. Returns the norm of the gradient before
    /// clipping.
    pub(crate) fn step(
        &mut self,
        weights: &mut BaseWeights,
        gradients: &BTreeMap<String, Vec<f32>>,
        rate: f64,
    ) -> f64 {
        let mut flat: Vec<f32> = gradients.values().flatten().copied().collect();
        let norm = clip_global_norm(&mut flat, CLIP);
        let mut rest = flat.as_slice();
        for (name, gradient) in gradients {
            let (clipped, tail) = rest.split_at(gradient.len());
            rest = tail;
            let Some(tensor) = weights.tensors.get_mut(name) else { continue };
            let weight_decay = if tensor.shape.len() > 1 { SETTINGS.weight_decay } else { 0.0 };
            let settings = AdamWSettings { weight_decay, ..SETTINGS };
            let optimizer = self.tensors.entry(name.clone());
            let optimizer = optimizer.or_insert_with(|| AdamW::new(settings, clipped.len()));
            optimizer.step(&mut tensor.values, clipped, rate);
        }
        norm
    }
}

/// A learning rate that rises, stays, and falls.
pub(crate) struct Schedule {
    /// The first step of this run.
    pub(crate) first: usize,
    /// The step before which training ends.
    pub(crate) steps: usize,
    /// How many steps the rate falls for.
    pub(crate) decay: usize,
    /// The rate while it stays.
    pub(crate) peak: f64,
}

impl Schedule {
    /// Linear over a hundred steps from the run's first, and linear down to a fiftieth of the peak
    /// over the last `decay`.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        let warm = ((step + 1 - self.first) as f64 / 100.0).min(1.0);
        let left = (self.steps - step) as f64 / self.decay.max(1) as f64;
        self.peak * warm.min(left).max(0.02)
    }
}
