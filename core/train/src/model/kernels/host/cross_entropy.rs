//! Losses of rows of logits, and their gradient, which overwrites the logits.

use burn_tensor::Tensor;
use rayon::prelude::*;

use super::exp::exp;
use super::{sum_of, take, tensor, vectorised};

pub(crate) fn both(
    logits: Tensor<2>,
    targets: &[u32],
    scale: Option<f64>,
) -> (f64, Option<Tensor<2>>) {
    let (dims, like) = (logits.dims(), Tensor::<1>::empty([1], &logits.device()));
    let mut values = take(logits);
    let mut losses = vec![0f64; targets.len()];
    let rows = values.par_chunks_exact_mut(dims[1]).zip(targets).zip(&mut losses);
    rows.for_each(|((row, target), loss)| {
        *loss = vectorised(|| one(row, *target as usize, scale.map(|scale| scale as f32)));
    });
    let gradient = scale.map(|_| tensor(values, dims, &like));
    // Added sequentially, so that the sum does not depend on how rows were distributed.
    (losses.iter().sum(), gradient)
}

#[inline(always)]
fn one(row: &mut [f32], target: usize, scale: Option<f32>) -> f64 {
    let mut maxima = [f32::NEG_INFINITY; 8];
    for lanes in row.chunks(8) {
        for (max, value) in maxima.iter_mut().zip(lanes) {
            *max = if *value > *max { *value } else { *max };
        }
    }
    let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let at_target = row[target];
    if scale.is_none() {
        let sum = sum_of(row.len(), |i| exp(row[i] - max));
        return f64::from(sum).ln() + f64::from(max - at_target);
    }
    for value in row.iter_mut() {
        *value = exp(*value - max);
    }
    let sum = sum_of(row.len(), |i| row[i]);
    let scale = scale.unwrap_or(1.0);
    let factor = scale / sum;
    for value in row.iter_mut() {
        *value *= factor;
    }
    row[target] -= scale;
    f64::from(sum).ln() + f64::from(max - at_target)
}
