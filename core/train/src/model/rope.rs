//! Rotary position embedding in the rotate-half layout of the Hugging Face weights: coordinate j is
//! paired with j + head_dim/2, not with its neighbour.

use std::sync::Arc;

use burn_tensor::{Device, Tensor, TensorData};

use super::config::{ModelConfig, RopeScaling};

/// Cosines and sines for one sequence length, each `[1, 1, len, head_dim / 2]`.
#[derive(Clone)]
pub(crate) struct RopeTable {
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// The same values on the host, `[len, head_dim / 2]`.
    host: Arc<(Vec<f32>, Vec<f32>)>,
    half: usize,
}

impl RopeTable {
    /// Angles are computed in f64 and rounded once.
    pub(crate) fn new(config: &ModelConfig, len: usize, device: &Device) -> Self {
        let frequencies = frequencies(config);
        let half = frequencies.len();
        let mut cos = Vec::with_capacity(len * half);
        let mut sin = Vec::with_capacity(len * half);
        for position in 0..len {
            for frequency in &frequencies {
                let angle = position as f64 * frequency;
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        let on_device = |values: &Vec<f32>| {
            Tensor::from_data(TensorData::new(values.clone(), [1, 1, len, half]), device)
        };
        let (cos_tensor, sin_tensor) = (on_device(&cos), on_device(&sin));
        Self { cos: cos_tensor, sin: sin_tensor, host: Arc::new((cos, sin)), half }
    }

    /// Positions in the table.
    pub(crate) fn len(&self) -> usize {
        self.cos.dims()[2]
    }

    /// The table of `count` positions from `first` on, which become its positions from 0 on.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Self {
        let range = first * self.half..(first + count) * self.half;
        let (cos, sin) = &*self.host;
        Self {
            cos: self.cos.clone().narrow(2, first, count),
            sin: self.sin.clone().narrow(2, first, count),
            host: Arc::new((cos[range.clone()].to_vec(), sin[range].to_vec())),
            half: self.half,
        }
    }

    /// Cosines and sines of a position, `head_dim / 2` each.
    pub(crate) fn angles(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.host.0[range.clone()], &self.host.1[range])
    }

    /// Rotates `x` of shape `[batch, heads, len, head_dim]`.
    pub(crate) fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        self.turn(x, false)
    }

    /// The transpose of [`Self::rotate`], which is its inverse: the backward pass.
    pub(crate) fn rotate_back(&self, x: Tensor<4>) -> Tensor<4> {
        self.turn(x, true)
    }

    fn turn(&self, x: Tensor<4>, back: bool) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let low = x.clone().narrow(3, 0, half);
        let high = x.narrow(3, half, half);
        let sin = if back { self.sin.clone().neg() } else { self.sin.clone() };
        let cos = self.cos.clone();
        let new_low = low.clone() * cos.clone() - high.clone() * sin.clone();
        let new_high = high * cos + low * sin;
        Tensor::cat(vec![new_low, new_high], 3)
    }
}

/// The `head_dim / 2` angular frequencies, after scaling.
fn frequencies(config: &ModelConfig) -> Vec<f64> {
    let dim = config.head_dim;
    (0..dim / 2)
        .map(|j| config.rope_theta.powf(-2.0 * j as f64 / dim as f64))
        .map(|frequency| config.rope_scaling.map_or(frequency, |scaling| scaling.scale(frequency)))
        .collect()
}

impl RopeScaling {
    /// A frequency after scaling, in radians per position.
    pub(crate) fn scale(self, frequency: f64) -> f64 {
        match self {
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => {
                let wavelength = std::f64::consts::TAU / frequency;
                let original = original_max_position as f64;
                if wavelength > original / low_freq_factor {
                    frequency / factor
                } else if wavelength < original / high_freq_factor {
                    frequency
                } else {
                    let smooth = (original / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}
