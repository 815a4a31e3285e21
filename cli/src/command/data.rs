//! `data check`: how training would read the data, before anything is trained. Needs no daemon.

mod bar;
mod render;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fedshield_protocol::manifest::SignedManifest;
use fedshieldd::config::Overrides;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::offline::{
    DataQuestion, DataReport, Place, RenderingChoice, TemplateDate, Unit, check_data,
};

use super::JsonFlag;
use super::config::load;
use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::screen::Screen;
use bar::CheckBar;
use render::render;

/// Longest sequence in tokens if neither flag nor manifest sets another.
const DEFAULT_SEQUENCE: usize = 512;
/// Fraction held out if neither flag nor configuration sets another; the daemon's own default.
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
    after_help = "Without FILE or --model, the home's configuration names them; template and \
sequence length are the federation's, once there is one. Files: JSON Lines, one JSON array, or \
Parquet; each also packed with gzip, told by content.

Forms of an example, also mixed:
  chat messages, perhaps with \"tools\":
    {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, ...]}
  ShareGPT, perhaps with \"system\" and \"tools\":
    {\"conversations\": [{\"from\": \"human\", \"value\": \"...\"}, ...]}
  UltraChat, questions and answers by turns:
    {\"data\": [\"...\", \"...\"]}
  Alpaca, perhaps with \"system\" and \"history\":
    {\"instruction\": \"...\", \"input\": \"...\", \"output\": \"...\"}
  Dolly:
    {\"instruction\": \"...\", \"context\": \"...\", \"response\": \"...\"}
  question (or query) and answer (or response), perhaps with \"system_prompt\":
    {\"question\": \"...\", \"answer\": \"...\"}
  plain text and how it goes on, or two lists of messages:
    {\"prompt\": \"...\", \"completion\": \"...\"}
  plain text, all of it learned:
    {\"text\": \"...\"}

An answer with \"weight\": 0 or \"train\": false is not learned. A field of another meaning, such \
as \"rejected\" or \"images\", is a reason to refuse the line; a field of no known meaning is \
reported. Other names of columns: `data.map` in config.toml. All fields: docs/TRAINING.md.

Example:
  fedshield-cli data check notes.jsonl --held-out test.jsonl \\
      --model ./SmolLM2-135M-Instruct"
)]
pub struct CheckArgs {
    /// Files to train on
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Files that are never trained on
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub held_out: Vec<PathBuf>,
    /// Without --held-out: the share that is kept apart [default: 0.1]
    #[arg(long, value_name = "SHARE", conflicts_with = "held_out")]
    pub held_out_fraction: Option<f64>,
    /// Files that are never trained on and that nothing is chosen by
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub test: Vec<PathBuf>,
    /// Without --test: the share that is kept for the test [default: none]
    #[arg(long, value_name = "SHARE", conflicts_with = "test")]
    pub test_fraction: Option<f64>,
    /// Base model, for its tokenizer and chat template
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// `model` (the model's own), `alpaca`, `chatml` or `vicuna`
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// The date that the template writes as the current one [default: that of the terms, else 2024-07-26]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub template_date: Option<TemplateDate>,
    /// Show one example as the model sees it, with its loss mask; without this nothing of the data is repeated
    #[arg(long)]
    pub example: bool,
    /// Longest sequence, in tokens [default: 512]
    #[arg(long, value_name = "TOKENS")]
    pub seq: Option<usize>,
    /// Refuse data with fields of no known meaning
    #[arg(long)]
    pub strict: bool,
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
/// A model or file that cannot be read; lines that cannot be used, after the report; a signal to
/// stop.
pub async fn run(command: &DataCommand, home: &Home) -> Result<(), Failure> {
    let DataCommand::Check(args) = command;
    let screen = Screen::new(args.json.json);
    let question = question(args, home, &screen)?;
    let bar = CheckBar::new(&question);
    let mut shown = bar.clone();
    // Nothing is written by a check, so it may end anywhere: the process does not wait for it.
    let (done, checked) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let checked = check_data(&question, &mut |progress| shown.show(progress));
        // Nobody waits for it any more after a signal.
        drop(done.send(checked));
    });
    let checked = tokio::select! {
        checked = checked => {
            checked.map_err(|_| (ErrorCode::Internal, "the check ended unexpectedly"))
        }
        () = interrupted() => Err((ErrorCode::Interrupted, "interrupted: the check is not complete")),
    };
    bar.end();
    let checked = checked.map_err(|(code, what)| Failure::new(code, what))?;
    let report = checked.map_err(|error| {
        let next = match error.code() {
            ErrorCode::ModelUnreadable => {
                "name a base model that is read: docs/TRAINING.md, \"Models\", lists them"
            }
            _ => {
                "`fedshield-cli data check --help` shows which files are read and the forms of \
                 their examples"
            }
        };
        Failure::new(error.code(), error.to_string()).next(next)
    })?;
    screen.answer(&report, render)?;
    verdict(&report, args.strict)
}

/// Lines that cannot be used stop a daemon, so they are a failure here, too, unless it is
/// configured to skip them.
fn verdict(report: &DataReport, strict: bool) -> Result<(), Failure> {
    let fails = |what: String, place: &Place, next: &str| {
        Err(Failure::new(ErrorCode::DataUnreadable, what).at(place).next(next))
    };
    let is_cut = report.files.iter().any(|file| file.is_cut);
    if let Some(first) = report.problems.first()
        && (is_cut || !report.skips)
    {
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
            unit: Unit::Line,
        };
        let (what, next) = match report.held_out + report.test {
            0 => (
                String::new(),
                "name files with examples, or raise --seq if their answers are cut away",
            ),
            apart => (
                format!(": {apart} are held out or for the test"),
                "add examples, or set smaller shares with --held-out-fraction and --test-fraction",
            ),
        };
        return fails(format!("there is no example to train on{what}"), &place, next);
    }
    if strict && let Some(name) = report.unknown.keys().next() {
        let what = match report.unknown.len() {
            1 => format!("the field {name:?} has no known meaning"),
            count => format!("{count} fields have no known meaning, such as {name:?}"),
        };
        let next = "take them out, or name the columns that are meant in `data.map`";
        return Err(Failure::new(ErrorCode::DataUnreadable, what).next(next));
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
    let reading = config.data.reading().map_err(|error| {
        Failure::new(ErrorCode::ConfigInvalid, error.to_string()).at(home.config().display())
    })?;
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
    let test = match own_files && args.test.is_empty() && args.test_fraction.is_none() {
        true => config.data.test,
        false => args.test.clone(),
    };
    let agreed = std::fs::read(home.manifest()).ok().and_then(|b| SignedManifest::decode(&b).ok());
    let agreed = agreed.map(|signed| signed.manifest).filter(|_| needs_config);
    let agreed_date = agreed.as_ref().and_then(|terms| terms.template_date.as_deref());
    let agreed_date = agreed_date.map(str::parse::<TemplateDate>).transpose().map_err(|error| {
        Failure::new(ErrorCode::InvalidRequest, error.to_string()).at(home.manifest().display())
    })?;
    Ok(DataQuestion {
        model,
        train,
        held_out,
        held_out_fraction: args
            .held_out_fraction
            .or(config.data.held_out_fraction)
            .unwrap_or(DEFAULT_HELD_OUT),
        test,
        test_fraction: args
            .test_fraction
            .or(config.data.test_fraction.filter(|_| own_files))
            .unwrap_or(0.0),
        rendering: RenderingChoice {
            template: args
                .template
                .clone()
                .or(config.data.template)
                .or_else(|| agreed.as_ref().map(|terms| terms.training.template.clone())),
            template_date: args.template_date.or(agreed_date),
        },
        max_length: args.seq.unwrap_or_else(|| {
            agreed.map_or(DEFAULT_SEQUENCE, |terms| terms.training.sequence_length as usize)
        }),
        reading,
        example: args.example,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fedshieldd::offline::Problem;

    use super::*;

    #[test]
    fn a_report_without_examples_is_a_failure() {
        let failure = verdict(&DataReport::default(), false).unwrap_err();
        assert_eq!(failure.code, ErrorCode::DataUnreadable);
    }

    #[test]
    fn what_is_left_out_is_no_failure_and_an_unknown_field_is_one_if_asked_for() {
        let place = Place { path: "a".into(), line: 2, unit: Unit::Line };
        let problems = vec![Problem { place, reason: "x".to_owned() }];
        let bad = DataReport { train: 1, problem_count: 1, problems, ..DataReport::default() };
        assert!(verdict(&bad, false).is_err());
        let skipped = DataReport { skips: true, ..bad };
        assert!(verdict(&skipped, false).is_ok());
        let unknown = BTreeMap::from([("mood".to_owned(), 1)]);
        let unknown = DataReport { unknown, ..skipped };
        assert!(verdict(&unknown, false).is_ok());
        assert!(verdict(&unknown, true).unwrap_err().what.contains("mood"));
    }
}
