//! Blockwise attention against the full score matrix, on tensors of the processor.

use std::sync::Arc;

use burn_tensor::Distribution;

use super::*;
use crate::model::attention;
use crate::model::batch::Indices;
use crate::model::product::ComputePrecision;
use crate::model::to_vec;

#[track_caller]
fn close(what: &str, ours: Tensor<4>, whole: Tensor<4>) {
    assert_eq!(ours.dims(), whole.dims(), "{what}");
    let (ours, whole) = (to_vec(ours), to_vec(whole));
    let largest = whole.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let worst = ours.iter().zip(&whole).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 2e-6 * largest, "{what}: {worst:e} of {largest:e}");
}

#[test]
fn blocks_of_any_size_give_what_the_whole_square_gives() {
    let (batch, heads, kv_heads, len, head_dim) = (2, 4, 2, 11, 6);
    let starts: Vec<u32> = (0..batch * len).map(|at| if at % len < 4 { 0 } else { 4 }).collect();
    let device = crate::cpu();
    let random = |heads| {
        let shape = [batch, heads, len, head_dim];
        Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.5), &device)
    };
    let (q, k, v, d) = (random(heads), random(kv_heads), random(kv_heads), random(heads));
    for (window, packed) in [(None, false), (Some(3), false), (None, true), (Some(3), true)] {
        // One block, three blocks, and one block per query.
        for block_values in [BLOCK_VALUES, batch * heads * len * 4, 1] {
            let mut shape = AttentionShape {
                batch,
                len,
                heads,
                kv_heads,
                head_dim,
                scale: 1.0,
                starts: packed.then(|| Arc::new(starts.clone())),
                masks: Masks::default(),
                block_values,
                compute: ComputePrecision::F32,
            };
            if packed {
                let [places] = Indices::put([&starts], &device);
                shape.masks = Masks::packed(places.tensor, batch, len);
            }
            let what = |part: &str| format!("{part}, {window:?} {packed} {block_values}");
            let (whole, kept) = attention::forward(&shape, q.clone(), k.clone(), v.clone(), window);
            let (out, saved) = forward(&shape, &q, &k, &v, window);
            close(&what("out"), out, whole);
            let whole = attention::backward(&shape, d.clone(), kept);
            let ours = backward(&shape, &d, &q, &k, &v, saved);
            close(&what("dq"), ours.0, whole.0);
            close(&what("dk"), ours.1, whole.1);
            close(&what("dv"), ours.2, whole.2);
        }
    }
}
