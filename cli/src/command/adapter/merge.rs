//! `adapter merge`: base and adapter as one model. Needs no daemon.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fedshieldd::offline::{MergeQuestion, MergeReport, Precision, merge};

use super::super::JsonFlag;
use super::offline_failure;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::facts;

/// Arguments of `adapter merge`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  fedshield-cli adapter merge ./adapter --model ./SmolLM2-135M --out ./merged --dtype bf16
  python -c 'from transformers import AutoModelForCausalLM as M; M.from_pretrained(\"./merged\")'")]
pub struct MergeArgs {
    /// The adapter's PEFT folder, as `adapter export` writes it
    #[arg(value_name = "ADAPTER")]
    pub adapter: PathBuf,
    /// The base model: a Hugging Face folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// A new folder for the merged model
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How weights are stored; they are merged in f32 and rounded once
    #[arg(long, value_enum, default_value = "f32")]
    pub dtype: Dtype,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 16 bits, finer than bf16, up to 65504.
    F16,
    /// 16 bits, the range of f32.
    Bf16,
}

/// Runs `adapter merge`.
///
/// # Errors
/// A model or adapter that cannot be read or do not fit; a folder that holds files.
pub(super) fn run(args: &MergeArgs) -> Result<(), Failure> {
    let precision = match args.dtype {
        Dtype::F32 => Precision::F32,
        Dtype::F16 => Precision::F16,
        Dtype::Bf16 => Precision::Bf16,
    };
    let question = MergeQuestion {
        adapter: args.adapter.clone(),
        model: args.model.clone(),
        out: args.out.clone(),
        precision,
    };
    let report = merge(&question).map_err(|error| offline_failure(&error))?;
    Screen::new(args.json.json).answer(&report, render)
}

fn render(report: &MergeReport, colours: Colours) -> String {
    facts(
        colours,
        &[
            ("folder", report.folder.display().to_string()),
            ("files", report.files.join(", ")),
            (
                "weights",
                format!("{}, {} of them merged", report.precision.torch_name(), report.adapted),
            ),
        ],
    )
}
