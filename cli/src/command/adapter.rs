//! `adapter ...`: the common adapter as a Hugging Face PEFT folder, and what can be done with such a folder.

mod eval;
mod merge;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fedshieldd::config::{Loaded, Overrides};
use fedshieldd::control::api::{ExportRequest, ExportView};
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineError;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::offline;
use crate::screen::{Colours, Screen};
use crate::table::facts;

/// `adapter ...`.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Write the common adapter as a folder that PEFT loads
    Export(ExportArgs),
    /// Write base model and adapter as one model that transformers loads (no daemon)
    Merge(merge::MergeArgs),
    /// Measure an adapter: loss, perplexity, exact answers, sample answers (no daemon)
    Eval(Box<eval::EvalArgs>),
}

/// Arguments of `adapter export`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  fedshield-cli adapter export ./adapter
  python -c 'from peft import PeftModel; PeftModel.from_pretrained(base, \"./adapter\")'")]
pub struct ExportArgs {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl AdapterCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Export(args) => args.json.json,
            Self::Merge(args) => args.json.json,
            Self::Eval(args) => args.json.json,
        }
    }
}

/// Runs `adapter ...`.
///
/// # Errors
/// `export`: if no daemon answers, no round has been applied yet, or the folder cannot be written; the others: see
/// their files.
pub async fn run(command: &AdapterCommand, home: &Home) -> Result<(), Failure> {
    match command {
        AdapterCommand::Export(args) => export(args, home).await,
        AdapterCommand::Merge(args) => merge::run(args),
        AdapterCommand::Eval(args) => eval::run(args),
    }
}

fn offline_failure(error: &OfflineError) -> Failure {
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

async fn export(args: &ExportArgs, home: &Home) -> Result<(), Failure> {
    let request = ExportRequest { directory: absolute(&args.directory)? };
    Failure::unless_writable(home, &request.directory)?;
    let screen = Screen::new(args.json.json);
    let answer = connection::to(home).export(&request).await;
    let view = offline::or_home(answer, home, &screen, |kept| {
        kept.export(&request.directory, &base_model(home))
    })?;
    screen.answer(&view, render)
}

/// What the daemon calls the base model, too.
fn base_model(home: &Home) -> String {
    let loaded = Loaded::read(home, &Overrides::default()).ok();
    let path = loaded.and_then(|loaded| loaded.config.model.path);
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// The daemon has another working folder than this command.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io("find the folder", path, &error))
}

fn render(view: &ExportView, colours: Colours) -> String {
    let names: Vec<String> = view
        .files
        .iter()
        .map(|file| file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned())
        .collect();
    facts(
        colours,
        &[
            ("folder", view.directory.display().to_string()),
            ("files", names.join(", ")),
            ("adapter", view.adapter_digest.to_string()),
            ("after round", view.round.to_string()),
        ],
    )
}
