//! The base model and this organisation's data, opened once.

use std::ops::ControlFlow;
use std::path::PathBuf;

use fedshield_protocol::ids::Digest;
use fedshield_train::TrainError;
use fedshield_train::data::{DataSet, DataSettings, TokenizedExample, read_jsonl};
use fedshield_train::federated::{FederatedSettings, GlobalAdapter};
use fedshield_train::load::LoadedModel;
use fedshield_train::text::Template;
use fedshield_train::{ComputeDevice, Progress, RoundResult, TrainSettings, Trainer};

use super::observer::TrainingStep;
use super::{PipelineError, Terms, measure};
use crate::host::Cancel;

/// Where model and data are, and how to read them.
#[derive(Debug, Clone)]
pub struct LearningSources {
    /// Hugging Face folder or GGUF file.
    pub model: PathBuf,
    /// JSONL files to train on.
    pub train: Vec<PathBuf>,
    /// JSONL files to evaluate on; empty: a fraction of the training files.
    pub held_out: Vec<PathBuf>,
    /// That fraction.
    pub held_out_fraction: f64,
    /// Where to compute.
    pub device: ComputeDevice,
    /// See [`TrainSettings::gradient_checkpointing`].
    pub gradient_checkpointing: bool,
}

/// The model's weights, read and named; not yet on a device.
pub struct OpenedModel {
    sources: LearningSources,
    model: LoadedModel,
}

impl OpenedModel {
    /// Reads the model.
    ///
    /// # Errors
    /// Names the file and the tensor that is wrong.
    pub fn open(sources: LearningSources) -> Result<Self, TrainError> {
        let model = LoadedModel::open(&sources.model)?;
        Ok(Self { sources, model })
    }

    /// Reads the data files once, so that a broken line is found before anyone waits for this member.
    ///
    /// # Errors
    /// Names the file and line.
    pub fn check_data(&self) -> Result<(), TrainError> {
        for path in self.sources.train.iter().chain(&self.sources.held_out) {
            read_jsonl(path)?;
        }
        Ok(())
    }

    /// Digest of config, tokenizer and weights.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(self.model.digest)
    }

    /// Puts the model on the device and reads the data, as the manifest says.
    ///
    /// # Errors
    /// Names the data file and line, or the setting.
    pub fn prepare(self, terms: &Terms) -> Result<Learning, PipelineError> {
        let training = &terms.manifest.training;
        let settings = TrainSettings {
            batch_size: training.batch_size as usize,
            max_gradient_norm: training.max_gradient_norm.get(),
            device: self.sources.device,
            gradient_checkpointing: self.sources.gradient_checkpointing,
            ..TrainSettings::default()
        };
        let base = self.sources.model.display().to_string();
        // A base model without a chat template of its own gets the plainest one.
        let template = match terms.template {
            Template::Model if self.model.tokenizer.chat_template.is_none() => Template::Alpaca,
            named => named,
        };
        let trainer = Trainer::new(self.model, settings)?;
        let data = read_data(&self.sources, &trainer, template, training.sequence_length as usize)?;
        let sample = measure::sample(&data.held_out);
        Ok(Learning { trainer, data, sample, template, base })
    }
}

/// Trainer and data of one member.
pub struct Learning {
    pub(super) trainer: Trainer,
    pub(super) data: DataSet,
    /// The part of the held-out data that is measured on after each round.
    pub(super) sample: Vec<TokenizedExample>,
    pub(super) template: Template,
    /// What PEFT files call the base model.
    pub(super) base: String,
}

impl Learning {
    /// Examples to train on.
    #[must_use]
    pub fn example_count(&self) -> usize {
        self.data.train.len()
    }

    /// train: the factors of round `global.t()` after local training.
    pub(super) fn train(
        &self,
        global: &GlobalAdapter,
        settings: &FederatedSettings,
        seed: [u8; 32],
        cancel: &Cancel,
        on_step: &dyn Fn(TrainingStep),
    ) -> Result<RoundResult, PipelineError> {
        let mut progress = |step: &Progress| {
            on_step(TrainingStep {
                step: step.step as u64,
                steps: step.steps as u64,
                loss: step.loss,
                tokens_per_second: step.tokens_per_second,
            });
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.trainer.train_round(global, settings, seed, &self.data, &mut progress) {
            Err(TrainError::Cancelled { .. }) => Err(PipelineError::Cancelled),
            other => Ok(other?),
        }
    }
}

fn read_data(
    sources: &LearningSources,
    trainer: &Trainer,
    template: Template,
    max_length: usize,
) -> Result<DataSet, PipelineError> {
    let fraction = if sources.held_out.is_empty() { sources.held_out_fraction } else { 0.0 };
    let settings = DataSettings { template, max_length, held_out: fraction };
    let mut data = DataSet::load(&sources.train, trainer.tokenizer(), &settings)?;
    if !sources.held_out.is_empty() {
        let settings = DataSettings { held_out: 0.0, ..settings };
        data.held_out = DataSet::load(&sources.held_out, trainer.tokenizer(), &settings)?.train;
    }
    Ok(data)
}
