//! The report of `data check` about data before anything is trained on it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::form::Form;
use super::part::Part;
use super::records::Unit;
use crate::text::Segment;

/// Counts, lengths, repetitions, unusable records, and one example as the model will see it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DataReport {
    /// The files, in the order in which they were given.
    pub files: Vec<FileSummary>,
    /// Name of the template.
    pub template: String,
    /// Maximum length of a sequence in tokens.
    pub max_length: usize,
    /// Number of training examples.
    pub train: usize,
    /// Number of held-out examples.
    pub held_out: usize,
    /// Number of test examples.
    pub test: usize,
    /// Number of examples truncated to `max_length`.
    pub truncated: usize,
    /// The first of them.
    pub truncated_first: Option<Place>,
    /// Number of examples left out because truncation removed their whole answer.
    pub dropped: usize,
    /// The first of them.
    pub dropped_first: Option<Place>,
    /// Lengths of all kept sequences in tokens, after truncation.
    pub tokens: LengthSummary,
    /// The same before truncation.
    pub uncut_tokens: LengthSummary,
    /// Tokens that carry a loss, per sequence.
    pub response_tokens: LengthSummary,
    /// Histogram of the lengths before truncation, in bins of equal width.
    pub histogram: Histogram,
    /// Number of training examples that repeat an earlier one.
    pub duplicates: usize,
    /// The first of them.
    pub duplicates_first: Vec<Repeat>,
    /// Number of held-out examples that are training examples too: their loss does not measure
    /// generalisation.
    pub leaked: usize,
    /// Number of held-out examples whose question also occurs in a training example, apart from
    /// case and whitespace.
    pub leaked_questions: usize,
    /// The first of both kinds.
    pub leaked_first: Vec<Repeat>,
    /// Unknown fields, with the number of examples that have them; they are ignored.
    pub unknown: BTreeMap<String, usize>,
    /// Number of examples with further unknown fields, beyond those listed by name.
    pub unknown_more: usize,
    /// Whether records that cannot be used are left out, as `data.on_bad_line` says.
    pub skips: bool,
    /// Number of records that cannot be used.
    pub problem_count: usize,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// The first training example as the model sees it. It contains private data: show it only on
    /// request.
    pub rendered: Option<Rendered>,
}

/// Summary of one file.
#[derive(Clone, Debug, Serialize)]
pub struct FileSummary {
    /// Path of the file.
    pub path: PathBuf,
    /// What it is for.
    pub part: Part,
    /// Whether its records are lines, items or rows.
    pub unit: Unit,
    /// Number of records that were understood, by form.
    pub forms: BTreeMap<Form, usize>,
    /// Number of records that cannot be used.
    pub bad: usize,
    /// Whether it could not be read to its end.
    pub is_cut: bool,
}

/// Position of a record in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Its line, item or row, counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Whether lines, items or rows are counted.
    pub unit: Unit,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.path.display(), self.unit.at(self.line))
    }
}

/// Two records with the same content or question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repeat {
    /// The earlier one, or the training example.
    pub first: Place,
    /// The later one, or the held-out example.
    pub again: Place,
}

/// A record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its position.
    pub place: Place,
    /// What is wrong with it.
    pub reason: String,
}

/// An example as the model sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Rendered {
    /// Its position.
    pub place: Place,
    /// Its whole text in pieces, each with whether it carries a loss.
    pub segments: Vec<Segment>,
    /// The text of its tokens after truncation, in pieces, each with whether it carries a loss.
    pub runs: Vec<(String, bool)>,
    /// Its tokens after truncation, each with whether it carries a loss.
    pub tokens: Vec<(String, bool)>,
}

/// Summary of a list of lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LengthSummary {
    /// Sum.
    pub total: usize,
    /// Smallest.
    pub min: usize,
    /// Median.
    pub median: usize,
    /// 90th percentile.
    pub p90: usize,
    /// 95th percentile.
    pub p95: usize,
    /// 99th percentile.
    pub p99: usize,
    /// Largest.
    pub max: usize,
}

/// How often each length occurs. Memory is proportional to the number of distinct lengths, not of
/// examples.
#[derive(Clone, Debug, Default)]
pub(super) struct Lengths(BTreeMap<usize, usize>);

impl Lengths {
    pub(super) fn add(&mut self, length: usize) {
        *self.0.entry(length).or_default() += 1;
    }
}

impl LengthSummary {
    pub(super) fn new(lengths: &Lengths) -> Self {
        let count: usize = lengths.0.values().sum();
        let at = |percent: usize| {
            let index = (count * percent).div_ceil(100).saturating_sub(1);
            let mut passed = 0;
            let found = lengths.0.iter().find(|(_, times)| {
                passed += **times;
                passed > index
            });
            found.map_or(0, |(length, _)| *length)
        };
        Self {
            total: lengths.0.iter().map(|(length, times)| length * times).sum(),
            min: at(0),
            median: at(50),
            p90: at(90),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }
}

/// Number of lengths in each of at most [`BINS`](Self::BINS) bins of equal width, starting at 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// Width of a bin: bin i holds lengths i * width + 1 to (i + 1) * width.
    pub width: usize,
    /// Number of sequences in each bin.
    pub counts: Vec<usize>,
}

impl Histogram {
    /// Maximum number of bins.
    pub const BINS: usize = 10;

    pub(super) fn new(lengths: &Lengths) -> Self {
        let Some(max) = lengths.0.keys().next_back().copied() else {
            return Self::default();
        };
        // The narrowest width that is 1, 2 or 5 times a power of ten and needs no more bins.
        let mut widths = (0u32..).flat_map(|e| [1, 2, 5].map(|m| m * 10usize.saturating_pow(e)));
        let width = widths.find(|width| max.div_ceil(*width) <= Self::BINS).unwrap_or(max);
        let mut counts = vec![0; max.div_ceil(width).max(1)];
        for (length, times) in &lengths.0 {
            counts[length.saturating_sub(1) / width] += times;
        }
        Self { width, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(of: impl IntoIterator<Item = usize>) -> Lengths {
        let mut lengths = Lengths::default();
        of.into_iter().for_each(|length| lengths.add(length));
        lengths
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        let summary = LengthSummary::new(&lengths((1..=100).rev()));
        assert_eq!((summary.min, summary.median, summary.p90), (1, 50, 90));
        assert_eq!((summary.p95, summary.p99, summary.max), (95, 99, 100));
        assert_eq!(summary.total, 5050);
        assert_eq!(LengthSummary::new(&lengths([])), LengthSummary::default());
        let one = LengthSummary::new(&lengths([7]));
        assert_eq!((one.min, one.median, one.p99, one.max), (7, 7, 7, 7));
    }

    #[test]
    fn every_length_is_in_one_bin() {
        for max in [1, 9, 10, 11, 99, 512, 1000, 1001] {
            let histogram = Histogram::new(&lengths(1..=max));
            assert!(histogram.counts.len() <= Histogram::BINS, "{max}");
            assert_eq!(histogram.counts.iter().sum::<usize>(), max, "{max}");
            assert!(histogram.counts[0] <= histogram.width);
        }
    }
}
