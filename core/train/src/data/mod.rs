//! Data sets: examples, templates' input, splits, reports.

mod check;
mod example;
mod report;
mod set;

pub use example::{Example, Role, Turn};
pub use report::{
    DataReport, FileSummary, Histogram, LengthSummary, Place, Problem, Rendered, Repeat,
};
pub use set::{DataSet, DataSettings, Order, TokenizedExample, is_held_out, read_jsonl};
