//! `adapter chat`: question and answer in the terminal, with an adapter, without, or both. Needs no daemon.

mod line;

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use fedshield_protocol::hidden::harmless;
use fedshieldd::config::{BasePrecision, ComputeDevice};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::{
    AnswerEnd, Chat, ChatQuestion, RenderingChoice, Sampling, Speaker, Spoken, TemplateDate,
};
use serde::Serialize;

use super::super::JsonFlag;
use super::offline_failure;
use crate::failure::Failure;
use crate::screen::{Colours, Screen, show_failure};
use line::{Line, read_line};

/// Arguments of `adapter chat`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli adapter chat ./adapter --model ./SmolLM2-135M
  fedshield-cli adapter chat ./adapter --model ./SmolLM2-135M --compare
  fedshield-cli adapter chat ./adapter --model ./SmolLM2-135M \\
      --prompt 'What is a weir?' --json

Answers come as they are made. Ctrl-C ends an answer; /new begins a new conversation; Ctrl-D, \
/exit or Ctrl-C between answers ends the chat. With --compare the base model and the adapted one \
each have a conversation of their own.")]
pub struct ChatArgs {
    /// The adapter's PEFT folder; without one the base model answers alone
    #[arg(value_name = "ADAPTER")]
    pub adapter: Option<PathBuf>,
    /// The base model: a Hugging Face folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// Ask the base model alone, too
    #[arg(long, requires = "adapter")]
    pub compare: bool,
    /// Ask this and end
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// What holds for the whole conversation
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// `model` (the model's own), `alpaca`, `chatml` or `vicuna` [default: that of the adapter, else model]
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// The date that the template writes as the current one [default: that of the adapter, else 2024-07-26]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub template_date: Option<TemplateDate>,
    /// Longest answer, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    pub max_tokens: usize,
    /// 0 takes the likeliest token each time, 1 draws as the model says
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// Seed of the draw
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How the base model's matrices are held in memory: `f32`, `bf16`, `f16`, `q8`, `q4` or `stored`
    #[arg(long, value_name = "NAME", default_value_t = BasePrecision::F32)]
    pub base_precision: BasePrecision,
    /// Where to compute: `auto`, `cpu`, `wgpu` or `cuda`
    #[arg(long, value_name = "NAME", default_value_t = ComputeDevice::Auto)]
    pub device: ComputeDevice,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct Answers {
    answers: Vec<Spoken>,
}

/// Whether an answer is being generated, and whether it should end.
#[derive(Debug, Clone, Default)]
struct Interrupt {
    answering: Arc<AtomicBool>,
    wanted: Arc<AtomicBool>,
}

/// Runs `adapter chat`.
///
/// # Errors
/// A model or adapter that cannot be used, a question that the template refuses.
pub(super) async fn run(args: &ChatArgs) -> Result<(), Failure> {
    let question = question(args)?;
    let (prompt, json) = (args.prompt.clone(), args.json.json);
    let interrupt = Interrupt::default();
    let other = interrupt.clone();
    let mut talk = tokio::task::spawn_blocking(move || talk(&question, prompt, json, &other));
    loop {
        tokio::select! {
            done = &mut talk => {
                return done.unwrap_or_else(|error| {
                    Err(Failure::new(ErrorCode::Internal, error.to_string()))
                });
            }
            _ = tokio::signal::ctrl_c() => {
                if !interrupt.answering.load(Ordering::Relaxed) {
                    // The other thread waits for a line or reads the model: neither can be
                    // cancelled.
                    std::process::exit(i32::from(ErrorCode::Interrupted.exit_code()));
                }
                interrupt.wanted.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn question(args: &ChatArgs) -> Result<ChatQuestion, Failure> {
    for (flag, good, range) in [
        ("--temperature", args.temperature.is_finite() && args.temperature >= 0.0, "0 or more"),
        ("--top-p", args.top_p > 0.0 && args.top_p <= 1.0, "above 0 up to 1"),
        ("--max-tokens", args.max_tokens > 0, "1 or more"),
    ] {
        if !good {
            return Err(Failure::new(ErrorCode::InvalidRequest, "the value is out of its range")
                .at(flag)
                .next(format!("{flag} is {range}")));
        }
    }
    if args.json.json && args.prompt.is_none() {
        return Err(Failure::new(ErrorCode::InvalidRequest, "--json answers one question")
            .at("--json")
            .next("give the question with --prompt"));
    }
    Ok(ChatQuestion {
        adapter: args.adapter.clone(),
        model: args.model.clone(),
        rendering: RenderingChoice {
            template: args.template.clone(),
            template_date: args.template_date,
        },
        system: args.system.clone(),
        base_precision: args.base_precision,
        device: args.device,
        compare: args.compare,
        sampling: Sampling {
            max_tokens: args.max_tokens,
            temperature: args.temperature,
            top_p: args.top_p,
            seed: args.seed,
        },
    })
}

fn talk(
    question: &ChatQuestion,
    prompt: Option<String>,
    json: bool,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let screen = Screen::new(json);
    let mut chat = Chat::open(question).map_err(|error| offline_failure(&error))?;
    if let Some(text) = prompt {
        if !json {
            let (compare, colours) = (question.compare, screen.colours());
            return ask(&mut chat, &text, Look { compare, goes_on: false, colours }, interrupt);
        }
        let answers = ask_quietly(&mut chat, &text, interrupt)?;
        return screen.answer(&Answers { answers }, |_, _| String::new());
    }
    if !chat.keeps_turns() {
        screen.remark("the alpaca template has no turns: every question stands alone");
    }
    let asks = std::io::stdin().is_terminal() && screen.interactive();
    let look = Look { compare: question.compare, goes_on: asks, colours: screen.colours() };
    loop {
        if asks {
            print(&screen.colours().strong("> "))?;
        }
        let line = match read_line()? {
            Line::Text(line) => line,
            Line::End => return Ok(()),
            Line::Unusable(what) if asks => {
                screen.remark(&format!("not asked: {what}"));
                continue;
            }
            Line::Unusable(what) => {
                return Err(Failure::new(ErrorCode::InvalidRequest, what)
                    .at("standard input")
                    .next("each line is one question, in UTF-8"));
            }
        };
        match line.trim() {
            "" => {}
            "/exit" | "/quit" => return Ok(()),
            "/new" => chat.restart(),
            // A question may begin with a slash; a single word that does is rather a command.
            word if asks && is_command(word) => {
                screen.remark(&format!("{word} is no command: there are /new, /exit and /quit"));
            }
            text => ask(&mut chat, text, look, interrupt)?,
        }
    }
}

fn is_command(word: &str) -> bool {
    word.strip_prefix('/').is_some_and(|name| name.chars().all(|c| c.is_ascii_alphabetic()))
}

/// How answers are shown.
#[derive(Clone, Copy)]
struct Look {
    /// Whether the models are named.
    compare: bool,
    /// Whether the chat goes on after a question that cannot be answered.
    goes_on: bool,
    colours: Colours,
}

/// Asks and prints the answers as they are generated.
fn ask(
    chat: &mut Chat,
    text: &str,
    Look { compare, goes_on, colours }: Look,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut first = true;
    let mut failed = None;
    let on_begin = &mut |speaker: Speaker| {
        let name = match speaker {
            Speaker::Base => "base",
            Speaker::Adapted => "with adapter",
        };
        let between = if std::mem::take(&mut first) { "" } else { "\n" };
        if compare && let Err(failure) = print(&format!("{between}{}\n", colours.faint(name))) {
            failed = Some(failure);
        }
        interrupt.begin();
    };
    let mut unprinted = None;
    let on_text = &mut |piece: &str| {
        // A model may emit anything, escape sequences included.
        match print(&harmless(piece)) {
            Ok(()) => interrupt.check(),
            Err(failure) => {
                unprinted = Some(failure);
                ControlFlow::Break(())
            }
        }
    };
    let asked = chat.ask(text, on_begin, on_text);
    interrupt.end();
    if let Some(failure) = failed.or(unprinted) {
        return Err(failure);
    }
    match asked {
        Ok(spoken) => print(&format!("{}\n", ends(&spoken, colours))),
        Err(error) if goes_on => {
            show_failure(&offline_failure(&error), false);
            Ok(())
        }
        Err(error) => Err(offline_failure(&error)),
    }
}

fn ask_quietly(chat: &mut Chat, text: &str, interrupt: &Interrupt) -> Result<Vec<Spoken>, Failure> {
    let asked = chat.ask(text, &mut |_| interrupt.begin(), &mut |_| interrupt.check());
    interrupt.end();
    asked.map_err(|error| offline_failure(&error))
}

impl Interrupt {
    fn begin(&self) {
        self.wanted.store(false, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }

    fn check(&self) -> ControlFlow<()> {
        if self.wanted.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Notes on answers that the model did not end itself.
fn ends(spoken: &[Spoken], colours: Colours) -> String {
    let notes = spoken.iter().filter_map(|one| {
        let note = match one.answer.end {
            AnswerEnd::Stop => return None,
            AnswerEnd::Length => "cut at --max-tokens",
            AnswerEnd::Context => {
                "cut: the model's context is full, /new begins a new conversation"
            }
            AnswerEnd::Interrupted => "ended by Ctrl-C",
            AnswerEnd::NotFinite => "cut: the model computes no number",
        };
        Some(format!("\n{}", colours.odd(&format!("({note})"))))
    });
    notes.collect()
}

/// Writes to standard output at once. A reader that has closed the pipe ends the chat.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        Failure::new(ErrorCode::Internal, format!("cannot write to standard output: {error}"))
    })
}
