//! `demo`: several organisations as real daemons on this machine, from `init` to a verified ledger.
//!
//! Nothing in it is simulated: each daemon is this program again with its own home, keys and data, and the demo
//! talks to it over its control socket as a user would. Read [`run`] from top to bottom.

pub mod cast;
pub mod folder;
pub mod process;
pub mod questions;
pub mod report;
mod steps;
pub mod tables;
pub mod watch;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use fedshieldd::config::BasePrecision;
use fedshieldd::control::api::ErrorCode;

use crate::command::ModelAndData;
use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::screen::Screen;
use crate::terms::{AlgorithmName, EvaluationName, TermsFlags, TermsPreset, terms};
use cast::Shipped;
use folder::WorkFolder;
use process::Nodes;
use report::DemoReport;

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli demo
  fedshield-cli demo --members 5 --rounds 3 --json out.json
  fedshield-cli demo --shipped domains
  fedshield-cli demo --model SmolLM2.gguf --rounds 3 \\
      --data body.jsonl --data food.jsonl --data act.jsonl

--data is given once for each member, --held-out once for each --data or not at all. Without \
--model and --data, what ships with the sources is used (core/train/assets). Ctrl-C stops all \
daemons.")]
pub struct DemoArgs {
    /// Work folder; made if missing, emptied if an earlier demo made it
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub out: PathBuf,
    /// How many organisations [default: 4, or one for each --data]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=100))]
    pub members: Option<u16>,
    /// Without them, what ships with the sources.
    #[command(flatten)]
    pub source: ModelAndData,
    /// Which of the data that ship, where no --data is given
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Shipped::Hospitals)]
    #[arg(conflicts_with = "data")]
    pub shipped: Shipped,
    /// Fraction of the data that is held out where neither --held-out nor what ships names a file
    #[arg(long, value_name = "SHARE", default_value_t = 0.125)]
    pub held_out_fraction: f64,
    /// Fraction of the data that is kept for the test where neither --test nor what ships names a
    /// file
    #[arg(long, value_name = "SHARE", default_value_t = 0.125)]
    pub test_fraction: f64,
    /// How the members hold the base model's matrices in memory: `f32`, `bf16`, `f16`, `q8`, `q4` or `stored`
    #[arg(long, value_name = "NAME", default_value_t = BasePrecision::F32)]
    pub base_precision: BasePrecision,
    /// Write the report as JSON to this file (`-`: standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the members' homes (keys, stores, logs) in the work folder
    #[arg(long)]
    pub keep: bool,
    /// What differs from the demo's own terms.
    #[command(flatten)]
    pub flags: TermsFlags,
}

/// The demo's own terms, where no flag says otherwise: what fits into a few minutes on two cores.
/// The settings for the shipped model are measured without a network by
/// `tests/examples/joining` (docs/results/joining.md).
fn demo_flags(args: &DemoArgs) -> TermsFlags {
    let mut flags = args.flags.clone();
    let all = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    if args.source.model.is_some() {
        flags.rounds = flags.rounds.or(Some(8));
    } else {
        flags.rank = flags.rank.or(Some(16));
        flags.lr_final = flags.lr_final.or(flags.lr.is_none().then_some(2e-3));
        flags.lr = flags.lr.or(Some(8e-3));
        flags.seq = flags.seq.or(Some(160));
        flags.template = flags.template.or(Some("alpaca".to_owned()));
        flags.target_modules = flags.target_modules.or(Some(all.map(str::to_owned).to_vec()));
        match args.shipped {
            Shipped::Hospitals => {
                flags.rounds = flags.rounds.or(Some(24));
                flags.algorithm = flags.algorithm.or(Some(AlgorithmName::Fedit));
                flags.sparsity = flags.sparsity.or(Some(0.0));
                // What ships has the sixteen validation notes that this takes.
                if args.source.data.is_empty() {
                    flags.evaluation = flags.evaluation.or(Some(EvaluationName::Mean));
                }
            }
            Shipped::Domains => {
                flags.rounds = flags.rounds.or(Some(16));
                flags.server_rate = flags.server_rate.or(Some(2.0));
            }
        }
    }
    flags
}

/// Runs `demo`.
///
/// # Errors
/// What any of its steps returns. All daemons are stopped in every case.
pub async fn run(args: &DemoArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let model = cast::model(args)?;
    let parts = cast::parts(args)?;
    let count = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    let flags = demo_flags(args).for_model(Some(model.as_path()))?;
    let terms = terms("demo", TermsPreset::Small, count, &flags)?;
    // Homes, logs and shares of the data are readable by this user alone.
    fedshieldd::private::private_umask();
    let work = WorkFolder::claim(&args.out)?;
    let screen = Screen::new(args.json.as_ref().is_some_and(|file| file.as_os_str() == "-"));

    steps::say(&format!("{} organisations in {}", parts.len(), work.path().display()));
    let homes = steps::init(args, &model, &parts, &work)?;
    let mut nodes = Nodes::new();
    // Where the data have fixed questions, those are what is shown.
    let samples = if cast::questions(args).is_some() { 0 } else { 3 };
    let result = tokio::select! {
        result = steps::federate(&mut nodes, &parts, &homes, terms, &work, samples) => result,
        () = interrupted() => Err(Failure::new(ErrorCode::Interrupted, "interrupted")),
    };
    steps::say("stopping the daemons");
    nodes.stop().await;
    let (mut report, failure) = match result {
        Ok(found) => found,
        Err(failure) => {
            let kept = format!("the homes and logs are in {}", work.path().display());
            return Err(Failure { next: Some(failure.next.clone().unwrap_or(kept)), ..failure });
        }
    };
    if let (Some(file), None) = (cast::questions(args), &failure) {
        steps::say("asking ten questions without and with the common adapter");
        report.questions = Some(questions::ask(args, &model, &report.adapter, file).await?);
    }
    report.total_seconds = started.elapsed().as_secs_f64();
    write_report(args, &report, &screen)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !args.keep {
        work.drop_homes()?;
    }
    Ok(())
}

fn write_report(args: &DemoArgs, report: &DemoReport, screen: &Screen) -> Result<(), Failure> {
    screen.answer(report, tables::render)?;
    let Some(file) = args.json.as_ref().filter(|file| file.as_os_str() != "-") else {
        return Ok(());
    };
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
    std::fs::write(file, json + "\n").map_err(|error| Failure::io("write the report", file, &error))
}
