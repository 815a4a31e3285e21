//! What the tests of both kinds of blocks compare with: the whole square of scores.

use burn_tensor::{Tensor, TensorData};

use super::{AttentionSaved, AttentionShape, BLOCK_VALUES, Masks};
use crate::model::kernels;
use crate::model::product::ComputePrecision;
use crate::model::to_vec;
use crate::model::upload;
use crate::random::Stream;

pub(super) fn shape(
    [batch, heads, kv_heads]: [usize; 3],
    len: usize,
    head_dim: usize,
) -> AttentionShape {
    AttentionShape {
        batch,
        len,
        heads,
        kv_heads,
        head_dim,
        scale: 1.0,
        starts: None,
        masks: Masks::default(),
        block_values: BLOCK_VALUES,
        compute: ComputePrecision::F32,
    }
}

/// Values of the standard normal distribution times 1.5, the same in each run.
pub(super) fn random(stream: &mut Stream, shape: [usize; 4]) -> Tensor<4> {
    // Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958. The argument of
    // the logarithm is not zero.
    let mut normal = || {
        let (radius, angle) = (1.0 - stream.unit(), std::f64::consts::TAU * stream.unit());
        (1.5 * (-2.0 * radius.ln()).sqrt() * angle.cos()) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| normal()).collect();
    Tensor::from_data(TensorData::new(values, shape), &crate::cpu())
}

/// As [`super::forward`], from the definition.
pub(super) fn whole(
    shape: &AttentionShape,
    [q, k, v]: [&Tensor<4>; 3],
    window: Option<usize>,
) -> (Tensor<2>, AttentionSaved) {
    let (batch, len) = (shape.batch, shape.len);
    let mut mask = vec![f32::NEG_INFINITY; batch * len * len];
    for (row, line) in mask.chunks_exact_mut(len).enumerate() {
        let position = row % len;
        let begin = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let own = shape.starts.as_ref().map_or(0, |starts| starts[row] as usize);
        line[begin.max(own)..=position].fill(0.0);
    }
    let mask: Tensor<4> = upload(mask, [batch, 1, len, len], &q.device());
    let mask = Tensor::cat(vec![mask; shape.group()], 2);
    let q = shape.stack(q.clone());
    let scores = q.clone().matmul(k.clone().transpose()) + mask;
    let p = burn_tensor::activation::softmax(scores, 3);
    let out = p.clone().matmul(v.clone()).reshape(shape.queries());
    let out = kernels::join_heads(out, shape.queries(), None, 1.0);
    (out, AttentionSaved::whole([q, k.clone(), v.clone()], p))
}

/// Values are of the order of one, so a difference is measured against that at least: what is zero
/// by definition may be a rounding error.
#[track_caller]
pub(super) fn close<const D: usize>(what: &str, ours: Tensor<D>, whole: Tensor<D>) {
    assert_eq!(ours.dims(), whole.dims(), "{what}");
    let (ours, whole) = (to_vec(ours), to_vec(whole));
    let largest = whole.iter().fold(1f32, |m, v| m.max(v.abs()));
    let worst = ours.iter().zip(&whole).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 1e-5 * largest, "{what}: {worst:e} of {largest:e}");
}
