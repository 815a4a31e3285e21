//! Blockwise attention against the whole square of scores, on tensors of the processor.

use std::sync::Arc;

use super::*;
use crate::model::attention;
use crate::model::attention::tests::{close, random, shape, whole};
use crate::model::batch::Indices;
use crate::model::kernels;
use crate::random::Stream;

#[test]
fn blocks_of_any_size_give_what_the_whole_square_gives() {
    let (batch, heads, kv_heads, len, head_dim) = (2, 4, 2, 11, 6);
    let starts: Vec<u32> = (0..batch * len).map(|at| if at % len < 4 { 0 } else { 4 }).collect();
    let device = crate::cpu();
    let mut stream = Stream::new([12; 32], "attention in blocks");
    let mut random = |heads| random(&mut stream, [batch, heads, len, head_dim]);
    let (q, k, v, d) = (random(heads), random(kv_heads), random(kv_heads), random(heads));
    for (window, packed) in [(None, false), (Some(3), false), (None, true), (Some(3), true)] {
        // One block, three blocks, and one block per query.
        for block_values in [BLOCK_VALUES, batch * heads * len * 4, 1] {
            let mut shape = shape([batch, heads, kv_heads], len, head_dim);
            shape.block_values = block_values;
            if packed {
                shape.starts = Some(Arc::new(starts.clone()));
                let [places] = Indices::put([&starts], &device);
                shape.masks = Masks::packed(places.tensor, batch, len);
            }
            let what = |part: &str| format!("{part}, {window:?} {packed} {block_values}");
            let (wanted, kept) = whole(&shape, [&q, &k, &v], window);
            let (out, saved) = forward(&shape, &q, &k, &v, window);
            let joined = |x| kernels::join_heads(x, shape.queries(), None, 1.0);
            close(&what("out"), joined(out), wanted);
            let wanted = attention::backward(&shape, joined(d.clone()), kept);
            let ours = backward(&shape, &d, &q, &k, &v, saved);
            close(&what("dq"), ours.0, wanted.0);
            close(&what("dk"), ours.1, wanted.1);
            close(&what("dv"), ours.2, wanted.2);
        }
    }
}
