//! RMSNorm and its backward pass.

use burn_tensor::Tensor;

use super::{HostTensor, new_rows, sum_of, tensor};

pub(crate) fn forward(
    x: &HostTensor,
    gamma: &HostTensor,
    eps: f32,
    like: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let [rows, width] = like.dims();
    let (x, gamma) = (x.values(), gamma.values());
    let inverse = new_rows(rows, 1, |first, inverse| {
        for (row, inverse) in inverse.iter_mut().enumerate() {
            let x = &x[(first + row) * width..][..width];
            let mean = sum_of(width, |i| x[i] * x[i]) / width as f32;
            *inverse = 1.0 / (mean + eps).sqrt();
        }
    });
    let y = new_rows(rows, width, |first, y| {
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            let inverse = inverse[first + row];
            let x = &x[(first + row) * width..][..width];
            for ((y, x), gamma) in y.iter_mut().zip(x).zip(gamma) {
                *y = x * inverse * gamma;
            }
        }
    });
    (tensor(y, [rows, width], like), tensor(inverse, [rows, 1], like))
}

pub(crate) fn backward(
    dy: &HostTensor,
    x: &HostTensor,
    inverse: &HostTensor,
    gamma: &HostTensor,
    like: &Tensor<2>,
) -> Tensor<2> {
    let [rows, width] = like.dims();
    let (dy, x, inverse, gamma) = (dy.values(), x.values(), inverse.values(), gamma.values());
    let dx = new_rows(rows, width, |first, dx| {
        for (row, dx) in dx.chunks_exact_mut(width).enumerate() {
            let inverse = inverse[first + row];
            let start = (first + row) * width;
            let (dy, x) = (&dy[start..][..width], &x[start..][..width]);
            let gamma = &gamma[..width];
            let dot = sum_of(width, |i| dy[i] * gamma[i] * x[i]);
            // xhat * mean(g * xhat) = x * (inv^2 * dot / width)
            let factor = inverse * inverse * dot / width as f32;
            for i in 0..width {
                dx[i] = (dy[i] * gamma[i] - x[i] * factor) * inverse;
            }
        }
    });
    tensor(dx, [rows, width], like)
}
