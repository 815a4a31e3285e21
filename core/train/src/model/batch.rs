//! A padded batch of token sequences with the positions that carry a loss.

use std::sync::Arc;

use burn_tensor::{Device, Int, Tensor};

use super::transfer::{is_host, upload_ints};
use crate::{Result, TrainError};

/// One tokenised example. `labels[i]` says whether token `i` is part of the response, that is,
/// whether predicting it from the tokens before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Loss mask, of the same length as `ids`.
    pub labels: Vec<bool>,
}

impl TokenSequence {
    /// Number of tokens that carry a loss; the first token never does.
    pub fn label_count(&self) -> usize {
        self.labels.iter().skip(1).filter(|label| **label).count()
    }
}

/// Sequences padded on the right to one length. Causal attention keeps the padding away from every
/// labelled position, so it needs no mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[sequences * len]` token ids, padded with 0.
    pub(crate) ids: Vec<u32>,
    pub(crate) sequences: usize,
    pub(crate) len: usize,
    /// For packed rows: `[sequences * len]`, the position at which each token's own example begins.
    pub(crate) starts: Option<Arc<Vec<u32>>>,
    /// Rows (sequence * len + position) whose next token is predicted, ascending.
    pub(crate) rows: Vec<u32>,
    /// The token to predict at each of `rows`.
    pub(crate) targets: Vec<u32>,
}

impl Batch {
    /// Pads `sequences` to the longest of them. Fails when no token of the batch carries a loss.
    pub fn new(sequences: &[&TokenSequence]) -> Result<Self> {
        let len = sequences.iter().map(|s| s.ids.len()).max().unwrap_or(0);
        let mut batch = Self::empty(sequences.len(), len);
        for (index, sequence) in sequences.iter().enumerate() {
            batch.put(sequence, index * len)?;
        }
        batch.check()
    }

    /// Packs short sequences one after the other into rows as long as the longest of them, which
    /// leaves little padding. Attention does not cross from one sequence to the next, and rotary
    /// embeddings depend on differences of positions only, so the loss is that of [`Self::new`].
    /// Fails when no token of the batch carries a loss.
    pub fn packed(sequences: &[&TokenSequence]) -> Result<Self> {
        let len = sequences.iter().map(|s| s.ids.len()).max().unwrap_or(0);
        // First fit, longest first. The sort is stable, so that rounds are reproducible.
        let mut order: Vec<&TokenSequence> = sequences.to_vec();
        order.sort_by_key(|sequence| std::cmp::Reverse(sequence.ids.len()));
        let mut used: Vec<usize> = Vec::new();
        let mut places = Vec::with_capacity(order.len());
        for sequence in &order {
            let size = sequence.ids.len();
            let row = used.iter().position(|used| used + size <= len).unwrap_or(used.len());
            if row == used.len() {
                used.push(0);
            }
            places.push(row * len + used[row]);
            used[row] += size;
        }
        let mut batch = Self::empty(used.len(), len);
        let mut starts: Vec<u32> = (0..used.len() * len).map(|at| (at % len) as u32).collect();
        for (sequence, place) in order.into_iter().zip(places) {
            batch.put(sequence, place)?;
            starts[place..place + sequence.ids.len()].fill((place % len) as u32);
        }
        batch.starts = Some(Arc::new(starts));
        batch.check()
    }

    fn empty(sequences: usize, len: usize) -> Self {
        let (ids, starts) = (vec![0; sequences * len], None);
        Self { ids, sequences, len, starts, rows: Vec::new(), targets: Vec::new() }
    }

    fn put(&mut self, sequence: &TokenSequence, start: usize) -> Result<()> {
        if sequence.ids.len() != sequence.labels.len() {
            return Err(TrainError::setting("labels", "as many labels as tokens are needed"));
        }
        self.ids[start..start + sequence.ids.len()].copy_from_slice(&sequence.ids);
        for position in 1..sequence.ids.len() {
            if sequence.labels[position] {
                self.rows.push((start + position - 1) as u32);
                self.targets.push(sequence.ids[position]);
            }
        }
        Ok(())
    }

    /// Sorts the rows, as the loss requires; fails without rows.
    fn check(mut self) -> Result<Self> {
        if self.rows.is_empty() {
            return Err(TrainError::setting("batch", "no token in it carries a loss"));
        }
        if !self.rows.is_sorted() {
            let mut pairs: Vec<_> = self.rows.iter().copied().zip(self.targets).collect();
            pairs.sort_unstable();
            (self.rows, self.targets) = pairs.into_iter().unzip();
        }
        Ok(self)
    }

    /// Tokens that carry a loss.
    pub fn label_count(&self) -> usize {
        self.rows.len()
    }

    /// Tokens computed, padding included.
    pub fn token_count(&self) -> usize {
        self.ids.len()
    }
}

/// Lists of token ids or row indices, on the host and on the device.
#[derive(Clone)]
pub(crate) struct Indices {
    pub(crate) host: Vec<u32>,
    pub(crate) tensor: Tensor<1, Int>,
}

impl Indices {
    /// Uploads all `lists` to the device. A device with memory of its own receives them as one
    /// buffer, and the results are views into it.
    pub(crate) fn put<const N: usize>(lists: [&[u32]; N], device: &Device) -> [Self; N] {
        let ints = |list: &[u32]| list.iter().map(|id| *id as i32).collect::<Vec<_>>();
        if is_host(device) {
            return lists.map(|list| {
                let tensor = upload_ints(ints(list), [list.len()], device);
                Self { host: list.to_vec(), tensor }
            });
        }
        let all = lists.concat();
        let buffer = upload_ints(ints(&all), [all.len()], device);
        let mut start = 0;
        lists.map(|list| {
            let tensor = buffer.clone().narrow(0, start, list.len());
            start += list.len();
            Self { host: list.to_vec(), tensor }
        })
    }

    /// A view of `len` numbers from `start` on.
    pub(crate) fn narrow(&self, start: usize, len: usize) -> Self {
        let host = self.host[start..start + len].to_vec();
        Self { host, tensor: self.tensor.clone().narrow(0, start, len) }
    }
}
