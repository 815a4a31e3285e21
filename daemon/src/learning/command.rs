//! `trainer = "command"`: an external program trains. It is given a JSON file that names everything
//! it needs, and writes an adapter in the PEFT layout. docs/TRAINING.md describes the contract.
//!
//! ```text
//! <work>/<purpose>/round.json   the request, the command's last argument
//! <work>/<purpose>/train.jsonl  the examples to train on: chat messages, token ids, labels
//! <work>/<purpose>/adapter      the adapter to start from
//! <work>/<purpose>/result       where the trained adapter is expected
//! ```
//!
//! With the purpose `evaluate` it trains nothing: `train.jsonl` holds the examples to measure, there
//! is no adapter if the base model is meant, and the result is the mean loss in `result/loss.json`.
//!
//! The examples and the update are stored there in the clear, so the folder is private and is
//! erased after the run, however it ends. What a killed daemon leaves is erased at its next start.

mod guard;
mod lines;
mod private;
mod process;
mod request;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fedshield_train::adapter::{PeftAdapter, export_peft};
use fedshield_train::data::TokenizedExample;
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::model::{ModelConfig, StageSeconds};
use fedshield_train::{OptimizerState, RoundResult, RoundStats};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::jobs::{PipelineError, TrainingStep};
pub(crate) use guard::answer as answer_guard;
use lines::ProgressLine;
use private::PrivateFolder;
use process::Process;
pub(super) use request::RequestSettings;
use request::{TrainerRequest, write_examples};

/// Settings of the trainer command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// Program and arguments; the path of the request is added.
    pub program: Vec<String>,
    /// The working directory of the program.
    pub folder: PathBuf,
    /// The folder for requests, examples, adapters and results during a run.
    pub work: PathBuf,
    /// The longest run time.
    pub timeout: Duration,
}

/// The program, with the fields that all requests have in common.
pub(super) struct CommandTrainer {
    pub(super) settings: CommandSettings,
    pub(super) request: RequestSettings,
}

/// The input of one run.
pub(super) struct Run<'a> {
    /// `round`; for adapters that are not sent, `local-only` or `personal`; `evaluate` to train
    /// nothing and measure.
    pub(super) purpose: &'static str,
    /// The examples to train on, or to measure.
    pub(super) examples: &'a [TokenizedExample],
    pub(super) global: &'a GlobalAdapter,
    pub(super) model: &'a ModelConfig,
    pub(super) steps: usize,
    pub(super) learning_rate: f64,
    pub(super) seed: [u8; 32],
}

/// What a program writes with the purpose `evaluate`: `{"loss": 1.25}`.
const LOSS_FILE: &str = "loss.json";
/// Largest such file in bytes.
const LARGEST_LOSS_FILE: u64 = 4096;

#[derive(Deserialize)]
struct MeasuredLoss {
    loss: f64,
}

/// Reads the loss that a program has written, or why it cannot be used.
fn measured_loss(path: &Path) -> Result<f64, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(LARGEST_LOSS_FILE)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    match serde_json::from_str(&text) {
        Ok(MeasuredLoss { loss }) if loss.is_finite() && loss >= 0.0 => Ok(loss),
        Ok(MeasuredLoss { loss }) => Err(format!("says {loss}, which is no loss")),
        Err(error) => Err(format!("is not {{\"loss\": number}}: {error}")),
    }
}

impl CommandTrainer {
    /// Runs the program to completion and reads its result.
    ///
    /// # Errors
    /// A program that cannot be started, fails, reports a loss that is not finite, or takes too
    /// long; a result in which a tensor is missing, has a wrong shape or a value that is not
    /// finite, or in which a frozen one has changed, by file and tensor. Nothing is sent then.
    pub(super) fn train(
        &self,
        run: &Run<'_>,
        cancel: &CancellationToken,
        on_step: &dyn Fn(TrainingStep),
    ) -> Result<RoundResult, PipelineError> {
        let begin = Instant::now();
        // Held until the end of this function, which erases it on every path.
        let folder = PrivateFolder::make(self.settings.work.join(run.purpose))?;
        let (request, path) = self.write_request(run, true, &folder)?;
        let (mut losses, mut rate) = (Vec::new(), 0.0);
        let mut failed = None;
        let mut on_line = |text: &str| match ProgressLine::parse(text) {
            Some(line) if line.loss.is_finite() => {
                losses.push(line.loss);
                rate = line.tokens_per_second;
                on_step(line.step(run.steps));
                true
            }
            Some(line) => {
                failed = Some(line.number);
                false
            }
            None => {
                tracing::info!(target: "trainer", "{text}");
                true
            }
        };
        let ended = Process { settings: &self.settings, argument: &path }.run(cancel, &mut on_line);
        if let Some(step) = failed {
            return Err(self.failure(&format!(
                "step {step}: the loss is not a finite number; the round produces no update"
            )));
        }
        ended.map_err(|end| match end {
            process::End::Cancelled => PipelineError::Cancelled,
            process::End::Failed(reason) => self.failure(&reason),
        })?;
        let theta = PeftAdapter::open(&request.result)?.round_result(run.global, run.model)?;
        folder.erase()?;
        let seconds = begin.elapsed().as_secs_f64();
        let stats = RoundStats {
            steps: run.steps,
            losses,
            tokens: (rate * seconds) as usize,
            labelled_tokens: 0,
            seconds,
            stages: StageSeconds::default(),
        };
        Ok(RoundResult { theta, optimizer: OptimizerState::default(), stats })
    }

    /// Mean loss of the run's adapter, or of the base model, on the run's examples, in nats per
    /// labelled token.
    ///
    /// # Errors
    /// As of [`Self::train`]; a program that does not know the purpose and writes no loss.
    pub(super) fn evaluate(
        &self,
        run: &Run<'_>,
        with_adapter: bool,
        cancel: &CancellationToken,
    ) -> Result<f64, PipelineError> {
        let folder = PrivateFolder::make(self.settings.work.join(run.purpose))?;
        let (request, path) = self.write_request(run, with_adapter, &folder)?;
        let mut on_line = |text: &str| {
            tracing::info!(target: "trainer", "{text}");
            true
        };
        let ended = Process { settings: &self.settings, argument: &path }.run(cancel, &mut on_line);
        ended.map_err(|end| match end {
            process::End::Cancelled => PipelineError::Cancelled,
            process::End::Failed(reason) => self.failure(&reason),
        })?;
        let loss = measured_loss(&request.result.join(LOSS_FILE));
        folder.erase()?;
        loss.map_err(|reason| {
            self.failure(&format!(
                "result/{LOSS_FILE} {reason}; a program for a federation whose terms say \
                 `evaluation = \"mean\"` has to know the purpose `evaluate`"
            ))
        })
    }

    /// Writes what the program is given; returns the request and its path.
    fn write_request(
        &self,
        run: &Run<'_>,
        with_adapter: bool,
        folder: &PrivateFolder,
    ) -> Result<(TrainerRequest, PathBuf), PipelineError> {
        let request = TrainerRequest::new(&self.request, run, with_adapter, folder.path());
        write_examples(&request.examples, run.examples)?;
        if let Some(adapter) = &request.adapter {
            export_peft(adapter, run.global, &self.request.model.display().to_string())?;
            crate::private::make_private(adapter)?;
        }
        let path = folder.path().join("round.json");
        request.write(&path)?;
        Ok((request, path))
    }

    fn failure(&self, reason: &str) -> PipelineError {
        let program = self.settings.program.first().cloned().unwrap_or_default();
        PipelineError::Command { program, reason: reason.to_owned() }
    }
}
