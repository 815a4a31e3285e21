//! Rotary position embedding in the rotate-half layout of the Hugging Face weights: of the r
//! rotated coordinates, j is paired with j + r/2, not with its neighbour. The coordinates after
//! them are left as they are.

mod scaling;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn_tensor::{Device, Tensor};

use super::config::{ModelConfig, RopeScaling};
use super::transfer::upload;

/// Cosines and sines for one sequence length, each `[1, 1, len, rotated / 2]`.
#[derive(Clone)]
pub(crate) struct RopeTable {
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// The same values on the host, `[len, rotated / 2]`.
    host: Arc<(Vec<f32>, Vec<f32>)>,
    half: usize,
}

impl RopeTable {
    /// The table of the layers without a window, or of all layers. Angles are computed in f64 and
    /// rounded once.
    pub(crate) fn new(config: &ModelConfig, len: usize, device: &Device) -> Self {
        let scaling = config.rope_scaling.as_ref();
        Self::of(config.rope_theta, scaling, config.rotary_dim, len, device)
    }

    /// The table of the layers with a window, where they have their own.
    pub(crate) fn local(config: &ModelConfig, len: usize, device: &Device) -> Option<Self> {
        let rope = config.local_rope.as_ref()?;
        Some(Self::of(rope.theta, rope.scaling.as_ref(), config.rotary_dim, len, device))
    }

    fn of(
        theta: f64,
        scaling: Option<&RopeScaling>,
        dim: usize,
        len: usize,
        device: &Device,
    ) -> Self {
        let (frequencies, factor) = scaling::frequencies(theta, scaling, dim, len);
        let half = frequencies.len();
        let mut cos = Vec::with_capacity(len * half);
        let mut sin = Vec::with_capacity(len * half);
        for position in 0..len {
            for frequency in &frequencies {
                let angle = position as f64 * frequency;
                cos.push((angle.cos() * factor) as f32);
                sin.push((angle.sin() * factor) as f32);
            }
        }
        let on_device = |values: &Vec<f32>| upload(values.clone(), [1, 1, len, half], device);
        let (cos_tensor, sin_tensor) = (on_device(&cos), on_device(&sin));
        Self { cos: cos_tensor, sin: sin_tensor, host: Arc::new((cos, sin)), half }
    }

    /// Number of positions in the table.
    pub(crate) fn len(&self) -> usize {
        self.cos.dims()[2]
    }

    /// The part of the table with `count` positions from `first` on; `first` becomes position 0.
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

    /// Half the number of rotated coordinates.
    pub(crate) fn half(&self) -> usize {
        self.half
    }

    /// Cosines and sines of a position, [`Self::half`] of each.
    pub(crate) fn angles(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.host.0[range.clone()], &self.host.1[range])
    }

    /// Rotates `x` of shape `[batch, heads, len, head_dim]`.
    pub(crate) fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        self.turn(x, false)
    }

    /// The transpose of [`Self::rotate`]: the backward pass.
    pub(crate) fn rotate_back(&self, x: Tensor<4>) -> Tensor<4> {
        self.turn(x, true)
    }

    fn turn(&self, x: Tensor<4>, back: bool) -> Tensor<4> {
        let (half, width) = (self.half, x.dims()[3]);
        let low = x.clone().narrow(3, 0, half);
        let high = x.clone().narrow(3, half, half);
        let sin = if back { self.sin.clone().neg() } else { self.sin.clone() };
        let cos = self.cos.clone();
        let new_low = low.clone() * cos.clone() - high.clone() * sin.clone();
        let new_high = high * cos + low * sin;
        let mut parts = vec![new_low, new_high];
        if 2 * half < width {
            parts.push(x.narrow(3, 2 * half, width - 2 * half));
        }
        Tensor::cat(parts, 3)
    }
}
