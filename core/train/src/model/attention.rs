//! Causal grouped-query attention with its own backward pass.
//!
//! Query heads that share a key head are stacked along the sequence axis, so that keys and values
//! are never repeated: q is `[batch, kv_heads, group * len, head_dim]`.

use burn::tensor::Tensor;

use super::config::ModelConfig;
use super::kernels::host_attention::{self, Saved};
use super::kernels::{self, HostTensor};

/// Shapes for one batch size and sequence length.
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

    /// Shape of queries after splitting.
    pub(crate) fn queries(&self) -> [usize; 4] {
        [self.batch, self.heads, self.len, self.head_dim]
    }

    /// Shape of keys and values after splitting.
    pub(crate) fn keys(&self) -> [usize; 4] {
        [self.batch, self.kv_heads, self.len, self.head_dim]
    }

    /// What scores are multiplied by; it is multiplied into the queries.
    pub(crate) fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    fn stack(&self, q: Tensor<4>) -> Tensor<4> {
        q.reshape([self.batch, self.kv_heads, self.group() * self.len, self.head_dim])
    }
}

/// Activations kept from the forward pass.
pub(crate) enum AttentionSaved {
    /// Other devices: what the matrix products need, probabilities included.
    Whole {
        /// Stacked.
        q: Tensor<4>,
        /// As it was given.
        k: Tensor<4>,
        /// As it was given.
        v: Tensor<4>,
        /// As large as the scores.
        probabilities: Tensor<4>,
    },
    /// The host: probabilities are computed again.
    Rows {
        /// As it was given.
        q: Tensor<4>,
        /// As it was given.
        k: Tensor<4>,
        /// As it was given.
        v: Tensor<4>,
        /// The output.
        out: Tensor<4>,
        /// For each row the logarithm of its sum of exponentials.
        sums: Vec<f32>,
    },
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
    let host = (HostTensor::borrow(&q), HostTensor::borrow(&k), HostTensor::borrow(&v));
    if let (Some(host_q), Some(host_k), Some(host_v)) = &host {
        let all = (host_q, host_k, host_v);
        let (out, sums) = host_attention::forward(all, shape.queries(), shape.kv_heads, window, &q);
        return (out.clone(), AttentionSaved::Rows { q, k, v, out, sums });
    }
    whole_forward(shape, q, k, v, window)
}

/// In tensor operations, for devices other than the CPU.
fn whole_forward(
    shape: &AttentionShape,
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<usize>,
) -> (Tensor<4>, AttentionSaved) {
    let q = shape.stack(q);
    let scores = q.clone().matmul(k.clone().transpose());
    let probabilities = kernels::causal_softmax(scores, window);
    let out = probabilities.clone().matmul(v.clone()).reshape(shape.queries());
    (out, AttentionSaved::Whole { q, k, v, probabilities })
}

/// Gradients of q (scaled, as it was given), k and v, in their own shapes; `d_out` has the shape of the
/// output. The window is that of the forward pass.
pub(crate) fn backward(
    shape: &AttentionShape,
    d_out: Tensor<4>,
    saved: AttentionSaved,
    window: Option<usize>,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    match saved {
        AttentionSaved::Whole { q, k, v, probabilities } => {
            let d_out = shape.stack(d_out);
            let dv = probabilities.clone().transpose().matmul(d_out.clone());
            let dp = d_out.matmul(v.transpose());
            let ds = kernels::softmax_backward(dp, &probabilities);
            let dk = ds.clone().transpose().matmul(q);
            let dq = ds.matmul(k).reshape(shape.queries());
            (dq, dk, dv)
        }
        AttentionSaved::Rows { q, k, v, out, sums } => {
            let host = HostTensor::borrow::<4>;
            let all = (host(&q), host(&k), host(&v), host(&out), host(&d_out));
            let (Some(host_q), Some(host_k), Some(host_v), Some(host_out), Some(host_d)) = &all
            else {
                drop(all);
                let whole = whole_forward(shape, q, k, v, window).1;
                return backward(shape, d_out, whole, window);
            };
            let saved = Saved { q: host_q, k: host_k, v: host_v, out: host_out, sums: &sums };
            let dims = shape.queries();
            let results =
                host_attention::backward(&saved, host_d, dims, shape.kv_heads, window, &q);
            drop(all);
            [q, k, v, out, d_out].into_iter().for_each(kernels::recycle);
            results
        }
    }
}
