//! The commands, one file each: its arguments, what it does, how its answer is rendered.

pub mod adapter;
pub mod compare;
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

use std::path::PathBuf;

use clap::Args;

/// `--json`, on everything that answers.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct JsonFlag {
    /// Answer in JSON (errors too, on standard error)
    #[arg(long)]
    pub json: bool,
}

/// What a node trains, and on which data, in `init` and in `demo`.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelAndData {
    /// Base model: a Hugging Face folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Training data (JSONL), which never leaves the node's machine
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Held-out data, never trained on; what is best is chosen by them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub held_out: Vec<PathBuf>,
    /// Test data, never trained on and nothing is chosen by them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub test: Vec<PathBuf>,
}

pub use fedshieldd::control::api::word;
