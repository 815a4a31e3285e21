//! AdamW and gradient clipping on flat vectors, with the arithmetic of PyTorch in f32.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::optimizer_state::Moments;
use crate::valid::{fraction, positive};
use crate::{Result, TrainError};

/// Values that one task works on.
const CHUNK: usize = 1 << 14;

/// AdamW's constants; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamWSettings {
    pub(super) fn validate(&self) -> Result<()> {
        fraction("optimizer.beta1", self.beta1)?;
        fraction("optimizer.beta2", self.beta2)?;
        positive("optimizer.epsilon", self.epsilon)?;
        match self.weight_decay.is_finite() && self.weight_decay >= 0.0 {
            true => Ok(()),
            false => Err(TrainError::setting("optimizer.weight_decay", "must not be negative")),
        }
    }
}

/// AdamW over one vector of parameters.
#[derive(Clone, Debug)]
pub struct AdamW {
    settings: AdamWSettings,
    moments: Moments,
}

impl AdamW {
    /// A fresh optimiser for `len` parameters.
    pub fn new(settings: AdamWSettings, len: usize) -> Self {
        Self::from_moments(settings, Moments::fresh(len))
    }

    /// An optimiser that goes on from `moments`.
    pub fn from_moments(settings: AdamWSettings, moments: Moments) -> Self {
        Self { settings, moments }
    }

    /// The moments after the steps so far.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// One step: `parameters -= ...` along `gradients`, both as long as the optimiser.
    pub fn step(&mut self, parameters: &mut [f32], gradients: &[f32], learning_rate: f64) {
        let Moments { first, second, steps } = &mut self.moments;
        *steps = steps.saturating_add(1);
        let AdamWSettings { beta1, beta2, epsilon, weight_decay } = self.settings;
        let [correction1, correction2] = bias_corrections(&self.settings, *steps);
        let decay = (1.0 - learning_rate * weight_decay) as f32;
        let step_size = (learning_rate / correction1) as f32;
        let root_correction = correction2.sqrt() as f32;
        let (b1, b2, epsilon) = (beta1 as f32, beta2 as f32, epsilon as f32);
        let (c1, c2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
        let chunks = parameters.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK));
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        chunks.zip(moments).for_each(|((parameters, gradients), (first, second))| {
            let moments = first.iter_mut().zip(second);
            for ((p, g), (m, v)) in parameters.iter_mut().zip(gradients).zip(moments) {
                *p *= decay;
                *m = b1 * *m + c1 * g;
                *v = b2 * *v + c2 * g * g;
                *p -= step_size * *m / (v.sqrt() / root_correction + epsilon);
            }
        });
    }
}

/// One minus the decay to the power of the number of steps, for both moments.
pub(super) fn bias_corrections(settings: &AdamWSettings, steps: u32) -> [f64; 2] {
    let steps = i32::try_from(steps).unwrap_or(i32::MAX);
    [settings.beta1, settings.beta2].map(|decay| 1.0 - decay.powi(steps))
}

/// Scales `gradients` so that their Euclidean norm is at most `max_norm`; returns the norm before.
pub fn clip_global_norm(gradients: &mut [f32], max_norm: f64) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>();
    // Added in order, so that the norm does not depend on the number of threads.
    let squares: Vec<f64> = gradients.par_chunks(CHUNK).map(square).collect();
    let norm = squares.iter().sum::<f64>().sqrt();
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 {
        let factor = factor as f32;
        gradients.par_iter_mut().with_min_len(CHUNK).for_each(|g| *g *= factor);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
        let settings = AdamWSettings { weight_decay: 0.0, ..AdamWSettings::default() };
        let mut parameters = [1.0, -2.0];
        AdamW::new(settings, 2).step(&mut parameters, &[0.3, -7.0], 0.01);
        assert!((parameters[0] - 0.99).abs() < 1e-6 && (parameters[1] + 1.99).abs() < 1e-6);
    }

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradients = [3.0, 4.0];
        assert!((clip_global_norm(&mut gradients, 1.0) - 5.0).abs() < 1e-12);
        assert!((gradients[0] - 0.6).abs() < 1e-5 && (gradients[1] - 0.8).abs() < 1e-5);
        let mut small = [0.3, 0.4];
        clip_global_norm(&mut small, 1.0);
        assert_eq!(small, [0.3, 0.4]);
    }

    #[test]
    fn a_vector_of_many_tasks_takes_the_steps_of_its_parts() {
        let len = 3 * CHUNK + 5;
        let values: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 300.0).collect();
        let mut gradients: Vec<f32> = (0..len).map(|i| (i * 53 % 89) as f32 - 44.0).collect();
        let (mut whole, mut optimizer) =
            (values.clone(), AdamW::new(AdamWSettings::default(), len));
        optimizer.step(&mut whole, &gradients, 0.01);
        optimizer.step(&mut whole, &gradients, 0.01);
        for (first, part) in values.chunks(1000).enumerate().map(|(i, part)| (i * 1000, part)) {
            let (mut part, mut optimizer) =
                (part.to_vec(), AdamW::new(AdamWSettings::default(), part.len()));
            let gradients = &gradients[first..first + part.len()];
            optimizer.step(&mut part, gradients, 0.01);
            optimizer.step(&mut part, gradients, 0.01);
            assert_eq!(part, whole[first..first + part.len()]);
        }
        let exact = gradients.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let norm = clip_global_norm(&mut gradients, 1.0);
        assert!((norm - exact).abs() < 1e-9 * exact);
        let clipped = gradients.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!((clipped - 1.0).abs() < 1e-5, "{clipped}");
    }
}
