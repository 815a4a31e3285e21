//! Adapters in the formats of other programs.

mod config;
mod peft;

pub use peft::{export_peft, import_peft};
