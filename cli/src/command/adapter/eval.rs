//! `adapter eval`: how good adapters are on given examples. Needs no daemon.

use std::path::{Path, PathBuf};

use clap::Args;
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::config::{BasePrecision, ComputeDevice};
use fedshieldd::offline::{
    EvaluateQuestion, EvaluateReport, PairedDifference, RenderingChoice, SampleAnswers, Sampling,
    Score, TemplateDate, evaluate,
};

use super::super::JsonFlag;
use super::offline_failure;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::{Table, facts};
use crate::units;

/// Arguments of `adapter eval`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  fedshield-cli adapter eval ./adapter --model ./SmolLM2-135M \\
      --data test.jsonl --samples 5 --temperature 0.7

Losses are nats per response token. Answers that are compared are greedy; samples are drawn.")]
pub struct EvalArgs {
    /// PEFT folders, as `adapter export` writes them; the others are compared with the first
    #[arg(value_name = "ADAPTER", required = true)]
    pub adapters: Vec<PathBuf>,
    /// The base model: a Hugging Face folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// JSONL files; every example in them is evaluated
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// `model` (the model's own), `alpaca`, `chatml` or `vicuna` [default: that of the adapter, else model]
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// The date that the template writes as the current one [default: that of the adapter, else 2024-07-26]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub template_date: Option<TemplateDate>,
    /// Longest sequence, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    pub seq: usize,
    /// Examples computed at a time
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub batch: usize,
    /// How the base model's matrices are held in memory: `f32`, `bf16`, `f16`, `q8`, `q4` or `stored`
    #[arg(long, value_name = "NAME", default_value_t = BasePrecision::F32)]
    pub base_precision: BasePrecision,
    /// Where to compute: `auto`, `cpu`, `wgpu` or `cuda`
    #[arg(long, value_name = "NAME", default_value_t = ComputeDevice::Auto)]
    pub device: ComputeDevice,
    /// Compare at most this many short answers with the reference; 0 compares none
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub exact: usize,
    /// An answer is short up to this many tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 16)]
    pub short: usize,
    /// Show this many answers
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub samples: usize,
    /// Of the samples: 0 takes the likeliest token each time, 1 draws as the model says
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Of the samples: draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// Of the samples: longest answer, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 64)]
    pub max_tokens: usize,
    /// Of the samples: seed of the draw
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl EvalArgs {
    /// With the defaults of all other flags.
    pub(crate) fn of(adapters: &[PathBuf], model: &Path, data: &[PathBuf], json: JsonFlag) -> Self {
        let Sampling { max_tokens, temperature, top_p, seed } = Sampling::default();
        Self {
            adapters: adapters.to_vec(),
            model: model.to_path_buf(),
            data: data.to_vec(),
            template: None,
            template_date: None,
            seq: 512,
            batch: 8,
            base_precision: BasePrecision::F32,
            device: ComputeDevice::Auto,
            exact: 50,
            short: 16,
            samples: 3,
            temperature,
            top_p,
            max_tokens,
            seed,
            json,
        }
    }
}

/// Runs `adapter eval`.
///
/// # Errors
/// A model, adapter, or line that cannot be used.
pub(super) fn run(args: &EvalArgs) -> Result<(), Failure> {
    let sampling = Sampling {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
    };
    for (flag, good) in [
        ("--temperature", args.temperature.is_finite() && args.temperature >= 0.0),
        ("--top-p", args.top_p > 0.0 && args.top_p <= 1.0),
        ("--batch", args.batch > 0),
    ] {
        if !good {
            let code = fedshieldd::control::api::ErrorCode::InvalidRequest;
            return Err(Failure::new(code, "the value is out of its range")
                .at(flag)
                .next("--temperature 0 or more, --top-p above 0 up to 1, --batch 1 or more"));
        }
    }
    let question = EvaluateQuestion {
        adapters: args.adapters.clone(),
        model: args.model.clone(),
        data: args.data.clone(),
        rendering: RenderingChoice {
            template: args.template.clone(),
            template_date: args.template_date,
        },
        max_length: args.seq,
        batch_size: args.batch,
        base_precision: args.base_precision,
        device: args.device,
        short_tokens: args.short,
        exact: args.exact,
        samples: args.samples,
        sampling,
    };
    let report = evaluate(&question).map_err(|error| offline_failure(&error))?;
    Screen::new(args.json.json).answer(&report, render)
}

fn render(report: &EvaluateReport, colours: Colours) -> String {
    let mut text = facts(
        colours,
        &[
            ("examples", report.examples.to_string()),
            ("response tokens", report.tokens.to_string()),
            ("cut", report.truncated.to_string()),
            ("base model in memory", units::bytes(report.base_bytes as u64)),
        ],
    );
    text.push('\n');
    let mut table = Table::new(&[
        "model",
        ">loss",
        ">change",
        ">95% interval",
        ">perplexity",
        ">exact answers",
        ">F1",
    ]);
    let mut row = |name: &str, score: &Score, against: Option<PairedDifference>| {
        let [exact, f1] = units::answers(score.exact);
        table.row([
            name.to_owned(),
            units::loss(Some(score.loss)),
            units::change(against.map(|_| report.base.loss), Some(score.loss)),
            units::interval(against),
            format!("{:.3}", score.perplexity),
            exact,
            f1,
        ]);
    };
    row("base", &report.base, None);
    let names = names(report);
    for (name, adapter) in names.iter().zip(&report.adapters) {
        row(name, &adapter.score, adapter.against_base);
    }
    text.push_str(&table.render(colours));
    let first = names.first().cloned().unwrap_or_default();
    for (name, adapter) in names.iter().zip(&report.adapters) {
        if let Some(difference) = adapter.against_first {
            text.push_str(&format!("{name} against {first}: {}\n", units::difference(&difference)));
        }
    }
    for sample in &report.samples {
        text.push_str(&shown(sample, &names, colours));
    }
    text
}

/// What the adapters are called: one alone by what it is, several by their folders.
fn names(report: &EvaluateReport) -> Vec<String> {
    match report.adapters.len() {
        1 => vec!["with adapter".to_owned()],
        _ => report.adapters.iter().map(|it| it.adapter.display().to_string()).collect(),
    }
}

fn shown(sample: &SampleAnswers, names: &[String], colours: Colours) -> String {
    // A model may emit anything, escape sequences included.
    let one_line =
        |text: &str| harmless_line(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut list = vec![
        ("question", one_line(&sample.question)),
        ("reference", one_line(&sample.reference)),
        ("base", one_line(&sample.base)),
    ];
    let adapted = names.iter().zip(&sample.adapted);
    list.extend(adapted.map(|(name, answer)| (name.as_str(), one_line(answer))));
    format!("\n{}", facts(colours, &list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        let sample = SampleAnswers {
            question: "who\u{202e}?".into(),
            reference: "a\nb".into(),
            base: "\u{1b}]0;owned\u{7}".into(),
            adapted: vec!["\u{9b}2Jyes\u{200b}".into()],
        };
        let text = shown(&sample, &["with adapter".to_owned()], Colours::none());
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\u{200b}']), "{text:?}");
        assert!(text.contains("reference     a b\n"), "{text}");
        assert!(text.contains("with adapter  \u{fffd}2Jyes\u{fffd}\n"), "{text}");
    }
}
