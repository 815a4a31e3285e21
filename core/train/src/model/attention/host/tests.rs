//! Blockwise attention against the whole square of scores.

use std::sync::Arc;

use burn_tensor::Tensor;

use crate::model::attention::tests::{close, random, shape, whole};
use crate::model::attention::{self, AttentionShape};
use crate::model::{kernels, to_vec};
use crate::random::Stream;

/// Random inputs of each shape.
fn inputs<const N: usize>(shapes: [[usize; 4]; N]) -> [Tensor<4>; N] {
    let mut stream = Stream::new([11; 32], "attention on the host");
    shapes.map(|shape| random(&mut stream, shape))
}

#[track_caller]
fn check(shape: &AttentionShape, window: Option<usize>) {
    let what = |part: &str| {
        let packed = if shape.starts.is_some() { ", packed" } else { "" };
        format!("{part} of {} tokens with {window:?}{packed}", shape.len)
    };
    let [q, d, k, v] = inputs([shape.queries(), shape.queries(), shape.keys(), shape.keys()]);
    let d = kernels::join_heads(d, shape.queries(), None, 1.0);
    let (wanted, kept) = whole(shape, [&q, &k, &v], window);
    let (out, saved) = attention::forward(shape, q, k, v, window);
    assert!(matches!(saved.weights, attention::Weights::Host(_)));
    close(&what("out"), out, wanted);
    let wanted = attention::backward(shape, d.clone(), kept);
    let ours = attention::backward(shape, d, saved);
    close(&what("dq"), ours.0, wanted.0);
    close(&what("dk"), ours.1, wanted.1);
    close(&what("dv"), ours.2, wanted.2);
}

/// One block; a block and one query more; several blocks of keys, of which the last is partial.
const LENGTHS: [usize; 5] = [1, 7, 128, 129, 1100];

#[test]
fn blocks_give_what_the_whole_square_gives() {
    for len in LENGTHS {
        for window in [None, Some(1), Some(100), Some(600)] {
            check(&shape([2, 4, 2], len, 6), window);
        }
    }
}

#[test]
fn packed_rows_attend_to_their_own_example_only() {
    for len in LENGTHS {
        for window in [None, Some(100)] {
            let mut shape = shape([2, 2, 1], len, 5);
            // Examples of 90 tokens, but for the second row, which is one example until 700.
            let start = |row: usize, at: usize| match row {
                0 => at / 90 * 90,
                _ => at / 700 * 700,
            };
            let starts = (0..2 * len).map(|at| start(at / len, at % len) as u32);
            shape.starts = Some(Arc::new(starts.collect()));
            check(&shape, window);
        }
    }
}

#[test]
fn scores_far_apart_leave_no_row_without_weight() {
    let shape = shape([1, 1, 1], 700, 4);
    // The largest score of a row is in its first block, and e^-200 of it in the others.
    let q = Tensor::<4>::ones(shape.queries(), &crate::cpu()).mul_scalar(10.0);
    let k = Tensor::<4>::ones(shape.keys(), &crate::cpu());
    let far = k.clone().narrow(2, 0, 1).mul_scalar(6.0);
    let k = Tensor::cat(vec![far, k.narrow(2, 1, 699)], 2);
    let [v] = inputs([shape.keys()]);
    let first = v.clone().narrow(2, 0, 1);
    let (out, _) = attention::forward(&shape, q, k, v, None);
    let last = out.narrow(0, 699, 1);
    close("the last row", last, first.reshape([1, 4]));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let one = || shape([1, 4, 2], 700, 8);
    let [q, d, k, v] = inputs([one().queries(), one().queries(), one().keys(), one().keys()]);
    let d = kernels::join_heads(d, one().queries(), None, 1.0);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let shape = one();
            let (out, saved) = attention::forward(&shape, q.clone(), k.clone(), v.clone(), None);
            let (dq, dk, dv) = attention::backward(&shape, d.clone(), saved);
            (to_vec(out), [dq, dk, dv].map(to_vec))
        })
    };
    assert!(on(1) == on(3));
}
