//! Attention on devices with memory of their own: one block of queries at a time, against the keys
//! that it can see. So no array grows with the square of the length, and keys that no query sees
//! are skipped. Of the softmax only the log-sum-exp of each row is kept; the backward pass
//! recomputes the block's weights (Dao et al., arXiv:2205.14135).

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use burn_tensor::{Device, Int, Tensor};

use super::AttentionShape;
use crate::model::product::product;

/// Most scores computed at a time; 256 MiB in f32.
pub(crate) const BLOCK_VALUES: usize = 64 << 20;

/// Added to the score of a masked position.
const NEVER: f64 = -1e9;

/// Masks on the device, created once per pass for each block and window.
#[derive(Clone, Default)]
pub(crate) struct Masks {
    /// For packed rows: where each token's own example begins, `[batch, 1, len, 1]`.
    starts: Option<Tensor<4, Int>>,
    made: RefCell<BTreeMap<(usize, usize), Tensor<4>>>,
}

impl Masks {
    /// `starts` has one value for each token of the batch.
    pub(crate) fn packed(starts: Tensor<1, Int>, batch: usize, len: usize) -> Self {
        Self { starts: Some(starts.reshape([batch, 1, len, 1])), made: RefCell::default() }
    }

    /// The mask that is added to scores `[batch, heads, queries, keys]`. It has one head, and one
    /// sequence unless rows are packed.
    fn of(
        &self,
        queries: &Range<usize>,
        keys: &Range<usize>,
        window: Option<usize>,
        device: &Device,
    ) -> Tensor<4> {
        let key = (queries.start, window.unwrap_or(0));
        if let Some(mask) = self.made.borrow().get(&key) {
            return mask.clone();
        }
        let positions = |range: &Range<usize>| {
            Tensor::<1, Int>::arange(range.start as i64..range.end as i64, device)
        };
        let row = positions(queries).reshape([1, 1, queries.len(), 1]);
        let column = positions(keys).reshape([1, 1, 1, keys.len()]);
        // In integers rather than booleans, whose representation differs between devices.
        let later = (column.clone() - row.clone()).clamp_min(0);
        let mut hidden = later;
        if let Some(window) = window {
            hidden = hidden + (row - column.clone() - (window as i64 - 1)).clamp_min(0);
        }
        if let Some(starts) = &self.starts {
            let starts = starts.clone().narrow(2, queries.start, queries.len());
            hidden = hidden + (starts - column).clamp_min(0);
        }
        let mask = hidden.clamp_max(1).float().mul_scalar(NEVER);
        self.made.borrow_mut().insert(key, mask.clone());
        mask
    }
}

/// What the backward pass needs besides q, k and v.
pub(super) struct Saved {
    window: Option<usize>,
    /// For each block, the log-sum-exp of each row, `[batch, heads, queries, 1]`.
    log_sums: Vec<Tensor<4>>,
    /// The output of attention, in the shape of q.
    out: Tensor<4>,
}

/// As [`super::forward`].
pub(super) fn forward(
    shape: &AttentionShape,
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    window: Option<usize>,
) -> (Tensor<4>, Saved) {
    let (mut parts, mut log_sums) = (Vec::new(), Vec::new());
    for block in blocks(shape, window) {
        let (scores, _) = block.scores(shape, q, k, window);
        let largest = scores.clone().max_dim(3);
        let exponentials = (scores - largest.clone()).exp();
        let sums = exponentials.clone().sum_dim(3);
        log_sums.push(sums.clone().log() + largest);
        let weights = block.stack(shape, exponentials / sums);
        let out = product(weights, block.keys(v), shape.compute);
        parts.push(out.reshape([shape.batch, shape.heads, block.queries.len(), shape.head_dim]));
    }
    let out = joined(parts);
    (out.clone(), Saved { window, log_sums, out })
}

/// As [`super::backward`].
pub(super) fn backward(
    shape: &AttentionShape,
    d_out: &Tensor<4>,
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    saved: Saved,
) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let Saved { window, log_sums, out } = saved;
    // The sum of dp p over a row equals that of d_out out.
    let means = (d_out.clone() * out).sum_dim(3);
    let mut dq = Vec::new();
    let (mut dk, mut dv) = (Sum::like(k), Sum::like(v));
    for (block, log_sums) in blocks(shape, window).into_iter().zip(log_sums) {
        let (scores, q) = block.scores(shape, q, k, window);
        let p = (scores - log_sums).exp();
        let d = shape.stack(block.queries(d_out));
        dv.add(
            &block,
            product(block.stack(shape, p.clone()).transpose(), d.clone(), shape.compute),
        );
        let dp = product(d, block.keys(v).transpose(), shape.compute);
        let ds = p * (block.unstack(shape, dp) - block.queries(&means));
        let ds = block.stack(shape, ds);
        dk.add(&block, product(ds.clone().transpose(), q, shape.compute));
        let dq_part = product(ds, block.keys(k), shape.compute);
        let rows = block.queries.len();
        dq.push(dq_part.reshape([shape.batch, shape.heads, rows, shape.head_dim]));
    }
    (joined(dq), dk.whole(), dv.whole())
}

/// A range of queries, and the range of keys that any of them sees, as positions.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
}

/// Divides a pass into blocks of at most `block_values` scores each.
fn blocks(shape: &AttentionShape, window: Option<usize>) -> Vec<Block> {
    let in_row = (shape.batch * shape.heads * shape.len).max(1);
    let rows = (shape.block_values / in_row).clamp(1, shape.len.max(1));
    // Of equal size where possible, so that one set of compiled kernels serves all.
    let rows = shape.len.div_ceil(shape.len.div_ceil(rows).max(1)).max(1);
    let starts = (0..shape.len).step_by(rows);
    let block = |start: usize| {
        let end = (start + rows).min(shape.len);
        let first = window.map_or(0, |window| (start + 1).saturating_sub(window));
        Block { queries: start..end, keys: first..end }
    };
    starts.map(block).collect()
}

impl Block {
    /// Masked scores `[batch, heads, queries, keys]`, and the stacked queries.
    fn scores(
        &self,
        shape: &AttentionShape,
        q: &Tensor<4>,
        k: &Tensor<4>,
        window: Option<usize>,
    ) -> (Tensor<4>, Tensor<4>) {
        let q = shape.stack(self.queries(q));
        let scores = product(q.clone(), self.keys(k).transpose(), shape.compute);
        let mask = shape.masks.of(&self.queries, &self.keys, window, &q.device());
        (self.unstack(shape, scores) + mask, q)
    }

    fn queries(&self, tensor: &Tensor<4>) -> Tensor<4> {
        part(tensor, &self.queries)
    }

    fn keys(&self, tensor: &Tensor<4>) -> Tensor<4> {
        part(tensor, &self.keys)
    }

    /// `[batch, heads, queries, keys]`, with the query heads that share keys stacked.
    fn stack(&self, shape: &AttentionShape, x: Tensor<4>) -> Tensor<4> {
        let rows = shape.group() * self.queries.len();
        x.reshape([shape.batch, shape.kv_heads, rows, self.keys.len()])
    }

    fn unstack(&self, shape: &AttentionShape, x: Tensor<4>) -> Tensor<4> {
        x.reshape([shape.batch, shape.heads, self.queries.len(), self.keys.len()])
    }
}

fn part(tensor: &Tensor<4>, range: &Range<usize>) -> Tensor<4> {
    match *range == (0..tensor.dims()[2]) {
        true => tensor.clone(),
        false => tensor.clone().narrow(2, range.start, range.len()),
    }
}

fn joined(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 2),
    }
}

/// A gradient of keys or values, to which each block adds its contribution.
struct Sum<'a> {
    like: &'a Tensor<4>,
    sum: Option<Tensor<4>>,
}

impl<'a> Sum<'a> {
    fn like(like: &'a Tensor<4>) -> Self {
        Self { like, sum: None }
    }

    fn add(&mut self, block: &Block, part: Tensor<4>) {
        let [batch, heads, len, head_dim] = self.like.dims();
        self.sum = Some(match self.sum.take() {
            None if block.keys == (0..len) => part,
            sum => {
                let sum = sum.unwrap_or_else(|| self.like.zeros_like());
                let range = [0..batch, 0..heads, block.keys.clone(), 0..head_dim];
                let added = sum.clone().slice(range.clone()) + part;
                sum.slice_assign(range, added)
            }
        });
    }

    fn whole(self) -> Tensor<4> {
        self.sum.unwrap_or_else(|| self.like.zeros_like())
    }
}
