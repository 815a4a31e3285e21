//! A padded batch of token sequences with the positions that carry a loss.

use crate::{Result, TrainError};

/// One tokenised example. `labels[i]` says whether token `i` is part of the response, that is,
/// whether predicting it from the tokens before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Loss mask, as long as `ids`.
    pub labels: Vec<bool>,
}

impl TokenSequence {
    /// A sequence in which every token after the first is predicted: language-model pretraining.
    pub fn all_labelled(ids: Vec<u32>) -> Self {
        let labels = vec![true; ids.len()];
        Self { ids, labels }
    }

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
    /// Rows (sequence * len + position) whose next token is predicted, ascending.
    pub(crate) rows: Vec<u32>,
    /// The token to predict at each of `rows`.
    pub(crate) targets: Vec<u32>,
}

impl Batch {
    /// Pads `sequences` to the longest of them. Fails when no token of the batch carries a loss.
    pub fn new(sequences: &[&TokenSequence]) -> Result<Self> {
        let len = sequences.iter().map(|s| s.ids.len()).max().unwrap_or(0);
        let mut batch = Self {
            ids: vec![0; sequences.len() * len],
            sequences: sequences.len(),
            len,
            rows: Vec::new(),
            targets: Vec::new(),
        };
        for (index, sequence) in sequences.iter().enumerate() {
            if sequence.ids.len() != sequence.labels.len() {
                return Err(TrainError::setting("labels", "as many labels as tokens are needed"));
            }
            let start = index * len;
            batch.ids[start..start + sequence.ids.len()].copy_from_slice(&sequence.ids);
            for position in 1..sequence.ids.len() {
                if sequence.labels[position] {
                    batch.rows.push((start + position - 1) as u32);
                    batch.targets.push(sequence.ids[position]);
                }
            }
        }
        if batch.rows.is_empty() {
            return Err(TrainError::setting("batch", "no token in it carries a loss"));
        }
        Ok(batch)
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
