//! The kernels in tensor operations, for devices other than the CPU and as the reference in tests.

use burn_tensor::{Int, Tensor, activation};

use super::{GELU_CUBE, GELU_SLOPE};

pub(crate) fn rms_norm(x: &Tensor<2>, gamma: &Tensor<1>, eps: f64) -> (Tensor<2>, Tensor<2>) {
    let mean_square = x.clone().square().mean_dim(1);
    let inverse = mean_square.add_scalar(eps).sqrt().recip();
    (x.clone() * inverse.clone() * gamma.clone().unsqueeze(), inverse)
}

pub(crate) fn rms_norm_backward(
    dy: &Tensor<2>,
    x: &Tensor<2>,
    inverse: &Tensor<2>,
    gamma: &Tensor<1>,
) -> Tensor<2> {
    let normed = x.clone() * inverse.clone();
    let g = dy.clone() * gamma.clone().unsqueeze();
    let mean = (g.clone() * normed.clone()).mean_dim(1);
    (g - normed * mean) * inverse.clone()
}

pub(crate) fn swiglu(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    activation::silu(gate.clone()) * up.clone()
}

/// silu'(g) = s (1 + g (1 - s)) with s = sigmoid(g).
pub(crate) fn swiglu_backward(
    d: &Tensor<2>,
    gate: &Tensor<2>,
    up: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let sigmoid = activation::sigmoid(gate.clone());
    let silu = gate.clone() * sigmoid.clone();
    let slope = sigmoid.clone() * (gate.clone() * (sigmoid.neg() + 1.0) + 1.0);
    (d.clone() * up.clone() * slope, d.clone() * silu)
}

/// gelu(x) = x sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3).
fn gelu_sigmoid(x: &Tensor<2>) -> Tensor<2> {
    let cube = x.clone() * x.clone() * x.clone() * GELU_CUBE;
    activation::sigmoid((x.clone() + cube) * (2.0 * GELU_SLOPE))
}

pub(crate) fn geglu(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    gate.clone() * gelu_sigmoid(gate) * up.clone()
}

/// gelu'(x) = s + x s (1 - s) 2 u'.
pub(crate) fn geglu_backward(
    d: &Tensor<2>,
    gate: &Tensor<2>,
    up: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let s = gelu_sigmoid(gate);
    let gelu = gate.clone() * s.clone();
    let inner = (gate.clone() * gate.clone() * (3.0 * GELU_CUBE) + 1.0) * (2.0 * GELU_SLOPE);
    let slope = s.clone() + gelu.clone() * (s.neg() + 1.0) * inner;
    (d.clone() * up.clone() * slope, d.clone() * gelu)
}

/// The loss of each row, `[rows]`.
pub(crate) fn losses(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let log_sums = log_sums(&logits);
    (log_sums - logits.gather(1, targets.reshape([rows, 1]))).reshape([rows])
}

/// log(sum(exp(row))) of each row, `[rows, 1]`.
fn log_sums(logits: &Tensor<2>) -> Tensor<2> {
    let largest = logits.clone().max_dim(1);
    (logits.clone() - largest.clone()).exp().sum_dim(1).log() + largest
}

/// The sum of the losses, `[1]`, and the gradient of `scale` times that sum. The only arrays as large as the
/// logits are the logits themselves and that gradient.
pub(crate) fn cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    scale: f64,
) -> (Tensor<1>, Tensor<2>) {
    let [rows, vocab] = logits.dims();
    let targets = targets.reshape([rows, 1]);
    let log_sums = log_sums(&logits);
    let loss = (log_sums.clone() - logits.clone().gather(1, targets.clone())).sum();
    let tokens = Tensor::<1, Int>::arange(0..vocab as i64, &logits.device());
    let hits = tokens.reshape([1, vocab]).equal(targets).float();
    let gradient = ((logits - log_sums).exp() - hits).mul_scalar(scale);
    (loss, gradient)
}
