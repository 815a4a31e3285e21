//! `data check`: what training would make of the data, before anything is trained. Needs no daemon.

mod render;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fedshield_protocol::manifest::SignedManifest;
use fedshieldd::config::Overrides;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::offline::{DataQuestion, DataReport, Place, check_data};

use super::JsonFlag;
use super::config::load;
use crate::failure::Failure;
use crate::screen::Screen;
use render::render;

/// Longest sequence if neither flag nor manifest says another.
const DEFAULT_SEQUENCE: usize = 512;
/// Share held out if neither flag nor configuration says another; the daemon's own default.
const DEFAULT_HELD_OUT: f64 = 0.1;

/// `data ...`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Read data as training would: counts, lengths, repetitions, leaks, lines that cannot be used
    Check(Box<CheckArgs>),
}

/// Arguments of `data check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without FILE or --model, the home's configuration names them; template and sequence length are the
federation's, once there is one. Formats, one JSON object a line:
  {\"instruction\": \"...\", \"input\": \"...\", \"output\": \"...\"}                            Alpaca
  {\"prompt\": \"...\", \"completion\": \"...\"}                                            one question and answer
  {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, ...]}                        chat messages
  {\"conversations\": [{\"from\": \"human\", \"value\": \"...\"}, ...]}                    ShareGPT

Example:
  fedshield-cli data check notes.jsonl --held-out test.jsonl --model ./SmolLM2-135M-Instruct"
)]
pub struct CheckArgs {
    /// JSONL files to train on
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// JSONL files that are never trained on
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub held_out: Vec<PathBuf>,
    /// Without --held-out: the share that is kept apart [default: 0.1]
    #[arg(long, value_name = "SHARE", conflicts_with = "held_out")]
    pub held_out_fraction: Option<f64>,
    /// Base model, for its tokenizer and chat template
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// `model` (the model's own), `alpaca`, `chatml` or `vicuna`
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Show one example as the model sees it, with its loss mask; without this nothing of the data is repeated
    #[arg(long)]
    pub example: bool,
    /// Longest sequence, in tokens [default: 512]
    #[arg(long, value_name = "TOKENS")]
    pub seq: Option<usize>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl DataCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        let Self::Check(args) = self;
        args.json.json
    }
}

/// Runs `data ...`.
///
/// # Errors
/// A model or file that cannot be read; lines that cannot be used, after the report.
pub fn run(command: &DataCommand, home: &Home) -> Result<(), Failure> {
    let DataCommand::Check(args) = command;
    let screen = Screen::new(args.json.json);
    let question = question(args, home, &screen)?;
    let report = check_data(&question).map_err(|error| {
        Failure::new(error.code(), error.to_string()).next(
            "the file must be readable JSON Lines; `fedshield-cli data check --help` shows its forms",
        )
    })?;
    screen.answer(&report, render)?;
    verdict(&report)
}

/// Lines that cannot be used stop a daemon, so they are a failure here, too.
fn verdict(report: &DataReport) -> Result<(), Failure> {
    let fails = |what: String, place: &Place, next: &str| {
        Err(Failure::new(ErrorCode::DataUnreadable, what).at(place).next(next))
    };
    if let Some(first) = report.problems.first() {
        let what = match report.problem_count {
            1 => first.reason.clone(),
            count => format!("{count} lines cannot be used; the first: {}", first.reason),
        };
        return fails(what, &first.place, "mend the lines listed above, then check again");
    }
    if report.train == 0 {
        let place = Place {
            path: report.files.first().map_or_else(PathBuf::new, |f| f.path.clone()),
            line: 0,
        };
        let next = "name files with examples, or raise --seq if their answers are cut away";
        return fails("there is no example to train on".to_owned(), &place, next);
    }
    Ok(())
}

fn question(args: &CheckArgs, home: &Home, screen: &Screen) -> Result<DataQuestion, Failure> {
    let needs_config = args.files.is_empty() || args.model.is_none();
    let config = match needs_config {
        true => load(home, &Overrides::default(), screen).map_err(|failure| {
            failure.next("name the files and --model, or make a configuration with `init`")
        })?,
        false => fedshieldd::config::Config::default(),
    };
    let own_files = args.files.is_empty();
    let missing = |what: &str, key: &str, next: &str| {
        Failure::new(ErrorCode::ConfigInvalid, format!("no {what} is named: `{key}` is not set"))
            .at(home.config().display())
            .next(next)
    };
    let model = args.model.clone().or(config.model.path).ok_or_else(|| {
        missing("base model", "model.path", "name one with --model or in the configuration")
    })?;
    let train = if own_files { config.data.train } else { args.files.clone() };
    if train.is_empty() {
        return Err(missing("data file", "data.train", "name files on the command line"));
    }
    let held_out = match own_files && args.held_out.is_empty() && args.held_out_fraction.is_none() {
        true => config.data.held_out,
        false => args.held_out.clone(),
    };
    let agreed = std::fs::read(home.manifest()).ok().and_then(|b| SignedManifest::decode(&b).ok());
    let training = agreed.map(|signed| signed.manifest.training).filter(|_| needs_config);
    Ok(DataQuestion {
        model,
        train,
        held_out,
        held_out_fraction: args
            .held_out_fraction
            .or(config.data.held_out_fraction)
            .unwrap_or(DEFAULT_HELD_OUT),
        template: args
            .template
            .clone()
            .or(config.data.template)
            .or_else(|| training.as_ref().map(|training| training.template.clone())),
        max_length: args.seq.unwrap_or_else(|| {
            training.map_or(DEFAULT_SEQUENCE, |training| training.sequence_length as usize)
        }),
        example: args.example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_examples_is_a_failure() {
        let failure = verdict(&DataReport::default()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::DataUnreadable);
    }
}
