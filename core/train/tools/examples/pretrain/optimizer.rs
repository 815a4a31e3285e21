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

/// Linear warm-up over the first twentieth (at most 100 steps), then half a cosine down to a
/// fiftieth of `peak`.
pub(crate) fn learning_rate(step: usize, steps: usize, peak: f64) -> f64 {
    let warm = (steps / 20).clamp(1, 100);
    if step < warm {
        return peak * (step + 1) as f64 / warm as f64;
    }
    let progress = (step - warm) as f64 / (steps - warm).max(1) as f64;
    let low = 0.02;
    peak * (low + (1.0 - low) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
}
