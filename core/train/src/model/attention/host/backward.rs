//! The backward pass, in parallel over key heads and runs of blocks of queries. Each run adds to
//! gradients of keys and values of its own, which are summed in order at the end.

use std::ops::Range;

use burn_tensor::Tensor;
use rayon::prelude::*;

use super::rows::{dots, score_gradients, weights};
use super::{Heads, KEYS, QUERIES, Saved, Scratch, Visible, of_head, of_tokens, query_blocks};
use crate::model::attention::AttentionShape;
use crate::model::kernels::{for_rows, take, tensor};
use crate::model::product::{Existing, multiply};

/// Runs into which the work is divided at least, where there are so many blocks. It bounds the
/// threads that are busy, and the memory of the runs' gradients.
const RUNS: usize = 16;

/// What all runs read.
struct Inputs<'a> {
    shape: Heads<'a>,
    window: Option<usize>,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// The output of attention and its gradient, `[batch * len, heads * head_dim]`.
    out: &'a [f32],
    d_out: &'a [f32],
    log_sums: &'a [f32],
}

/// Blocks of queries of the heads that share a key head.
struct Run<'a> {
    kv_head: usize,
    /// Positions, a multiple of [`QUERIES`] but for the last run.
    queries: Range<usize>,
    /// The gradient of q, one part for each head.
    dq: Vec<&'a mut [f32]>,
}

/// Gradients of the keys and values `keys` of one head.
struct KeyGradients {
    kv_head: usize,
    keys: Range<usize>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// As [`attention::backward`](crate::model::attention::backward).
pub(in crate::model::attention) fn backward(
    shape: &AttentionShape,
    d_out: Tensor<2>,
    [q, k, v]: [&Tensor<4>; 3],
    saved: &Saved,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let d_out = take(d_out);
    let shape = Heads::of(shape);
    let inputs = Inputs {
        shape,
        window: saved.window,
        q: saved.q.values(),
        k: saved.k.values(),
        v: saved.v.values(),
        out: saved.out.values(),
        d_out: &d_out,
        log_sums: &saved.log_sums,
    };
    let mut dq = vec![0f32; inputs.q.len()];
    let parts: Vec<KeyGradients> =
        runs(&shape, &mut dq).into_par_iter().with_max_len(1).map(|run| inputs.run(run)).collect();
    let sum = |of: fn(&KeyGradients) -> &[f32]| summed(&shape, &parts, of);
    let (dk, dv) = (sum(|part| &part.dk), sum(|part| &part.dv));
    (tensor(dq, q.dims(), q), tensor(dk, k.dims(), k), tensor(dv, v.dims(), v))
}

fn runs<'a>(shape: &Heads<'_>, dq: &'a mut [f32]) -> Vec<Run<'a>> {
    let kv_heads = shape.batch * shape.kv_heads;
    let blocks = shape.len.div_ceil(QUERIES).max(1);
    let in_run = blocks.div_ceil(RUNS.div_ceil(kv_heads.max(1)).min(blocks)) * QUERIES;
    let mut parts = dq.chunks_mut((shape.len * shape.head_dim).max(1));
    let mut runs = Vec::new();
    for kv_head in 0..kv_heads {
        let mut heads: Vec<_> = parts
            .by_ref()
            .take(shape.group())
            .map(|head| head.chunks_mut(in_run * shape.head_dim))
            .collect();
        for first in (0..shape.len).step_by(in_run) {
            let queries = first..(first + in_run).min(shape.len);
            let dq = heads.iter_mut().filter_map(Iterator::next).collect();
            runs.push(Run { kv_head, queries, dq });
        }
    }
    // Late queries see the most keys: with the largest runs first, threads finish together.
    runs.sort_by_key(|run| std::cmp::Reverse(run.queries.start));
    runs
}

impl Inputs<'_> {
    fn run(&self, run: Run<'_>) -> KeyGradients {
        let shape = &self.shape;
        let Run { kv_head, queries, dq } = run;
        let visible = Visible::of(shape, kv_head / shape.kv_heads, self.window);
        let first = queries.clone().map(|position| visible.first(position)).min().unwrap_or(0);
        let keys = first..queries.end;
        let size = keys.len() * shape.head_dim;
        let mut sums = KeyGradients { kv_head, keys, dk: vec![0.0; size], dv: vec![0.0; size] };
        for (head, dq) in dq.into_iter().enumerate() {
            let head = kv_head * shape.group() + head;
            let blocks = query_blocks(queries.len())
                .map(|block| block.start + queries.start..block.end + queries.start);
            for (block, dq) in blocks.zip(dq.chunks_mut(QUERIES * shape.head_dim)) {
                self.block(head, &block, dq, &visible, &mut sums);
            }
        }
        sums
    }

    /// One block of queries of `head`, which counts over all sequences.
    fn block(
        &self,
        head: usize,
        queries: &Range<usize>,
        dq: &mut [f32],
        visible: &Visible<'_>,
        sums: &mut KeyGradients,
    ) {
        let (shape, width) = (&self.shape, self.shape.head_dim);
        let q = of_head(self.q, shape, head, queries);
        let d_out = of_tokens(self.d_out, shape, head, queries);
        let log_sums = &self.log_sums[head * shape.len + queries.start..][..queries.len()];
        let mut means = [0f32; QUERIES];
        let means = &mut means[..queries.len()];
        dots(means, d_out, of_tokens(self.out, shape, head, queries));
        Scratch::with(|p, ds| {
            for keys in visible.key_blocks(queries) {
                let k = of_head(self.k, shape, sums.kv_head, &keys);
                let v = of_head(self.v, shape, sums.kv_head, &keys);
                let place = (keys.start - sums.keys.start) * width;
                multiply(p, KEYS, [q, k.transposed()], 1.0, Existing::Replaced);
                weights(p, log_sums, visible, queries, &keys);
                let weights = super::block(p, queries, &keys).transposed();
                multiply(&mut sums.dv[place..], width, [weights, d_out], 1.0, Existing::Kept);
                multiply(ds, KEYS, [d_out, v.transposed()], 1.0, Existing::Replaced);
                score_gradients(ds, p, means, keys.len());
                let ds = super::block(ds, queries, &keys);
                multiply(&mut sums.dk[place..], width, [ds.transposed(), q], 1.0, Existing::Kept);
                multiply(dq, width, [ds, k], 1.0, Existing::Kept);
            }
        });
    }
}

/// The gradients of all keys or values, `[batch, kv_heads, len, head_dim]`.
fn summed(shape: &Heads<'_>, parts: &[KeyGradients], of: fn(&KeyGradients) -> &[f32]) -> Vec<f32> {
    let (len, width) = (shape.len, shape.head_dim);
    let mut out = vec![0f32; shape.batch * shape.kv_heads * len * width];
    for_rows(&mut out, width, |first, run| {
        for (row, out) in run.chunks_exact_mut(width).enumerate() {
            let (kv_head, position) = ((first + row) / len, (first + row) % len);
            for part in parts.iter().filter(|part| part.kv_head == kv_head) {
                if part.keys.contains(&position) {
                    let values = &of(part)[(position - part.keys.start) * width..][..width];
                    out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
                }
            }
        }
    });
    out
}
