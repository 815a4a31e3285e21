//! Causal attention in blocks of query rows. The probabilities of a block are computed, used and forgotten; the
//! backward pass computes them again from what is kept, one number a row. So memory grows with the length, not
//! with its square, and nothing is computed for keys that no row of a block sees.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::exp::exp;
use super::gemm::{Job, Left, Right, Start, run_here};
use super::{HostTensor, pool, sum_of, tensor, vectorised};

/// Query rows of a block; a multiple of the six rows of a tile.
const BLOCK: usize = 66;

/// One head: shapes and which keys each row sees.
#[derive(Clone, Copy)]
struct Head {
    len: usize,
    dim: usize,
    window: Option<usize>,
}

/// A block of rows and the keys that they see together.
struct Span {
    rows: std::ops::Range<usize>,
    first: usize,
}

impl Head {
    fn spans(self) -> impl Iterator<Item = Span> {
        (0..self.len).step_by(BLOCK).map(move |begin| Span {
            rows: begin..(begin + BLOCK).min(self.len),
            first: self.window.map_or(0, |window| (begin + 1).saturating_sub(window)),
        })
    }

    /// Columns of a span's scores that row `row` sees.
    #[inline(always)]
    fn seen(self, span: &Span, row: usize) -> std::ops::Range<usize> {
        let begin = self.window.map_or(0, |window| (row + 1).saturating_sub(window));
        begin - span.first..row + 1 - span.first
    }
}

impl Span {
    fn keys(&self) -> usize {
        self.rows.end - self.first
    }

    /// The values of the span's rows, and of its keys, in `[len, dim]`.
    fn parts<'a>(&self, rows: &'a [f32], keys: &'a [f32], dim: usize) -> (&'a [f32], &'a [f32]) {
        let of_keys = &keys[self.first * dim..self.rows.end * dim];
        (&rows[self.rows.start * dim..self.rows.end * dim], of_keys)
    }
}

/// `q` is `[batch, heads, len, dim]`, `k` and `v` have fewer heads, each for a group of query heads. Gives the
/// output in the shape of `q`, and for each row the logarithm of the sum of its exponentials.
pub(crate) fn forward(
    (q, k, v): (&HostTensor, &HostTensor, &HostTensor),
    [batch, heads, len, dim]: [usize; 4],
    kv_heads: usize,
    window: Option<usize>,
    like: &Tensor<4>,
) -> (Tensor<4>, Vec<f32>) {
    let (size, head, group) = (len * dim, Head { len, dim, window }, heads / kv_heads);
    let (q, k, v) = (q.values(), k.values(), v.values());
    let (mut out, mut sums) = (pool::buffer(batch * heads * size), vec![0f32; batch * heads * len]);
    let each = out.par_chunks_exact_mut(size).zip(sums.par_chunks_exact_mut(len));
    each.enumerate().with_max_len(1).for_each(|(index, (out, sums))| {
        let of_keys = index / group * size;
        let (k, v) = (&k[of_keys..][..size], &v[of_keys..][..size]);
        forward_head(head, &q[index * size..][..size], k, v, out, sums);
    });
    (tensor(out, [batch, heads, len, dim], like), sums)
}

fn forward_head(head: Head, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], sums: &mut [f32]) {
    let mut scores = pool::buffer(BLOCK * head.len);
    for span in head.spans() {
        let (rows, keys) = (span.rows.len(), span.keys());
        let p = &mut scores[..rows * keys];
        let (q, k) = span.parts(q, k, head.dim);
        run_here(vec![multiply(
            p,
            keys,
            Left::new(q, rows, head.dim),
            Right::transposed(k, head.dim, keys),
        )]);
        vectorised(
            #[inline(always)]
            || {
                for (row, line) in span.rows.clone().zip(p.chunks_exact_mut(keys)) {
                    sums[row] = softmax(line, head.seen(&span, row));
                }
            },
        );
        let v = &v[span.first * head.dim..span.rows.end * head.dim];
        let out = &mut out[span.rows.start * head.dim..span.rows.end * head.dim];
        run_here(vec![multiply(
            out,
            head.dim,
            Left::new(p, rows, keys),
            Right::new(v, keys, head.dim),
        )]);
    }
    pool::give(scores);
}

fn multiply<'a>(out: &'a mut [f32], columns: usize, left: Left<'a>, right: Right<'a>) -> Job<'a> {
    Job { out, columns, start: Start::Zero, terms: vec![(left, right)] }
}

/// Softmax over what is seen, zero elsewhere.
#[inline(always)]
fn softmax(line: &mut [f32], seen: std::ops::Range<usize>) -> f32 {
    let end = seen.end;
    line[..seen.start].fill(0.0);
    line[end..].fill(0.0);
    let line = &mut line[seen];
    let mut maxima = [f32::NEG_INFINITY; 8];
    for lanes in line.chunks(8) {
        for (max, value) in maxima.iter_mut().zip(lanes) {
            *max = if *value > *max { *value } else { *max };
        }
    }
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in line.iter_mut() {
        *value = exp(*value - max);
    }
    let sum = sum_of(line.len(), |i| line[i]);
    let inverse = 1.0 / sum;
    for value in line.iter_mut() {
        *value *= inverse;
    }
    max + sum.ln()
}

/// What the backward pass reads: queries, keys, values, the output, and the rows' logarithms.
pub(crate) struct Saved<'a> {
    pub(crate) q: &'a HostTensor,
    pub(crate) k: &'a HostTensor,
    pub(crate) v: &'a HostTensor,
    pub(crate) out: &'a HostTensor,
    pub(crate) sums: &'a [f32],
}

/// Gradients of q, k and v from that of the output.
pub(crate) fn backward(
    saved: &Saved<'_>,
    d_out: &HostTensor,
    [batch, heads, len, dim]: [usize; 4],
    kv_heads: usize,
    window: Option<usize>,
    like: &Tensor<4>,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let (size, head, group) = (len * dim, Head { len, dim, window }, heads / kv_heads);
    let total = batch * heads * size;
    let (mut dq, mut dk, mut dv) = (pool::buffer(total), pool::buffer(total), pool::buffer(total));
    let outputs = dq.par_chunks_exact_mut(size).zip(dk.par_chunks_exact_mut(size));
    let outputs = outputs.zip(dv.par_chunks_exact_mut(size)).enumerate().with_max_len(1);
    outputs.for_each(|(index, ((dq, dk), dv))| {
        let (at, of_keys) = (index * size, index / group * size);
        let inputs = HeadInputs {
            q: &saved.q.values()[at..][..size],
            k: &saved.k.values()[of_keys..][..size],
            v: &saved.v.values()[of_keys..][..size],
            out: &saved.out.values()[at..][..size],
            d_out: &d_out.values()[at..][..size],
            sums: &saved.sums[index * len..][..len],
        };
        backward_head(head, &inputs, dq, dk, dv);
    });
    let (dk, dv) = (of_group(dk, size, group), of_group(dv, size, group));
    let keys = [batch, kv_heads, len, dim];
    (tensor(dq, [batch, heads, len, dim], like), tensor(dk, keys, like), tensor(dv, keys, like))
}

struct HeadInputs<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: &'a [f32],
    d_out: &'a [f32],
    sums: &'a [f32],
}

fn backward_head(
    head: Head,
    inputs: &HeadInputs<'_>,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    let dim = head.dim;
    dk.fill(0.0);
    dv.fill(0.0);
    let (mut p_buffer, mut ds_buffer) =
        (pool::buffer(BLOCK * head.len), pool::buffer(BLOCK * head.len));
    for span in head.spans() {
        let (rows, keys) = (span.rows.len(), span.keys());
        let (p, ds) = (&mut p_buffer[..rows * keys], &mut ds_buffer[..rows * keys]);
        let (q, k) = span.parts(inputs.q, inputs.k, dim);
        let (d_out, v) = span.parts(inputs.d_out, inputs.v, dim);
        run_here(vec![
            multiply(p, keys, Left::new(q, rows, dim), Right::transposed(k, dim, keys)),
            multiply(ds, keys, Left::new(d_out, rows, dim), Right::transposed(v, dim, keys)),
        ]);
        vectorised(
            #[inline(always)]
            || slopes(head, &span, inputs, p, ds),
        );
        let of_keys = span.first * dim..span.rows.end * dim;
        let add = |out, left, right| Job {
            out,
            columns: dim,
            start: Start::Keep,
            terms: vec![(left, right)],
        };
        run_here(vec![
            add(
                &mut dv[of_keys.clone()],
                Left::transposed(p, keys, rows),
                Right::new(d_out, rows, dim),
            ),
            add(&mut dk[of_keys], Left::transposed(ds, keys, rows), Right::new(q, rows, dim)),
            multiply(
                &mut dq[span.rows.start * dim..span.rows.end * dim],
                dim,
                Left::new(ds, rows, keys),
                Right::new(k, keys, dim),
            ),
        ]);
    }
    pool::give(p_buffer);
    pool::give(ds_buffer);
}

/// Scores become probabilities, and gradients of probabilities those of scores: p * (dp - sum(d_out * out)).
#[inline(always)]
fn slopes(head: Head, span: &Span, inputs: &HeadInputs<'_>, p: &mut [f32], ds: &mut [f32]) {
    let (keys, dim) = (span.keys(), head.dim);
    for ((row, p), ds) in
        span.rows.clone().zip(p.chunks_exact_mut(keys)).zip(ds.chunks_exact_mut(keys))
    {
        let (out, d_out) = (&inputs.out[row * dim..][..dim], &inputs.d_out[row * dim..][..dim]);
        let dot = sum_of(dim, |i| out[i] * d_out[i]);
        let (seen, log_sum) = (head.seen(span, row), inputs.sums[row]);
        for unseen in [0..seen.start, seen.end..keys] {
            p[unseen.clone()].fill(0.0);
            ds[unseen].fill(0.0);
        }
        let (p, ds) = (&mut p[seen.clone()], &mut ds[seen]);
        for (p, ds) in p.iter_mut().zip(ds.iter_mut()) {
            *p = exp(*p - log_sum);
            *ds = *p * (*ds - dot);
        }
    }
}

/// Sums of the query heads of each group, always in the same order.
fn of_group(all: Vec<f32>, size: usize, group: usize) -> Vec<f32> {
    if group == 1 {
        return all;
    }
    let mut sums = pool::buffer(all.len() / group);
    sums.par_chunks_exact_mut(size).zip(all.par_chunks_exact(size * group)).for_each(
        |(sum, all)| {
            sum.copy_from_slice(&all[..size]);
            for head in all[size..].chunks_exact(size) {
                sum.iter_mut().zip(head).for_each(|(sum, value)| *sum += value);
            }
        },
    );
    pool::give(all);
    sums
}
