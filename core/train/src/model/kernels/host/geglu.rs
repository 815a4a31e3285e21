//! gelu(gate) * up in GELU's tanh approximation, and its gradients. 0.5 (1 + tanh u) is the
//! logistic function of 2u, so gelu(x) = x sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3).

use burn_tensor::Tensor;

use super::exp::exp;
use super::{HostTensor, new_rows, new_rows2, tensor};
use crate::model::kernels::{GELU_CUBE, GELU_SLOPE};

#[inline(always)]
fn sigmoid_of(x: f32) -> f32 {
    1.0 / (1.0 + exp(-2.0 * GELU_SLOPE * (x + GELU_CUBE * x * x * x)))
}

pub(crate) fn forward(gate: &HostTensor, up: &HostTensor, like: &Tensor<2>) -> Tensor<2> {
    let (gate, up) = (gate.values(), up.values());
    let out = new_rows(gate.len(), 1, |first, out| {
        let (gate, up) = (&gate[first..][..out.len()], &up[first..][..out.len()]);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate * sigmoid_of(*gate) * up;
        }
    });
    tensor(out, like.dims(), like)
}

pub(crate) fn backward(
    d: &HostTensor,
    gate: &HostTensor,
    up: &HostTensor,
    like: &Tensor<2>,
) -> (Tensor<2>, Tensor<2>) {
    let (d, gate, up) = (d.values(), gate.values(), up.values());
    let (d_gate, d_up) = new_rows2(gate.len(), 1, |first, d_gate, d_up| {
        let len = d_gate.len();
        let (d, gate, up) = (&d[first..][..len], &gate[first..][..len], &up[first..][..len]);
        let d_up = &mut d_up[..len];
        for i in 0..len {
            let (x, s) = (gate[i], sigmoid_of(gate[i]));
            let slope = 2.0 * GELU_SLOPE * (1.0 + 3.0 * GELU_CUBE * x * x);
            d_gate[i] = d[i] * up[i] * (s + x * s * (1.0 - s) * slope);
            d_up[i] = d[i] * (x * s);
        }
    });
    (tensor(d_gate, like.dims(), like), tensor(d_up, like.dims(), like))
}
