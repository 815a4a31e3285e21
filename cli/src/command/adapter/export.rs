//! `adapter export`: an adapter of the node, or another one, in the format of another program.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use fedshieldd::config::{Loaded, Overrides};
use fedshieldd::control::api::{
    AdapterKind, ErrorCode, ExportRequest, ExportView, WhichAdapter, WhichRound,
};
use fedshieldd::home::Home;
use fedshieldd::offline::{
    GgufAdapterReport, ModuleNames, PeftFolderReport, adapter_to_gguf, adapter_with_names,
    scratch_folder,
};

use super::super::JsonFlag;
use super::offline_failure;
use crate::connection;
use crate::failure::Failure;
use crate::offline;
use crate::screen::{Colours, Screen};
use crate::table::facts;

/// Arguments of `adapter export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli adapter export ./adapter
  fedshield-cli adapter export ./mine --which best
  fedshield-cli adapter export ./earlier --round best
  fedshield-cli adapter export adapter.gguf --format gguf
  fedshield-cli adapter export adapter.gguf --format gguf \\
      --from ./adapter --model ./SmolLM2-135M
  llama-cli -m SmolLM2-135M.gguf --lora adapter.gguf
  fedshield-cli adapter export ./for-gemma-3-4b-it --names multimodal")]
pub struct ExportArgs {
    /// The folder, made if missing; or the new GGUF file
    #[arg(value_name = "PATH")]
    pub out: PathBuf,
    /// A folder that PEFT loads, or a file that llama.cpp loads beside a GGUF file of the base model
    #[arg(long, value_enum, default_value = "peft")]
    pub format: AdapterFormat,
    /// Of the node: the federation's adapter, the one trained on at home, or the one that
    /// `fedshield-cli compare` found best on this node's validation data
    #[arg(long, value_enum, default_value = "common", conflicts_with = "from")]
    pub which: Which,
    /// The federation's adapter as it was after this round, or after the one with the lowest mean
    /// of the members' losses, if this node has it
    #[arg(long, value_name = "N|best", value_parser = round_choice)]
    #[arg(conflicts_with_all = ["from", "which"])]
    pub round: Option<WhichRound>,
    /// This PEFT folder instead of an adapter of the node
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// With --format peft: what the checkpoint calls the adapted modules
    #[arg(long, value_enum, default_value = "text")]
    pub names: Names,
    /// With --format gguf: the base model [default: that of the node's configuration]
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

fn round_choice(text: &str) -> Result<WhichRound, String> {
    match (text, text.parse()) {
        ("best", _) => Ok(WhichRound::Best),
        (_, Ok(round)) => Ok(WhichRound::At(round)),
        _ => Err("give the number of a round, or `best`".to_owned()),
    }
}

/// `--which`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The federation's.
    Common,
    /// Trained on at home from the common one.
    Personal,
    /// The best on this node's validation data.
    Best,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdapterFormat {
    /// A Hugging Face PEFT folder.
    Peft,
    /// One file for llama.cpp.
    Gguf,
}

/// `--names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Names {
    /// `model.layers`: a model of text.
    Text,
    /// `model.language_model.layers`: a multimodal model in transformers since 4.52.
    Multimodal,
}

/// Runs `adapter export`.
///
/// # Errors
/// If no daemon answers and the home has no adapter, no round has been applied yet, or the result cannot be written.
pub(super) async fn run(args: &ExportArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    match args.format {
        AdapterFormat::Peft => {
            if args.model.is_some() {
                return Err(Failure::new(
                    ErrorCode::InvalidRequest,
                    "--model belongs to --format gguf",
                )
                .at("--model")
                .next("leave it out: a PEFT folder is written without the base model"));
            }
            peft_folder(args, home, &screen).await
        }
        AdapterFormat::Gguf if args.names != Names::Text => {
            Err(Failure::new(ErrorCode::InvalidRequest, "--names belongs to --format peft")
                .at("--names")
                .next("leave it out: llama.cpp has one name for each module"))
        }
        AdapterFormat::Gguf => {
            let model = args.model.clone().or_else(|| base_model(home)).ok_or_else(|| {
                Failure::new(ErrorCode::InvalidRequest, "no base model is configured here")
                    .at("--model")
                    .next("name the base model with --model")
            })?;
            let report = match &args.from {
                Some(folder) => to_gguf(folder, &model, &args.out)?,
                None => {
                    let scratch = scratch_folder()?;
                    of_node(args, scratch.path(), home, &screen).await?;
                    to_gguf(scratch.path(), &model, &args.out)?
                }
            };
            screen.answer(&report, render_file)
        }
    }
}

/// The PEFT folder `--from`, or an adapter of the node, under the names that are asked for.
async fn peft_folder(args: &ExportArgs, home: &Home, screen: &Screen) -> Result<(), Failure> {
    let names = match args.names {
        Names::Text => ModuleNames::Text,
        Names::Multimodal => ModuleNames::Multimodal,
    };
    let renamed = |from: &Path| {
        adapter_with_names(from, &args.out, names).map_err(|error| offline_failure(&error))
    };
    if let Some(from) = &args.from {
        return screen.answer(&renamed(from)?, render_folder);
    }
    if names == ModuleNames::Text {
        let view = of_node(args, &args.out, home, screen).await?;
        return screen.answer(&view, render);
    }
    let scratch = scratch_folder()?;
    of_node(args, scratch.path(), home, screen).await?;
    screen.answer(&renamed(scratch.path())?, render_folder)
}

fn to_gguf(adapter: &Path, model: &Path, out: &Path) -> Result<GgufAdapterReport, Failure> {
    adapter_to_gguf(adapter, model, out).map_err(|error| offline_failure(&error))
}

/// An adapter of the node as a PEFT folder, from the daemon or, if it is the common one, from its
/// home: the others are sealed.
async fn of_node(
    args: &ExportArgs,
    folder: &Path,
    home: &Home,
    screen: &Screen,
) -> Result<ExportView, Failure> {
    let which = match args.which {
        Which::Common => WhichAdapter::Common,
        Which::Personal => WhichAdapter::Personal,
        Which::Best => WhichAdapter::Best,
    };
    let request = ExportRequest { directory: absolute(folder)?, which, round: args.round };
    Failure::unless_writable(home, &request.directory)?;
    let answer = connection::to(home).export(&request).await;
    if which != WhichAdapter::Common || args.round.is_some() {
        return Ok(answer?);
    }
    let name = base_model(home).map(|path| path.display().to_string()).unwrap_or_default();
    offline::or_home(answer, home, screen, |kept| kept.export(&request.directory, &name))
}

/// The base model's path as the daemon names it, too.
fn base_model(home: &Home) -> Option<PathBuf> {
    let loaded = Loaded::read(home, &Overrides::default()).ok();
    loaded.and_then(|loaded| loaded.config.model.path)
}

/// Makes a path absolute: the daemon has another working folder than this command.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io("find the folder", path, &error))
}

fn render(view: &ExportView, colours: Colours) -> String {
    let names: Vec<String> = view
        .files
        .iter()
        .map(|file| file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned())
        .collect();
    let kind = match view.kind {
        AdapterKind::Common => "the federation's common adapter",
        AdapterKind::Personal => {
            "trained on at home: it holds more of this node's data than the common one does"
        }
        AdapterKind::Alone => "trained at home on this node's data alone",
    };
    facts(
        colours,
        &[
            ("folder", view.directory.display().to_string()),
            ("files", names.join(", ")),
            ("which", kind.to_owned()),
            ("common adapter", view.adapter_digest.to_string()),
            ("after round", view.round.to_string()),
        ],
    )
}

fn render_folder(report: &PeftFolderReport, colours: Colours) -> String {
    let names = match report.names {
        ModuleNames::Text => "those of a model of text",
        _ => "those of a multimodal model",
    };
    facts(
        colours,
        &[("folder", report.directory.display().to_string()), ("names", names.to_owned())],
    )
}

fn render_file(report: &GgufAdapterReport, colours: Colours) -> String {
    facts(
        colours,
        &[("file", report.file.display().to_string()), ("projections", report.adapted.to_string())],
    )
}
