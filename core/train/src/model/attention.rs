//! Causal grouped-query attention with a hand-written backward pass.
//!
//! Query heads that share a key head are stacked along the sequence axis, so that keys and values
//! are never repeated: q is `[batch, kv_heads, group * len, head_dim]`.

mod blocks;
mod host;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn_tensor::Tensor;

use super::config::ModelConfig;
use super::kernels;
use super::product::{ComputePrecision, product};
pub(crate) use blocks::{BLOCK_VALUES, Masks};

/// Shapes for one batch size and sequence length.
#[derive(Clone)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) len: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// The factor of the scores; it is multiplied into the queries.
    pub(crate) scale: f64,
    /// For packed rows: where each token's own example begins, see [`Batch`](super::Batch).
    pub(crate) starts: Option<Arc<Vec<u32>>>,
    /// Masks for devices with memory of their own.
    pub(crate) masks: Masks,
    /// Most scores that such devices compute at a time.
    pub(crate) block_values: usize,
    /// Minimum precision of products.
    pub(crate) compute: ComputePrecision,
}

impl AttentionShape {
    pub(crate) fn new(config: &ModelConfig, batch: usize, len: usize) -> Self {
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        Self {
            batch,
            len,
            heads,
            kv_heads,
            head_dim,
            scale: config.attention_scale,
            starts: None,
            masks: Masks::default(),
            block_values: BLOCK_VALUES,
            compute: ComputePrecision::F32,
        }
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

    /// Queries as `[batch, heads, any, head_dim]`, with the heads that share a key head stacked.
    pub(super) fn stack(&self, q: Tensor<4>) -> Tensor<4> {
        let rows = q.dims()[2];
        q.reshape([self.batch, self.kv_heads, self.group() * rows, self.head_dim])
    }
}

/// Activations kept from the forward pass.
pub(crate) struct AttentionSaved {
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    weights: Weights,
}

impl AttentionSaved {
    /// Keeps the whole softmax.
    pub(super) fn whole([q, k, v]: [Tensor<4>; 3], probabilities: Tensor<4>) -> Self {
        Self { q, k, v, weights: Weights::Kept(probabilities) }
    }
}

/// What is kept of the softmax for the backward pass.
enum Weights {
    /// All of it, `[batch, kv_heads, group * queries, keys]`: where few tokens are computed.
    Kept(Tensor<4>),
    /// Nothing that grows with the square of the length, on the processor; see [`host`].
    Host(Box<host::Saved>),
    /// The same on other devices; see [`blocks`].
    Blocks(blocks::Saved),
}

/// `q` is `[batch, heads, len, head_dim]`, already scaled; `k` and `v` have `kv_heads` heads.
/// Returns `[batch * len, heads * head_dim]`. With a window of w tokens, position i attends to
/// i-w+1..=i.
pub(crate) fn forward(
    shape: &AttentionShape,
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<usize>,
) -> (Tensor<2>, AttentionSaved) {
    let (out, weights) = match host::forward(shape, [&q, &k, &v], window) {
        Some((out, saved)) => (out, Weights::Host(Box::new(saved))),
        None => {
            let (out, saved) = blocks::forward(shape, &q, &k, &v, window);
            let out = kernels::join_heads(out, shape.queries(), None, 1.0);
            (out, Weights::Blocks(saved))
        }
    };
    (out, AttentionSaved { q, k, v, weights })
}

/// Gradients of q (as given, already scaled), k and v, in their own shapes. `d_out` has the shape
/// of the output.
pub(crate) fn backward(
    shape: &AttentionShape,
    d_out: Tensor<2>,
    saved: AttentionSaved,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let AttentionSaved { q, k, v, weights } = saved;
    let split = |x| kernels::split_heads(x, shape.queries(), None, 1.0);
    match weights {
        Weights::Host(saved) => host::backward(shape, d_out, [&q, &k, &v], &saved),
        Weights::Blocks(saved) => blocks::backward(shape, &split(d_out), &q, &k, &v, saved),
        Weights::Kept(p) => {
            let d_out = shape.stack(split(d_out));
            let dv = product(p.clone().transpose(), d_out.clone(), shape.compute);
            let dp = product(d_out, v.transpose(), shape.compute);
            let ds = p.clone() * (dp.clone() - (dp * p).sum_dim(3));
            let dk = product(ds.clone().transpose(), q, shape.compute);
            let dq = product(ds, k, shape.compute).reshape(shape.queries());
            (dq, dk, dv)
        }
    }
}
