//! The summary of a data set that is shown before somebody agrees to terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Problem;
use super::set::DataSet;

/// Maximum number of unknown field names that are counted individually.
const NAMES: usize = 100;
/// Maximum number of unknown field names, and of lines that are left out, in a summary.
const SHOWN: usize = 10;

/// Fields of no known meaning, with the number of examples that have each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// By name.
    pub names: BTreeMap<String, usize>,
    /// Occurrences of further names, which are not told apart.
    pub more: usize,
}

impl Unknown {
    /// Counts the unknown fields of one example.
    pub(super) fn note(&mut self, names: Vec<String>) {
        names.into_iter().for_each(|name| self.add(name, 1));
    }

    pub(super) fn append(&mut self, other: Self) {
        self.more += other.more;
        other.names.into_iter().for_each(|(name, count)| self.add(name, count));
    }

    fn add(&mut self, name: String, count: usize) {
        match self.names.len() < NAMES || self.names.contains_key(&name) {
            true => *self.names.entry(name).or_default() += count,
            false => self.more += count,
        }
    }
}

/// What the files of a member hold for training, without any content of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Number of examples to train on.
    pub examples: usize,
    /// Number of examples to evaluate on.
    pub held_out: usize,
    /// Number of examples to report on.
    #[serde(default)]
    pub test: usize,
    /// Length in tokens of the longest sequence, after the cut.
    pub longest: usize,
    /// Number of examples that are longer than the longest sequence, and cut.
    pub truncated: usize,
    /// Number of examples that are left out because the cut takes their whole answer.
    pub dropped: usize,
    /// Number of lines that are left out because they cannot be used.
    pub skipped: usize,
    /// The first of them, with their reasons.
    pub skipped_first: Vec<String>,
    /// Some fields of no known meaning, with the number of examples that have each.
    pub unknown: BTreeMap<String, usize>,
}

impl DataSet {
    /// The summary of this data set.
    pub fn summary(&self) -> DataSummary {
        let apart = self.held_out.iter().chain(&self.test);
        let lengths = self.train.iter().chain(apart).map(|it| it.token_count());
        let reason = |it: &Problem| format!("{}: {}", it.place, it.reason);
        let unknown = self.unknown.names.iter().take(SHOWN);
        DataSummary {
            examples: self.train_examples,
            held_out: self.held_out_examples,
            test: self.test_examples,
            longest: lengths.max().unwrap_or(0),
            truncated: self.truncated,
            dropped: self.dropped,
            skipped: self.skipped.count,
            skipped_first: self.skipped.first.iter().take(SHOWN).map(reason).collect(),
            unknown: unknown.map(|(name, count)| (name.clone(), *count)).collect(),
        }
    }
}
