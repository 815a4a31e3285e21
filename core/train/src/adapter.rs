//! Adapters and models in the formats of other programs.

mod config;
mod merge;
mod peft;

pub use merge::export_model;
pub use peft::{PeftAdapter, export_peft, import_peft};
