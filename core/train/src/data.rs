//! Data sets: examples, templates' input, splits, reports.

mod check;
mod example;
mod form;
mod json;
mod order;
mod packed;
mod part;
mod reading;
mod ready;
mod records;
mod repeats;
mod report;
mod set;
mod settings;
mod source;
mod spill;
mod summary;
mod tokenized;

pub use check::{CheckProgress, OnCheck};
pub use example::{Chat, Example, Role, Turn};
pub use form::{FieldMap, Form};
pub use json::Json;
pub use order::Order;
pub use packed::PackedSequence;
pub use part::{Part, is_held_out};
pub use reading::{OnBadLine, Reading, Skipped, check_examples, read_examples};
pub use records::{MAX_LINE_BYTES, Unit};
pub use report::{
    DataReport, FileSummary, Histogram, LengthSummary, Place, Problem, Rendered, Repeat,
};
pub use set::{Changes, DataSet};
pub use settings::DataSettings;
pub use summary::DataSummary;
pub use tokenized::{ShortDigest, TokenizedExample};
