//! `compare`: what joining is worth to this member, on its own data.

mod render;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fedshieldd::control::api::{ErrorCode, EvaluateRequest, Evaluation, MOST_SAMPLES};
use fedshieldd::home::Home;
use indicatif::{ProgressBar, ProgressStyle};

use super::JsonFlag;
use super::adapter::{self, AdapterCommand, EvalArgs};
use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;
pub(crate) use render::sample;
#[cfg(test)]
pub(crate) use render::tests;

/// How often the progress of the daemon's work is shown.
const LOOK: Duration = Duration::from_secs(2);

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli compare
  fedshield-cli compare --without-alone
  fedshield-cli compare --data new-cases.jsonl
  fedshield-cli compare ./a ./b --model ./SmolLM2-135M --data test.jsonl

At a node, an adapter is trained on from the common one and another one by itself, at the \
lowest priority. The held-out data choose learning rates, steps and the best of them, and the \
test data measure.")]
pub struct CompareArgs {
    /// PEFT folders to compare instead of this node's adapters; no daemon is needed then
    #[arg(value_name = "ADAPTER", requires_all = ["model", "data"])]
    pub adapters: Vec<PathBuf>,
    /// With ADAPTER: the base model, a Hugging Face folder or a GGUF file
    #[arg(long, value_name = "PATH", requires = "adapters")]
    pub model: Option<PathBuf>,
    /// Files of examples to measure on instead of this node's test data; every one in them is
    /// evaluated
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Show this many answers
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=i64::from(MOST_SAMPLES)))]
    pub samples: u16,
    /// Train an adapter alone however long it takes [default: if it takes an hour at most]
    #[arg(long, conflicts_with = "adapters")]
    pub alone: bool,
    /// Train no adapter alone
    #[arg(long, conflicts_with_all = ["adapters", "alone"])]
    pub without_alone: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `compare`.
///
/// # Errors
/// If no daemon answers, it has no held-out data, or a folder, model or file cannot be used.
pub async fn run(args: &CompareArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    if let Some(model) = &args.model {
        let samples = usize::from(args.samples);
        let eval =
            EvalArgs { samples, ..EvalArgs::of(&args.adapters, model, &args.data, args.json) };
        return adapter::run(&AdapterCommand::Eval(Box::new(eval)), home).await;
    }
    let alone = match (args.alone, args.without_alone) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let absolute = |path: &PathBuf| {
        // The daemon has another working folder than this command.
        path.canonicalize().map_err(|error| {
            Failure::new(ErrorCode::DataUnreadable, format!("cannot find the data: {error}"))
                .at(path.display())
                .next("check the path for a typing error")
        })
    };
    let data = args.data.iter().map(absolute).collect::<Result<_, _>>()?;
    let request = EvaluateRequest { alone, data, samples: Some(args.samples) };
    let evaluation = at_node(home, &request, &screen).await?;
    screen.answer(&evaluation, render::page)
}

/// The daemon's comparison; its progress is shown on a terminal.
async fn at_node(
    home: &Home,
    request: &EvaluateRequest,
    screen: &Screen,
) -> Result<Evaluation, Failure> {
    let daemon = connection::to(home);
    let asked = daemon.evaluate(request);
    tokio::pin!(asked);
    // Drawn on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} step {pos} of {len} at home") {
        bar.set_style(style);
    }
    let answer = loop {
        tokio::select! {
            answer = &mut asked => break answer,
            () = tokio::time::sleep(LOOK), if screen.interactive() => {
                let status = connection::to(home).status().await.ok();
                if let Some(work) = status.and_then(|status| status.progress)
                    && work.phase == "evaluate"
                {
                    bar.set_length(work.steps);
                    bar.set_position(work.step);
                }
            }
        }
    };
    bar.finish_and_clear();
    Ok(answer?)
}
