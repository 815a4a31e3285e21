//! What `data check` shows before anything is trained.

use std::path::PathBuf;

use serde::Serialize;

use super::set::{DataSet, DataSettings};
use crate::Result;
use crate::text::{Segment, TextTokenizer};

/// Counts, lengths and one rendered example of a data set.
#[derive(Clone, Debug, Serialize)]
pub struct DataReport {
    /// Examples to train on.
    pub train: usize,
    /// Examples kept for evaluation.
    pub held_out: usize,
    /// Examples that lost their end.
    pub truncated: usize,
    /// Examples left out because nothing of their answer was left.
    pub dropped: usize,
    /// Lengths of all kept sequences, in tokens.
    pub tokens: LengthSummary,
    /// Tokens that carry a loss, per sequence.
    pub response_tokens: LengthSummary,
    /// The first training example, rendered, with its loss mask.
    pub rendered: Vec<Segment>,
    /// The same example's tokens, with whether each carries a loss.
    pub rendered_tokens: Vec<(String, bool)>,
}

/// Summary of a list of lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LengthSummary {
    /// Sum of all.
    pub total: usize,
    /// Smallest.
    pub min: usize,
    /// Half are at most this.
    pub median: usize,
    /// 95 in 100 are at most this.
    pub p95: usize,
    /// Largest.
    pub max: usize,
}

impl LengthSummary {
    fn new(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let at = |percent: usize| {
            let index = (lengths.len() * percent).div_ceil(100).saturating_sub(1);
            lengths.get(index).copied().unwrap_or(0)
        };
        Self { total: lengths.iter().sum(), min: at(0), median: at(50), p95: at(95), max: at(100) }
    }
}

impl DataReport {
    /// Reads the files and describes them; fails on the first line that cannot be used.
    pub fn check(
        paths: &[PathBuf],
        tokenizer: &TextTokenizer,
        settings: &DataSettings,
    ) -> Result<Self> {
        Self::new(&DataSet::load(paths, tokenizer, settings)?, tokenizer, settings)
    }

    /// Describes a data set that is already loaded.
    pub fn new(set: &DataSet, tokenizer: &TextTokenizer, settings: &DataSettings) -> Result<Self> {
        let all = || set.train.iter().chain(&set.held_out).map(|e| &e.sequence);
        let (mut rendered, mut rendered_tokens) = (Vec::new(), Vec::new());
        if let Some(first) = set.train.first() {
            rendered = settings.template.render(&first.example, tokenizer)?;
            for (id, label) in first.sequence.ids.iter().zip(&first.sequence.labels) {
                rendered_tokens.push((tokenizer.decode(&[*id], true)?, *label));
            }
        }
        Ok(Self {
            train: set.train.len(),
            held_out: set.held_out.len(),
            truncated: set.truncated,
            dropped: set.dropped,
            tokens: LengthSummary::new(all().map(|s| s.ids.len()).collect()),
            response_tokens: LengthSummary::new(all().map(|s| s.label_count()).collect()),
            rendered,
            rendered_tokens,
        })
    }
}
