//! `data check`: what training would make of the data, before anything is trained. Needs no daemon.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fedshield_protocol::hidden::{harmless, harmless_line};
use fedshield_protocol::manifest::SignedManifest;
use fedshieldd::config::Overrides;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::offline::{
    DataQuestion, DataReport, FileSummary, Histogram, LengthSummary, Place, Rendered, check_data,
};

use super::JsonFlag;
use super::config::load;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::{Table, facts};
use crate::units;

/// Longest sequence if neither flag nor manifest says another.
const DEFAULT_SEQUENCE: usize = 512;
/// Share held out if neither flag nor configuration says another; the daemon's own default.
const DEFAULT_HELD_OUT: f64 = 0.1;
/// Width of a histogram's longest bar.
const BAR: usize = 40;

/// `data ...`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Read data as training would: counts, lengths, repetitions, one example with its loss mask
    Check(Box<CheckArgs>),
}

/// Arguments of `data check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without FILE or --model, the home's configuration names them; template and sequence length are the
federation's, once there is one. Formats, one JSON object a line:
  {\"instruction\": \"...\", \"input\": \"...\", \"output\": \"...\"}                            Alpaca
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
    })
}

fn render(report: &DataReport, colours: Colours) -> String {
    let mut text = files(&report.files, colours);
    let cut = |count: usize, first: &Option<Place>| match first {
        Some(place) => colours.odd(&format!("{count}, the first at {place}")),
        None => "none".to_owned(),
    };
    text.push('\n');
    text.push_str(&facts(
        colours,
        &[
            ("template", harmless_line(&report.template)),
            ("to train on", units::count(report.train as u64, "example")),
            ("held out", units::count(report.held_out as u64, "example")),
            (
                "cut",
                format!(
                    "{} (longer than {} tokens)",
                    cut(report.truncated, &report.truncated_first),
                    report.max_length
                ),
            ),
            (
                "left out",
                format!("{} (no answer left)", cut(report.dropped, &report.dropped_first)),
            ),
            ("repeated", counted(report.duplicates, colours)),
            ("leaked", leaks(report, colours)),
        ],
    ));
    text.push('\n');
    text.push_str(&lengths(report, colours));
    text.push_str(&histogram(&report.histogram, colours));
    for (title, repeats) in
        [("repeated", &report.duplicates_first), ("held out, but trained on", &report.leaked_first)]
    {
        if !repeats.is_empty() {
            text.push_str(&format!("\n{}\n", colours.odd(title)));
            for repeat in repeats {
                text.push_str(&format!("  {} is {} again\n", repeat.again, repeat.first));
            }
        }
    }
    if let Some(rendered) = &report.rendered {
        text.push_str(&example(rendered, colours));
    }
    if !report.problems.is_empty() {
        let title = format!("lines that cannot be used: {}", report.problem_count);
        text.push_str(&format!("\n{}\n", colours.bad(&title)));
        for problem in &report.problems {
            // A reason quotes the file.
            let line = format!("  {}: {}", problem.place, problem.reason);
            text.push_str(&format!("{}\n", harmless_line(&line)));
        }
    }
    text
}

fn counted(count: usize, colours: Colours) -> String {
    match count {
        0 => "none".to_owned(),
        count => colours.odd(&units::count(count as u64, "example")),
    }
}

fn leaks(report: &DataReport, colours: Colours) -> String {
    match (report.leaked, report.leaked_questions) {
        (0, 0) => "no held-out example is trained on".to_owned(),
        (whole, questions) => colours.odd(&format!(
            "{whole} held-out examples are trained on, {questions} more ask the same question"
        )),
    }
}

fn files(files: &[FileSummary], colours: Colours) -> String {
    let mut table = Table::new(&["file", "for", ">Alpaca", ">chat", ">unusable"]);
    for file in files {
        table.row([
            file.path.display().to_string(),
            if file.held_out { "held out" } else { "training" }.to_owned(),
            file.alpaca.to_string(),
            file.chat.to_string(),
            file.bad.to_string(),
        ]);
    }
    table.render(colours)
}

fn lengths(report: &DataReport, colours: Colours) -> String {
    let headings = ["tokens", ">total", ">min", ">median", ">p90", ">p95", ">p99", ">max"];
    let mut table = Table::new(&headings);
    let mut row = |name: &str, l: &LengthSummary| {
        let numbers = [l.total, l.min, l.median, l.p90, l.p95, l.p99, l.max];
        table.row(std::iter::once(name.to_owned()).chain(numbers.iter().map(ToString::to_string)));
    };
    row("example", &report.uncut_tokens);
    row("after the cut", &report.tokens);
    row("with a loss", &report.response_tokens);
    table.render(colours)
}

fn histogram(histogram: &Histogram, colours: Colours) -> String {
    let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1);
    let mut table = Table::new(&[">tokens before the cut", ">examples", ""]);
    for (bin, count) in histogram.counts.iter().enumerate() {
        let from = bin * histogram.width + 1;
        // Rounded up: a bin that is not empty has a bar.
        let bar = "#".repeat((count * BAR).div_ceil(most));
        let range = format!("{from} to {}", from + histogram.width - 1);
        table.row([range, count.to_string(), bar]);
    }
    format!("\n{}", table.render(colours))
}

/// The loss mask is green on a terminal and between marks everywhere else.
fn example(rendered: &Rendered, colours: Colours) -> String {
    let plain = colours == Colours::none();
    let how = if plain { "between >> and <<" } else { "in green" };
    let title =
        format!("{} as the model sees it; what carries a loss stands {how}", rendered.place);
    let mut text = format!("\n{}\n", colours.strong(&title));
    for (run, labelled) in &rendered.runs {
        let run = harmless(run);
        match (labelled, plain) {
            (false, _) => text.push_str(&run),
            (true, true) => text.push_str(&format!(">>{run}<<")),
            (true, false) => text.push_str(&colours.good(&run)),
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered() -> Rendered {
        let runs = vec![("ask\u{1b}[2J ".to_owned(), false), ("answer".to_owned(), true)];
        let place = Place { path: "a.jsonl".into(), line: 3 };
        Rendered { place, segments: Vec::new(), runs, tokens: Vec::new() }
    }

    #[test]
    fn the_loss_mask_is_visible_without_colours_and_data_cannot_steer_the_terminal() {
        let text = example(&rendered(), Colours::none());
        assert!(text.starts_with("\na.jsonl:3 as the model sees it"), "{text}");
        assert!(text.ends_with("ask\u{fffd}[2J >>answer<<\n"), "{text}");
    }

    #[test]
    fn bars_are_as_long_as_the_counts_say() {
        let text = histogram(&Histogram { width: 20, counts: vec![1, 0, 80] }, Colours::none());
        let bars: Vec<usize> = text.lines().skip(2).map(|l| l.matches('#').count()).collect();
        assert_eq!(bars, [1, 0, BAR]);
        assert!(text.contains("41 to 60"), "{text}");
    }

    #[test]
    fn a_report_without_examples_is_a_failure() {
        let failure = verdict(&DataReport::default()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::DataUnreadable);
    }
}
