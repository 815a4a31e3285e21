//! The commands, one file each: its arguments, what it does, how its answer reads.

pub mod adapter;
pub mod completions;
pub mod config;
pub mod daemon;
pub mod data;
pub mod doctor;
pub mod federation;
pub mod init;
pub mod join;
pub mod ledger;
pub mod members;
pub mod pause;
pub mod rounds;
pub mod status;

use clap::Args;
use serde::Serialize;

/// `--json`, on everything that reads.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct JsonFlag {
    /// Answer in JSON (errors too, on standard error)
    #[arg(long)]
    pub json: bool,
}

/// The word that JSON has for a plain enum value.
#[must_use]
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}
