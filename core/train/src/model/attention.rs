//! Causal grouped-query attention with its own backward pass.
//!
//! Query heads that share a key head are stacked along the sequence axis, so that keys and values
//! are never repeated: q is `[batch, kv_heads, group * len, head_dim]`.

use std::sync::Arc;

use burn_tensor::Tensor;

use super::config::ModelConfig;
use super::kernels;
use super::product::product;

/// Shapes for one batch size and sequence length.
#[derive(Clone)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) len: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// What scores are multiplied by; it is multiplied into the queries.
    pub(crate) scale: f64,
    /// For packed rows: where each token's own example begins, see [`Batch`](super::Batch).
    pub(crate) starts: Option<Arc<Vec<u32>>>,
}

impl AttentionShape {
    pub(crate) fn new(config: &ModelConfig, batch: usize, len: usize) -> Self {
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let scale = config.attention_scale;
        Self { batch, len, heads, kv_heads, head_dim, scale, starts: None }
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Shape of queries after splitting.
    pub(crate) fn queries(&self) -> [usize; 4] {
        [self.batch, self.heads, self.len, self.head_dim]
    }

    /// Shape of keys and values after splitting.
    pub(crate) fn keys(&self) -> [usize; 4] {
        [self.batch, self.kv_heads, self.len, self.head_dim]
    }

    pub(super) fn stack(&self, q: Tensor<4>) -> Tensor<4> {
        q.reshape([self.batch, self.kv_heads, self.group() * self.len, self.head_dim])
    }
}

/// Activations kept from the forward pass.
pub(crate) struct AttentionSaved {
    pub(super) q: Tensor<4>,
    pub(super) k: Tensor<4>,
    pub(super) v: Tensor<4>,
    pub(super) probabilities: Tensor<4>,
}

/// `q` is `[batch, heads, len, head_dim]`, already scaled, `k` and `v` have `kv_heads`; returns the shape of
/// `q`. A window of w tokens lets position i see i-w+1..=i.
pub(crate) fn forward(
    shape: &AttentionShape,
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<usize>,
) -> (Tensor<4>, AttentionSaved) {
    let q = shape.stack(q);
    let scores = product(q.clone(), k.clone().transpose());
    let probabilities =
        kernels::causal_softmax(scores, window, shape.starts.as_ref().map(|s| s.as_slice()));
    let out = product(probabilities.clone(), v.clone()).reshape(shape.queries());
    (out, AttentionSaved { q, k, v, probabilities })
}

/// Gradients of q (scaled, as it was given), k and v, in their own shapes; `d_out` has the shape of the
/// output.
pub(crate) fn backward(
    shape: &AttentionShape,
    d_out: Tensor<4>,
    saved: AttentionSaved,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let AttentionSaved { q, k, v, probabilities } = saved;
    let d_out = shape.stack(d_out);
    let dv = product(probabilities.clone().transpose(), d_out.clone());
    let dp = product(d_out, v.transpose());
    let ds = kernels::softmax_backward(dp, &probabilities);
    let dk = product(ds.clone().transpose(), q);
    let dq = product(ds, k).reshape(shape.queries());
    (dq, dk, dv)
}
