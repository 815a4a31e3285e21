//! Reads records a bounded piece at a time: neither a long file nor a record without an end fills
//! the memory.

mod array;
mod lines;
mod parquet;

use std::path::Path;

use serde::Serialize;

use super::source::{Position, Source};
use crate::{Result, TrainError};

/// Maximum length of a record in bytes; a longer one is refused by its number. Only the first
/// tokens of a text are trained on, so no useful example comes near it.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// Bytes of an oversized record that are skipped to find the next one.
const MAX_SKIPPED_BYTES: u64 = 4 << 30;
/// Maximum number of records in a batch.
const BATCH_RECORDS: usize = 512;
/// Size in bytes at which a batch is full.
const BATCH_BYTES: usize = 1 << 20;

/// The kind of records in a file, which determines how they are numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Lines of text; empty ones are counted.
    #[default]
    Line,
    /// Items of a JSON array.
    Item,
    /// Rows of a table.
    Row,
}

impl Unit {
    /// The position of record `number` in such a file, as appended to the file's name.
    pub(crate) fn at(self, number: usize) -> String {
        match self {
            _ if number == 0 => ":0".to_owned(),
            Self::Line => format!(":{number}"),
            Self::Item => format!(": item {number}"),
            Self::Row => format!(": row {number}"),
        }
    }
}

/// One record as JSON text, or why it could not be read.
pub(super) struct Record {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: std::result::Result<Vec<u8>, String>,
    /// Whether its end is missing: it may be half of a record that is still being written.
    pub(super) is_open: bool,
}

impl Record {
    fn new(number: usize, text: std::result::Result<Vec<u8>, String>) -> Self {
        Self { number, text, is_open: false }
    }

    /// The problem of this record of the file at `path`.
    pub(super) fn error(&self, path: &Path, reason: &str) -> TrainError {
        // Half a line at the end of a file is usually one that is still being written.
        let writing = "; it is the last line and has no line end: is it still being written?";
        TrainError::data(
            path,
            self.number,
            format!("{reason}{}", if self.is_open { writing } else { "" }),
        )
    }
}

/// Reads a file's records one by one.
trait Records {
    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// If the rest of the file cannot be read.
    fn next(&mut self, path: &Path) -> Result<Option<Record>>;
}

/// Consecutive records of a file.
pub(super) struct Batch {
    pub(super) unit: Unit,
    pub(super) records: Vec<Record>,
    /// Bytes of the file read so far.
    pub(super) read: u64,
}

/// Passes the records of a file to `on_batch`, in order, in batches of bounded size. Empty lines
/// are left out.
///
/// # Errors
/// If the file cannot be read to its end, is of an unsupported kind, or has no record; errors of
/// `on_batch`.
pub(super) fn each_batch(path: &Path, on_batch: &mut dyn FnMut(Batch) -> Result<()>) -> Result<()> {
    let position = Position::default();
    let (unit, mut records): (Unit, Box<dyn Records>) = match Source::open(path, &position)? {
        Source::Lines(input) => (Unit::Line, Box::new(lines::Lines::new(input))),
        Source::Array(input) => (Unit::Item, Box::new(array::Items::new(input))),
        Source::Parquet(file) => (Unit::Row, Box::new(parquet::Rows::open(path, file, &position)?)),
    };
    let (mut batch, mut batch_bytes, mut any) = (Vec::new(), 0, false);
    let mut hand_out = |batch: &mut Vec<Record>| match batch.is_empty() {
        true => Ok(()),
        false => on_batch(Batch { unit, records: std::mem::take(batch), read: position.get() }),
    };
    loop {
        match records.next(path) {
            Ok(Some(record)) => {
                any = true;
                // An oversized record is reported before its end is searched for.
                let bytes = record.text.as_ref().map_or(usize::MAX, Vec::len);
                batch_bytes = bytes.saturating_add(batch_bytes);
                batch.push(record);
            }
            Ok(None) if any => return hand_out(&mut batch),
            Ok(None) => return Err(TrainError::data(path, 0, "the file has no examples")),
            Err(error) => {
                hand_out(&mut batch)?;
                return Err(error.counted_in(unit));
            }
        }
        if batch.len() >= BATCH_RECORDS || batch_bytes >= BATCH_BYTES {
            batch_bytes = 0;
            hand_out(&mut batch)?;
        }
    }
}

fn too_long() -> String {
    format!(
        "longer than {} MiB, the limit for one example: shorten or split it",
        MAX_LINE_BYTES >> 20
    )
}

fn endless() -> String {
    format!("it does not end within {} GiB: the rest was not read", MAX_SKIPPED_BYTES >> 30)
}

#[cfg(test)]
mod tests;
