//! Parquet: one record per row, handed on as the JSON that a line would contain.

mod footer;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::super::form::shortened;
use super::super::json::Json;
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
        footer::check(&file).map_err(damaged)?;
        let open = || {
            let reader = SerializedFileReader::new(file)?;
            let schema = reader.metadata().file_metadata();
            if let Some(name) = twice(schema.schema()) {
                let name = shortened(name);
                return Err(ParquetError::General(format!("two columns are called {name:?}")));
            }
            let total = schema.num_rows();
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
        // The library's words for a codec without its feature.
        Ok(Err(error)) if error.to_string().contains("at compile time") => Err(format!(
            "the codec of the Parquet data is not read ({error}): write them with snappy, zstd or gzip"
        )),
        Ok(Err(error)) => Err(format!("the Parquet data cannot be read: {error}")),
        Err(_) => Err("the Parquet data are damaged: they cannot be decoded".to_owned()),
    }
}

/// The name of two columns of one group, if there are two of one name.
fn twice(group: &Type) -> Option<&str> {
    let fields = if group.is_group() { group.get_fields() } else { &[] };
    let mut names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    names.sort_unstable();
    let same = names.windows(2).find(|two| two[0] == two[1]).map(|two| two[0]);
    same.or_else(|| fields.iter().find_map(|field| twice(field)))
}

/// Columns stay in the order of the file, because templates print them.
fn object(row: &Row) -> Json {
    Json::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
}

/// A field as JSON. No form of example uses dates or decimals: they become numbers or text. Bytes
/// that are not valid text become an object, which no form accepts as text.
fn value(field: &Field) -> Json {
    let whole = |number: i128| Json::Integer(number);
    match field {
        Field::Null => Json::Null,
        Field::Bool(value) => Json::Bool(*value),
        Field::Byte(value) => whole((*value).into()),
        Field::Short(value) => whole((*value).into()),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => whole((*value).into()),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => whole((*value).into()),
        Field::UByte(value) => whole((*value).into()),
        Field::UShort(value) => whole((*value).into()),
        Field::UInt(value) => whole((*value).into()),
        Field::ULong(value) => whole((*value).into()),
        Field::Float16(value) => number(value.to_f64()),
        Field::Float(value) => number(f64::from(*value)),
        Field::Double(value) => number(*value),
        Field::Decimal(_) => Json::Text(field.to_string()),
        Field::Str(text) => Json::Text(text.clone()),
        // Some writers do not mark their byte arrays as text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Json::Text(text.to_owned()),
            Err(_) => {
                let length = whole(bytes.len() as i128);
                Json::Object(vec![("bytes".to_owned(), length)])
            }
        },
        Field::Group(row) => object(row),
        Field::ListInternal(list) => Json::List(list.elements().iter().map(value).collect()),
        Field::MapInternal(map) => {
            let key = |field: &Field| match value(field) {
                Json::Text(text) => text,
                _ => field.to_string(),
            };
            let entries = map.entries().iter();
            Json::Object(entries.map(|(name, field)| (key(name), value(field))).collect())
        }
    }
}

/// NaN is how pandas writes a missing number. JSON has no infinity; as text, nothing takes it for a
/// number.
fn number(number: f64) -> Json {
    match number {
        number if number.is_nan() => Json::Null,
        number if number.is_infinite() => Json::Text(number.to_string()),
        number => Json::Float(number),
    }
}
