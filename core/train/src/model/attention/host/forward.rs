//! The forward pass, in parallel over heads and blocks of queries.

use burn_tensor::Tensor;
use rayon::prelude::*;

use super::rows::Running;
use super::{Heads, KEYS, QUERIES, Saved, Scratch, Visible, of_head, query_blocks};
use crate::model::attention::AttentionShape;
use crate::model::kernels::{self, HostTensor, tensor};
use crate::model::product::{Existing, multiply};

/// As [`attention::forward`](crate::model::attention::forward); `None` for tensors that are not in
/// the processor's memory.
pub(in crate::model::attention) fn forward(
    shape: &AttentionShape,
    [like, k, v]: [&Tensor<4>; 3],
    window: Option<usize>,
) -> Option<(Tensor<2>, Saved)> {
    let (q, k, v) = (HostTensor::borrow(like)?, HostTensor::borrow(k)?, HostTensor::borrow(v)?);
    let dims = shape.queries();
    let shape = &Heads::of(shape);
    let (len, width) = (shape.len, shape.head_dim);
    let heads = shape.batch * shape.heads;
    let mut out = vec![0f32; heads * len * width];
    let mut log_sums = vec![0f32; heads * len];
    let mut tasks = Vec::with_capacity(heads * len.div_ceil(QUERIES));
    let by_head = out.chunks_mut((len * width).max(1)).zip(log_sums.chunks_mut(len.max(1)));
    for (head, (out, log_sums)) in by_head.enumerate() {
        let parts = out.chunks_mut(QUERIES * width).zip(log_sums.chunks_mut(QUERIES));
        tasks.extend(query_blocks(len).zip(parts).map(|(block, part)| (head, block, part)));
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(head, queries, (out, log_sums))| {
        let visible = Visible::of(shape, head / shape.heads, window);
        let mut running = Running::new(queries.len());
        let q = of_head(q.values(), shape, head, &queries);
        let kv_head = head / shape.group();
        Scratch::with(|scores, _| {
            for keys in visible.key_blocks(&queries) {
                let k = of_head(k.values(), shape, kv_head, &keys);
                let v = of_head(v.values(), shape, kv_head, &keys);
                multiply(scores, KEYS, [q, k.transposed()], 1.0, Existing::Replaced);
                running.weigh(scores, out, &visible, &queries, &keys);
                let weights = super::block(scores, &queries, &keys);
                multiply(out, width, [weights, v], 1.0, Existing::Kept);
            }
        });
        running.finish(out, log_sums);
    });
    let out = tensor(out, dims, like);
    let out = kernels::join_heads(out, dims, None, 1.0);
    let saved = Saved { window, q, k, v, log_sums, out: HostTensor::borrow(&out)? };
    Some((out, saved))
}
