//! `fed-sb`: the matrix R between two fixed factors, after Fed-SB (Singhal et al.,
//! arXiv:2502.15436). An update of the weights is alpha/rank B R A, which is linear in R: the sum
//! of the members' updates is exact, and each has rank x rank values per projection, however wide
//! it is.

use rayon::prelude::*;

use super::global::GlobalAdapter;
use super::layout::{AdapterLayout, Factor};
use crate::random::Stream;

/// B before the first round: uniform, with variance 1/rank. So a step that changes each value of R
/// by h changes the values of B R by about h, and the learning rates of the other algorithms suit
/// this one too.
pub(super) fn first_b(layout: &AdapterLayout, seed: [u8; 32]) -> Vec<f32> {
    let mut stream = Stream::new(seed, "first factor b");
    let bound = (3.0 / layout.rank() as f64).sqrt();
    (0..layout.len(Factor::B)).map(|_| ((2.0 * stream.unit() - 1.0) * bound) as f32).collect()
}

/// The identity for every module, so that B R = B.
pub(super) fn identity(layout: &AdapterLayout) -> Vec<f32> {
    let rank = layout.rank();
    let one = |index: usize| (index % (rank * rank)).is_multiple_of(rank + 1);
    (0..layout.len(Factor::R)).map(|index| if one(index) { 1.0 } else { 0.0 }).collect()
}

/// B R of every module, in the layout's order of B. Each value is summed in f64 in a fixed order,
/// so it is the same on every machine.
pub(super) fn b_times_r(adapter: &GlobalAdapter) -> Vec<f32> {
    let layout = adapter.layout();
    let rank = layout.rank();
    let mut product = vec![0.0; layout.len(Factor::B)];
    for ((_, b), (_, r)) in layout.ranges(Factor::B).zip(layout.ranges(Factor::R)) {
        let out = &mut product[b.clone()];
        let (b, r) = (&adapter.values(Factor::B)[b], &adapter.values(Factor::R)[r]);
        let rows = out.par_chunks_exact_mut(rank).zip(b.par_chunks_exact(rank));
        rows.for_each(|(out, b)| combine(out, b.iter().copied().zip(r.chunks_exact(rank))));
    }
    product
}

/// The gradient of R from that of B R: B^T times it, in the layout's order of R.
pub(crate) fn gradient_of_r(adapter: &GlobalAdapter, gradient: &[f32]) -> Vec<f32> {
    let layout = adapter.layout();
    let rank = layout.rank();
    let mut product = vec![0.0; layout.len(Factor::R)];
    for ((_, b), (_, r)) in layout.ranges(Factor::B).zip(layout.ranges(Factor::R)) {
        let (b, gradient) = (&adapter.values(Factor::B)[b.clone()], &gradient[b]);
        let rows = product[r].par_chunks_exact_mut(rank).enumerate();
        rows.for_each(|(row, out)| {
            let factors = b.chunks_exact(rank).map(|b| b[row]);
            combine(out, factors.zip(gradient.chunks_exact(rank)));
        });
    }
    product
}

/// The sum of vectors, each multiplied by its factor, in their order.
fn combine<'a>(out: &mut [f32], parts: impl Iterator<Item = (f32, &'a [f32])>) {
    let mut sum = vec![0f64; out.len()];
    for (factor, vector) in parts {
        let terms = vector.iter().map(|value| f64::from(factor) * f64::from(*value));
        sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
    out.iter_mut().zip(sum).for_each(|(out, sum)| *out = sum as f32);
}
