//! The parts of a layer that are not matrix products, fused. On the CPU device each is one pass
//! over memory, on all threads; on other devices it is the same formula in tensor operations. Tests
//! check the two against each other.

mod generic;
mod host;
#[cfg(test)]
mod tests;

use burn_tensor::Tensor;

use super::batch::Indices;
use super::config::Activation;
use super::loss::LossSum;
use super::rope::RopeTable;
use super::transfer::to_vec;
pub(crate) use host::{HostTensor, exp, for_rows, new_rows, sum_of, take, tensor, vectorised};

/// y = gamma * x / rms(x) over the last dimension, and 1/rms of each row (`[rows, 1]`).
pub(crate) fn rms_norm(x: &Tensor<2>, gamma: &Tensor<1>, eps: f64) -> (Tensor<2>, Tensor<2>) {
    match (HostTensor::borrow(x), HostTensor::borrow(gamma)) {
        (Some(host_x), Some(gamma)) => host::norm::forward(&host_x, &gamma, eps as f32, x),
        _ => generic::rms_norm(x, gamma, eps),
    }
}

/// The gradient of [`rms_norm`]'s input: inv * (g - xhat * mean(g * xhat)), g = dy * gamma, xhat =
/// x * inv.
pub(crate) fn rms_norm_backward(
    dy: &Tensor<2>,
    x: &Tensor<2>,
    inverse: &Tensor<2>,
    gamma: &Tensor<1>,
) -> Tensor<2> {
    let all = (
        HostTensor::borrow(dy),
        HostTensor::borrow(x),
        HostTensor::borrow(inverse),
        HostTensor::borrow(gamma),
    );
    match all {
        (Some(host_dy), Some(host_x), Some(inverse), Some(gamma)) => {
            host::norm::backward(&host_dy, &host_x, &inverse, &gamma, x)
        }
        _ => generic::rms_norm_backward(dy, x, inverse, gamma),
    }
}

/// The two constants of GELU's tanh approximation: sqrt(2/pi), and the coefficient of x^3.
pub(crate) const GELU_SLOPE: f32 = 0.797_884_6;
pub(crate) const GELU_CUBE: f32 = 0.044_715;

/// f(gate) * up.
pub(crate) fn gated(gate: &Tensor<2>, up: &Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::Silu => swiglu(gate, up),
        Activation::GeluTanh => match (HostTensor::borrow(gate), HostTensor::borrow(up)) {
            (Some(host_gate), Some(host_up)) => host::geglu::forward(&host_gate, &host_up, gate),
            _ => generic::geglu(gate, up),
        },
    }
}

/// Gradients of gate and up.
pub(crate) fn gated_backward(
    d: &Tensor<2>,
    gate: &Tensor<2>,
    up: &Tensor<2>,
    activation: Activation,
) -> (Tensor<2>, Tensor<2>) {
    if activation == Activation::Silu {
        return swiglu_backward(d, gate, up);
    }
    match (HostTensor::borrow(d), HostTensor::borrow(gate), HostTensor::borrow(up)) {
        (Some(host_d), Some(host_gate), Some(host_up)) => {
            host::geglu::backward(&host_d, &host_gate, &host_up, gate)
        }
        _ => generic::geglu_backward(d, gate, up),
    }
}

/// silu(gate) * up.
pub(crate) fn swiglu(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    match (HostTensor::borrow(gate), HostTensor::borrow(up)) {
        (Some(host_gate), Some(host_up)) => host::swiglu::forward(&host_gate, &host_up, gate),
        _ => generic::swiglu(gate, up),
    }
}

/// Gradients of gate and up.
pub(crate) fn swiglu_backward(
    d: &Tensor<2>,
    gate: &Tensor<2>,
    up: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    match (HostTensor::borrow(d), HostTensor::borrow(gate), HostTensor::borrow(up)) {
        (Some(host_d), Some(host_gate), Some(host_up)) => {
            host::swiglu::backward(&host_d, &host_gate, &host_up, gate)
        }
        _ => generic::swiglu_backward(d, gate, up),
    }
}

/// `sum + x`, in the memory of `sum` if nothing else holds it.
pub(crate) fn add(sum: Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
    match HostTensor::borrow(x) {
        Some(host_x) => host::add(sum, &host_x),
        None => sum + x.clone(),
    }
}

/// Losses of `logits` `[rows, vocab]` against `targets`: their sum, and the gradient of
/// `scale * sum` with respect to the logits.
pub(crate) fn cross_entropy(
    logits: Tensor<2>,
    targets: &Indices,
    scale: f64,
) -> (LossSum, Tensor<2>) {
    match HostTensor::borrow(&logits) {
        Some(_) => {
            let (losses, gradient) = host::cross_entropy::both(logits, &targets.host, scale);
            // Added sequentially, so that the sum does not depend on how rows were distributed.
            (LossSum::Host(losses.iter().sum()), gradient)
        }
        None => {
            let (loss, gradient) = generic::cross_entropy(logits, targets.tensor.clone(), scale);
            (LossSum::Device(loss), gradient)
        }
    }
}

/// The loss of each row of `logits` `[rows, vocab]` against its target.
pub(crate) fn losses(logits: Tensor<2>, targets: &Indices) -> Vec<f64> {
    match HostTensor::borrow(&logits) {
        Some(_) => host::cross_entropy::losses(logits, &targets.host),
        None => {
            let losses = to_vec(generic::losses(logits, targets.tensor.clone()));
            losses.into_iter().map(f64::from).collect()
        }
    }
}

/// `[batch * len, heads * head_dim]` to `[batch, heads, len, head_dim]`, rotated if there is a
/// table, and multiplied by `scale`.
pub(crate) fn split_heads(
    x: Tensor<2>,
    shape: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f64,
) -> Tensor<4> {
    if let Some(host) = HostTensor::borrow(&x) {
        return host::heads::split(&host, shape, rope, scale as f32, &x);
    }
    let [batch, heads, len, head_dim] = shape;
    let x = x.reshape([batch, len, heads, head_dim]).swap_dims(1, 2);
    let x = match rope {
        Some(rope) => rope.rotate(x),
        None => x,
    };
    if scale == 1.0 { x } else { x.mul_scalar(scale) }
}

/// The transpose of [`split_heads`], which is its backward pass.
pub(crate) fn join_heads(
    x: Tensor<4>,
    shape: [usize; 4],
    rope: Option<&RopeTable>,
    scale: f64,
) -> Tensor<2> {
    let x = x.reshape(shape);
    if let Some(host) = HostTensor::borrow(&x) {
        return host::heads::join(&host, shape, rope, scale as f32, &x);
    }
    let [batch, heads, len, head_dim] = shape;
    let x = match rope {
        Some(rope) => rope.rotate_back(x),
        None => x,
    };
    let x = x.swap_dims(1, 2).reshape([batch * len, heads * head_dim]);
    if scale == 1.0 { x } else { x.mul_scalar(scale) }
}
