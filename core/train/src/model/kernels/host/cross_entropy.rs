//! The loss of each row of logits, and their gradient, which overwrites the logits.

use burn_tensor::Tensor;
use rayon::prelude::*;

use super::exp::exp;
use super::{sum_of, take, tensor, vectorised};

pub(crate) fn both(logits: Tensor<2>, targets: &[u32], scale: f64) -> (Vec<f64>, Tensor<2>) {
    let (dims, like) = (logits.dims(), Tensor::<1>::empty([1], &logits.device()));
    let mut values = take(logits);
    let losses = of_rows(&mut values, dims[1], targets, |row, target| {
        vectorised(|| with_gradient(row, target, scale as f32))
    });
    (losses, tensor(values, dims, &like))
}

pub(crate) fn losses(logits: Tensor<2>, targets: &[u32]) -> Vec<f64> {
    let columns = logits.dims()[1];
    let mut values = take(logits);
    of_rows(&mut values, columns, targets, |row, target| vectorised(|| alone(row, target)))
}

fn of_rows(
    values: &mut [f32],
    columns: usize,
    targets: &[u32],
    one: impl Fn(&mut [f32], usize) -> f64 + Sync,
) -> Vec<f64> {
    let rows = values.par_chunks_exact_mut(columns).zip(targets);
    rows.map(|(row, target)| one(row, *target as usize)).collect()
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; 8];
    for lanes in row.chunks(8) {
        for (max, value) in maxima.iter_mut().zip(lanes) {
            *max = if *value > *max { *value } else { *max };
        }
    }
    maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn alone(row: &[f32], target: usize) -> f64 {
    let max = largest(row);
    let sum = sum_of(row.len(), |i| exp(row[i] - max));
    f64::from(sum).ln() + f64::from(max - row[target])
}

#[inline(always)]
fn with_gradient(row: &mut [f32], target: usize, scale: f32) -> f64 {
    let max = largest(row);
    let at_target = row[target];
    for value in row.iter_mut() {
        *value = exp(*value - max);
    }
    let sum = sum_of(row.len(), |i| row[i]);
    let factor = scale / sum;
    for value in row.iter_mut() {
        *value *= factor;
    }
    row[target] -= scale;
    f64::from(sum).ln() + f64::from(max - at_target)
}
