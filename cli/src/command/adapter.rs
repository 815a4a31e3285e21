//! `adapter ...`: adapters of the node in the formats of other programs, and commands on a Hugging
//! Face PEFT folder.

mod chat;
mod eval;
mod export;
mod merge;

use clap::Subcommand;
pub use eval::EvalArgs;
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineError;

use crate::failure::Failure;

/// `adapter ...`.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Write an adapter of the node as a folder that PEFT loads, or as a file for llama.cpp
    Export(export::ExportArgs),
    /// Write base model and adapter as one model, for transformers or llama.cpp (no daemon)
    Merge(merge::MergeArgs),
    /// Measure adapters: loss, perplexity, exact answers, sample answers (no daemon)
    Eval(Box<eval::EvalArgs>),
    /// Talk with a model with and without an adapter (no daemon)
    Chat(Box<chat::ChatArgs>),
}

impl AdapterCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Export(args) => args.json.json,
            Self::Merge(args) => args.json.json,
            Self::Eval(args) => args.json.json,
            Self::Chat(args) => args.json.json,
        }
    }
}

/// Runs `adapter ...`.
///
/// # Errors
/// See the commands' files.
pub async fn run(command: &AdapterCommand, home: &Home) -> Result<(), Failure> {
    match command {
        AdapterCommand::Export(args) => export::run(args, home).await,
        AdapterCommand::Merge(args) => merge::run(args),
        AdapterCommand::Eval(args) => eval::run(args),
        AdapterCommand::Chat(args) => chat::run(args).await,
    }
}

/// A failure with the next step, where the error has one.
pub(crate) fn offline_failure(error: &OfflineError) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    match error {
        OfflineError::Model(_) | OfflineError::Adapter(_) => failure.next(
            "check the path; adapter and base model must be the ones that were trained together",
        ),
        OfflineError::Data(_) => {
            failure.next("`fedshield-cli data check` lists every line that is wrong")
        }
        _ => failure,
    }
}
