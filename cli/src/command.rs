//! The commands, one file each: its arguments, what it does, how its answer reads.

pub mod adapter;
pub mod completions;
pub mod config;
pub mod daemon;
pub mod data;
pub mod doctor;
pub mod evidence;
pub mod expect;
pub mod federation;
pub mod identity;
pub mod init;
pub mod join;
pub mod ledger;
pub mod members;
pub mod pause;
pub mod peer;
pub mod rounds;
pub mod status;

use clap::Args;

/// `--json`, on everything that answers.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct JsonFlag {
    /// Answer in JSON (errors too, on standard error)
    #[arg(long)]
    pub json: bool,
}

pub use fedshieldd::control::api::word;
