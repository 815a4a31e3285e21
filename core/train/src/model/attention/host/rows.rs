//! The softmax of a block of scores, row by row.

use std::ops::Range;

use super::{KEYS, Visible};
use crate::model::kernels::{exp, sum_of, vectorised};
use crate::model::product::Matrix;

/// The softmax of each row over the blocks of keys so far.
pub(super) struct Running {
    /// The largest score.
    largest: Vec<f32>,
    /// The sum of exp(score - largest).
    sums: Vec<f32>,
}

impl Running {
    pub(super) fn new(rows: usize) -> Self {
        Self { largest: vec![f32::NEG_INFINITY; rows], sums: vec![0.0; rows] }
    }

    /// Replaces the scores of a block, whose rows are [`KEYS`] apart, by exp(score - largest), and
    /// by 0 where a row does not attend. `out`, the product of the earlier blocks' weights with the
    /// values, is scaled to the new largest score.
    pub(super) fn weigh(
        &mut self,
        scores: &mut [f32],
        out: &mut [f32],
        visible: &Visible<'_>,
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) {
        let width = out.len() / queries.len().max(1);
        vectorised(|| {
            let lines = scores.chunks_mut(KEYS).zip(out.chunks_exact_mut(width.max(1)));
            let state = self.largest.iter_mut().zip(&mut self.sums);
            for ((position, (line, out)), (largest, sum)) in queries.clone().zip(lines).zip(state) {
                let line = &mut line[..keys.len()];
                let columns = visible.columns(position, keys);
                line[..columns.start].fill(0.0);
                line[columns.end..].fill(0.0);
                let seen = &mut line[columns];
                if seen.is_empty() {
                    continue;
                }
                let new = largest_of(seen).max(*largest);
                for value in seen.iter_mut() {
                    *value = exp(*value - new);
                }
                let kept = exp(*largest - new);
                *sum = *sum * kept + sum_of(seen.len(), |i| seen[i]);
                *largest = new;
                if kept != 1.0 {
                    out.iter_mut().for_each(|value| *value *= kept);
                }
            }
        });
    }

    /// Divides each row of `out` by its sum, and writes its log-sum-exp.
    pub(super) fn finish(&self, out: &mut [f32], log_sums: &mut [f32]) {
        let width = (out.len() / log_sums.len().max(1)).max(1);
        let state = self.largest.iter().zip(&self.sums);
        let lines = out.chunks_exact_mut(width).zip(log_sums);
        for ((out, log_sum), (largest, sum)) in lines.zip(state) {
            let inverse = 1.0 / sum;
            out.iter_mut().for_each(|value| *value *= inverse);
            *log_sum = largest + sum.ln();
        }
    }
}

/// Replaces the scores of a block by the weights exp(score - log-sum-exp), and by 0 where a row
/// does not attend.
pub(super) fn weights(
    scores: &mut [f32],
    log_sums: &[f32],
    visible: &Visible<'_>,
    queries: &Range<usize>,
    keys: &Range<usize>,
) {
    vectorised(|| {
        for ((position, line), log_sum) in
            queries.clone().zip(scores.chunks_mut(KEYS)).zip(log_sums)
        {
            let line = &mut line[..keys.len()];
            let columns = visible.columns(position, keys);
            line[..columns.start].fill(0.0);
            line[columns.end..].fill(0.0);
            for value in &mut line[columns] {
                *value = exp(*value - log_sum);
            }
        }
    });
}

/// Replaces the gradients of a block's weights by those of its scores: p (dp - mean), where mean is
/// the sum of p dp over the whole row.
pub(super) fn score_gradients(gradients: &mut [f32], weights: &[f32], means: &[f32], keys: usize) {
    vectorised(|| {
        let lines = gradients.chunks_mut(KEYS).zip(weights.chunks(KEYS)).zip(means);
        for ((gradients, weights), mean) in lines {
            for (gradient, weight) in gradients[..keys].iter_mut().zip(&weights[..keys]) {
                *gradient = weight * (*gradient - mean);
            }
        }
    });
}

/// The sums of the products of corresponding values, row by row; the sum of p dp over a row is that
/// of the gradient of its output with the output.
pub(super) fn dots(means: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    vectorised(|| {
        for (row, mean) in means.iter_mut().enumerate() {
            let (a, b) = (a.row(row), b.row(row));
            *mean = sum_of(a.len(), |i| a[i] * b[i]);
        }
    });
}

#[inline(always)]
fn largest_of(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; 8];
    let whole = values.chunks_exact(8);
    let rest = whole.remainder();
    for lanes in whole {
        for (largest, value) in largest.iter_mut().zip(lanes) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
    largest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}
