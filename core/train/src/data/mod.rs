//! Data sets: examples, templates' input, splits, reports.

mod example;
mod report;
mod set;

pub use example::{Example, Role, Turn};
pub use report::{DataReport, LengthSummary};
pub use set::{DataSet, DataSettings, Order, TokenizedExample, is_held_out, read_jsonl};
