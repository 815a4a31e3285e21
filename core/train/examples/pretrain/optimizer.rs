//! AdamW on the host, with one clipping of the whole gradient.

use std::collections::BTreeMap;

use fedshield_train::model::BaseWeights;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.95;
const EPSILON: f64 = 1e-8;
const WEIGHT_DECAY: f64 = 0.05;
const CLIP: f64 = 1.0;

/// First and second moments of every weight.
#[derive(Default)]
pub struct AdamW {
    moments: BTreeMap<String, Vec<(f32, f32)>>,
    steps: i32,
}

impl AdamW {
    /// One step (Loshchilov and Hutter, arXiv 1711.05101); norms, which are vectors, do not decay.
    /// Returns the length of the gradient before clipping.
    pub fn step(
        &mut self,
        weights: &mut BaseWeights,
        gradients: &BTreeMap<String, Vec<f32>>,
        rate: f64,
    ) -> f64 {
        let squares = gradients.values().flatten().map(|g| f64::from(*g) * f64::from(*g));
        let length = squares.sum::<f64>().sqrt();
        let scale = if length > CLIP { CLIP / length } else { 1.0 };
        self.steps += 1;
        let correct_1 = 1.0 - BETA_1.powi(self.steps);
        let correct_2 = 1.0 - BETA_2.powi(self.steps);
        for (name, gradient) in gradients {
            let Some(tensor) = weights.tensors.get_mut(name) else { continue };
            let decay = if tensor.shape.len() > 1 { 1.0 - rate * WEIGHT_DECAY } else { 1.0 };
            let moments = self
                .moments
                .entry(name.clone())
                .or_insert_with(|| vec![(0.0, 0.0); gradient.len()]);
            for ((value, g), (m, v)) in tensor.values.iter_mut().zip(gradient).zip(moments) {
                let g = f64::from(*g) * scale;
                let m_next = BETA_1 * f64::from(*m) + (1.0 - BETA_1) * g;
                let v_next = BETA_2 * f64::from(*v) + (1.0 - BETA_2) * g * g;
                let update = (m_next / correct_1) / ((v_next / correct_2).sqrt() + EPSILON);
                *value = (f64::from(*value) * decay - rate * update) as f32;
                (*m, *v) = (m_next as f32, v_next as f32);
            }
        }
        length
    }
}

/// Linear warm-up over the first twentieth (at most 100 steps), then half a cosine down to a
/// fiftieth.
pub fn learning_rate(step: usize, steps: usize, peak: f64) -> f64 {
    let warm = (steps / 20).clamp(1, 100);
    if step < warm {
        return peak * (step + 1) as f64 / warm as f64;
    }
    let progress = (step - warm) as f64 / (steps - warm).max(1) as f64;
    let low = 0.02;
    peak * (low + (1.0 - low) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
}
