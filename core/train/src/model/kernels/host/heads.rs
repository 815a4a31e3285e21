//! Splitting into heads, rotating and scaling in one pass, and back.

use burn::tensor::Tensor;

use super::{HostTensor, for_rows, pool, tensor};
use crate::model::rope::RopeTable;

pub(crate) fn split(
    x: &HostTensor,
    shape: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f32,
    like: &Tensor<2>,
) -> Tensor<4> {
    let [batch, heads, len, dim] = shape;
    let (x, half) = (x.values(), dim / 2);
    let mut out = pool::buffer(batch * heads * len * dim);
    for_rows(&mut out, dim, |first, run| {
        for (row, y) in run.chunks_exact_mut(dim).enumerate() {
            let row = first + row;
            let (position, head, sequence) = (row % len, row / len % heads, row / len / heads);
            let x = &x[((sequence * len + position) * heads + head) * dim..][..dim];
            let Some(rope) = rope else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale);
                continue;
            };
            let (cos, sin) = rope.angles(position);
            let (low, high) = y.split_at_mut(half);
            for j in 0..half {
                low[j] = (x[j] * cos[j] - x[half + j] * sin[j]) * scale;
                high[j] = (x[half + j] * cos[j] + x[j] * sin[j]) * scale;
            }
        }
    });
    tensor(out, shape, like)
}

pub(crate) fn join(
    dx: &HostTensor,
    [batch, heads, len, dim]: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f32,
    like: &Tensor<4>,
) -> Tensor<2> {
    let (dx, half) = (dx.values(), dim / 2);
    let mut out = pool::buffer(batch * heads * len * dim);
    for_rows(&mut out, dim, |first, run| {
        for (row, y) in run.chunks_exact_mut(dim).enumerate() {
            let row = first + row;
            let (head, position, sequence) = (row % heads, row / heads % len, row / heads / len);
            let x = &dx[((sequence * heads + head) * len + position) * dim..][..dim];
            let Some(rope) = rope else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale);
                continue;
            };
            let (cos, sin) = rope.angles(position);
            let (low, high) = y.split_at_mut(half);
            for j in 0..half {
                low[j] = (x[j] * cos[j] + x[half + j] * sin[j]) * scale;
                high[j] = (x[half + j] * cos[j] - x[j] * sin[j]) * scale;
            }
        }
    });
    tensor(out, [batch * len, heads * dim], like)
}
