//! Data sets: examples, templates' input, splits, reports.

mod check;
mod example;
mod json;
mod lines;
mod report;
mod set;

pub use example::{Chat, Example, Role, Turn};
pub use json::Json;
pub use lines::{MAX_LINE_BYTES, check_jsonl, read_jsonl};
pub use report::{
    DataReport, FileSummary, Histogram, LengthSummary, Place, Problem, Rendered, Repeat,
};
pub use set::{Changes, DataSet, DataSettings, Order, TokenizedExample, is_held_out};
