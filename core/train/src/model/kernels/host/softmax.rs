//! Causal softmax over attention scores, in place, and its backward pass.

use burn_tensor::Tensor;

use super::exp::exp;
use super::{HostTensor, for_rows, sum_of, take, tensor};

pub(crate) fn forward(
    scores: Tensor<4>,
    window: Option<usize>,
    starts: Option<&[u32]>,
) -> Tensor<4> {
    let (dims, like) = (scores.dims(), Tensor::<1>::empty([1], &scores.device()));
    let (len, batch_rows) = (dims[3], dims[1] * dims[2]);
    let mut p = take(scores);
    for_rows(&mut p, len, |first, run| {
        for (row, line) in run.chunks_exact_mut(len).enumerate() {
            // Runs of `len` query rows follow each other, whichever head they belong to.
            let position = (first + row) % len;
            let begin = window.map_or(0, |w| (position + 1).saturating_sub(w));
            let own = starts.map_or(0, |s| s[(first + row) / batch_rows * len + position] as usize);
            let begin = begin.max(own);
            line[..begin].fill(0.0);
            line[position + 1..].fill(0.0);
            let seen = &mut line[begin..=position];
            let max = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for value in seen.iter_mut() {
                *value = exp(*value - max);
            }
            let inverse = 1.0 / sum_of(seen.len(), |i| seen[i]);
            for value in seen.iter_mut() {
                *value *= inverse;
            }
        }
    });
    tensor(p, dims, &like)
}

pub(crate) fn backward(dp: Tensor<4>, p: &HostTensor) -> Tensor<4> {
    let (dims, like) = (dp.dims(), Tensor::<1>::empty([1], &dp.device()));
    let len = dims[3];
    let p = p.values();
    let mut ds = take(dp);
    for_rows(&mut ds, len, |first, run| {
        for (row, ds) in run.chunks_exact_mut(len).enumerate() {
            let p = &p[(first + row) * len..][..len];
            let dot = sum_of(len, |i| ds[i] * p[i]);
            for (ds, p) in ds.iter_mut().zip(p) {
                *ds = p * (*ds - dot);
            }
        }
    });
    tensor(ds, dims, &like)
}
