//! How records become examples, and what happens to those that cannot.

use std::path::Path;

use rayon::prelude::*;

use super::example::Example;
use super::form::{FieldMap, Understood, understand};
use super::records::{Batch, Record, each_batch};
use super::report::{Place, Problem};
use crate::{Result, TrainError};

/// Number of problems that are listed individually; all are counted.
pub(super) const NAMED: usize = 10;

/// How a record that cannot be used is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBadLine {
    /// The whole data set is refused until the record is fixed.
    #[default]
    Stop,
    /// The record is left out, counted and listed.
    Skip,
}

impl OnBadLine {
    /// Parses the name of a choice.
    ///
    /// # Errors
    /// An unknown name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "stop" => Ok(Self::Stop),
            "skip" => Ok(Self::Skip),
            _ => Err(TrainError::setting("data.on_bad_line", "must be \"stop\" or \"skip\"")),
        }
    }
}

/// How the records of files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Column names of data in a form of its own.
    pub map: FieldMap,
    /// How a record that cannot be used is treated.
    pub on_bad_line: OnBadLine,
}

/// Records that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first: Vec<Problem>,
}

impl Skipped {
    pub(super) fn add(&mut self, error: TrainError) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.extend(Problem::of(error));
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

impl Problem {
    /// The problem of a record that an error reports; `None` for other errors.
    pub(super) fn of(error: TrainError) -> Option<Self> {
        match error {
            TrainError::Data { path, line, unit, reason } => {
                Some(Self { place: Place { path, line, unit }, reason })
            }
            _ => None,
        }
    }
}

impl Record {
    /// Interprets this record of the file at `path`.
    pub(super) fn understand(&self, path: &Path, map: &FieldMap) -> Result<Understood> {
        let bytes = self.text.as_ref().map_err(|reason| self.error(path, reason))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.error(path, "not UTF-8 text"))?;
        understand(text, map).map_err(|reason| self.error(path, &reason))
    }

    /// Adds this record's number to an error that has none.
    pub(super) fn blame(&self, path: &Path, error: TrainError) -> TrainError {
        match error {
            named @ TrainError::Data { .. } => named,
            other => TrainError::data(path, self.number, other.to_string()),
        }
    }
}

impl Batch {
    /// Runs `work` for all records in parallel, and names the record in each error.
    pub(super) fn each<T: Send>(
        &self,
        path: &Path,
        map: &FieldMap,
        work: impl Fn(&Record, Understood) -> Result<T> + Sync,
    ) -> Vec<Result<T>> {
        let one = |record: &Record| {
            let done = record.understand(path, map).and_then(|understood| work(record, understood));
            done.map_err(|error| record.blame(path, error).counted_in(self.unit))
        };
        self.records.par_iter().map(one).collect()
    }
}

/// Reads the examples of a file: JSON Lines, a JSON array or Parquet; the first two may be
/// compressed with gzip.
///
/// # Errors
/// The first record that cannot be used; a file without examples, or of an unsupported kind.
pub fn read_examples(path: &Path, map: &FieldMap) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    each_batch(path, &mut |batch| {
        for example in batch.each(path, map, |_, understood| Ok(understood.example)) {
            examples.push(example?);
        }
        Ok(())
    })?;
    Ok(examples)
}

/// Reads a file without keeping its examples.
///
/// # Errors
/// The first record that is not an example, unless such records are left out; a file without
/// examples, or of an unsupported kind.
pub fn check_examples(path: &Path, reading: &Reading) -> Result<()> {
    let (mut any, mut last) = (false, None);
    each_batch(path, &mut |batch| {
        for example in batch.each(path, &reading.map, |_, _| Ok(())) {
            match (example, reading.on_bad_line) {
                (Ok(()), _) => any = true,
                (Err(error), OnBadLine::Skip) => last = Some(error),
                (Err(error), OnBadLine::Stop) => return Err(error),
            }
        }
        Ok(())
    })?;
    match (any, last) {
        (false, Some(error)) => Err(error),
        _ => Ok(()),
    }
}
