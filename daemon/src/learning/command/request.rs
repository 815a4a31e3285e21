//! The input of the program: settings in one JSON file, examples in another.

use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fedshield_train::data::{TokenizedExample, Turn};
use fedshield_train::federated::Factor;
use fedshield_train::{AdamWSettings, TrainSettings, Valid};
use serde::Serialize;

use super::Run;
use crate::durable::{self, PRIVATE_FILE};
use crate::jobs::PipelineError;

/// The fields that all requests of a federation have in common.
#[derive(Debug, Clone)]
pub(crate) struct RequestSettings {
    pub(crate) model: PathBuf,
    pub(crate) train_files: Vec<PathBuf>,
    pub(crate) template: &'static str,
    pub(crate) template_date: String,
    pub(crate) sequence_length: usize,
    pub(crate) train: Valid<TrainSettings>,
}

/// One request; docs/TRAINING.md lists its fields. Fields may be added; none changes its meaning.
#[derive(Debug, Serialize)]
pub(super) struct TrainerRequest {
    version: u32,
    purpose: &'static str,
    /// Applied rounds before this one.
    round: u64,
    model: PathBuf,
    /// `None`: the base model alone.
    pub(super) adapter: Option<PathBuf>,
    pub(super) result: PathBuf,
    /// The trained factors: `lora_A`, `lora_B`.
    trained: Vec<&'static str>,
    frozen: Vec<&'static str>,
    pub(super) examples: PathBuf,
    train_files: Vec<PathBuf>,
    template: &'static str,
    /// The date that chat templates write as the current one, `YYYY-MM-DD`.
    template_date: String,
    sequence_length: usize,
    steps: usize,
    batch_size: usize,
    accumulation: usize,
    learning_rate: f64,
    max_gradient_norm: f64,
    optimizer: Optimizer,
    seed: u64,
}

#[derive(Debug, Serialize)]
struct Optimizer {
    name: &'static str,
    #[serde(flatten)]
    settings: AdamWSettings,
}

impl TrainerRequest {
    pub(super) fn new(
        settings: &RequestSettings,
        run: &Run<'_>,
        with_adapter: bool,
        folder: &Path,
    ) -> Self {
        let trained = run.global.trained_factors();
        let name = |factor: Factor| match factor {
            Factor::A => "lora_A",
            // R does not occur: `fed-sb` has no command trainer.
            Factor::B | Factor::R => "lora_B",
        };
        let factors = |wanted: bool| {
            let both = [Factor::A, Factor::B].into_iter();
            both.filter(|factor| trained.contains(factor) == wanted).map(name).collect()
        };
        let [a, b, c, d, e, f, g, ..] = run.seed;
        Self {
            version: 1,
            purpose: run.purpose,
            round: run.global.applied(),
            model: settings.model.clone(),
            adapter: with_adapter.then(|| folder.join("adapter")),
            result: folder.join("result"),
            trained: factors(true),
            frozen: factors(false),
            examples: folder.join("train.jsonl"),
            train_files: settings.train_files.clone(),
            template: settings.template,
            template_date: settings.template_date.clone(),
            sequence_length: settings.sequence_length,
            steps: run.steps,
            batch_size: settings.train.batch_size,
            accumulation: settings.train.accumulation,
            learning_rate: run.learning_rate,
            max_gradient_norm: settings.train.max_gradient_norm,
            optimizer: Optimizer { name: "adamw", settings: settings.train.optimizer },
            // 53 bits, which every JSON reader represents exactly.
            seed: u64::from_le_bytes([a, b, c, d, e, f, g, 0]) >> 3,
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), PipelineError> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| PipelineError::corrupt(path, e))?;
        Ok(durable::replace(path, &text)?)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    messages: &'a [Turn],
    input_ids: &'a [u32],
    /// The token itself, or -100 where its prediction carries no loss, as in transformers.
    labels: Vec<i64>,
}

/// Writes the training examples, without the held-out ones, each as messages and as tokens with
/// labels.
///
/// # Errors
/// Disk errors.
pub(super) fn write_examples(
    path: &Path,
    examples: &[TokenizedExample],
) -> Result<(), PipelineError> {
    let file = |e| PipelineError::file(path, e);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(PRIVATE_FILE);
    let mut out = BufWriter::new(options.open(path).map_err(file)?);
    for example in examples {
        let whole = example.example()?;
        let shown = whole.turns();
        let sequence = example.sequence()?;
        let labels = sequence.ids.iter().zip(&sequence.labels);
        let line = Line {
            messages: shown.get(..example.turn_count()).unwrap_or(&shown),
            input_ids: &sequence.ids,
            labels: labels.map(|(id, label)| if *label { i64::from(*id) } else { -100 }).collect(),
        };
        serde_json::to_writer(&mut out, &line).map_err(|e| PipelineError::corrupt(path, e))?;
        out.write_all(b"\n").map_err(file)?;
    }
    out.flush().map_err(file)
}
