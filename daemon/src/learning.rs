//! The base model, opened once, and this organisation's data.

mod alone;
mod command;
mod data;
mod examine;
mod sample;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fedshield_protocol::ids::Digest;
pub use fedshield_train::ComputeDevice;
use fedshield_train::TrainError;
use fedshield_train::adapter::AdapterRendering;
use fedshield_train::data::{DataSet, Reading, TokenizedExample, check_examples};
use fedshield_train::federated::{AdapterLayout, GlobalAdapter};
use fedshield_train::load::LoadedModel;
use fedshield_train::model::{BasePrecision, ComputePrecision, ModelConfig};
use fedshield_train::{Progress, RoundResult, RoundTask, TrainSettings, Trainer, Valid};
use tokio_util::sync::CancellationToken;

use crate::jobs::{PipelineError, TrainingStep};
use crate::terms::MemberTerms;
pub(crate) use alone::{AloneTask, LocalRun};
pub use command::CommandSettings;
pub(crate) use command::answer_guard;
use command::{CommandTrainer, RequestSettings, Run};
use data::DataFiles;
pub(crate) use data::Examples;
pub use data::{DATA_CONDITION, DataLook, Look, MeasuredOn, SKIPPED_CONDITION};
pub use examine::TermsChecker;
use examine::{Agreed, Examination, Examined, named_adapter};
pub(crate) use sample::{LEAST_MEASURED, sample_digest};

/// Where model and data are stored, and how to read them.
#[derive(Debug, Clone, Default)]
pub struct LearningSources {
    /// Hugging Face folder or GGUF file.
    pub model: PathBuf,
    /// Files to train on.
    pub train: Vec<PathBuf>,
    /// Held-out files; if empty, `held_out_fraction` of the training examples is held out.
    pub held_out: Vec<PathBuf>,
    /// The fraction that is held out if there are no held-out files.
    pub held_out_fraction: f64,
    /// Test files; if empty, `test_fraction` of the training examples is kept for the test.
    pub test: Vec<PathBuf>,
    /// The fraction if there are no test files; 0 for no test part.
    pub test_fraction: f64,
    /// The device to compute on.
    pub device: ComputeDevice,
    /// See [`TrainSettings::gradient_checkpointing`].
    pub gradient_checkpointing: bool,
    /// See [`TrainSettings::packing`].
    pub packing: bool,
    /// How the frozen matrices are held in memory.
    pub base_precision: BasePrecision,
    /// The least precision of matrix products.
    pub compute_precision: ComputePrecision,
    /// Template to use instead of the manifest's.
    pub template: Option<String>,
    /// How records of the files are read.
    pub reading: Reading,
    /// Folder on whose file system tokens and texts are kept while the daemon runs; `None`: in
    /// memory.
    pub spill: Option<PathBuf>,
    /// PEFT folder that the first round starts from, for a manifest that names a first adapter.
    pub first_adapter: PathBuf,
    /// The trainer command; `None`: the built-in trainer.
    pub command: Option<CommandSettings>,
}

impl LearningSources {
    /// All data files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.train.iter().chain(&self.held_out).chain(&self.test)
    }
}

/// The model's weights, read and hashed; not yet on a device.
pub struct OpenedModel {
    sources: LearningSources,
    model: LoadedModel,
}

impl OpenedModel {
    /// Reads the model.
    ///
    /// # Errors
    /// Names the file and the invalid tensor.
    pub fn open(sources: LearningSources) -> Result<Self, TrainError> {
        let model = LoadedModel::open(&sources.model)?;
        model.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Self { sources, model })
    }

    /// Reads the data files once, so that an invalid record is found before other members wait for
    /// this one.
    ///
    /// # Errors
    /// Names the file and the record.
    pub fn check_data(&self) -> Result<(), TrainError> {
        self.sources.files().try_for_each(|file| check_examples(file, &self.sources.reading))
    }

    /// Checks terms as [`Self::prepare`] does; may be called repeatedly.
    #[must_use]
    pub fn checker(&self) -> TermsChecker {
        let model = &self.model;
        TermsChecker::new(model.config.clone(), model.tokenizer.clone(), self.sources.clone())
    }

    /// Digest of config, tokenizer and weights.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(self.model.digest)
    }

    /// Reads the data as the manifest specifies, and puts the model on the device unless a command
    /// trains.
    ///
    /// # Errors
    /// Names the data file and line, or the setting.
    pub fn prepare(self, terms: &MemberTerms) -> Result<Learning, PipelineError> {
        let Self { sources, mut model } = self;
        let date = terms.rendering.date;
        model.tokenizer.template_date = date;
        let training = &terms.manifest.training;
        let examined =
            Examination { config: &model.config, tokenizer: &model.tokenizer, sources: &sources };
        let Examined { template, length, data } = examined.examine(&Agreed {
            training,
            settings: &terms.settings,
            rendering: terms.rendering,
            evaluation: terms.manifest.evaluation,
        })?;
        let settings = Valid::new(TrainSettings {
            batch_size: training.batch_size as usize,
            max_gradient_norm: training.max_gradient_norm.get(),
            device: sources.device,
            gradient_checkpointing: sources.gradient_checkpointing,
            packing: sources.packing,
            base_precision: sources.base_precision,
            compute_precision: sources.compute_precision,
            ..TrainSettings::default()
        })?;
        let command = sources.command.map(|command| {
            let request = RequestSettings {
                model: sources.model.clone(),
                train_files: sources.train.clone(),
                template: template.name(),
                template_date: date.to_string(),
                sequence_length: length,
                train: settings.clone(),
            };
            CommandTrainer { settings: command, request }
        });
        let summary = data.current().set.summary();
        tracing::info!(
            train = summary.examples,
            held_out = summary.held_out,
            test = summary.test,
            longest = summary.longest,
            truncated = summary.truncated,
            dropped = summary.dropped,
            left_out = summary.skipped,
            unknown_fields = ?summary.unknown.keys().collect::<Vec<_>>(),
            "the data go with the terms"
        );
        let learning = Learning {
            config: model.config.clone(),
            loader: Mutex::new(Some(model)),
            trainer: OnceLock::new(),
            settings,
            command,
            data,
            rendering: AdapterRendering { template, date },
            base: sources.model,
            first_adapter: sources.first_adapter,
        };
        if learning.command.is_none() {
            learning.trainer()?;
        }
        Ok(learning)
    }
}

/// Trainer and data of one member.
pub struct Learning {
    config: Valid<ModelConfig>,
    /// The loaded model until it is moved to the device.
    loader: Mutex<Option<LoadedModel>>,
    trainer: OnceLock<Trainer>,
    settings: Valid<TrainSettings>,
    command: Option<CommandTrainer>,
    data: DataFiles,
    /// The template in use here, and the federation's date.
    pub(crate) rendering: AdapterRendering,
    base: PathBuf,
    first_adapter: PathBuf,
}

impl Learning {
    /// Current number of training examples.
    #[must_use]
    pub fn example_count(&self) -> usize {
        self.examples().set.train.len()
    }

    /// The current examples. A computation holds them until it ends, whatever changes meanwhile.
    pub(crate) fn examples(&self) -> Arc<Examples> {
        self.data.current()
    }

    /// Reads files whose examples are measured on and nothing else; `None` without any.
    ///
    /// # Errors
    /// [`PipelineError::Data`]: names the file and line.
    pub(crate) fn read_apart(&self, files: &[PathBuf]) -> Result<Option<DataSet>, PipelineError> {
        self.data.read_apart(files).map_err(PipelineError::Data)
    }

    /// See [`Pipeline::look_at_data`](crate::jobs::Pipeline::look_at_data).
    pub(crate) fn look_at_data(&self, when: Look) -> DataLook {
        self.data.look(when)
    }

    /// The name of the base model in PEFT files.
    pub(crate) fn base(&self) -> String {
        self.base.display().to_string()
    }

    /// The base model on the device: moved there at first use, which is at the start unless a
    /// command trains.
    pub(crate) fn trainer(&self) -> Result<&Trainer, PipelineError> {
        let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trainer) = self.trainer.get() {
            return Ok(trainer);
        }
        let mut model = loader.take().map_or_else(|| LoadedModel::open(&self.base), Ok)?;
        model.tokenizer.template_date = self.rendering.date;
        let trainer = Trainer::new(model, self.settings.clone())?;
        let precision = self.settings.base_precision.name();
        tracing::info!(precision, bytes = trainer.base_bytes(), "base model in memory");
        Ok(self.trainer.get_or_init(|| trainer))
    }

    /// The adapter before the first round: derived from the federation's id, or the one that the
    /// manifest names.
    pub(crate) fn first_adapter(
        &self,
        terms: &MemberTerms,
    ) -> Result<GlobalAdapter, PipelineError> {
        let Some(wanted) = terms.manifest.adapter.first else {
            let layout = AdapterLayout::new(&self.config, &terms.settings.adapter)?;
            return Ok(GlobalAdapter::new(layout, &terms.settings, terms.federation.0));
        };
        named_adapter(&self.config, &self.first_adapter, wanted, &terms.settings)
    }

    /// Mean loss of the federation's adapter, or of the base model, on `sample`, by the trainer
    /// command; `None` if there is none and the built-in trainer measures.
    pub(crate) fn evaluate_by_command(
        &self,
        global: &GlobalAdapter,
        with_adapter: bool,
        sample: &[TokenizedExample],
        cancel: &CancellationToken,
    ) -> Result<Option<f64>, PipelineError> {
        let Some(command) = &self.command else { return Ok(None) };
        let run = Run {
            purpose: "evaluate",
            examples: sample,
            global,
            model: &self.config,
            steps: 0,
            learning_rate: 0.0,
            seed: [0; 32],
        };
        command.evaluate(&run, with_adapter, cancel).map(Some)
    }

    /// train: the factors of round `global.applied()` after local training on `examples`.
    pub(crate) fn train(
        &self,
        task: &RoundTask<'_>,
        examples: &Examples,
        cancel: &CancellationToken,
        on_step: &dyn Fn(TrainingStep),
    ) -> Result<RoundResult, PipelineError> {
        let RoundTask { global, settings, seed, .. } = *task;
        if let Some(command) = &self.command {
            let run = Run {
                purpose: "round",
                examples: &examples.set.train,
                global,
                model: &self.config,
                steps: settings.steps,
                learning_rate: settings.learning_rate.at(global.applied()),
                seed,
            };
            return command.train(&run, cancel, on_step);
        }
        let mut progress = |step: &Progress| {
            on_step(TrainingStep::from(step));
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.trainer()?.train(task, &examples.set, &mut progress) {
            Err(TrainError::Cancelled { .. }) => Err(PipelineError::Cancelled),
            other => Ok(other?),
        }
    }
}
