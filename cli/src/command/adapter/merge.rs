//! `adapter merge`: base and adapter as one model. Needs no daemon.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::{GgufType, MergeQuestion, MergeReport, MergedForm, Precision, merge};

use super::super::JsonFlag;
use super::offline_failure;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::facts;

/// Arguments of `adapter merge`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli adapter merge ./adapter --model ./SmolLM2-135M \\
      --out ./merged --type bf16
  python -c 'from transformers import AutoModelForCausalLM as M; \\
      M.from_pretrained(\"./merged\")'
  fedshield-cli adapter merge ./adapter --model ./SmolLM2-135M \\
      --out merged.gguf --format gguf --type q8_0
  llama-cli -m merged.gguf")]
pub struct MergeArgs {
    /// The adapter's PEFT folder, as `adapter export` writes it
    #[arg(value_name = "ADAPTER")]
    pub adapter: PathBuf,
    /// The base model: a Hugging Face folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// A new folder for the merged model, or the new GGUF file
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// A folder that transformers loads, or a GGUF file for llama.cpp
    #[arg(long, value_enum, default_value = "safetensors")]
    pub format: Format,
    /// How matrices are stored; they are merged in f32 and rounded once [default: f32; f16 in GGUF]
    #[arg(long = "type", visible_alias = "dtype", value_enum, value_name = "TYPE")]
    pub kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A Hugging Face folder.
    Safetensors,
    /// One file for llama.cpp.
    Gguf,
}

/// `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// 32 bits.
    F32,
    /// 16 bits, finer than bf16, up to 65504.
    F16,
    /// 16 bits, the range of f32 (folders only).
    Bf16,
    /// 8 bits, with a scale for every 32 values (GGUF only).
    #[value(name = "q8_0")]
    Q8,
}

/// Runs `adapter merge`.
///
/// # Errors
/// A model or adapter that cannot be read or do not fit; a folder that holds files; a type that the format lacks.
pub(super) fn run(args: &MergeArgs) -> Result<(), Failure> {
    let question = MergeQuestion {
        adapter: args.adapter.clone(),
        model: args.model.clone(),
        out: args.out.clone(),
        form: form(args.format, args.kind)?,
    };
    let report = merge(&question).map_err(|error| offline_failure(&error))?;
    let screen = Screen::new(args.json.json);
    for warning in &report.warnings {
        screen.remark(&format!("warning: {}", harmless_line(warning)));
    }
    screen.answer(&report, render)
}

fn form(format: Format, kind: Option<Kind>) -> Result<MergedForm, Failure> {
    Ok(match (format, kind) {
        (Format::Safetensors, None | Some(Kind::F32)) => MergedForm::Folder(Precision::F32),
        (Format::Safetensors, Some(Kind::F16)) => MergedForm::Folder(Precision::F16),
        (Format::Safetensors, Some(Kind::Bf16)) => MergedForm::Folder(Precision::Bf16),
        (Format::Gguf, Some(Kind::F32)) => MergedForm::Gguf(GgufType::F32),
        (Format::Gguf, None | Some(Kind::F16)) => MergedForm::Gguf(GgufType::F16),
        (Format::Gguf, Some(Kind::Q8)) => MergedForm::Gguf(GgufType::Q8_0),
        (Format::Safetensors, Some(Kind::Q8)) | (Format::Gguf, Some(Kind::Bf16)) => {
            let what = "this format is not written in this type";
            return Err(Failure::new(ErrorCode::InvalidRequest, what)
                .at("--type")
                .next("safetensors: f32, f16 or bf16; gguf: f32, f16 or q8_0"));
        }
    })
}

fn render(report: &MergeReport, colours: Colours) -> String {
    facts(
        colours,
        &[
            ("folder", report.folder.display().to_string()),
            ("files", report.files.join(", ")),
            ("weights", format!("{}, {} of them merged", report.weights, report.adapted)),
        ],
    )
}
