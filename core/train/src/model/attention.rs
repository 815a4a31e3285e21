//! Causal grouped-query attention with its own backward pass.
//!
//! Query heads that share a key head are stacked along the sequence axis, so that keys and values
//! are never repeated: q is `[batch, kv_heads, group * len, head_dim]`.

use burn::tensor::{Device, Tensor, TensorData, activation};

use super::config::ModelConfig;

/// Shapes and masks for one batch size and sequence length.
#[derive(Clone)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) len: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl AttentionShape {
    pub(crate) fn new(config: &ModelConfig, batch: usize, len: usize) -> Self {
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        Self { batch, len, heads, kv_heads, head_dim }
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// `[rows, heads * head_dim]` to `[batch, heads, len, head_dim]`.
    pub(crate) fn split(&self, x: Tensor<2>, heads: usize) -> Tensor<4> {
        x.reshape([self.batch, self.len, heads, self.head_dim]).swap_dims(1, 2)
    }

    /// The inverse of [`Self::split`].
    pub(crate) fn join(&self, x: Tensor<4>, heads: usize) -> Tensor<2> {
        x.reshape([self.batch, heads, self.len, self.head_dim])
            .swap_dims(1, 2)
            .reshape([self.batch * self.len, heads * self.head_dim])
    }

    fn stack(&self, q: Tensor<4>) -> Tensor<4> {
        q.reshape([self.batch, self.kv_heads, self.group() * self.len, self.head_dim])
    }

    /// Additive mask `[1, 1, group * len, len]`: 0 where a query may look, a large negative number
    /// elsewhere. A window of w tokens lets position i see i-w+1..=i.
    pub(crate) fn mask(&self, window: Option<usize>, device: &Device) -> Tensor<4> {
        let (len, group) = (self.len, self.group());
        let mut mask = vec![-1e9f32; group * len * len];
        for (row, line) in mask.chunks_exact_mut(len).enumerate() {
            let position = row % len;
            let first = window.map_or(0, |w| (position + 1).saturating_sub(w));
            line[first..=position].fill(0.0);
        }
        Tensor::from_data(TensorData::new(mask, [1, 1, group * len, len]), device)
    }
}

/// Activations kept from the forward pass.
pub(crate) struct AttentionSaved {
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    probabilities: Tensor<4>,
}

/// `q` is `[batch, heads, len, head_dim]`, `k` and `v` have `kv_heads`; returns the shape of `q`.
pub(crate) fn forward(
    shape: &AttentionShape,
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: &Tensor<4>,
) -> (Tensor<4>, AttentionSaved) {
    let scale = 1.0 / (shape.head_dim as f64).sqrt();
    let q = shape.stack(q).mul_scalar(scale);
    let scores = q.clone().matmul(k.clone().transpose()) + mask.clone();
    let probabilities = activation::softmax(scores, 3);
    let out = probabilities.clone().matmul(v.clone());
    let out = out.reshape([shape.batch, shape.heads, shape.len, shape.head_dim]);
    (out, AttentionSaved { q, k, v, probabilities })
}

/// Gradients of q, k and v, in their own shapes; `d_out` has the shape of the output.
pub(crate) fn backward(
    shape: &AttentionShape,
    d_out: Tensor<4>,
    saved: AttentionSaved,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let AttentionSaved { q, k, v, probabilities } = saved;
    let scale = 1.0 / (shape.head_dim as f64).sqrt();
    let d_out = shape.stack(d_out);
    let dv = probabilities.clone().transpose().matmul(d_out.clone());
    let dp = d_out.matmul(v.transpose());
    let weighted = dp * probabilities.clone();
    let ds = weighted.clone() - probabilities * weighted.sum_dim(3);
    let dk = ds.clone().transpose().matmul(q);
    let dq = ds.matmul(k).mul_scalar(scale);
    let dq = dq.reshape([shape.batch, shape.heads, shape.len, shape.head_dim]);
    (dq, dk, dv)
}
