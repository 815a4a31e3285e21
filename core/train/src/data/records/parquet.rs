//! Parquet: one record per row, handed on as the JSON that a line would contain.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use super::super::source::Position;
use super::{MAX_LINE_BYTES, Record, Records, too_long};
use crate::{Result, TrainError};

/// Values of a column that are decoded at a time. Texts may be long.
const BATCH_VALUES: usize = 64;

/// Reads rows one by one.
pub(super) struct Rows {
    rows: RowIter<'static>,
    number: usize,
    total: u64,
    file_bytes: u64,
    position: Position,
    is_over: bool,
}

impl Rows {
    pub(super) fn open(path: &Path, file: File, position: &Position) -> Result<Self> {
        let file_bytes = file.metadata().map_err(TrainError::io(path))?.len();
        let damaged = |reason: String| TrainError::data(path, 0, reason);
        let open = || {
            let reader = SerializedFileReader::new(file)?;
            let total = reader.metadata().file_metadata().num_rows();
            let rows = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH_VALUES);
            Ok((rows, u64::try_from(total).unwrap_or(0)))
        };
        let (rows, total) = guarded(open).map_err(damaged)?;
        let position = position.clone();
        Ok(Self { rows, number: 0, total, file_bytes, position, is_over: false })
    }
}

impl Records for Rows {
    fn next(&mut self, path: &Path) -> Result<Option<Record>> {
        if self.is_over {
            return Ok(None);
        }
        self.number += 1;
        let row = match guarded(|| self.rows.next().transpose()) {
            Ok(Some(row)) => row,
            Ok(None) if self.number as u64 > self.total => return Ok(None),
            Ok(None) => {
                self.is_over = true;
                let reason = format!("the file names {} rows and has no more here", self.total);
                return Ok(Some(Record::new(self.number, Err(reason))));
            }
            // What follows a damaged page cannot be located.
            Err(reason) => return Err(TrainError::data(path, self.number, reason)),
        };
        let done = self.number as u64;
        self.position.set((self.file_bytes / self.total.max(1)).saturating_mul(done));
        let text = serde_json::to_vec(&object(&row)).map_err(|error| error.to_string());
        let text = text.and_then(|text| match text.len() > MAX_LINE_BYTES {
            true => Err(format!("the row is {}", too_long())),
            false => Ok(text),
        });
        Ok(Some(Record::new(self.number, text)))
    }
}

/// Describes how the reader fails on arbitrary bytes: its errors and its panics, in words.
fn guarded<T>(
    work: impl FnOnce() -> std::result::Result<T, ParquetError>,
) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("the Parquet data cannot be read: {error}")),
        Err(_) => Err("the Parquet data are damaged: they cannot be decoded".to_owned()),
    }
}

fn object(row: &Row) -> Value {
    let fields = row.get_column_iter().map(|(name, field)| (name.clone(), value(field)));
    Value::Object(fields.collect())
}

/// A field as JSON. No form of example uses dates or decimals: they become numbers or text. Bytes
/// that are not valid text become an object, which no form accepts as text.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => (*value).into(),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float16(value) => value.to_f32().into(),
        Field::Float(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Decimal(_) => field.to_string().into(),
        Field::Str(text) => text.as_str().into(),
        // Some writers do not mark their byte arrays as text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            Err(_) => Value::Object(Map::from_iter([("bytes".to_owned(), bytes.len().into())])),
        },
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let key = |field: &Field| match value(field) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let entries = map.entries().iter();
            Value::Object(entries.map(|(name, field)| (key(name), value(field))).collect())
        }
    }
}
