//! Attention on the processor: a block of queries of one head against a block of keys at a time,
//! with a running softmax, so that no array grows with the square of the length. Of the softmax
//! only the log-sum-exp of each row is kept; the backward pass recomputes the block's weights (Dao
//! et al., arXiv:2205.14135). Keys that no query of a block sees are skipped.
//!
//! A thread works on a block with products on that thread alone. Results do not depend on the
//! number of threads.

mod backward;
mod forward;
mod rows;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;

use super::AttentionShape;
use crate::model::kernels::HostTensor;
use crate::model::product::Matrix;
pub(super) use backward::backward;
pub(super) use forward::forward;

/// Queries in a block.
const QUERIES: usize = 128;

/// Keys in a block: with [`QUERIES`], 256 KiB of scores, which stay in a core's second-level cache.
const KEYS: usize = 512;

/// What the backward pass needs.
pub(super) struct Saved {
    window: Option<usize>,
    /// The inputs.
    q: HostTensor,
    k: HostTensor,
    v: HostTensor,
    /// The log-sum-exp of each row of scores, `[batch, heads, len]`.
    log_sums: Vec<f32>,
    /// The output of attention, `[batch * len, heads * head_dim]`.
    out: HostTensor,
}

/// The part of an [`AttentionShape`] that threads share.
#[derive(Clone, Copy)]
struct Heads<'a> {
    batch: usize,
    len: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    starts: Option<&'a [u32]>,
}

impl<'a> Heads<'a> {
    fn of(shape: &'a AttentionShape) -> Self {
        Self {
            batch: shape.batch,
            len: shape.len,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            starts: shape.starts.as_ref().map(|starts| starts.as_slice()),
        }
    }

    /// Heads that share a key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// The queries of a block, as positions.
fn query_blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(QUERIES).map(move |first| first..(first + QUERIES).min(len))
}

/// What the queries of one sequence may attend to.
struct Visible<'a> {
    window: Option<usize>,
    /// For packed rows: where each token's own example begins, by position.
    starts: Option<&'a [u32]>,
}

impl<'a> Visible<'a> {
    fn of(shape: &Heads<'a>, sequence: usize, window: Option<usize>) -> Self {
        Self { window, starts: shape.starts.map(|starts| &starts[sequence * shape.len..]) }
    }

    /// The first key that the query at `position` attends to; the last is at `position` itself.
    fn first(&self, position: usize) -> usize {
        let begin = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        begin.max(self.starts.map_or(0, |starts| starts[position] as usize))
    }

    /// The blocks of keys that any of `queries` attends to.
    fn key_blocks(&self, queries: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let begin = queries.clone().map(|position| self.first(position)).min().unwrap_or(0);
        let end = queries.end;
        (begin..end).step_by(KEYS).map(move |first| first..(first + KEYS).min(end))
    }

    /// The columns of a block of `keys` that the query at `position` attends to.
    fn columns(&self, position: usize, keys: &Range<usize>) -> Range<usize> {
        let clamp = |key: usize| key.clamp(keys.start, keys.end) - keys.start;
        let (begin, end) = (clamp(self.first(position)), clamp(position + 1));
        begin.min(end)..end
    }
}

/// The part of `values`, `[batch, heads, len, head_dim]`, that holds the positions `range` of a
/// head; `head` counts over all sequences.
fn of_head<'a>(
    values: &'a [f32],
    shape: &Heads<'_>,
    head: usize,
    range: &Range<usize>,
) -> Matrix<'a> {
    let width = shape.head_dim;
    let first = (head * shape.len + range.start) * width;
    Matrix::new(&values[first..][..range.len() * width], [range.len(), width], width)
}

/// The part of `values`, `[batch * len, heads * head_dim]`, that holds the positions `range` of a
/// head; `head` counts over all sequences.
fn of_tokens<'a>(
    values: &'a [f32],
    shape: &Heads<'_>,
    head: usize,
    range: &Range<usize>,
) -> Matrix<'a> {
    let (sequence, head) = (head / shape.heads, head % shape.heads);
    let stride = shape.heads * shape.head_dim;
    let first = (sequence * shape.len + range.start) * stride + head * shape.head_dim;
    Matrix::new(&values[first..], [range.len(), shape.head_dim], stride)
}

/// Memory of one thread for the blocks it works on; it is allocated once.
#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
    gradients: Vec<f32>,
}

impl Scratch {
    /// Runs `work` with two arrays of [`QUERIES`] by [`KEYS`] values, whose content is arbitrary.
    fn with<R>(work: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        // Taken out rather than borrowed, so that a task within a task would get its own.
        let mut scratch = SCRATCH.take();
        scratch.scores.resize(QUERIES * KEYS, 0.0);
        scratch.gradients.resize(QUERIES * KEYS, 0.0);
        let result = work(&mut scratch.scores, &mut scratch.gradients);
        SCRATCH.set(scratch);
        result
    }
}

/// The part of a scratch array that a block fills.
fn block<'a>(scratch: &'a [f32], queries: &Range<usize>, keys: &Range<usize>) -> Matrix<'a> {
    Matrix::new(scratch, [queries.len(), keys.len()], KEYS)
}
