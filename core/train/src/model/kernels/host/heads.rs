//! Splits into heads, rotates and scales in one pass, and the reverse.

use burn_tensor::Tensor;

use super::{HostTensor, new_rows, tensor};
use crate::model::rope::RopeTable;

/// `[batch * len, heads * head_dim]` to `[batch, heads, len, head_dim]`.
pub(crate) fn split(
    x: &HostTensor,
    shape: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f32,
    like: &Tensor<2>,
) -> Tensor<4> {
    tensor(regroup(x, shape, rope, scale, false), shape, like)
}

/// The transpose of [`split`].
pub(crate) fn join(
    dx: &HostTensor,
    shape: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f32,
    like: &Tensor<4>,
) -> Tensor<2> {
    let [batch, heads, len, dim] = shape;
    tensor(regroup(dx, shape, rope, scale, true), [batch * len, heads * dim], like)
}

/// Moves the row of one head and position to its place in the other layout, rotated (by the
/// inverse, if `inverse`) and scaled.
fn regroup(
    x: &HostTensor,
    [batch, heads, len, dim]: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f32,
    inverse: bool,
) -> Vec<f32> {
    let x = x.values();
    let direction = if inverse { -1.0 } else { 1.0 };
    new_rows(batch * heads * len, dim, |first, run| {
        for (row, y) in run.chunks_exact_mut(dim).enumerate() {
            let row = first + row;
            let (position, from) = match inverse {
                false => {
                    let (position, head, sequence) =
                        (row % len, row / len % heads, row / len / heads);
                    (position, (sequence * len + position) * heads + head)
                }
                true => {
                    let (head, position, sequence) =
                        (row % heads, row / heads % len, row / heads / len);
                    (position, (sequence * heads + head) * len + position)
                }
            };
            let x = &x[from * dim..][..dim];
            let Some(rope) = rope else {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale);
                continue;
            };
            let (cos, sin) = rope.angles(position);
            let half = rope.half();
            let (low, rest) = y.split_at_mut(half);
            let (high, rest) = rest.split_at_mut(half);
            rest.iter_mut().zip(&x[2 * half..]).for_each(|(y, x)| *y = x * scale);
            for j in 0..half {
                let sin = direction * sin[j];
                low[j] = (x[j] * cos[j] - x[half + j] * sin) * scale;
                high[j] = (x[half + j] * cos[j] + x[j] * sin) * scale;
            }
        }
    })
}
