//! silu(gate) * up and its gradients.

use burn_tensor::Tensor;

use super::exp::exp;
use super::{HostTensor, new_rows, new_rows2, tensor};

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

pub(crate) fn forward(gate: &HostTensor, up: &HostTensor, like: &Tensor<2>) -> Tensor<2> {
    let (gate, up) = (gate.values(), up.values());
    let out = new_rows(gate.len(), 1, |first, out| {
        let (gate, up) = (&gate[first..][..out.len()], &up[first..][..out.len()]);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate * sigmoid(*gate) * up;
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
            let s = sigmoid(gate[i]);
            d_gate[i] = d[i] * up[i] * (s * (1.0 + gate[i] * (1.0 - s)));
            d_up[i] = d[i] * (gate[i] * s);
        }
    });
    (tensor(d_gate, like.dims(), like), tensor(d_up, like.dims(), like))
}
